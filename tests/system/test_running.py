"""Running it: health and metrics, reload, stop, backup and restore, a killed server."""
import base64
import os
import signal
import ssl
import subprocess
import time

from conftest import PROGRAM


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


def presented(house):
    """The serial that the enrollment listener shows to whoever connects."""
    pem = ssl.get_server_certificate(("127.0.0.1", house.ports["enrollment"]))
    return ssl.PEM_cert_to_DER_cert(pem)


def test_tls__files_of_ones_own(new_house, openssl):
    h = new_house()

    def certificate(name):
        issue(h, openssl, name)
        os.replace(openssl.file(name + ".pem"), os.path.join(h.home, "mine.pem"))
        os.replace(openssl.file(name + ".key"), os.path.join(h.home, "mine.key"))
        with open(os.path.join(h.home, "mine.pem"), encoding="ascii") as f:
            return ssl.PEM_cert_to_DER_cert(f.read().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")

    one = certificate("tls-one")
    with open(os.path.join(h.home, "touchmark.yaml"), "a", encoding="utf-8") as f:
        f.write("tls:\n  certificate: mine.pem\n  key: mine.key\n")
    h.start()
    assert presented(h) == one
    two = certificate("tls-two")
    assert presented(h) == one
    h.process.send_signal(signal.SIGHUP)
    wait_until(lambda: presented(h) == two)
    # What can't be loaded changes nothing, and the log says so.
    os.unlink(os.path.join(h.home, "mine.key"))
    h.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "tls.reload" in h.log() and "mine.key" in h.log())
    assert presented(h) == two
    assert h.stop() == 0


def test_home__can_be_moved(new_house, openssl):
    h = new_house()
    moved = h.home + "-elsewhere"
    os.rename(h.home, moved)
    h.home = moved
    h.start()
    issue(h, openssl, "moved-one")
    assert h.stop() == 0


def test_tls__key_without_certificate_is_refused(new_house):
    h = new_house()
    with open(os.path.join(h.home, "touchmark.yaml"), "a", encoding="utf-8") as f:
        f.write("tls:\n  key: mine.key\n")
    done = subprocess.run([PROGRAM, "serve", "--home", h.home], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 1 and "tls.certificate" in done.stderr


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_kill__loses_nothing(new_house, openssl):
    h = new_house().start()
    serial = issue(h, openssl, "kill-one")
    h.process.kill()
    h.process.wait()
    h.start()
    assert h.api("GET", "/certificates/" + serial).json["status"] == "valid"
    h.cli("register", "verify")
    assert h.stop() == 0


def child_named(pid, name):
    """The child process of `pid` that calls itself `name`."""
    for child in subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], stdout=subprocess.PIPE, text=True).stdout.split():
        with open(f"/proc/{child}/comm", encoding="ascii") as f:
            if f.read().strip() == name:
                return int(child)
    raise AssertionError(f"no child {name} of {pid}")


def test_nursery_killed__the_server_ends_and_says_so(new_house, openssl):
    h = new_house().start()
    serial = issue(h, openssl, "nursery-one")
    # With it goes the signer; nothing in the process can make another.
    os.kill(child_named(h.process.pid, "tm-nursery"), signal.SIGKILL)
    assert h.process.wait(30) == 1
    assert "signer.lost" in h.log() and "start the server again" in h.log()
    h.start()
    assert h.api("GET", "/certificates/" + serial).json["status"] == "valid"
    issue(h, openssl, "nursery-two")
    h.cli("register", "verify")
    assert h.stop() == 0


def test_signer_killed__comes_back(new_house, openssl):
    h = new_house().start()
    os.kill(child_named(child_named(h.process.pid, "tm-nursery"), "tm-signer"), signal.SIGKILL)
    wait_until(lambda: "signer.restarted" in h.log() and h.ready(), 20)
    issue(h, openssl, "signer-one")
    assert h.stop() == 0


def test_backup_and_restore(new_house, openssl, tmp_path):
    h = new_house().start()
    serial = issue(h, openssl, "backup-one")
    backup = str(tmp_path / "backup")
    made = h.cli_json("token", "create", "--for", "cmp", "--endpoint", "cmp")
    h.cli("backup", backup)
    # A shared secret stands in neither store, and the key that opens it goes along with the others.
    raw = base64.urlsafe_b64decode(made["secret"] + "=")
    for top in (os.path.join(h.home, "store"), backup):
        for directory, _, names in os.walk(top):
            for name in names:
                with open(os.path.join(directory, name), "rb") as f:
                    assert raw[:16] not in f.read()
    assert os.path.exists(os.path.join(backup, "keys", "house.secrets.key"))
    later = issue(h, openssl, "backup-later")
    assert h.stop() == 0
    passphrase = os.path.join(h.home, "passphrase")
    restored = str(tmp_path / "restored")
    first, h.home = h.home, restored
    h.cli("restore", backup, "--passphrase-file", passphrase)
    # The backup has no passphrase in it; what opened the keys stands where the configuration looks for it again.
    assert os.stat(os.path.join(restored, "passphrase")).st_mode & 0o777 == 0o400
    h.cli("register", "verify")
    shown = h.cli("cert", "list").stdout
    assert serial in shown and later not in shown
    assert first != restored
    # A wrong passphrase is found out before anything is copied, and so is none.
    h.home = str(tmp_path / "wrong")
    wrong = tmp_path / "wrong-passphrase"
    wrong.write_text("not that one\n")
    done = h.cli("restore", backup, "--passphrase-file", str(wrong), ok=False)
    assert "passphrase" in done.stderr and not os.path.exists(h.home)
    done = subprocess.run([PROGRAM, "restore", backup, "--home", h.home], text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, timeout=60)
    assert done.returncode == 1 and not os.path.exists(h.home)
    # Without the file at hand it says what is missing.
    h.home = str(tmp_path / "other")
    done = subprocess.run([PROGRAM, "restore", backup, "--home", h.home], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, "TOUCHMARK_PASSPHRASE_FILE": passphrase}, timeout=60)
    assert done.returncode == 0, done.stderr
    assert os.path.join(h.home, "passphrase") in done.stderr and "--passphrase-file" in done.stderr
