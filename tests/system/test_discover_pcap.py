"""Certificates out of recorded traffic."""
import json
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "helpers"))
import pcap  # noqa: E402


@pytest.fixture
def shown(openssl):
    """DER of certificates by name."""
    made = {}
    for name in ("pcap-one", "pcap-two", "pcap-mail", "pcap-six", "pcap-client"):
        openssl.key(name)
        openssl.run("req", "-x509", "-new", "-key", name + ".key", "-subj", "/CN=" + name, "-days", "30", "-out", name + ".pem")
        made[name] = openssl.der(name + ".pem", "x509")
    return made


def write(path, data):
    path.write_bytes(data)
    return str(path)


def test_what_was_shown_in_the_clear_is_found(house, shown, tmp_path):
    one = pcap.handshake("www.example.org", [shown["pcap-one"], shown["pcap-two"]])
    again = pcap.handshake("www.example.org", [shown["pcap-one"], shown["pcap-two"]], sport=40001)
    six = pcap.handshake("", [shown["pcap-six"]], client="2001:db8::9", server="2001:db8::1", dport=8443)
    hidden = pcap.handshake("new.example.org", version=0x0304, sport=40002)
    mail = pcap.Connection(sport=40003, dport=25)
    mail.say(1, b"220 mail ESMTP\r\n").say(0, b"EHLO x\r\n").say(1, b"250-mail\r\n250 STARTTLS\r\n").say(0, b"STARTTLS\r\n").say(1, b"220 go\r\n")
    mail.say(0, pcap.record(pcap.client_hello("mail.example.org")))
    mail.say(1, pcap.record(pcap.server_hello()) + pcap.record(pcap.certificate(shown["pcap-mail"])), shuffled=True)
    mail.say(0, pcap.record(pcap.certificate(shown["pcap-client"])))
    packets = one.packets + again.packets + six.packets + hidden.packets + mail.packets + [b"\x45\0\0"]
    file = write(tmp_path / "office.pcap", pcap.pcap(packets))
    done = house.cli("discover", "pcap", file, "-o", "json")
    run = json.loads(done.stdout)
    assert "5 connections, 5 with TLS (1 of them 1.3" in done.stderr
    assert (run["added"], run["new_places"], run["status"]) == (5, 4, "done")
    places = {p["place"]: p for p in house.api("GET", "/places?host=pcap:office.pcap").json["items"]}
    assert set(places) == {"pcap:office.pcap/192.0.2.1:443/www.example.org", "pcap:office.pcap/[2001:db8::1]:8443",
                           "pcap:office.pcap/192.0.2.1:25/mail.example.org", "pcap:office.pcap/client/192.0.2.9"}
    mailed = places["pcap:office.pcap/192.0.2.1:25/mail.example.org"]
    assert mailed["details"]["starttls"] is True and mailed["details"]["protocol"] == "TLSv1.2"
    assert len(places["pcap:office.pcap/192.0.2.1:443/www.example.org"]["chain"]) == 2
    assert mailed["first"].startswith("2023-11-14")


def test_other_forms_of_the_same(house, shown, tmp_path):
    c = pcap.handshake("form.example.org", [shown["pcap-one"]], cut=7)
    for n, data in enumerate((pcap.pcap(c.packets, pcap.RAW, little=False), pcap.pcap(c.packets, pcap.COOKED), pcap.pcapng(c.packets),
                              pcap.pcap(c.packets, pcap.LOOP), pcap.pcap(c.packets[2:]))):
        rows = house.cli_json("discover", "pcap", write(tmp_path / f"form{n}", data), "--dry-run")
        assert [r["place"] for r in rows] == [f"pcap:form{n}/192.0.2.1:443/form.example.org"], n


def test_damage_is_told_and_what_came_before_counts(house, shown, tmp_path):
    c = pcap.handshake("cut.example.org", [shown["pcap-one"]])
    whole = pcap.pcap(c.packets)
    done = house.cli("discover", "pcap", write(tmp_path / "cut", whole[:-3] + b""), "--dry-run", ok=False)
    assert "ends within a packet" in done.stderr
    done = house.cli("discover", "pcap", write(tmp_path / "cut2", whole + b"\xff" * 16), "--dry-run", "-o", "json", ok=False)
    assert "damaged" in done.stderr and len(json.loads(done.stdout)) == 1
    assert "neither pcap" in house.cli("discover", "pcap", write(tmp_path / "text", b"hello" * 100), "--dry-run", ok=False).stderr
