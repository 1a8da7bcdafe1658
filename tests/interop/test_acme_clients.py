"""ACME clients that people run, against a real server: certbot, lego, uacme, dehydrated.

DNS and web servers are on loopback. Endpoint "clients" validates where clients serve challenges themselves, "hooks" where our web
server gives out the files that their hooks write.
"""
import json
import os
import shutil
import socket
import subprocess

import pytest
from acme import HttpServer
from cryptography import x509
from dns import DnsServer


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def need(program):
    return shutil.which(program) or pytest.skip(program + " is not installed")


class Place:
    def __init__(self, house, directory):
        self.house = house
        self.dir = str(directory)
        self.http_port, self.tls_port = free_port(), free_port()
        self.txt, self.files = self.path("txt"), self.path("files")
        os.mkdir(self.txt)
        os.mkdir(self.files)
        self.dns = DnsServer()
        self.dns.txt_dir = self.txt
        self.dns.add("example.test", "SOA", "example.test")
        self.web = HttpServer()
        self.web.directory = self.files
        self.endpoint("clients", self.http_port)
        self.endpoint("hooks", self.web.port)
        self.endpoint("bound", self.web.port, "required")

    def endpoint(self, name, http_port, external="optional"):
        validation = {"resolvers": [self.dns.address], "dnssec": False, "networks": ["127.0.0.0/8"], "http-port": http_port,
                      "tls-port": self.tls_port}
        self.house.cli("apply", "-f", "-", data=json.dumps(
            {"kind": "Endpoint", "name": name, "protocol": "acme", "profiles": ["server-internal-1y"],
             "acme": {"external-account": external, "validation": validation}}))

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def url(self, endpoint):
        return f"{self.house.url}/acme/{endpoint}/directory"

    def name(self, name):
        self.dns.add(name, "A", "127.0.0.1")
        return name

    def script(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as f:
            f.write("#!/bin/sh\nset -eu\n" + text)
        os.chmod(self.path(name), 0o755)
        return self.path(name)

    def run(self, *args, env=None, ok=True):
        done = subprocess.run(args, env={**os.environ, "HOME": self.dir, **(env or {})}, cwd=self.dir, timeout=120, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        assert not ok or done.returncode == 0, f"{' '.join(args)}: {done.stdout}\n{self.house.log()}"
        return done

    def external_key(self):
        made = self.house.cli_json("token", "create", "--external", "--endpoint", "bound")
        return made["id"], made["secret"]

    def status(self, path):
        """'live' or 'revoked', by the inventory, of the certificate in a PEM file."""
        found = self.house.api("GET", f"/certificates/{read(path).serial_number:032x}").json
        return "revoked" if found.get("revoked_at") else "live"

    def close(self):
        self.dns.close()
        self.web.close()


def read(path):
    with open(path, "rb") as f:
        return x509.load_pem_x509_certificate(f.read())


def names(path):
    return sorted(read(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName))


@pytest.fixture(scope="module")
def place(house, tmp_path_factory):
    p = Place(house, tmp_path_factory.mktemp("clients"))
    yield p
    p.close()


# --- certbot ---

@pytest.fixture(scope="module")
def certbot(place):
    program = need("certbot")

    def run(*args, endpoint="clients", folder="certbot"):
        folder = place.path(folder)
        return place.run(program, *args, "--server", place.url(endpoint), "--non-interactive", "--config-dir", folder + "/c",
                         "--work-dir", folder + "/w", "--logs-dir", folder + "/l", env={"REQUESTS_CA_BUNDLE": place.house.ca_bundle})

    run.live = lambda name, file="cert.pem", folder="certbot": place.path(folder, "c", "live", name, file)
    return run


def test_certbot(place, certbot):
    name = place.name("certbot.example.test")
    certbot("register", "-m", "certbot@example.org", "--agree-tos", "--no-eff-email")
    certbot("certonly", "--standalone", "--http-01-port", str(place.http_port), "--http-01-address", "127.0.0.1", "-d", name)
    first = certbot.live(name)
    assert names(first) == [name]
    serial = read(first).serial_number
    certbot("renew", "--force-renewal", "--no-random-sleep-on-renew")
    assert read(first).serial_number != serial
    certbot("update_account", "-m", "other@example.org", "--no-eff-email")
    shutil.copy(first, place.path("certbot.pem"))
    certbot("revoke", "--cert-name", name, "--reason", "superseded", "--no-delete-after-revoke")
    assert place.status(place.path("certbot.pem")) == "revoked"
    certbot("unregister")


def test_certbot__wildcard(place, certbot):
    hook = place.script("certbot-hook", f'echo "$CERTBOT_VALIDATION" >>"{place.txt}/_acme-challenge.$CERTBOT_DOMAIN"\n')
    certbot("certonly", "--manual", "--preferred-challenges", "dns", "--manual-auth-hook", hook, "-d", "cb.example.test",
            "-d", "*.cb.example.test", "--register-unsafely-without-email", "--agree-tos")
    assert names(certbot.live("cb.example.test")) == ["*.cb.example.test", "cb.example.test"]


def test_certbot__external_account(place, certbot):
    kid, key = place.external_key()
    certbot("register", "-m", "bound@example.org", "--agree-tos", "--no-eff-email", "--eab-kid", kid, "--eab-hmac-key", key,
            endpoint="bound", folder="certbot-bound")


# --- lego ---

@pytest.fixture(scope="module")
def lego(place):
    program = need("lego")

    def run(*args, endpoint="clients", folder="lego", env=None):
        return place.run(program, "--server", place.url(endpoint), "--email", "lego@example.org", "--accept-tos", "--path",
                         place.path(folder), *args, env={"LEGO_CA_CERTIFICATES": place.house.ca_bundle, **(env or {})})

    return run


def test_lego(place, lego):
    name = place.name("lego.example.test")
    http = ["-d", name, "--http", "--http.port", f"127.0.0.1:{place.http_port}"]
    lego(*http, "run")
    path = place.path("lego", "certificates", name + ".crt")
    serial = read(path).serial_number
    lego(*http, "renew", "--days", "9999", "--no-random-sleep")
    assert read(path).serial_number != serial
    lego(*http, "revoke", "--keep", "--reason", "4")
    archived = os.path.join(place.path("lego"), "archives")
    assert place.status(path if os.path.exists(path) else next(os.path.join(archived, f) for f in os.listdir(archived) if f.endswith(".crt"))) == "revoked"


def test_lego__tls_alpn(place, lego):
    name = place.name("lego-alpn.example.test")
    lego("-d", name, "--tls", "--tls.port", f"127.0.0.1:{place.tls_port}", "run")
    assert names(place.path("lego", "certificates", name + ".crt")) == [name]


def test_lego__wildcard(place, lego):
    hook = place.script("lego-hook", f'n=${{2%.}}\n[ "$1" = present ] && echo "$3" >>"{place.txt}/$n" || rm -f "{place.txt}/$n"\n')
    lego("-d", "*.lg.example.test", "--dns", "exec", "--dns.resolvers", f"127.0.0.1:{place.dns.port}", "--dns.disable-cp", "run",
         env={"EXEC_PATH": hook, "EXEC_PROPAGATION_TIMEOUT": "5", "EXEC_POLLING_INTERVAL": "1"})
    assert names(place.path("lego", "certificates", "_.lg.example.test.crt")) == ["*.lg.example.test"]


def test_lego__external_account(place, lego):
    kid, key = place.external_key()
    name = place.name("lego-bound.example.test")
    lego("-d", name, "--http", "--http.webroot", webroot(place), "--eab", "--kid", kid, "--hmac", key, "run", endpoint="bound",
         folder="lego-bound")


def webroot(place):
    """A web root whose challenge directory is the one that our web server gives out."""
    root = place.path("webroot")
    os.makedirs(root + "/.well-known", exist_ok=True)
    if not os.path.exists(root + "/.well-known/acme-challenge"):
        os.symlink(place.files, root + "/.well-known/acme-challenge")
    return root


# --- uacme ---

@pytest.fixture(scope="module")
def uacme(place):
    """uacme knows the system's CA certificates only: it gets ours in their place, in a mount namespace of its own."""
    program = need("uacme")
    system = "/etc/ssl/certs/ca-certificates.crt"
    wrapper = place.script("uacme-in-namespace", f'mount --bind "{place.house.ca_bundle}" {system}\nexec "$@"\n')
    unshare = [need("unshare"), "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
    if not os.path.exists(system) or place.run(*unshare, wrapper, "true", ok=False).returncode != 0:
        pytest.skip("no mount namespace here")
    hook = place.script("uacme-hook", f"""
case "$1/$2" in
begin/http-01) printf %s "$5" >"{place.files}/$4" ;;
begin/dns-01) echo "$5" >>"{place.txt}/_acme-challenge.$3" ;;
begin/*) exit 1 ;;
esac
""")

    def run(*args, folder="uacme", endpoint="hooks", options=()):
        return place.run(*unshare, wrapper, program, "-a", place.url(endpoint), "-c", place.path(folder), "-h", hook, "-y", *options, *args)

    return run


def test_uacme(place, uacme):
    name = place.name("uacme.example.test")
    uacme("new", "uacme@example.org", options=["-t", "EC"])
    uacme("issue", name, options=["-t", "EC"])
    path = place.path("uacme", name, "cert.pem")
    serial = read(path).serial_number
    uacme("newkey", options=["-t", "EC"])
    uacme("issue", name, options=["-f", "-t", "EC"])
    assert read(path).serial_number != serial
    shutil.copy(path, place.path("uacme.pem"))
    uacme("revoke", path, options=["-r", "4"])
    assert place.status(place.path("uacme.pem")) == "revoked"
    uacme("deactivate")


@pytest.mark.slow
def test_uacme__wildcard(place, uacme):
    place.name("ua.example.test")  # it takes http-01 where that is offered
    uacme("new", folder="uacme-wild", options=["-t", "EC"])
    uacme("issue", "ua.example.test", "*.ua.example.test", folder="uacme-wild", options=["-t", "EC"])
    assert names(place.path("uacme-wild", "ua.example.test", "cert.pem")) == ["*.ua.example.test", "ua.example.test"]


def test_uacme__external_account(place, uacme):
    kid, key = place.external_key()
    uacme("new", folder="uacme-bound", endpoint="bound", options=["-t", "EC", "-e", f"{kid}:{key}"])


# --- dehydrated ---

@pytest.fixture(scope="module")
def dehydrated(place):
    program = need("dehydrated")
    folder = place.path("dehydrated")
    os.mkdir(folder)
    hook = place.script("dehydrated-hook",
                        f'[ "$1" != deploy_challenge ] || echo "$4" >>"{place.txt}/_acme-challenge.$2"\n')
    with open(folder + "/config", "w", encoding="ascii") as f:
        f.write(f'CA="{place.url("hooks")}"\nBASEDIR={folder}\nWELLKNOWN={place.files}\nCURL_OPTS="--cacert {place.house.ca_bundle}"\n'
                "CONTACT_EMAIL=dehydrated@example.org\nCONFIG_D=\n")

    def run(*args):
        return place.run(program, "--config", folder + "/config", *args)

    run.hook = hook
    run.certificate = lambda name: os.path.join(folder, "certs", name, "cert.pem")
    return run


def test_dehydrated(place, dehydrated):
    name = place.name("dehydrated.example.test")
    dehydrated("--register", "--accept-terms")
    dehydrated("--cron", "--domain", name)
    path = dehydrated.certificate(name)
    serial = read(path).serial_number
    dehydrated("--cron", "--force", "--domain", name)
    assert read(path).serial_number != serial
    shutil.copy(path, place.path("dehydrated.pem"))
    dehydrated("--revoke", path)
    assert place.status(place.path("dehydrated.pem")) == "revoked"


@pytest.mark.slow
def test_dehydrated__wildcard(place, dehydrated):
    dehydrated("--register", "--accept-terms")
    dehydrated("--cron", "--challenge", "dns-01", "--hook", dehydrated.hook, "--domain", "dh.example.test *.dh.example.test",
               "--alias", "dh")
    assert names(dehydrated.certificate("dh")) == ["*.dh.example.test", "dh.example.test"]
