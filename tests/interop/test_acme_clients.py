"""ACME clients that people run, against a real server: certbot, lego, uacme, dehydrated.

Endpoint "clients" validates where clients serve challenges themselves, "hooks" where our servers give out the files that their hooks
write, "bound" wants external accounts. Other clients have files of their own beside this one.
"""
import os
import shutil

import pytest
from place import names, need, read


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


def test_certbot__revoke_by_certificate_key(place, certbot):
    name = place.name("certbot-key.example.test")
    certbot("certonly", "--webroot", "-w", place.webroot(), "-d", name, "--register-unsafely-without-email", "--agree-tos", endpoint="hooks",
            folder="certbot-key")
    pem, key = certbot.live(name, folder="certbot-key"), certbot.live(name, "privkey.pem", "certbot-key")
    certbot("revoke", "--cert-path", pem, "--key-path", key, "--no-delete-after-revoke", endpoint="hooks", folder="certbot-other")
    assert place.status(pem) == "revoked"


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
    lego("-d", name, "--http", "--http.webroot", place.webroot(), "--eab", "--kid", kid, "--hmac", key, "run", endpoint="bound",
         folder="lego-bound")


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
    """And with it: revocation by the key of the certificate, from an account that has no part in it."""
    kid, key = place.external_key()
    name = place.name("uacme-bound.example.test")
    uacme("new", folder="uacme-bound", endpoint="bound", options=["-t", "EC", "-e", f"{kid}:{key}"])
    uacme("issue", name, folder="uacme-bound", endpoint="bound", options=["-t", "EC"])
    path = place.path("uacme-bound.pem")
    shutil.move(place.path("uacme-bound", name, "cert.pem"), path)
    shutil.copy(path, path + ".gone")
    uacme("revoke", path + ".gone", place.path("uacme-bound", "private", name, "key.pem"), endpoint="bound", folder="uacme-other")
    assert place.status(path) == "revoked"


def test_uacme__tls_alpn(place, uacme):
    """Answered by ualpn, uacme's own responder."""
    name, sock, pid = place.name("uacme-alpn.example.test"), place.path("ualpn.sock"), place.path("ualpn.pid")
    hook = place.script("ualpn-hook", f"""
[ "$2" = tls-alpn-01 ] || exit 1
case "$1" in begin) line="auth $3 $5" ;; *) line="unauth $3" ;; esac
[ "$(echo "$line" | {need("ualpn")} -s {sock})" = OK ]
""")
    place.run(need("ualpn"), "-d", "-b", f"127.0.0.1@{place.tls_port}", "-c", f"127.0.0.1@{place.web.port}", "-s", sock, "-p", pid, "-n", "2")
    try:
        uacme("new", folder="uacme-alpn", endpoint="clients", options=["-t", "EC"])
        uacme("issue", name, folder="uacme-alpn", endpoint="clients", options=["-t", "EC", "-h", hook])
    finally:
        place.run("ualpn", "-t", "-p", pid, "-s", sock, ok=False)
    assert names(place.path("uacme-alpn", name, "cert.pem")) == [name]


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
                f"CONTACT_EMAIL=dehydrated@example.org\nCONFIG_D=\nALPNCERTDIR={place.alpn_files}\n")

    def run(*args, config="config"):
        return place.run(program, "--config", os.path.join(folder, config), *args)

    run.folder = folder

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
def test_dehydrated__tls_alpn(place, dehydrated):
    name = place.name("dh-alpn.example.test")
    dehydrated("--register", "--accept-terms")
    dehydrated("--cron", "--challenge", "tls-alpn-01", "--domain", name)
    assert names(dehydrated.certificate(name)) == [name]


@pytest.mark.slow
def test_dehydrated__external_account(place, dehydrated):
    kid, key = place.external_key()
    name = place.name("dh-bound.example.test")
    with open(dehydrated.folder + "/config", encoding="ascii") as f:
        config = f.read()
    with open(dehydrated.folder + "/bound", "w", encoding="ascii") as f:
        f.write(config + f'CA="{place.url("bound")}"\nEAB_KID={kid}\nEAB_HMAC_KEY={key}\n')
    dehydrated("--register", "--accept-terms", config="bound")
    dehydrated("--cron", "--domain", name, config="bound")
    assert names(dehydrated.certificate(name)) == [name]


@pytest.mark.slow
def test_dehydrated__wildcard(place, dehydrated):
    dehydrated("--register", "--accept-terms")
    dehydrated("--cron", "--challenge", "dns-01", "--hook", dehydrated.hook, "--domain", "dh.example.test *.dh.example.test",
               "--alias", "dh")
    assert names(dehydrated.certificate("dh")) == ["*.dh.example.test", "dh.example.test"]
