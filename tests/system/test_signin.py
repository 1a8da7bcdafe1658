"""People sign in: sessions and what guards them, passkeys, passwords with one-time codes, invitations, users."""
import base64
import hmac
import http.client
import json
import os
import struct
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "helpers"))
from conftest import Reply  # noqa: E402
from passkey import Authenticator  # noqa: E402

PASSWORD = "a lantern in the cellar"


def totp(secret, step=0):
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.digest(key, struct.pack(">Q", int(time.time()) // 30 + step), "sha1")
    at = mac[-1] & 15
    return f"{(int.from_bytes(mac[at:at + 4], 'big') & 0x7fffffff) % 1000000:06d}"


class Browser:
    """Keeps the cookie and the CSRF token, says where it comes from."""

    def __init__(self, house, host="localhost"):
        self.house, self.port = house, house.ports["console"]
        self.origin = f"https://{host}:{self.port}"
        self.host = f"{host}:{self.port}"
        self.cookie = self.csrf = None
        self.address = None  # that it comes from

    def ask(self, method, path, body=None, headers=None, csrf=True, origin=True):
        send = {"Host": self.host, "User-Agent": "test browser"}
        if self.cookie:
            send["Cookie"] = "other=1; " + self.cookie
        if origin and method != "GET":
            send["Origin"] = self.origin
        if csrf and self.csrf:
            send["X-Touchmark-CSRF"] = self.csrf
        if body is not None:
            send["Content-Type"] = "application/json"
        send.update(headers or {})
        connection = http.client.HTTPSConnection("localhost", self.port, context=self.house.tls(), timeout=30,
                                                 source_address=self.address and (self.address, 0))
        try:
            connection.request(method, "/api/v1" + path, None if body is None else json.dumps(body), send)
            reply = Reply(connection.getresponse())
        finally:
            connection.close()
        wrong = self.house.openapi.check(method, "/api/v1" + path, reply.status, reply.headers["Content-Type"], reply.body)
        assert wrong is None, wrong
        cookie = reply.headers["Set-Cookie"]
        if cookie:
            assert cookie.startswith("__Host-touchmark=") and {"Path=/", "Secure", "HttpOnly", "SameSite=Strict"} <= set(cookie.split("; ")), cookie
            self.cookie = cookie.split(";")[0]
        found = reply.json if reply.body and reply.status < 400 else {}
        session = found.get("session") or found
        if isinstance(session, dict) and session.get("csrf"):
            self.csrf = session["csrf"]
        return reply

    def sign_in(self, **how):
        return self.ask("POST", "/session", how)

    def passkey(self, key, **wrong):
        return self.sign_in(method="passkey", credential=key.use(self.ask("POST", "/session/challenge").json, **wrong))


@pytest.fixture(scope="module")
def home(tmp_path_factory, factory):
    """A house of its own: locks are by address, and all tests come from one."""
    from conftest import House
    h = House(tmp_path_factory.mktemp("signin") / "home", factory.anchors)
    try:
        yield h.start()
    finally:
        h.stop()


def invite(home, name, *roles, tenant=""):
    doc = {"kind": "Principal", "name": name, "roles": list(roles or ["operator"])}
    assert home.api("PUT", f"{tenant}/resources/principals/{name}", doc).status in (200, 201)
    reply = home.api("POST", f"{tenant}/users/{name}/invite", {})
    assert reply.status == 201, reply
    return reply.json["invite"]


def with_passkey(home, name, *roles, alg=-7):
    b = Browser(home)
    link = invite(home, name, *roles)
    options = b.ask("POST", "/account/enrollment", {"invite": link}).json
    key = Authenticator(b.origin, alg)
    made = b.ask("POST", "/account/passkeys", {"invite": link, "label": "test key", "credential": key.make(options["passkey"])})
    assert made.status == 201, made
    return b, key


def with_password(home, name, *roles):
    b = Browser(home)
    link = invite(home, name, *roles)
    app = b.ask("POST", "/account/enrollment", {"invite": link}).json["totp"]
    made = b.ask("POST", "/account/password", {"invite": link, "password": PASSWORD, "ticket": app["ticket"], "code": totp(app["secret"])})
    assert made.status == 201, made
    return b, app["secret"], made.json["recovery_codes"]


# ---- sessions ----


def test_session__of_a_token(home):
    b = Browser(home)
    opened = b.sign_in(method="token", token=home.admin_token)
    assert opened.status == 201, opened
    me = b.ask("GET", "/session").json
    assert me["principal"] == "admin" and me["tenant"] == "house" and "house-admin" in me["roles"] and me["current"] and me["fresh"]
    assert me["csrf"] == opened.json["csrf"]
    assert b.ask("GET", "/status").json["principal"] == "admin"
    assert b.ask("POST", "/tokens", {"endpoint": "servers"}).status == 201
    # Nothing that could sign in stands in the store as it is.
    secret = b.cookie.split("=", 1)[1].split(".")[2]
    for path in ("touchmark.db", "touchmark.db-wal"):
        with open(f"{home.home}/store/{path}", "rb") as f:
            data = f.read()
        assert secret.encode() not in data and me["csrf"].encode() not in data
    assert b.ask("DELETE", "/session").json == {"logout": None}
    assert b.cookie == "__Host-touchmark="


def test_session__what_changes_something(home):
    b = Browser(home)
    b.sign_in(method="token", token=home.admin_token)
    new = ("POST", "/tokens", {"endpoint": "servers"})
    assert b.ask(*new, csrf=False).json["rule"] == "session.csrf"
    assert b.ask(*new, headers={"X-Touchmark-CSRF": b.csrf[:-1] + "x"}).status == 403
    assert b.ask(*new, origin=False).json["rule"] == "session.origin"
    for origin in ("https://evil.example", "null", b.origin + ".evil.example", b.origin.replace("https", "http")):
        assert b.ask(*new, headers={"Origin": origin}).json["rule"] == "session.origin"
    # Another session's token is not this one's.
    other = Browser(home)
    other.sign_in(method="token", token=home.admin_token)
    assert b.ask(*new, headers={"X-Touchmark-CSRF": other.csrf}).json["rule"] == "session.csrf"
    assert b.ask(*new).status == 201
    # Nobody signs somebody in from elsewhere.
    assert other.ask("POST", "/session", {"method": "token", "token": home.admin_token}, headers={"Origin": "https://evil.example"}).status == 403


def test_session__ends_and_rotates(home):
    b = Browser(home)
    b.sign_in(method="token", token=home.admin_token)
    before = b.cookie
    assert b.sign_in(method="token", token=home.admin_token).status == 201
    assert b.cookie != before
    old = Browser(home)
    old.cookie = before
    assert old.ask("GET", "/session").json["rule"] == "session.unknown"
    for wrong in ("__Host-touchmark=", "__Host-touchmark=0.a.b", "__Host-touchmark=" + "9" * 300, b.cookie[:-2] + "xx", b.cookie + "; " + before):
        old.cookie = wrong
        assert old.ask("GET", "/status").status == 401
    b.ask("DELETE", "/session")
    old.cookie = b.cookie
    assert old.ask("GET", "/status").status == 401


def test_sessions__own_and_others(home):
    admin, alice = Browser(home), with_passkey(home, "signin-alice")[0]
    admin.sign_in(method="token", token=home.admin_token)
    assert [s["principal"] for s in alice.ask("GET", "/sessions").json["items"]] == ["signin-alice"]
    assert alice.ask("GET", "/sessions?all=1").status == 403
    mine = admin.ask("GET", "/session").json["id"]
    assert alice.ask("DELETE", f"/sessions/{mine}").status == 404
    theirs = admin.ask("GET", "/sessions?principal=signin-alice").json["items"]
    assert len(theirs) == 1 and theirs[0]["agent"] == "test browser" and not theirs[0]["current"]
    assert admin.ask("DELETE", f"/sessions/{theirs[0]['id']}").status == 204
    assert alice.ask("GET", "/session").status == 401
    assert any(s["id"] == mine for s in admin.ask("GET", "/sessions?all=1&house=1").json["items"])


# ---- passkeys ----


@pytest.mark.parametrize("alg", [-7, -8, -257])
def test_passkey(home, alg):
    name = f"signin-key{-alg}"
    b, key = with_passkey(home, name, "auditor", alg=alg)
    assert b.ask("GET", "/session").json["method"] == "passkey"
    again = Browser(home)
    assert again.passkey(key).status == 201
    me = again.ask("GET", "/session").json
    assert me["principal"] == name and me["roles"] == ["auditor"] and me["tenant"] == "default"
    listed = again.ask("GET", "/account/credentials").json
    assert [k["label"] for k in listed["passkeys"]] == ["test key"] and listed["passkeys"][0]["rp_id"] == "localhost" and not listed["password"]
    # A counter that stands still or goes back is a copy's.
    assert Browser(home).passkey(key, count=1).json["rule"] == "passkey.copied"
    assert home.api("GET", f"/register/events?type=passkey.copied&subject=principal/{name}").json["items"]


def test_passkey__a_second_one_and_removal(home):
    b, _ = with_passkey(home, "signin-two")
    options = b.ask("POST", "/account/enrollment").json["passkey"]
    assert len(options["excludeCredentials"]) == 1
    second = Authenticator(b.origin)
    made = b.ask("POST", "/account/passkeys", {"label": "second", "credential": second.make(options, fmt="packed")})
    assert made.status == 201 and made.json["session"] is None, made
    # What was said once is said.
    assert b.ask("POST", "/account/passkeys", {"credential": second.make(options)}).json["rule"] in ("ticket.spent", "passkey.known")
    assert Browser(home).passkey(second).status == 201
    assert b.ask("DELETE", f"/account/passkeys/{made.json['credential']['id']}").status == 204
    assert Browser(home).passkey(second).json["rule"] == "passkey.unknown"
    # A token is not enough to set up a way in.
    reply = home.api("POST", "/account/enrollment", {})
    assert reply.status == 403 and reply.json["rule"] == "session.needed"


def test_passkey__refused(home):
    b, key = with_passkey(home, "signin-wrong")
    assert b.passkey(key, flags=0x01).json["rule"] == "WebAuthn 7.1.15"
    assert b.passkey(key, origin="https://evil.example").json["rule"] == "WebAuthn 7.1.9"
    assert b.passkey(key, topOrigin="https://evil.example").status == 401
    assert b.passkey(key, handle=b"x" * 16).status == 401
    stranger = Authenticator(b.origin)
    stranger.handle, stranger.rp_id = key.handle, "localhost"
    assert b.passkey(stranger).json["rule"] == "passkey.unknown"
    stranger.id = key.id
    assert b.passkey(stranger).status == 401
    # A challenge of one's own making, one for another purpose, one that was used.
    options = b.ask("POST", "/session/challenge").json
    assert b.sign_in(method="passkey", credential=key.use({**options, "challenge": "A" * 75})).json["rule"] == "ticket.unknown"
    other = b.ask("POST", "/account/enrollment").json["passkey"]["challenge"]
    assert b.sign_in(method="passkey", credential=key.use({**options, "challenge": other})).json["rule"] == "ticket.unknown"
    assert b.sign_in(method="passkey", credential=key.use(options)).status == 201
    assert b.sign_in(method="passkey", credential=key.use(options)).json["rule"] == "ticket.spent"
    # For another name: the browser would not, and neither does the house.
    options = b.ask("POST", "/session/challenge").json
    assert b.sign_in(method="passkey", credential=key.use({**options, "rpId": "evil.example"})).json["rule"] == "WebAuthn 7.1.13"
    by_address = Browser(home, "127.0.0.1")
    assert "passkey" not in by_address.ask("GET", "/session/methods").json["methods"]
    assert by_address.ask("POST", "/session/challenge").json["rule"] == "passkey.name"
    link = invite(home, "signin-wrong2")
    for wrong in ({"flags": 0x41}, {"origin": "https://evil.example"}, {"kind": "webauthn.get"}, {"rp_id": "evil.example"}):
        options = b.ask("POST", "/account/enrollment", {"invite": link}).json["passkey"]
        reply = b.ask("POST", "/account/passkeys", {"invite": link, "credential": Authenticator(b.origin).make(options, **wrong)})
        assert reply.status == 403, reply


# ---- invitations ----


def test_invite__once_and_ends(home):
    b = Browser(home)
    first = invite(home, "signin-guest")
    link = invite(home, "signin-guest")
    assert b.ask("POST", "/account/enrollment", {"invite": first}).json["rule"] == "invite.unknown"
    options = b.ask("POST", "/account/enrollment", {"invite": link}).json
    assert options["principal"] == "signin-guest"
    assert b.ask("POST", "/account/passkeys", {"invite": link, "credential": Authenticator(b.origin).make(options["passkey"])}).status == 201
    assert b.ask("GET", "/session").json["principal"] == "signin-guest"
    assert Browser(home).ask("POST", "/account/enrollment", {"invite": link}).json["rule"] == "invite.unknown"
    another = invite(home, "signin-guest")
    assert home.api("DELETE", "/users/signin-guest/invite").status == 204
    assert home.api("DELETE", "/users/signin-guest/invite").status == 404
    assert Browser(home).ask("POST", "/account/enrollment", {"invite": another}).status == 401
    for wrong in ("", "1.2.3", "x", "1." + "a" * 90):
        assert Browser(home).ask("POST", "/account/enrollment", {"invite": wrong}).status in (401, 422)


def test_invite__only_as_far_as_oneself(home):
    """An administrator of one tenant makes no way in for the house's."""
    assert home.api("PUT", "/resources/tenants/signin-t", {"kind": "Tenant", "name": "signin-t"}).status in (200, 201)
    at = "/tenants/signin-t"
    assert home.api("PUT", at + "/resources/principals/chief", {"kind": "Principal", "name": "chief", "roles": ["admin"]}).status in (200, 201)
    token = home.api("POST", at + "/tokens", {"type": "api", "principal": "chief"}).json["token"]
    assert home.api("POST", at + "/users/chief/invite", {}, token=token).status == 201
    assert home.api("POST", at + "/users/admin/invite", {}, token=token).status == 404
    assert home.api("POST", "/users/admin/invite", {}, token=token).status == 401
    assert home.api("GET", at + "/users?house=1", token=token).status == 403
    assert [u["name"] for u in home.api("GET", at + "/users", token=token).json["items"]] == ["chief"]
    assert [u["name"] for u in home.api("GET", "/users?house=1").json["items"]] == ["admin"]


# ---- passwords ----


def test_password(home):
    b, secret, codes = with_password(home, "signin-pat", "operator")
    assert b.ask("GET", "/session").json["method"] == "password" and len(set(codes)) == 10
    again = Browser(home)
    how = {"method": "password", "name": "signin-pat", "password": PASSWORD}
    code = totp(secret, 1)  # a step ahead: the one of now was used
    assert again.sign_in(**how, code=code).status == 201
    assert again.sign_in(**how, code=code).status == 401  # each is good once
    assert again.sign_in(**how, code=codes[0].upper().replace("-", " ")).status == 201
    assert again.ask("GET", "/session").json["method"] == "recovery"
    assert again.sign_in(**how, code=codes[0]).status == 401
    assert again.ask("GET", "/account/credentials").json == {"passkeys": [], "password": True, "recovery_codes": 9}
    # What was wrong is not said, and a token now needs a code as well.
    texts = {again.sign_in(**{**how, **wrong}).json["detail"] for wrong in ({"code": "000000"}, {"password": "x" * 20, "code": codes[1]})}
    nobody = Browser(home).sign_in(**{**how, "name": "signin-nobody", "code": "000000"}).json["detail"]
    assert texts == {nobody}
    token = home.api("POST", "/tokens", {"type": "api", "principal": "signin-pat"}).json["token"]
    assert again.sign_in(method="token", token=token).json["rule"] == "session.code"
    assert again.sign_in(method="token", token=token, code=codes[2]).status == 201
    assert again.ask("DELETE", "/account/password").status == 204
    assert Browser(home).sign_in(method="token", token=token).status == 201


@pytest.mark.parametrize("password, rule", [("short", "password.length"), ("aaaaaaaaaaaaaaaa", "password.simple"), ("12345678901234567", "password.simple"),
                                            ("my signin-weak is it", "password.name"), ("touchmark rules ok", "password.name")])
def test_password__not_good_enough(home, password, rule):
    b = Browser(home)
    link = invite(home, "signin-weak")
    app = b.ask("POST", "/account/enrollment", {"invite": link}).json["totp"]
    ask = {"invite": link, "password": password, "ticket": app["ticket"], "code": totp(app["secret"])}
    assert b.ask("POST", "/account/password", ask).json["rule"] == rule


def test_password__code_of_the_app(home):
    b = Browser(home)
    link = invite(home, "signin-app")
    app = b.ask("POST", "/account/enrollment", {"invite": link}).json["totp"]
    assert app["uri"].startswith("otpauth://totp/Touchmark:signin-app?secret=" + app["secret"])
    ask = {"invite": link, "password": PASSWORD, "ticket": app["ticket"], "code": "000000"}
    assert b.ask("POST", "/account/password", ask).json["rule"] == "totp.code"
    assert b.ask("POST", "/account/password", {**ask, "ticket": "A" * 75}).status == 401
    # A ticket of somebody else's is none.
    other = b.ask("POST", "/account/enrollment", {"invite": invite(home, "signin-app2")}).json["totp"]
    assert b.ask("POST", "/account/password", {**ask, "ticket": other["ticket"], "code": totp(other["secret"])}).json["rule"] == "ticket.unknown"


def test_password__locked_after_some(home):
    b, secret, codes = with_password(home, "signin-lock")
    _, key = with_passkey(home, "signin-lock")
    how = {"method": "password", "name": "signin-lock", "password": "not this one at all", "code": "123456"}
    replies = [Browser(home).sign_in(**how) for _ in range(6)]
    assert [r.status for r in replies[:5]] == [401] * 5
    assert replies[5].status == 429 and replies[5].json["rule"] == "session.locked" and int(replies[5].headers["Retry-After"]) > 0
    # The right one waits too; what can't be guessed does not.
    assert Browser(home).sign_in(**{**how, "password": PASSWORD, "code": codes[0]}).status == 429
    assert Browser(home).passkey(key).status == 201
    # An administrator's invitation lets the user try again.
    invite(home, "signin-lock")
    assert Browser(home).sign_in(**{**how, "password": PASSWORD, "code": codes[0]}).status == 201


def test_password__others_guesses_elsewhere(home):
    """Who guesses somebody's password locks out whoever comes from where nobody is known, not the one whose it is."""
    _, _, codes = with_password(home, "signin-known")
    how = {"method": "password", "name": "signin-known", "password": PASSWORD}

    def at(address, **more):
        b = Browser(home)
        b.address = address
        return b.sign_in(**{**how, "code": "123456", **more}).status
    assert at("127.0.0.1", code=codes[0]) == 201
    assert [at("127.0.0.2", password="not this one at all") for _ in range(6)] == [401] * 5 + [429]
    assert at("127.0.0.3", code=codes[1]) == 429  # perhaps it is them, with another address
    assert at("127.0.0.1", code=codes[1]) == 201
    # Where one is known there are no more guesses than elsewhere.
    assert [at("127.0.0.1") for _ in range(6)] == [401] * 5 + [429]
    assert at("127.0.0.1", code=codes[2]) == 429
    # An administrator's invitation opens both.
    invite(home, "signin-known")
    assert at("127.0.0.1", code=codes[2]) == 201 and at("127.0.0.3", code=codes[3]) == 201


# ---- users ----


def test_user__disabled_and_deleted(home):
    b, key = with_passkey(home, "signin-gone", "auditor")
    user = home.api("GET", "/users/signin-gone").json
    assert len(user["credentials"]["passkeys"]) == 1 and user["sessions"] == 1 and not user["disabled"]
    assert home.api("POST", "/users/signin-gone/state", {"disabled": True}).json["disabled"]
    assert b.ask("GET", "/status").status == 401
    assert Browser(home).passkey(key).status == 401
    assert home.api("POST", "/users/signin-gone/invite", {}).status == 409
    assert home.api("POST", "/users/signin-gone/state", {"disabled": False}).status == 200
    assert b.ask("GET", "/status").status == 401
    assert Browser(home).passkey(key).status == 201
    # Whoever gets the name later is somebody else.
    assert home.api("DELETE", "/resources/principals/signin-gone").status == 204
    invite(home, "signin-gone", "auditor")
    assert Browser(home).passkey(key).json["rule"] == "passkey.unknown"
    assert home.api("GET", "/users/signin-gone").json["credentials"] == {"passkeys": [], "password": False, "recovery_codes": 0}


def test_user__tokens_go_with_the_name(home):
    doc = {"kind": "Principal", "name": "signin-heir", "roles": ["auditor"]}
    other = {**doc, "name": "signin-heir2"}
    for d in (doc, other):
        assert home.api("PUT", "/resources/principals/" + d["name"], d).status in (200, 201)
    mine, theirs = api_token(home, "signin-heir"), api_token(home, "signin-heir2")
    assert home.api("GET", "/devices", token=mine).status == 200
    assert home.api("DELETE", "/resources/principals/signin-heir").status == 204
    assert home.api("PUT", "/resources/principals/signin-heir", doc).status in (200, 201)
    assert home.api("GET", "/devices", token=mine).status == 401
    assert home.api("GET", "/tokens/" + mine.split(".")[0]).json["status"] == "revoked"
    assert home.api("GET", "/devices", token=theirs).status == 200


def test_user__roles_change_at_once(home):
    b, _ = with_passkey(home, "signin-demoted", "admin")
    assert b.ask("GET", "/session").json["roles"] == ["admin"]
    assert home.api("PUT", "/resources/principals/signin-demoted", {"kind": "Principal", "name": "signin-demoted", "roles": ["auditor"]}).status == 200
    assert b.ask("GET", "/session").json["roles"] == ["auditor"]
    assert b.ask("POST", "/tokens", {"endpoint": "servers"}).status == 403


def test_register__tells(home):
    types = {e["type"] for e in home.api("GET", "/register/events?limit=1000").json["items"]}
    assert {"session.opened", "session.closed", "passkey.added", "passkey.removed", "password.set", "password.removed", "user.invited"} <= types
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not home.api("GET", "/register/events?type=session.refused").json["items"]:
        time.sleep(0.5)
    event = home.api("GET", "/register/events?type=session.refused").json["items"][0]
    assert event["body"]["count"] >= 1 and event["body"]["endpoint"] == "session"


# ---- scoped tokens ----


def test_token__scopes(home):
    doc = {"kind": "Principal", "name": "signin-pipe", "roles": ["operator"]}
    home.api("PUT", "/resources/principals/signin-pipe", doc)

    def token(**more):
        reply = home.api("POST", "/tokens", {"type": "api", "principal": "signin-pipe", **more})
        return reply.json["token"] if reply.status == 201 else reply
    reader = token(scopes=["devices:read"])
    assert home.api("GET", "/devices", token=reader).status == 200
    assert home.api("PUT", "/devices/X", {}, token=reader).json["rule"] == "token.scope"
    assert home.api("GET", "/certificates", token=reader).json["rule"] == "token.scope"
    assert home.api("POST", "/enroll/bulk", b"", token=reader).status == 403
    writer = token(scopes=["devices:write", "*:read"])
    assert home.api("PUT", "/devices/SIGNIN-1", {}, token=writer).status in (200, 201)
    assert home.api("GET", "/certificates", token=writer).status == 200
    assert home.api("POST", "/tokens", {"endpoint": "servers"}, token=writer).status == 403
    assert token(scopes=["nothing:read"]).status == 422 and token(scopes=["devices:all"]).status == 422
    # A session that begins with it reaches no further.
    b = Browser(home)
    assert b.sign_in(method="token", token=reader).status == 201
    assert b.ask("GET", "/devices").status == 200 and b.ask("GET", "/certificates").status == 403
    only = token(tenant="house")
    assert home.api("GET", "/devices", token=only).status == 403
    used = home.api("GET", "/tokens/" + reader.split(".")[0]).json
    assert used["used_at"] and used["used_from"]


def api_token(home, principal, at="", **limits):
    reply = home.api("POST", at + "/tokens", {"type": "api", "principal": principal, **limits})
    assert reply.status == 201, reply
    return reply.json["token"]


@pytest.mark.parametrize("limits", [{"scopes": ["*:write"]}, {"roles": ["auditor"]}, {"tenant": "default"}], ids=lambda v: next(iter(v)))
def test_token__a_limited_one_makes_no_way_in(home, limits):
    """A passkey would be all of the principal's: whoever holds a part of it can't make one, but can leave."""
    assert home.api("PUT", "/resources/principals/signin-part", {"kind": "Principal", "name": "signin-part", "roles": ["auditor", "operator"]}).status in (200, 201)
    b = Browser(home)
    assert b.sign_in(method="token", token=api_token(home, "signin-part", **limits)).status == 201
    assert b.ask("POST", "/account/enrollment", {}).json["rule"] == "session.limited"
    assert b.ask("DELETE", "/account/password").json["rule"] == "session.limited"
    assert b.ask("GET", "/session").status == 200 and b.ask("DELETE", "/session").status == 200
    whole = Browser(home)
    assert whole.sign_in(method="token", token=api_token(home, "signin-part")).status == 201
    assert whole.ask("POST", "/account/enrollment", {}).status == 200


def test_token__scopes_do_not_grow(home):
    """Who may write resources does not by that say who may do what."""
    assert home.api("PUT", "/resources/principals/signin-ops", {"kind": "Principal", "name": "signin-ops", "roles": ["admin"]}).status in (200, 201)
    part = api_token(home, "signin-ops", scopes=["resources:write"])
    doc = {"kind": "Principal", "name": "signin-grown", "roles": ["admin"], "certificate-fingerprint": "00" * 32}
    provider = {"kind": "IdentityProvider", "name": "signin-idp", "issuer": "https://idp.example.org", "client-id": "x",
                "rules": [{"claim": "sub", "value": "*", "roles": ["admin"]}]}
    profile = {"kind": "Profile", "name": "signin-profile", "authority": "issuing-ca", "lifetime": {"default": "30d"}}
    for path, body in (("principals/signin-grown", doc), ("identity-providers/signin-idp", provider)):
        assert home.api("PUT", "/resources/" + path, body, token=part).json["rule"] == "token.scope"
    assert home.api("DELETE", "/resources/principals/signin-ops", token=part).json["rule"] == "token.scope"
    assert home.api("PUT", "/resources/profiles/signin-profile", profile, token=part).status in (200, 201)
    both = api_token(home, "signin-ops", scopes=["resources:write", "users:write"])
    assert home.api("PUT", "/resources/principals/signin-grown", {**doc, "certificate-fingerprint": ""}, token=both).status == 201


def test_token__of_the_house_stays_in_its_tenant(home):
    """What is limited to a tenant, or to a role, is no administrator of the house, whichever way it goes."""
    king = {"kind": "Principal", "name": "signin-king", "roles": ["admin"], "all-tenants": True}
    for limits in ({"tenant": "default"}, {"roles": ["admin"]}):
        part = api_token(home, "admin", "/tenants/house", **limits)
        assert home.api("GET", "/devices", token=part).status == 200
        for method, path, body in (("GET", "/resources/principals?house=1", None), ("GET", "/users?house=1", None), ("GET", "/sessions?all=1&house=1", None),
                                   ("PUT", "/resources/principals/signin-king?house=1", king),
                                   ("PUT", "/tenants/house/resources/principals/signin-king", king),
                                   ("PUT", "/resources/tenants/signin-new", {"kind": "Tenant", "name": "signin-new"})):
            assert home.api(method, path, body, token=part).status == 403, (limits, method, path)
    # Nor is a principal of the house who acts in no other tenant.
    clerk = {"kind": "Principal", "name": "signin-clerk", "roles": ["admin"]}
    assert home.api("PUT", "/resources/principals/signin-clerk?house=1", clerk).status in (200, 201)
    clerk = api_token(home, "signin-clerk", "/tenants/house")
    assert home.api("PUT", "/tenants/house/resources/principals/signin-king", king, token=clerk).status == 403


def test_session__ends_with_its_token(home):
    assert home.api("PUT", "/resources/principals/signin-lent", {"kind": "Principal", "name": "signin-lent", "roles": ["operator"]}).status in (200, 201)
    token = api_token(home, "signin-lent")
    b = Browser(home)
    assert b.sign_in(method="token", token=token).status == 201
    assert b.ask("GET", "/session").status == 200
    assert home.api("DELETE", "/tokens/" + token.split(".")[0]).status == 204
    assert b.ask("GET", "/session").json["rule"] == "session.token"
    assert b.ask("GET", "/status").status == 401


def test_session__of_another_tenant(home):
    """One's own session is found from wherever the page begins."""
    assert home.api("PUT", "/resources/tenants/signin-far", {"kind": "Tenant", "name": "signin-far"}).status in (200, 201)
    link = invite(home, "far", "auditor", tenant="/tenants/signin-far")
    b = Browser(home)
    key = Authenticator(b.origin)
    options = b.ask("POST", "/account/enrollment", {"invite": link}).json["passkey"]
    assert b.ask("POST", "/account/passkeys", {"invite": link, "credential": key.make(options)}).status == 201
    assert b.ask("GET", "/session").json["tenant"] == "signin-far"
    assert b.ask("GET", "/status").status == 403 and b.ask("GET", "/tenants/signin-far/status").status == 200
    assert b.ask("DELETE", "/session").status == 200


# ---- the command line ----


def test_cli__users(home):
    link = home.cli("user", "invite", "signin-cli", "--role", "auditor", "--title", "Cli", "--ttl", "1h").stdout.strip()
    assert link.startswith(f"https://localhost:{home.ports['console']}/#/welcome?invite=1.")
    b = Browser(home)
    token = link.split("invite=")[1]
    key = Authenticator(b.origin)
    options = b.ask("POST", "/account/enrollment", {"invite": token}).json["passkey"]
    made = b.ask("POST", "/account/passkeys", {"invite": token, "credential": key.make(options)}).json["credential"]
    assert "signin-cli" in home.cli("user", "list").stdout and "admin" in home.cli("user", "list", "--house").stdout
    assert home.cli_json("user", "show", "signin-cli")["roles"] == ["auditor"]
    assert home.cli_json("user", "credentials", "signin-cli")["passkeys"][0]["id"] == made["id"]
    assert "test browser" in home.cli("user", "sessions", "signin-cli").stdout
    assert home.cli("user", "sessions", "signin-cli", "--end").stdout.startswith("1 sessions")
    assert b.ask("GET", "/session").status == 401
    home.cli("user", "disable", "signin-cli")
    assert Browser(home).passkey(key).status == 401
    home.cli("user", "enable", "signin-cli")
    home.cli("user", "invite", "signin-cli")
    home.cli("user", "withdraw", "signin-cli")
    home.cli("user", "remove-credential", "signin-cli", made["id"])
    assert Browser(home).passkey(key).json["rule"] == "passkey.unknown"
    assert "there is a principal" in home.cli("user", "invite", "signin-cli", "--role", "admin", ok=False).stderr
    assert "no user" in home.cli("user", "invite", "signin-none", ok=False).stderr


def test_init__prints_a_link(home):
    token = home.init.stdout.split("/#/welcome?invite=")[1].split()[0]
    b = Browser(home)
    options = b.ask("POST", "/account/enrollment", {"invite": token})
    assert options.json["principal"] == "admin" and options.json["tenant"] == "house"
    made = b.ask("POST", "/account/passkeys", {"invite": token, "credential": Authenticator(b.origin).make(options.json["passkey"])})
    assert made.status == 201
    assert "house-admin" in b.ask("GET", "/session").json["roles"]


# ---- the command line on another machine ----


@pytest.fixture
def laptop(home, program, tmp_path):
    """touchmark on a machine that has no house: run(*args) → CompletedProcess; start(*args) → Popen."""
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    env.update({k: v for k, v in os.environ.items() if k.startswith(("ASAN", "UBSAN", "LD_"))})

    class Laptop:
        login_file = tmp_path / "config" / "touchmark" / "login.json"

        def start(self, *args):
            return subprocess.Popen([program, *args], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def run(self, *args, ok=True):
            p = self.start(*args)
            out, err = p.communicate(timeout=60)
            assert ok is None or (p.returncode == 0) == ok, (args, out, err)
            return subprocess.CompletedProcess(args, p.returncode, out, err)
    return Laptop()


def fingerprint(home):
    return home.init.stdout.split("Root fingerprint (SHA-256)\n")[1].split("\n")[0].strip()


def log_in(home, laptop, browser, *options, decide="approve"):
    url = f"https://localhost:{home.ports['console']}"
    p = laptop.start("login", url, "--fingerprint", fingerprint(home), *options)
    first = p.stderr.readline()
    assert first.startswith(f"Open {url}/#/login?code="), first + p.stderr.read()
    code = first.split("code=")[1].strip()
    shown = browser.ask("GET", f"/device-login/{code}")
    assert shown.status == 200 and shown.json["status"] == "pending" and shown.json["client"].startswith("touchmark on "), shown
    assert browser.ask("POST", f"/device-login/{code.lower().replace('-', '')}/{decide}").status == 200
    assert browser.ask("POST", f"/device-login/{code}/approve").status == 409
    err, out = p.stderr.read(), p.stdout.read()  # not communicate(): it does not see what readline() has read ahead
    return p.wait(60), out, err


def test_login__through_the_browser(home, laptop):
    b, _ = with_passkey(home, "signin-laptop", "operator")
    status, out, err = log_in(home, laptop, b, "--ttl", "1h", "--scope", "devices:write")
    assert status == 0 and "as signin-laptop until" in out, err
    assert oct(laptop.login_file.stat().st_mode & 0o777) == "0o600"
    laptop.run("device", "register", "SIGNIN-LAPTOP", "--owner", "someone")
    assert "SIGNIN-LAPTOP" in laptop.run("device", "list").stdout
    assert home.api("GET", "/devices/SIGNIN-LAPTOP").json["owner"] == "someone"
    assert "not for reading of certificates" in laptop.run("cert", "list", ok=False).stderr
    token = json.loads(laptop.login_file.read_text())["token"]
    assert home.api("GET", "/devices", token=token).status == 200
    laptop.run("logout")
    assert not laptop.login_file.exists()
    assert home.api("GET", "/devices", token=token).status == 401
    assert "nobody is logged in" in laptop.run("logout", ok=False).stderr
    assert "touchmark login" in laptop.run("device", "list", "--remote", ok=False).stderr


def test_login__errors_of_oauth(home):
    """RFC 8628 3.5: a client that others wrote understands why it has to wait, and when it is over."""
    b, _ = with_passkey(home, "signin-oauth", "operator")
    begun = home.api("POST", "/device-login", {"client": "another"}, token="").json

    def poll(code=begun["device_code"]):
        reply = home.api("POST", "/device-login/token", {"device_code": code}, token="")
        assert reply.status in (200, 400) and reply.headers["Content-Type"].startswith("application/json"), reply
        return reply.json.get("error")
    assert poll() == "authorization_pending" and poll("x" * 43) == "expired_token"
    answers = [poll() for _ in range(20)]
    assert answers[0] == "authorization_pending" and answers[-1] == "slow_down"
    other = home.api("POST", "/device-login", {"client": "another"}, token="").json
    assert b.ask("POST", f"/device-login/{other['user_code']}/deny").status == 200
    assert poll(other["device_code"]) == "access_denied"
    third = home.api("POST", "/device-login", {"client": "another"}, token="").json
    assert b.ask("POST", f"/device-login/{third['user_code']}/approve").status == 200
    assert poll(third["device_code"]) is None and poll(third["device_code"]) == "expired_token"


def test_login__refused(home, laptop):
    b, _ = with_passkey(home, "signin-laptop2", "operator")
    status, _, err = log_in(home, laptop, b, decide="deny")
    assert status == 1 and "refused" in err and not laptop.login_file.exists()
    url = f"https://localhost:{home.ports['console']}"
    assert "another house" in laptop.run("login", url, "--fingerprint", "00" * 32, ok=False).stderr
    assert "not known" in laptop.run("login", url, ok=False).stderr
    assert laptop.run("login", "http://localhost", ok=None).returncode == 2
    # Codes are worth nothing to those who guess, nor to a token.
    assert b.ask("GET", "/device-login/BCDF-GHJK").status == 404
    begun = b.ask("POST", "/device-login", {"client": "x"}, csrf=False).json
    assert home.api("POST", f"/device-login/{begun['user_code']}/approve").json["rule"] == "session.needed"
    waits = b.ask("POST", "/device-login/token", {"device_code": begun["device_code"]})
    assert waits.status == 400 and waits.json["error"] == "authorization_pending"
    replies = [b.ask("POST", "/device-login/token", {"device_code": begun["device_code"]}) for _ in range(16)]
    assert replies[-1].status == 400 and replies[-1].json["error"] == "slow_down" and replies[-1].headers["Retry-After"]
    assert b.ask("POST", "/device-login/token", {"device_code": "A" * 43}).json["error"] == "expired_token"


def test_login__token_is_given_once(home):
    b, _ = with_passkey(home, "signin-laptop3", "auditor")
    begun = b.ask("POST", "/device-login", {"client": "x\u202e", "roles": ["auditor"], "ttl": "1h"}).json
    assert b.ask("POST", f"/device-login/{begun['user_code']}/approve").json["status"] == "approved"
    got = b.ask("POST", "/device-login/token", {"device_code": begun["device_code"]}).json
    assert got["principal"] == "signin-laptop3"
    assert home.api("GET", "/whoami", token=got["token"]).json["roles"] == ["auditor"]
    assert b.ask("POST", "/device-login/token", {"device_code": begun["device_code"]}).json["error"] == "expired_token"
