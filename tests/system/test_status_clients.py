"""Clients that others wrote agree with the register: openssl (ocsp; verify with complete lists, deltas and shards), gnutls, strongSwan, and curl through
nginx that staples. A corpus of certificates in every state and model; STATUS_CORPUS says how many in the slow test (10,000)."""
import json
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from conftest import House, Openssl
from test_revocation import add_profile, csr_of, issue_many, names_of
from test_status_proxy import NGINX, free_port, until

REASONS = ["keyCompromise", "superseded", "cessationOfOperation", "affiliationChanged", "privilegeWithdrawn", "unspecified"]
MODELS = ["whole", "sharded", "own", "told-by-ocsp"]  # own: of a profile with lists of its own
BATCH = 500  # certificates of one command line
IDS = 16  # of one OCSP request
SHARDS, OWN = 4, 2


class Corpus:
    """Certificates by model, in all states, and what the register says of each."""

    def __init__(self, directory, n, shards):
        self.openssl = Openssl(directory)
        self.house = House(directory / "home")
        self.house.unlimit()
        self.dir = str(directory)
        self.house.start()
        try:
            self.make(n, shards)
        except BaseException:
            self.house.stop()
            raise

    def make(self, n, shards):
        house = self.house
        for model in MODELS:
            add_profile(house, model, **({"revocation": {"crl": {"shards": OWN}}} if model == "own" else {}))
        self.authority(crl={"delta": "1h"})
        self.serials, self.model = [], {}
        self.issue("whole", n // 2)
        self.authority(crl={"delta": "1h"} | ({"shards": SHARDS} if shards else {}), ocsp={"in-certificates": True})
        self.shards = SHARDS if shards else 0
        self.issue("told-by-ocsp", n // 4 if shards else n - len(self.serials))
        if shards:
            until(self.names_a_part, 120)  # from a minute on certificates name a part of the list, and those of the profile its own
            self.issue("sharded", (n - len(self.serials)) // 2)
            self.issue("own", n - len(self.serials))
            assert f"/profile-own.{OWN}-" in self.point(self.serials[-1])
        until(lambda: house.cli_json("ocsp", "show", "issuing-ca")["certificate_ends"])
        house.cli("crl", "publish", "issuing-ca")
        self.change()
        self.states = self.register()
        self.files()

    def authority(self, **changes):
        document = {k: v for k, v in self.house.cli_json("get", "authority", "issuing-ca").items() if k != "version"}
        for key, value in changes.items():
            document[key] = document.get(key, {}) | value
        self.house.cli("apply", "-f", "-", data=json.dumps(document))

    def names_a_part(self):
        time.sleep(2)
        self.issue("whole", 1)
        return f"/{SHARDS}-" in self.point(self.serials[-1])

    def issue(self, model, n):
        for i in range(0, n, 5000):
            stem = f"{model}-{len(self.serials)}"
            for serial in issue_many(self.house, model, names_of(stem, min(5000, n - i))):
                self.serials.append(serial)
                self.model[serial] = model

    def point(self, serial):
        pem = self.house.api("GET", "/certificates/" + serial).json["certificate"]
        points = x509.load_pem_x509_certificate(pem.encode()).extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        return points[0].full_name[0].value

    def change(self):
        """Of seven in a row one is revoked for each of six reasons in turn, one held, one held and released, one held and then revoked."""
        house, by_reason, held = self.house, {r: [] for r in REASONS}, []
        for i, serial in enumerate(self.serials):
            kind = i % 7
            if kind == 0:
                by_reason[REASONS[i // 7 % len(REASONS)]].append(serial)
            elif kind in (2, 4, 5):
                held.append((kind, serial))

        def revoke(serials, reason):
            if serials:
                job = house.api("POST", "/revocations", {"serials": serials, "reason": reason, "wait": "30s"}).json["job"]
                until(lambda: house.api("GET", "/revocations/" + job["id"]).json["revoked_at"], 120)

        revoke([s for _, s in held], "certificateHold")
        for reason, serials in by_reason.items():
            revoke(serials, reason)
        for serial in [s for kind, s in held if kind == 4]:
            assert house.api("POST", f"/certificates/{serial}/release").status == 200
        revoke([s for kind, s in held if kind == 5], "superseded")

    def register(self):
        states = {}
        for line in self.house.cli("register", "export", timeout=300).stdout.splitlines():
            event = json.loads(line)
            if event["type"] in ("certificate.issued", "certificate.revoked", "certificate.released"):
                body = event["body"] if isinstance(event["body"], dict) else json.loads(event["body"])
                revoked = event["type"] == "certificate.revoked"
                states[body["serial"]] = body["reason"] if revoked else "good"
        return {s: states[s] for s in self.serials}

    def files(self):
        """Certificates, chain and lists as files, where the tests look for them; lists that have it all."""
        house = self.house
        for name, args in (("root.pem", ("root",)), ("ca.pem", ("issuing-ca",))):
            with open(self.openssl.file(name), "w", encoding="ascii") as f:
                f.write(house.cli("ca", "export", *args).stdout)
        os.mkdir(self.openssl.file("certs"))
        after = ""
        wanted, kept = set(self.serials), 0
        while kept < len(wanted):
            page = house.api("GET", "/certificates?limit=1000" + after).json
            for row in page["items"]:
                if row["serial"] in wanted:
                    pem = house.api("GET", "/certificates/" + row["serial"]).json["certificate"]
                    with open(self.cert(row["serial"]), "w", encoding="ascii") as f:
                        f.write(pem)
                    kept += 1
            if "next" not in page:
                break
            after = "&after=" + page["next"]
        ca = x509.load_pem_x509_certificate(open(self.openssl.file("ca.pem"), "rb").read())
        self.ski = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
        root = x509.load_pem_x509_certificate(open(self.openssl.file("root.pem"), "rb").read())
        root_ski = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
        revoked = sum(s != "good" for s in self.states.values())
        # What was published before the changes, and the delta that brings them; then a complete list.
        self.fetch(self.ski, "full", "old")
        until(lambda: self.fetch(self.ski, "delta", "delta") and self.entries("delta") >= revoked, 60)
        for model, prefix, n in (("sharded", f"{SHARDS}-", self.shards), ("own", f"profile-own.{OWN}-", OWN if self.shards else 0)):
            in_parts = sum(self.states[s] != "good" for s in self.of(model))
            until(lambda: all([self.fetch(self.ski, f"{prefix}{k}", f"{model}-{k}") for k in range(n)]) and
                  sum(self.entries(f"{model}-{k}") for k in range(n)) >= in_parts, 60)
        house.cli("crl", "publish", "issuing-ca")
        self.fetch(self.ski, "full", "full")
        assert self.entries("full") >= revoked
        self.has_root_list = self.fetch(root_ski, "full", "root")

    def fetch(self, ski, name, to):
        reply = self.house.plain(f"/crl/{ski}/{name}.crl")
        if reply.status == 200:
            with open(self.openssl.file(to + ".crl"), "wb") as f:
                f.write(reply.body)
            self.openssl.run("crl", "-inform", "DER", "-in", to + ".crl", "-out", to + ".crl.pem")
        return reply.status == 200

    def entries(self, name):
        with open(self.openssl.file(name + ".crl"), "rb") as f:
            return len(x509.load_der_x509_crl(f.read()))

    def cert(self, serial):
        return os.path.join(self.dir, "certs", serial + ".pem")

    def join(self, to, *parts):
        with open(self.openssl.file(to), "w", encoding="ascii") as out:
            for part in parts:
                with open(self.openssl.file(part), encoding="ascii") as f:
                    out.write(f.read())
        return to

    def expected(self, serial):
        return "good" if self.states[serial] == "good" else "revoked"

    def of(self, *models):
        return [s for s in self.serials if self.model[s] in models]

    def each_state(self, model, per_state):
        """A few of every state, for clients that take one certificate at a time."""
        seen, found = {}, []
        for serial in self.of(model):
            state = self.states[serial]
            seen[state] = seen.get(state, 0) + 1
            if per_state is None or seen[state] <= per_state:
                found.append(serial)
        return found


def batches(items, n):
    return [items[i:i + n] for i in range(0, len(items), n)]


def verify(corpus, serials, *options):
    """{serial: good | revoked} as `openssl verify` says it."""
    said = {}
    for some in batches(serials, BATCH):
        paths = {corpus.cert(s): s for s in some}
        done = corpus.openssl.run("verify", "-untrusted", "ca.pem", *options, *paths, ok=False)
        why = ""
        for line in (done.stdout + b"\n" + done.stderr).decode().splitlines():
            path = line.removesuffix(": OK")
            failed = line.removeprefix("error ").removesuffix(": verification failed")
            if path != line and path in paths:
                said[paths[path]] = "good"
            elif failed in paths:
                said[paths[failed]] = "revoked" if "certificate revoked" in why else why
            elif " depth lookup: " in line:
                why = line
    return said


def hold_to(corpus, said, serials, what):
    wrong = [(s, corpus.states[s], said.get(s)) for s in serials if said.get(s) != corpus.expected(s)]
    assert not wrong, f"{what}: {len(wrong)} of {len(serials)} differ: {wrong[:5]}"


def openssl_lists(corpus):
    partial = ["-partial_chain", "-trusted", "ca.pem"]
    hold_to(corpus, verify(corpus, corpus.of("whole", "told-by-ocsp"), *partial, "-crl_check", "-CRLfile", "full.crl.pem"),
            corpus.of("whole", "told-by-ocsp"), "complete list")
    if corpus.has_root_list:
        both = corpus.join("both.pem", "full.crl.pem", "root.crl.pem")
        whole = corpus.of("whole")
        hold_to(corpus, verify(corpus, whole, "-CAfile", "root.pem", "-crl_check_all", "-CRLfile", both), whole, "-crl_check_all")
    delta = corpus.join("delta-and-base.pem", "old.crl.pem", "delta.crl.pem")
    whole = corpus.of("whole")
    hold_to(corpus, verify(corpus, whole, *partial, "-crl_check", "-extended_crl", "-use_deltas", "-CRLfile", delta), whole, "delta")
    for model, n in (("sharded", SHARDS), ("own", OWN)):
        some = corpus.of(model)
        if some:
            parts = corpus.join("parts.pem", *[f"{model}-{k}.crl.pem" for k in range(n)])
            hold_to(corpus, verify(corpus, some, *partial, "-crl_check", "-extended_crl", "-CRLfile", parts), some, model)


def openssl_ocsp(corpus):
    said = {}
    url = corpus.house.plain_url + "/ocsp"
    for some in batches(corpus.serials, IDS):
        args = [a for s in some for a in ("-cert", corpus.cert(s))]
        done = corpus.openssl.run("ocsp", "-issuer", "ca.pem", *args, "-url", url, "-CAfile", "ca.pem", "-partial_chain", "-no_nonce", ok=False)
        for s in some:
            for status in ("good", "revoked", "unknown"):
                if f"{corpus.cert(s)}: {status}".encode() in done.stdout:
                    said[s] = status
    hold_to(corpus, said, corpus.serials, "openssl ocsp")


def one_at_a_time(corpus, serials, command, verdict, what):
    """Clients that take one certificate a run, as many at once as there are processors: `command` for a serial, `verdict` of what it printed."""
    def ask(serial):
        done = subprocess.run(command(serial), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return verdict(done.stdout.decode(errors="replace"))
    with ThreadPoolExecutor(os.cpu_count()) as clients:
        said = dict(zip(serials, clients.map(ask, serials)))
    hold_to(corpus, said, serials, what)


def gnutls(corpus, per_state):
    tool = shutil.which("ocsptool") or pytest.skip("ocsptool is not installed")

    def command(serial):
        return [tool, "--ask=" + corpus.house.plain_url + "/ocsp", "--load-issuer", corpus.openssl.file("ca.pem"), "--load-cert", corpus.cert(serial)]

    def verdict(text):
        return next((s for s in ("good", "revoked") if f"Certificate Status: {s}" in text), text[-300:])
    one_at_a_time(corpus, [s for model in MODELS for s in corpus.each_state(model, per_state)], command, verdict, "ocsptool")


def strongswan(corpus, per_state):
    pki = shutil.which("pki") or pytest.skip("strongSwan's pki is not installed")
    args = [a for name in ("root.pem", "ca.pem") for a in ("--cacert", corpus.openssl.file(name))]
    args += [a for name in ("full.crl", "root.crl") for a in ("--crl", corpus.openssl.file(name))]

    def command(serial):
        return [pki, "--verify", "--in", corpus.cert(serial), *args]

    def verdict(text):
        taken_back = "certificate was revoked" in text or "on hold" in text
        return "revoked" if taken_back else "good" if "certificate trusted" in text else text[-300:]
    one_at_a_time(corpus, corpus.each_state("whole", per_state) + corpus.each_state("told-by-ocsp", per_state), command, verdict, "strongSwan")


CONF = """daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/nginx-error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
{servers}
}}
"""
SERVER = """    server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {cert}; ssl_certificate_key {key}; ssl_stapling on; ssl_stapling_file {staple};
        location / {{ return 204; }} }}
"""


def stapled(corpus):
    """A server for each state, its answer stapled by nginx; curl --cert-status lets in what the register has as good."""
    curl = shutil.which("curl")
    if not NGINX or not curl:
        pytest.skip("nginx or curl is not installed")
    house, servers, ports = corpus.house, "", {}
    for state in ("good", "revoked", "held", "released"):
        key = ec.generate_private_key(ec.SECP256R1())
        names = corpus.openssl.file(f"staple-{state}")
        with open(names + ".csr", "wb") as f:
            f.write(csr_of("localhost" if state == "good" else f"{state}.staple.example.org", key))
        with open(names + ".key", "wb") as f:
            f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        house.cli("cert", "issue", "--profile", "whole", "--csr", names + ".csr", "--out", names + ".pem")
        serial = corpus.openssl.text("x509", "-in", names + ".pem", "-noout", "-serial").strip().split("=")[1].lower()
        if state == "revoked":
            house.cli("cert", "revoke", serial, "--reason", "superseded")
        elif state != "good":
            house.cli("cert", "hold", serial)
            if state == "released":
                house.cli("cert", "release", serial)
        house.cli("ocsp", "answer", serial, "--sha1", "-O", names + ".ocsp")  # as curl looks for it
        ports[state] = (free_port(), serial)
        servers += SERVER.format(port=ports[state][0], cert=names + ".pem", key=names + ".key", staple=names + ".ocsp")
    with open(corpus.openssl.file("nginx.conf"), "w", encoding="ascii") as f:
        f.write(CONF.format(dir=corpus.dir, servers=servers))
    nginx = subprocess.Popen([NGINX, "-c", corpus.openssl.file("nginx.conf"), "-p", corpus.dir], stderr=subprocess.DEVNULL)
    try:
        for state, (port, serial) in ports.items():
            name = "localhost" if state == "good" else f"{state}.staple.example.org"

            def ask():
                return subprocess.run([curl, "--silent", "--show-error", "--cert-status", "--cacert", corpus.openssl.file("root.pem"), "--resolve",
                                       f"{name}:{port}:127.0.0.1", f"https://{name}:{port}/"], stderr=subprocess.PIPE, timeout=60)
            done = until(lambda: (d := ask()).returncode != 7 and d)
            status = house.api("GET", "/certificates/" + serial).json["status"]
            if status == "valid":
                assert done.returncode == 0, (state, done.stderr)
            else:
                assert done.returncode == 91 and b"revocation reason" in done.stderr, (state, done.stderr)
    finally:
        nginx.terminate()
        nginx.wait(20)


def all_agree(tmp_path, n, per_state, shards):
    corpus = Corpus(tmp_path, n, shards)
    try:
        states = set(corpus.states.values())
        assert {"good", "certificateHold", *REASONS} <= states, states
        openssl_ocsp(corpus)
        openssl_lists(corpus)
        gnutls(corpus, per_state)
        strongswan(corpus, per_state)
        stapled(corpus)
    finally:
        corpus.house.stop()


@pytest.mark.slow
def test_clients__agree_on_a_large_corpus(tmp_path):
    all_agree(tmp_path, int(os.environ.get("STATUS_CORPUS", "10000")), None, True)


def test_clients__agree(tmp_path):
    all_agree(tmp_path, 200, 1, False)
