"""Random histories of issuing, revoking, holding, releasing, expiring and rolling over, with kill -9 in between: whatever is published says of every
certificate that has not ended what the register said at that artefact's own thisUpdate.

The seed is printed; STATUS_SEED repeats a history."""
import datetime
import json
import os
import random
import re
import signal
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from conftest import House
from test_revocation import add_profile, issue_many
from test_status_proxy import Proxy, get, until

REASONS = ["keyCompromise", "superseded", "cessationOfOperation", "affiliationChanged", "unspecified"]
SHORT_LIFE = 12  # seconds


class Register:
    """What the register says, as it says it: every state of every certificate with the moment from which it held."""

    def __init__(self, house):
        self.states = {}  # serial: [(ms, "good" | "revoked")]
        self.of = {}  # serial: authority
        for line in house.cli("register", "export").stdout.splitlines():
            event = json.loads(line)
            kind = event["type"]
            if kind not in ("certificate.issued", "certificate.revoked", "certificate.released"):
                continue
            body = event["body"] if isinstance(event["body"], dict) else json.loads(event["body"])
            serial = int(body["serial"], 16)
            state = "revoked" if kind == "certificate.revoked" else "good"
            self.states.setdefault(serial, []).append((event["time"], state))
            if kind == "certificate.issued":
                self.of[serial] = body["authority"]

    def at(self, serial, second):
        """All states that it had within that second and at its end (thisUpdate has no parts of seconds); empty: it was not there yet."""
        before = [state for ms, state in self.states[serial] if ms < second * 1000]
        within = [state for ms, state in self.states[serial] if second * 1000 <= ms < (second + 1) * 1000]
        return set(before[-1:] + within)


