"""People sign in through an OpenID Connect provider: the way there and back, who they are here, and what is refused."""
import http.client
import json
import os
import socket
import sys
import time
import urllib.parse

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "helpers"))
from conftest import Openssl, Reply  # noqa: E402
from oidc import Provider  # noqa: E402
from test_signin import Browser  # noqa: E402

RULES = [
    {"claim": "email", "value": "boss@example.org", "principal": "oidc-boss"},
    {"claim": "groups", "value": "pki-auditors", "roles": ["auditor"]},
    {"claim": "groups", "value": "plant", "roles": ["owner"], "owner-of": "{department}"},
]


@pytest.fixture(scope="module")
def world(house, tmp_path_factory):
    ssl = Openssl(tmp_path_factory.mktemp("oidc"))
    ssl.key("idp")
    ssl.run("req", "-x509", "-new", "-key", "idp.key", "-subj", "/CN=localhost", "-days", "30", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-out", "idp.pem")
    provider = Provider(ssl.file("idp.pem"), ssl.file("idp.key"))
    with open(ssl.file("idp.pem"), encoding="ascii") as f:
        ca = f.read()
    doc = {"kind": "IdentityProvider", "name": "corp", "title": "Example Corp", "issuer": provider.issuer, "client-id": "touchmark", "rules": RULES,
           "scopes": ["profile", "groups"], "ca": ca, "networks": ["127.0.0.0/8", "::1/128"]}
    assert house.api("PUT", "/resources/identity-providers/corp", doc).status in (200, 201)
    assert house.api("PUT", "/resources/principals/oidc-boss", {"kind": "Principal", "name": "oidc-boss", "roles": ["operator"]}).status in (200, 201)
    house.cli("provider", "secret", "corp", data=provider.secret + "\n")
    yield {"provider": provider, "doc": doc}
    provider.stop()


class Person(Browser):
    """A browser that follows where it is sent."""

    flow = None

    def begin(self, provider="corp", **more):
        reply = self.ask("POST", "/session/oidc", {"provider": provider, **more}, csrf=False)
        if reply.status == 200:
            self.url = reply.json["url"]
        return reply

    def ask(self, method, path, body=None, **how):
        return super_ask(self, method, path, body, **how)

    def at_provider(self, world):
        url = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPSConnection("localhost", url.port, context=insecure(), timeout=10)
        connection.request("GET", f"{url.path}?{url.query}")
        return connection.getresponse().headers["Location"]

    def come_back(self, location, **headers):
        url = urllib.parse.urlsplit(location)
        assert url.path == "/api/v1/session/oidc/callback"
        return super_ask(self, "GET", f"/session/oidc/callback?{url.query}", None, headers=headers)

    def sign_in_by(self, world, claims, **headers):
        world["provider"].claims = claims
        assert self.begin().status == 200
        return self.come_back(self.at_provider(world), **headers)


def insecure():
    import ssl
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def super_ask(b, method, path, body, headers=None, csrf=True, origin=True):
    """As Browser.ask(), with the flow's cookie beside the session's."""
    send = {"Host": b.host}
    cookies = [c for c in (b.flow, b.cookie) if c]
    if cookies:
        send["Cookie"] = "; ".join(cookies)
    if origin and method != "GET":
        send["Origin"] = b.origin
    if csrf and b.csrf:
        send["X-Touchmark-CSRF"] = b.csrf
    if body is not None:
        send["Content-Type"] = "application/json"
    send.update(headers or {})
    connection = http.client.HTTPSConnection("localhost", b.port, context=b.house.tls(), timeout=30)
    connection.request(method, "/api/v1" + path, None if body is None else json.dumps(body), send)
    reply = Reply(connection.getresponse())
    connection.close()
    for cookie in reply.headers.get_all("Set-Cookie") or []:
        if cookie.startswith("__Host-touchmark-oidc="):
            assert "SameSite=Lax" in cookie and "HttpOnly" in cookie and "Secure" in cookie
            b.flow = None if "Max-Age=0" in cookie else cookie.split(";")[0]
        else:
            assert cookie.startswith("__Host-touchmark=") and "SameSite=Strict" in cookie
            b.cookie = cookie.split(";")[0]
    if path.endswith("/session") and reply.status == 200 and "csrf" in reply.json:
        b.csrf = reply.json["csrf"]
    return reply


# ---- who signs in ----


def test_oidc__a_principal(house, world):
    b = Person(house)
    assert {"name": "corp", "title": "Example Corp", "house": False} in b.ask("GET", "/session/methods").json["providers"]
    assert b.begin(return_to="/#/certificates").status == 200
    world["provider"].claims = {"email": "boss@example.org", "preferred_username": "boss"}
    back = b.come_back(b.at_provider(world))
    assert back.status == 303 and back.headers["Location"] == "/#/certificates", back
    me = b.ask("GET", "/session").json
    assert me["principal"] == "oidc-boss" and me["roles"] == ["operator"] and me["method"] == "oidc:corp"
    assert b.flow is None
    out = b.ask("DELETE", "/session").json["logout"]
    assert out.startswith(world["provider"].issuer + "/logout?client_id=touchmark&post_logout_redirect_uri=https%3A%2F%2Flocalhost")


def test_oidc__roles_by_claims(house, world):
    b = Person(house)
    claims = {"groups": ["x", "pki-auditors", "plant"], "preferred_username": "ann", "department": "plant-oidc"}
    assert b.sign_in_by(world, claims).status == 303
    me = b.ask("GET", "/session").json
    assert me["principal"] == "ann@corp" and me["roles"] == ["auditor", "owner"]
    assert b.ask("GET", "/whoami").json["owner_of"] == "plant-oidc"
    assert b.ask("GET", "/status").status == 200
    assert b.ask("POST", "/tokens", {"endpoint": "servers"}).status == 403
    # Whom another vouches for sets up no way in of their own.
    assert b.ask("POST", "/account/enrollment", {}).json["rule"] == "session.external"
    assert b.ask("GET", "/sessions").json["items"][0]["principal"] == "ann@corp"
    # A name that could be taken for another gives way.
    other = Person(house)
    assert other.sign_in_by(world, {"groups": "pki-auditors", "preferred_username": "ann\u202e bob", "sub": "s-17"}).status == 303
    assert other.ask("GET", "/session").json["principal"] == "s-17@corp"


def test_oidc__an_address_that_nobody_looked_at(house, world):
    for seen in (False, "false", 0):
        reply = Person(house).sign_in_by(world, {"email": "boss@example.org", "email_verified": seen})
        assert reply.status == 403 and reply.json["rule"] == "provider.rules", seen
    for seen in (True, "true"):
        assert Person(house).sign_in_by(world, {"email": "boss@example.org", "email_verified": seen}).status == 303


def test_oidc__ends_with_its_provider(house, world):
    person, principal = Person(house), Person(house)
    assert person.sign_in_by(world, {"groups": ["pki-auditors"]}).status == 303
    assert principal.sign_in_by(world, {"email": "boss@example.org"}).status == 303
    try:
        assert house.api("PUT", "/resources/identity-providers/corp", {**world["doc"], "disabled": True}).status == 200
        for b in (person, principal):
            assert b.ask("GET", "/session").json["rule"] == "provider.gone"
    finally:
        assert house.api("PUT", "/resources/identity-providers/corp", world["doc"]).status == 200
    assert person.ask("GET", "/session").status == 200


def test_oidc__a_flood_keeps_nobody_out(house, world):
    """Anybody can begin, and come back with a code that is none: that spends nothing which others need to sign in."""
    b = Person(house)
    b.begin()
    state = urllib.parse.parse_qs(urllib.parse.urlsplit(b.url).query)["state"][0]
    flow = b.flow
    for _ in range(3):
        b.flow = flow
        reply = b.come_back(f"/api/v1/session/oidc/callback?state={state}&code=none")
        assert reply.status == 401 and "gave no token" in reply.json["detail"], reply
    world["provider"].claims = {"groups": ["pki-auditors"]}
    b.flow = flow
    location = b.at_provider(world)
    assert b.come_back(location).status == 303
    b.flow = flow
    assert b.come_back(location).status == 401


def test_oidc__a_provider_that_is_down(house, world):
    """Asked once, then left alone for some seconds: who waits for it holds a thread that others need."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        doc = {**world["doc"], "name": "deaf", "issuer": f"https://localhost:{deaf.getsockname()[1]}", "timeout": "2s"}
        assert house.api("PUT", "/resources/identity-providers/deaf", doc).status in (200, 201)
        first, second = Person(house).begin("deaf"), Person(house).begin("deaf")
        assert first.status == 503 and second.json["detail"] == first.json["detail"]
        deaf.settimeout(0)
        deaf.accept()[0].close()
        with pytest.raises(BlockingIOError):
            deaf.accept()
        assert house.api("DELETE", "/resources/identity-providers/deaf").status == 204


def test_oidc__nobody_here(house, world):
    b = Person(house)
    reply = b.sign_in_by(world, {"groups": ["others"]})
    assert reply.status == 403 and reply.json["rule"] == "provider.rules"
    page = Person(house).sign_in_by(world, {"groups": ["others"]}, Accept="text/html,*/*")
    assert page.status == 303 and page.headers["Location"].startswith("/#/signin?problem=")
    assert b.ask("GET", "/session").status == 401


def test_oidc__keys_change(house, world):
    b = Person(house)
    assert b.sign_in_by(world, {"groups": ["pki-auditors"]}).status == 303
    time.sleep(11)  # so often at most are keys asked for
    world["provider"].new_key("ES256")
    assert b.sign_in_by(world, {"groups": ["pki-auditors"]}).status == 303


@pytest.mark.parametrize("wrong", [
    {"aud": "another"}, {"aud": ["touchmark", "another"]}, {"azp": "another"}, {"iss": "https://evil.example"}, {"nonce": "another"}, {"nonce": None},
    {"exp": 1}, {"iat": 99999999999}, {"nbf": 99999999999}, {"sub": None}, {"header": {"alg": "none"}}, {"header": {"alg": "HS256"}},
    {"header": {"kid": "unknown"}}, {"header": {"kid": "mac", "alg": "HS256"}}, {"header": {"crit": ["x"]}},
], ids=str)
def test_oidc__tokens_that_are_wrong(house, world, wrong):
    world["provider"].wrong = wrong
    try:
        b = Person(house)
        reply = b.sign_in_by(world, {"groups": ["pki-auditors"]})
        assert reply.status in (401, 422) and not b.cookie, reply
    finally:
        world["provider"].wrong = {}


def test_oidc__answers_that_are_not_ours(house, world):
    world["provider"].claims = {"groups": ["pki-auditors"]}
    b, other = Person(house), Person(house)
    b.begin()
    location = b.at_provider(world)
    # In another browser, with another state, without a beginning, from another provider.
    assert other.come_back(location).json["rule"] == "oidc.flow"
    other.begin()
    assert other.come_back(location).json["rule"] == "RFC 6749 10.12"
    assert b.come_back(location.replace("iss=https", "iss=http")).json["rule"] == "RFC 9207 2.4"
    # That used it up.
    assert b.come_back(location).status == 401
    b.begin()
    state = urllib.parse.parse_qs(urllib.parse.urlsplit(b.url).query)["state"][0]
    refused = b.come_back(f"/api/v1/session/oidc/callback?state={state}&error=access_denied&error_description=no")
    assert refused.json["detail"] == "the provider says: access_denied: no"
    for bad in ("//evil.example", "https://evil.example", "/\\evil.example", "evil", "/a b", "/a;b"):
        assert b.begin(return_to=bad).status == 422
    assert b.begin("nowhere").status == 404


def test_oidc__where_it_may_go(house, world):
    """Loopback is reached because the resource says so, and only an administrator of the house may say so."""
    doc = {**world["doc"], "name": "inside", "networks": []}
    assert house.api("PUT", "/resources/identity-providers/inside", doc).status in (200, 201)
    reply = Person(house).begin("inside")
    assert reply.status == 503 and "not public" in reply.json["detail"]
    assert house.api("PUT", "/resources/tenants/oidc-t", {"kind": "Tenant", "name": "oidc-t"}).status in (200, 201)
    house.api("PUT", "/tenants/oidc-t/resources/principals/chief", {"kind": "Principal", "name": "chief", "roles": ["admin"]})
    token = house.api("POST", "/tenants/oidc-t/tokens", {"type": "api", "principal": "chief"}).json["token"]
    at = "/tenants/oidc-t/resources/identity-providers/corp"
    assert house.api("PUT", at, world["doc"], token=token).json["field"] == "/networks"
    assert house.api("PUT", at, {**world["doc"], "networks": []}, token=token).status == 201
    assert house.api("DELETE", "/resources/identity-providers/inside").status == 204


def test_provider__test_and_secret(house, world):
    found = house.cli_json("provider", "test", "corp")
    assert found["secret"] and found["keys"] >= 1 and found["authorization"].endswith("/auth")
    assert "corp" in house.cli("provider", "list").stdout
    house.cli("provider", "secret", "corp", data="wrong\n")
    reply = Person(house).sign_in_by(world, {"groups": ["pki-auditors"]})
    assert reply.status == 401 and "invalid_client" in reply.json["detail"]
    house.cli("provider", "secret", "corp", "--remove")
    reply = Person(house).sign_in_by(world, {"groups": ["pki-auditors"]})
    assert reply.status == 503 and reply.json["rule"] == "provider.secret"
    # Where the resource names another issuer, the secret stays where it is.
    elsewhere = {**world["doc"], "issuer": world["provider"].issuer + "/other"}
    house.cli("provider", "secret", "corp", data=world["provider"].secret)
    assert house.api("PUT", "/resources/identity-providers/corp", elsewhere).status == 200
    assert Person(house).begin().status == 503
    assert house.api("PUT", "/resources/identity-providers/corp", world["doc"]).status == 200
    house.api("PUT", "/resources/identity-providers/corp", {**world["doc"], "client-auth": "client_secret_post"})
    house.cli("provider", "secret", "corp", data=world["provider"].secret)
    assert Person(house).sign_in_by(world, {"groups": ["pki-auditors"]}).status == 303
    house.api("PUT", "/resources/identity-providers/corp", world["doc"])


@pytest.mark.parametrize("change, field", [
    ({"issuer": "http://idp.example.org"}, "/issuer"), ({"rules": []}, "/rules"), ({"rules": [{"claim": "a", "value": "b"}]}, "/rules/0"),
    ({"rules": [{"claim": "a", "value": "b", "roles": ["king"]}]}, "/rules/0"), ({"networks": ["x"]}, "/networks"), ({"scopes": ["a b"]}, "/scopes"),
])
def test_provider__resource_refused(house, world, change, field):
    reply = house.api("PUT", "/resources/identity-providers/corp", {**world["doc"], **change})
    assert reply.status == 422 and reply.json["field"] == field, reply
