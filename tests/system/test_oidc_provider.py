"""npm's oidc-provider signs people in: from the console through its own pages and back, with the roles and the tenant that the rules give, for each kind of
key; what it must not be believed; and the command line of somebody whom it vouches for. `setup` fetches it where npm can be reached."""
import http.cookiejar
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "helpers"))
from conftest import ROOT, Openssl  # noqa: E402
from test_oidc import Person as Console  # noqa: E402
from test_signin import fingerprint, laptop, log_in  # noqa: E402, F401

NPM = os.path.join(ROOT, "tests", "interop", "npm")
ALGORITHMS = ["RS256", "ES256", "EdDSA"]
ACCOUNTS = {
    "boss": {"email": "boss@npm.example", "preferred_username": "boss"},
    "ann": {"preferred_username": "ann", "groups": ["everybody", "pki-auditors", "plant"], "department": "plant-npm"},
    "oscar": {"preferred_username": "oscar", "groups": ["pki-operators"]},
    "nobody": {"preferred_username": "nobody", "groups": ["everybody"]},
}
RULES = [
    {"claim": "email", "value": "boss@npm.example", "principal": "npm-boss"},
    {"claim": "groups", "value": "pki-auditors", "roles": ["auditor"]},
    {"claim": "groups", "value": "pki-operators", "roles": ["operator"]},
    {"claim": "groups", "value": "plant", "roles": ["owner"], "owner-of": "{department}"},
]