class History:
    def __init__(self, house, program, tmp, seed):
        self.house = house
        self.program = program
        self.tmp = tmp
        self.random = random.Random(seed)
        self.ends = {}  # serial text: unix seconds
        self.held = []
        self.authorities = ["issuing-ca"]
        self.profiles = ["history", "history-brief", "history-own", "history-clock"]
        self.shards = 0
        self.n = 0

    # --- what happens ---

    def live(self, but=()):
        return [s for s, end in self.ends.items() if end > time.time() + 2 and s not in but]

    def issue(self, profile=None, k=0):
        profile = profile or self.random.choice(self.profiles)
        k = k or self.random.randint(1, 6)
        names = [f"h{self.n + i}.history.example.org" for i in range(k)]
        self.n += k
        for serial in issue_many(self.house, profile, names):
            self.ends[serial] = time.time() + (SHORT_LIFE if "brief" in profile else 365 * 86400) - 1

    def revoke(self):
        some = self.live()
        if some:
            self.house.api("POST", f"/certificates/{self.random.choice(some)}/revoke", {"reason": self.random.choice(REASONS)})

    def revoke_many(self):
        some = self.live()
        chosen = self.random.sample(some, min(len(some), self.random.randint(1, 5)))
        if chosen:
            wait = self.random.choice(["0s", "2s"])  # with 0s a kill that follows cuts it short
            self.house.api("POST", "/revocations", {"serials": chosen, "reason": self.random.choice(REASONS), "wait": wait})

    def hold(self):
        some = self.live()
        if some:
            serial = self.random.choice(some)
            if self.house.api("POST", f"/certificates/{serial}/revoke", {"reason": "certificateHold"}).status == 200:
                self.held.append(serial)

    def release(self):
        if self.held:
            serial = self.held.pop(self.random.randrange(len(self.held)))
            self.house.api("POST", f"/certificates/{serial}/release")

    def kill(self):
        os.kill(self.house.process.pid, signal.SIGKILL)
        self.house.process.wait()
        self.house.start()

    def publish(self):
        for name in self.authorities:
            if self.random.random() < 0.5:
                self.house.api("POST", f"/crls/{name}/publish")

    def build(self):
        self.house.cli("filter", "delta" if self.random.random() < 0.5 else "build", "history", ok=None)

    def respread(self):
        """Certificates that are issued a minute later name other lists."""
        self.shards = self.random.choice([n for n in (2, 3, 5) if n != self.shards])
        document = {k: v for k, v in self.house.cli_json("get", "authority", self.authorities[-1]).items() if k != "version"}
        document["crl"] = document.get("crl", {}) | {"shards": self.shards, "delta": "60s"}
        self.house.cli("apply", "-f", "-", data=json.dumps(document))

    def roll_over(self):
        """Another CA issues from now on; the old one's certificates stay."""
        name = f"next-{len(self.authorities)}"
        self.house.stop()
        self.house.cli("ca", "create", name, "--subject", f"CN={name},O=History", "--root")
        self.house.cli("ca", "ra", name, ok=None)
        self.house.cli("ca", "ocsp", name, ok=None)
        self.house.start()
        for profile in self.profiles:
            document = {k: v for k, v in self.house.cli_json("get", "profile", profile).items() if k != "version"}
            self.house.cli("apply", "-f", "-", data=json.dumps(document | {"authority": name}))
        self.authorities.append(name)
        self.filters()

    def filters(self):
        self.house.cli("apply", "-f", "-", data=json.dumps({"kind": "Filter", "name": "history", "authorities": self.authorities,
                                                            "every": "1d", "delta-every": "60s"}))
        self.house.cli("filter", "build", "history")

    # --- what is published ---

    def ca(self, name):
        return x509.load_pem_x509_certificate(self.house.cli("ca", "export", name).stdout.encode())

    def check(self):
        """Read all artefacts first, then the register: it knows everything that they could."""
        cas = {name: self.ca(name) for name in self.authorities}
        ski = {name: ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex() for name, ca in cas.items()}
        live = self.live()
        crls = {name: self.crls(ski[name]) for name in cas}
        answers = self.ocsp_of(live, cas)
        filters = self.filter_of(live, cas)
        proxied = self.proxy_of(live, cas, ski)
        register = Register(self.house)
        wrong, looked = [], 0

        def compare(what, serial, said, second):
            states = register.at(serial, second)
            if states and said not in states:
                wrong.append(f"{what}: {serial:032x} is {said} as of {second}, the register has {register.states[serial]}")

        for text in live:
            serial = int(text, 16)
            looked += 1
            for name, (entries, second) in crls[register.of[serial]].items():
                if re.fullmatch(r"(\d+)-(\d+)|profile-.*", name):
                    if serial in entries:
                        compare(name, serial, "revoked", second)
                else:
                    compare(name, serial, "revoked" if serial in entries else "good", second)
            if text in answers:
                compare("ocsp", serial, *answers[text])
            if text in filters:
                compare("filter", serial, *filters[text])
            if text in proxied:
                compare("proxy", serial, *proxied[text])
        self.check_shards(live, wrong, register)
        assert not wrong, "\n".join(wrong[:10])
        return looked

    def crls(self, ski):
        """Of each list the serials that are revoked by it, and its date; the delta with the complete one that it is to."""
        found, full = {}, None
        own = ["profile-history-own.2-0", "profile-history-own.2-1", "profile-history-clock"]
        for name in ["full", "delta"] + [f"{n}-{k}" for n in (2, 3, 5) for k in range(n)] + own:
            reply = self.house.plain(f"/crl/{ski}/{name}.crl")
            if reply.status != 200:
                continue
            crl = x509.load_der_x509_crl(reply.body)
            second = int(crl.last_update.replace(tzinfo=datetime.timezone.utc).timestamp())
            entries, removed = set(), set()
            for e in crl:
                try:
                    gone = e.extensions.get_extension_for_class(x509.CRLReason).value.reason == x509.ReasonFlags.remove_from_crl
                except x509.ExtensionNotFound:
                    gone = False
                (removed if gone else entries).add(e.serial_number)
            number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
            if name == "full":
                full = (entries, number)
            elif name == "delta":
                base = crl.extensions.get_extension_for_class(x509.DeltaCRLIndicator).value.crl_number
                if not full or base > full[1] or number < full[1]:
                    continue  # of another complete list than the one that was just fetched
                entries = (full[0] | entries) - removed
            found[name] = (entries, second)
        return found

    def check_shards(self, live, wrong, register):
        """The list that a certificate names itself, for a few of them."""
        for text in self.random.sample(live, min(len(live), 6)):
            pem = self.house.api("GET", "/certificates/" + text).json["certificate"]
            points = x509.load_pem_x509_certificate(pem.encode()).extensions.get_extension_for_class(x509.CRLDistributionPoints).value
            url = points[0].full_name[0].value
            reply = self.house.plain(url)
            if reply.status != 200:
                wrong.append(f"{text} names {url}, which is not there")
                continue
            crl = x509.load_der_x509_crl(reply.body)
            second = int(crl.last_update.replace(tzinfo=datetime.timezone.utc).timestamp())
            register = Register(self.house)
            said = "revoked" if crl.get_revoked_certificate_by_serial_number(int(text, 16)) else "good"
            states = register.at(int(text, 16), second)
            if states and said not in states:
                wrong.append(f"{url}: {text} is {said} as of {second}, the register has {register.states[int(text, 16)]}")

    def ocsp_of(self, live, cas):
        found = {}
        for text in live:
            row = self.house.api("GET", "/certificates/" + text).json
            ca = cas[row["authority"]]
            cert = x509.load_pem_x509_certificate(row["certificate"].encode())
            request = ocsp.OCSPRequestBuilder().add_certificate(cert, ca, hashes.SHA256()).build()
            status, _, body = get(self.house.plain_url + "/ocsp", {"Content-Type": "application/ocsp-request"},
                                  request.public_bytes(Encoding.DER))
            answer = ocsp.load_der_ocsp_response(body)
            if status != 200 or answer.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
                continue  # the responder has no certificate yet
            second = int(answer.this_update.replace(tzinfo=datetime.timezone.utc).timestamp())
            found[text] = ("good" if answer.certificate_status == ocsp.OCSPCertStatus.GOOD else "revoked", second)
        return found

    def filter_of(self, live, cas):
        """Asked as a gateway would: the file and its delta, without the house."""
        files, found = [], {}
        for name in ("history.tmf", "history.delta.tmf"):
            reply = self.house.plain("/filter/" + name)
            path = os.path.join(self.tmp, name)
            if reply.status == 200:
                with open(path, "wb") as f:
                    f.write(reply.body)
                files.append(path)
        if not files or not live:
            return found
        info = [self.house.cli_json("filter", "info", f) for f in files]
        with_delta = ["--delta", files[1]] if len(files) == 2 and info[1].get("base_number") == info[0].get("number") else []
        second = self.moment(info[-1 if with_delta else 0]["this_update"])
        for name, _ in cas.items():
            ca = os.path.join(self.tmp, name + ".pem")
            with open(ca, "w", encoding="ascii") as f:
                f.write(self.house.cli("ca", "export", name).stdout)
            of = [s for s in live if self.house.api("GET", "/certificates/" + s).json["authority"] == name]
            rows = self.house.cli_json("filter", "query", files[0], "--ca", ca, *with_delta, *of) if of else []
            for text, row in zip(of, rows["items"] if isinstance(rows, dict) else rows):
                if row["status"] in ("good", "revoked"):
                    found[text] = (row["status"], second)
        return found

    @staticmethod
    def moment(text):
        return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())

    def proxy_of(self, live, cas, ski):
        with open(os.path.join(self.tmp, "ca.pem"), "w", encoding="ascii") as f:
            f.write(self.house.cli("ca", "export", "issuing-ca").stdout)
        others = [os.path.join(self.tmp, n + ".pem") for n in cas if n != "issuing-ca"]
        proxy = Proxy(self.program, self.tmp, self.house.plain_url, authorities=["ca.pem"] + others, filters=["history"], refresh="1s")
        found = {}
        proxy.start()
        try:
            until(proxy.ready)
            for text in live:
                name = self.house.api("GET", "/certificates/" + text).json["authority"]
                _, _, body = get(f"{proxy.url}/v1/status?serial={text}&issuer={ski[name]}")
                answer = json.loads(body)
                if answer["status"] in ("good", "revoked"):
                    found[text] = (answer["status"], self.moment(answer["as_of"]))
                else:
                    assert answer["status"] == "unknown" and not answer["covered"], answer
                    # It says so only of what is newer than all it has.
                    assert answer["as_of"] is None or self.moment(answer["issued"]) >= self.moment(answer["as_of"]) - 6, answer
        finally:
            proxy.stop()
        return found


