"""Running it: health and metrics, reload, stop, backup and restore, a killed server."""
import os
import signal
import time


def issue(house, openssl, name):
    csr = openssl.csr(name, f"/CN={name}.example.org", f"DNS:{name}.example.org")
    house.cli("cert", "issue", "--profile", "server-internal-1y", "--csr", csr, "--out", openssl.file(name + ".pem"))
    return openssl.text("x509", "-in", name + ".pem", "-noout", "-serial").strip().split("=")[1].lower()


def test_health_and_metrics(house):
    assert house.plain("/healthz", port="admin").status == 200
    assert house.plain("/readyz", port="admin").status == 200
    text = house.plain("/metrics", port="admin").body.decode()
    assert "touchmark_store_commits_total" in text
    for line in text.splitlines():
        assert line.startswith("#") or len(line.rsplit(" ", 1)) == 2
    # They are the loopback listener's alone.
    assert house.plain("/metrics").status == 404


def test_status(house):
    assert house.cli_json("status")["server"] == "running"


def test_stop__is_graceful_and_the_next_start_finds_all(new_house, openssl):
    h = new_house().start()
    serial = issue(h, openssl, "stop-one")
    h.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert h.ready()
    assert h.stop() == 0
    h.start()
    assert h.api("GET", "/certificates/" + serial).json["status"] == "valid"
    assert h.stop() == 0


def test_kill__loses_nothing(new_house, openssl):
    h = new_house().start()
    serial = issue(h, openssl, "kill-one")
    h.process.kill()
    h.process.wait()
    h.start()
    assert h.api("GET", "/certificates/" + serial).json["status"] == "valid"
    h.cli("register", "verify")
    assert h.stop() == 0


def test_backup_and_restore(new_house, openssl, tmp_path):
    h = new_house().start()
    serial = issue(h, openssl, "backup-one")
    backup = str(tmp_path / "backup")
    h.cli("backup", backup)
    later = issue(h, openssl, "backup-later")
    assert h.stop() == 0
    passphrase = os.path.join(h.home, "passphrase")
    restored = str(tmp_path / "restored")
    first, h.home = h.home, restored
    h.cli("restore", backup, "--passphrase-file", passphrase)
    h.cli("register", "verify", "--passphrase-file", passphrase)
    # The backup has no passphrase in it; whoever restores brings it.
    with open(passphrase, encoding="ascii") as f, open(os.path.join(restored, "passphrase"), "w", encoding="ascii") as to:
        to.write(f.read())
    os.makedirs(os.path.join(restored, "run"), exist_ok=True)
    shown = h.cli("cert", "list").stdout
    assert serial in shown and later not in shown
    assert first != restored