class Provider:
    """The process; tell() gives it a command."""

    def __init__(self, settings):
        node = shutil.which("node") or pytest.skip("node is not installed")
        if not os.path.isdir(os.path.join(NPM, "node_modules", "oidc-provider")):
            pytest.skip("npm could not fetch oidc-provider (./setup tries again)")
        self.process = subprocess.Popen([node, os.path.join(NPM, "oidc-provider.mjs")], cwd=NPM, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.issuer = self.tell(**settings)["issuer"]

    def tell(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def home(house):
    return house


@pytest.fixture(scope="module")
def world(house, tmp_path_factory):
    made = Openssl(tmp_path_factory.mktemp("npm-oidc"))
    made.key("ca")
    made.run("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=Test CA", "-days", "30", "-out", "ca.pem")
    made.csr("idp", "/CN=localhost")
    with open(made.file("idp.ext"), "w", encoding="ascii") as f:
        f.write("subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n")
    made.run("x509", "-req", "-in", "idp.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "30", "-extfile", "idp.ext", "-out", "idp.pem")
    with open(made.file("ca.pem"), encoding="ascii") as f:
        ca = f.read()
    origin = f"https://localhost:{house.ports['console']}"
    clients = [{"id": f"touchmark-{alg}", "alg": alg, "secret": f"the secret of {alg} & more: %"} for alg in ALGORITHMS]
    clients.append({"id": "touchmark-public", "alg": "ES256", "auth": "none"})
    provider = Provider({"cert": made.file("idp.pem"), "key": made.file("idp.key"), "redirect": origin + "/api/v1/session/oidc/callback",
                         "home": origin + "/", "clients": clients, "accounts": ACCOUNTS})
    doc = {"kind": "IdentityProvider", "issuer": provider.issuer, "scopes": ["profile", "email", "groups"], "ca": ca, "rules": RULES,
           "networks": ["127.0.0.0/8", "::1/128"]}
    docs = {alg: {**doc, "name": "npm-" + alg.lower(), "client-id": "touchmark-" + alg} for alg in ALGORITHMS}
    docs["public"] = {**doc, "name": "npm-public", "client-id": "touchmark-public", "client-auth": "none"}
    for one in docs.values():
        assert house.api("PUT", "/resources/identity-providers/" + one["name"], one).status in (200, 201)
    for client in clients[:-1]:
        house.cli("provider", "secret", docs[client["alg"]]["name"], data=client["secret"] + "\n")
    assert house.api("PUT", "/resources/principals/npm-boss", {"kind": "Principal", "name": "npm-boss", "roles": ["operator"]}).status in (200, 201)
    yield {"provider": provider, "ca": made.file("ca.pem"), "docs": docs}
    provider.stop()
    for one in docs.values():
        house.api("DELETE", "/resources/identity-providers/" + one["name"])


@pytest.fixture
def provider(world):
    yield world["provider"]
    world["provider"].tell(wrong={}, conform=True)


class ComesBack(Exception):
    pass


class Person(Console):
    """A browser: the console's cookies, and those of the provider's pages, which it fills in."""

    tenant = ""

    def __init__(self, house, world):
        super().__init__(house)
        back = self.origin + "/"

        class Redirects(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, req, fp, code, msg, headers, newurl):
                if newurl.startswith(back):
                    raise ComesBack(newurl)
                return super().redirect_request(req, fp, code, msg, headers, newurl)

        self.jar = http.cookiejar.CookieJar()
        self.pages = urllib.request.build_opener(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=world["ca"])),
                                                 urllib.request.HTTPCookieProcessor(self.jar), Redirects)

    def begin(self, provider="corp", **more):
        reply = self.ask("POST", f"{self.tenant}/session/oidc", {"provider": provider, **more}, csrf=False)
        assert reply.status == 200, reply
        self.url = reply.json["url"]

    def at_provider(self, name, url=None):
        """Fill in its pages until it sends the browser back; where to."""
        url, form = url or self.url, None
        try:
            for _ in range(4):
                with self.pages.open(url, form, timeout=10) as reply:
                    page, at = reply.read().decode(), reply.geturl()
                action = re.search(r'<form[^>]* action="([^"]+)"', page)
                assert action, page
                url = urllib.parse.urljoin(at, action.group(1))
                login = 'value="login"' in page
                form = urllib.parse.urlencode({"prompt": "login", "login": name, "password": "any"} if login else {"prompt": "consent"}).encode()
        except ComesBack as back:
            return back.args[0]
        raise AssertionError("the provider asks on and on")

    def sign_in_by(self, provider, name, **headers):
        self.begin(provider)
        return self.come_back(self.at_provider(name), **headers)


@pytest.mark.parametrize("alg", ALGORITHMS + ["public"])
def test_provider__signs_in(house, world, provider, alg):
    """By its defaults: what scopes ask for stands at the UserInfo endpoint alone."""
    name = world["docs"][alg]["name"]
    tested = house.cli_json("provider", "test", name)
    world["looked"] = time.monotonic()
    assert tested["keys"] == 3 and tested["authorization"] == provider.issuer + "/auth"
    b = Person(house, world)
    b.begin(name, return_to="/#/certificates")
    asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(b.url).query))
    assert asked["code_challenge_method"] == "S256" and asked["scope"] == "openid profile email groups" and asked["nonce"]
    back = b.come_back(b.at_provider("ann"))
    assert back.status == 303 and back.headers["Location"] == "/#/certificates", back
    me = b.ask("GET", "/session").json
    assert me["principal"] == "ann@" + name and me["roles"] == ["auditor", "owner"] and me["method"] == "oidc:" + name and me["tenant"] == "default"
    assert b.ask("GET", "/whoami").json["owner_of"] == "plant-npm"
    assert b.ask("GET", "/certificates").status == 200
    assert b.ask("POST", "/tokens", {"endpoint": "servers"}).status == 403
    # The provider ends its own session where signing out here sends the browser.
    out = b.ask("DELETE", "/session").json["logout"]
    assert out.startswith(provider.issuer + "/session/end?client_id=touchmark-")
    with b.pages.open(out, timeout=10) as reply:
        assert reply.status == 200


def test_provider__claims_in_the_id_token(house, world, provider):
    provider.tell(conform=False)
    b = Person(house, world)
    assert b.sign_in_by("npm-es256", "boss").status == 303
    me = b.ask("GET", "/session").json
    assert me["principal"] == "npm-boss" and me["roles"] == ["operator"]
    # Signed in there already: it sends the browser back at once, as somebody who may do what the rules say.
    again = Person(house, world)
    again.jar, again.pages = b.jar, b.pages
    again.begin("npm-es256")
    with pytest.raises(ComesBack) as back:
        again.pages.open(again.url, timeout=10)
    assert again.come_back(back.value.args[0]).status == 303
    assert again.ask("GET", "/session").json["principal"] == "npm-boss"


def test_provider__whom_no_rule_fits(house, world, provider):
    b = Person(house, world)
    reply = b.sign_in_by("npm-eddsa", "nobody")
    assert reply.status == 403 and reply.json["rule"] == "provider.rules" and not b.cookie
    b = Person(house, world)
    b.begin("npm-eddsa")
    with b.pages.open(b.url, timeout=10) as reply:
        abort = re.search(r'href="([^"]+/abort)"', reply.read().decode()).group(1)
    with pytest.raises(ComesBack) as back:
        b.pages.open(urllib.parse.urljoin(provider.issuer, abort), timeout=10)
    assert "access_denied" in b.come_back(back.value.args[0]).json["detail"]