def run(house, program, tmp_path, seed, steps, rounds, roll):
    print(f"STATUS_SEED={seed}")
    h = History(house, program, str(tmp_path), seed)
    add_profile(house, "history", authority="issuing-ca")
    add_profile(house, "history-brief", authority="issuing-ca", lifetime={"default": f"{SHORT_LIFE}s", "max": f"{SHORT_LIFE}s", "min": "1s"},
                renewal={"before": "33%"})
    # From a minute on its certificates name lists of their own.
    add_profile(house, "history-own", authority="issuing-ca", revocation={"crl": {"every": "1m", "lifetime": "1h", "shards": 2}})
    add_profile(house, "history-clock", authority="issuing-ca",
                revocation={"crl": {"every": "20s", "lifetime": "1h", "on-revocation": False}})
    h.respread()
    h.issue("history", 8)
    h.issue("history-brief", 3)
    h.filters()
    moves = [h.issue, h.issue, h.revoke, h.revoke_many, h.hold, h.hold, h.release, h.publish, h.build, h.kill]
    looked = 0
    for n in range(rounds):
        for _ in range(steps):
            h.random.choice(moves)()
        if roll and n == rounds // 2:
            h.roll_over()
            h.respread()
            h.issue()
        looked += h.check()
    assert looked > 0


def seed():
    return int(os.environ.get("STATUS_SEED", random.SystemRandom().randrange(1 << 32)))


@pytest.fixture
def history_house(tmp_path):
    h = House(tmp_path / "home")
    try:
        yield h.start()
    finally:
        h.stop()


def test_history__short(history_house, program, tmp_path):
    run(history_house, program, tmp_path, seed(), steps=8, rounds=1, roll=False)


@pytest.mark.slow
@pytest.mark.parametrize("n", range(5))
def test_history__long(history_house, program, tmp_path, n):
    run(history_house, program, tmp_path, seed() + n, steps=25, rounds=6, roll=True)