WRONG = [
    ({"claims": {"nonce": "of another"}}, "nonce"), ({"claims": {"nonce": None}}, "nonce"),
    ({"claims": {"aud": "touchmark-RS256"}}, "aud"), ({"claims": {"aud": ["touchmark-ES256", "x"], "azp": "x"}}, "azp"),
    ({"claims": {"exp": 1}}, "exp"), ({"claims": {"iat": 99999999999}}, "iat"), ({"claims": {"iss": "https://localhost"}}, "iss"),
    ({"header": {"kid": "another"}}, "id_token"), ({"header": {"kid": None, "alg": "EdDSA"}, "claims": {"aud": "x"}}, "aud"),
    ({"userinfo": {"sub": "boss", "groups": ["pki-operators"]}}, "sub"),
]


@pytest.mark.parametrize("wrong, field", WRONG, ids=[json.dumps(w) for w, _ in WRONG])
def test_provider__not_believed(house, world, provider, wrong, field):
    provider.tell(wrong=wrong)
    b = Person(house, world)
    reply = b.sign_in_by("npm-es256", "ann")
    assert reply.status == 401 and reply.json["field"] == field and not b.cookie, reply


def test_provider__code_of_another(house, world, provider):
    """A code that was given to another browser is worth nothing: the provider holds it to the challenge (RFC 7636)."""
    victim, thief = Person(house, world), Person(house, world)
    victim.begin("npm-es256")
    thief.begin("npm-es256")
    theirs = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(victim.at_provider("boss")).query))
    mine = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(thief.at_provider("nobody")).query))
    reply = thief.come_back(thief.origin + "/api/v1/session/oidc/callback?" + urllib.parse.urlencode({**mine, "code": theirs["code"]}))
    assert reply.status == 401 and "invalid_grant" in reply.json["detail"] and not thief.cookie


def test_provider__of_a_tenant(house, world, provider):
    """Whom a tenant's provider vouches for is somebody there and nowhere else."""
    assert house.api("PUT", "/resources/tenants/npm-t", {"kind": "Tenant", "name": "npm-t"}).status in (200, 201)
    doc = {**world["docs"]["public"], "name": "corp"}
    assert house.api("PUT", "/tenants/npm-t/resources/identity-providers/corp", doc).status in (200, 201)
    b = Person(house, world)
    b.tenant = "/tenants/npm-t"
    assert b.sign_in_by("corp", "oscar").status == 303
    me = b.ask("GET", "/tenants/npm-t/session").json
    assert me["principal"] == "oscar@corp" and me["tenant"] == "npm-t" and me["roles"] == ["operator"]
    assert b.ask("GET", "/tenants/npm-t/devices").status == 200
    assert b.ask("PUT", "/tenants/npm-t/devices/NPM-1", {"model": "Pump"}).status in (200, 201)
    for path in ("/devices", "/certificates", "/devices/NPM-1"):
        assert b.ask("GET", path).status == 403, path
    # Nor is its command line.
    begun = b.ask("POST", "/tenants/npm-t/device-login", {"client": "x"}, csrf=False).json
    assert b.ask("POST", f"/device-login/{begun['user_code']}/approve").status == 403
    assert b.ask("POST", f"/tenants/npm-t/device-login/{begun['user_code']}/approve").status == 200
    token = b.ask("POST", "/tenants/npm-t/device-login/token", {"device_code": begun["device_code"]}).json["token"]
    assert house.api("GET", "/tenants/npm-t/devices/NPM-1", token=token).status == 200
    assert house.api("GET", "/devices", token=token).status == 401
    # With the provider goes all that it vouched for.
    assert house.api("PUT", "/tenants/npm-t/resources/identity-providers/corp", {**doc, "disabled": True}).status == 200
    assert house.api("GET", "/tenants/npm-t/devices/NPM-1", token=token).json["rule"] == "provider.gone"
    assert b.ask("GET", "/tenants/npm-t/devices").status == 401
    assert house.api("PUT", "/tenants/npm-t/resources/identity-providers/corp", {**doc, "issuer": provider.issuer + "/other"}).status == 200
    assert house.api("GET", "/tenants/npm-t/devices/NPM-1", token=token).json["rule"] == "provider.gone"
    assert house.api("PUT", "/tenants/npm-t/resources/identity-providers/corp", doc).status == 200
    assert house.api("GET", "/tenants/npm-t/devices/NPM-1", token=token).status == 200


def test_provider__of_the_house(house, world, provider):
    """An administrator of all tenants by the house's provider: the command line has that too, or less where it asks for less."""
    rules = [{"claim": "groups", "value": "pki-operators", "roles": ["admin"], "tenant": "*"},
             {"claim": "groups", "value": "pki-auditors", "roles": ["auditor"], "tenant": "default"}]
    doc = {**world["docs"]["public"], "name": "npm-house", "rules": rules}
    house.cli("apply", "--tenant", "house", "-f", "-", data=json.dumps(doc))

    def token(b, **want):
        begun = b.ask("POST", "/device-login", {"client": "x", **want}, csrf=False).json
        approved = b.ask("POST", f"/device-login/{begun['user_code']}/approve")
        return b.ask("POST", "/device-login/token", {"device_code": begun["device_code"]}).json["token"] if approved.status == 200 else approved

    admin = Person(house, world)
    assert admin.sign_in_by("npm-house", "oscar").status == 303
    assert admin.ask("GET", "/session").json["roles"] == ["admin", "house-admin"]
    assert house.api("GET", "/whoami", token=token(admin)).json["roles"] == ["admin", "house-admin"]
    assert house.api("GET", "/whoami", token=token(admin, roles=["admin"])).json["roles"] == ["admin"]
    assert token(admin, roles=["auditor"]).json["rule"] == "role"
    auditor = Person(house, world)
    assert auditor.sign_in_by("npm-house", "ann").status == 303 and auditor.ask("GET", "/session").json["roles"] == ["auditor"]
    mine = token(auditor, scopes=["certificates:read"])
    me = house.api("GET", "/whoami", token=mine)
    assert house.api("GET", "/certificates", token=mine).status == 200 and house.api("GET", "/devices", token=mine).status == 403, me
    house.api("PUT", "/resources/tenants/npm-t", {"kind": "Tenant", "name": "npm-t"})
    assert house.api("GET", "/tenants/npm-t/certificates", token=mine).status == 403
    assert house.api("DELETE", "/tenants/house/resources/identity-providers/npm-house").status == 204
    assert house.api("GET", "/whoami", token=mine).status == 401


def test_provider__command_line(house, world, provider, laptop):  # noqa: F811
    """RFC 8628: somebody who is no principal here confirms a login of the command line."""
    b = Person(house, world)
    assert b.sign_in_by("npm-rs256", "oscar").status == 303 and b.ask("GET", "/session").status == 200
    status, out, err = log_in(house, laptop, b, "--ttl", "20d")
    assert status == 0 and "as oscar@npm-rs256 until" in out, err
    laptop.run("device", "register", "NPM-LAPTOP", "--owner", "someone")
    assert house.api("GET", "/devices/NPM-LAPTOP").json["owner"] == "someone"
    laptop.run("user", "invite", "somebody", ok=False)
    login = json.loads(laptop.login_file.read_text())
    # No longer than a session of it: the provider is not asked again. And no session follows from it.
    assert 11 * 3600 < login["expires_at"] - time.time() <= 12 * 3600
    assert b.ask("POST", "/session", {"method": "token", "token": login["token"]}).json["rule"] == "session.external"
    listed = next(t for t in house.api("GET", "/tokens?limit=1000").json["items"] if t["id"] == login["token"].split(".")[0])
    assert listed["created_by"] == "oscar@npm-rs256" and listed["claims"]["provider"] == "npm-rs256" and listed["claims"]["roles"] == "operator"
    laptop.run("logout")
    assert house.api("GET", "/devices", token=login["token"]).status == 401


def test_provider__new_keys(house, world, provider):
    """The last one: keys are replaced, and what the old ones sign counts no longer."""
    assert Person(house, world).sign_in_by("npm-public", "ann").status == 303
    old = provider.tell()["kids"]
    assert not set(old) & set(provider.tell(rotate=True)["kids"])
    time.sleep(max(0.0, world.get("looked", time.monotonic()) + 11 - time.monotonic()))  # so often at most are keys asked for
    assert Person(house, world).sign_in_by("npm-public", "ann").status == 303
    provider.tell(wrong={"by": "before"})
    reply = Person(house, world).sign_in_by("npm-public", "ann")
    assert reply.status == 401 and reply.json["field"] == "id_token"
