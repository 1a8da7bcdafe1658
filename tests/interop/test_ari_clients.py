"""Renewal information (RFC 9773) with clients that follow it: lego 4.35 and uacme 1.8, which are in no Debian 12.

They run in the Debian 13 that `scripts/ari-check` makes (ARI_CHROOT names it); without it these tests are skipped.
"""
import os
import shutil
import time

import pytest
from place import Place, need, read

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chroot():
    path = os.environ.get("ARI_CHROOT") or pytest.skip("no Debian 13 with the clients: run scripts/ari-check")
    return path


@pytest.fixture(scope="module")
def place(house, chroot, tmp_path_factory):
    """A directory that clients see by the same name inside and outside."""
    inside = str(tmp_path_factory.mktemp("ari"))
    os.makedirs(os.path.dirname(chroot + inside), exist_ok=True)
    p = Place(house, inside)
    os.makedirs(chroot + inside)
    need("mount")
    p.run("mount", "--bind", inside, chroot + inside)
    shutil.copy(house.ca_bundle, p.path("ca.pem"))
    yield p
    p.run("umount", chroot + inside)
    p.close()


def refusals(place, problem):
    with open(place.house.log_path, encoding="utf-8") as f:
        return sum(1 for line in f if '"acme.refused"' in line and f'"{problem}"' in line)


def renewed_when_told(place, renew, certificate):
    """A client renews when its window is moved, and only then: `renew` runs it, `certificate` is the file it renews. Returns a copy of the
    directory that the certificate was in before."""
    first = read(certificate)
    renew()
    assert read(certificate).serial_number == first.serial_number, "it renews before the window begins"
    saved = os.path.dirname(certificate) + ".saved"
    shutil.copytree(os.path.dirname(certificate), saved)
    place.house.cli("cert", "renew-now", f"{first.serial_number:032x}", "--spread", "1m", "--start",
                    time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 120)))
    renew()
    second = read(certificate)
    assert second.serial_number != first.serial_number, "a moved window does not make it renew"
    # The new one has a window of its own, in the future.
    renew()
    assert read(certificate).serial_number == second.serial_number
    return saved


def test_lego(place, chroot):
    name = place.name("ari-lego.example.test")
    common = ["chroot", chroot, "env", "LEGO_CA_CERTIFICATES=" + place.path("ca.pem"), "lego", "--server", place.url("hooks"), "--email",
              "lego@example.org", "--accept-tos", "--path", place.path("lego"), "-d", name, "--http", "--http.webroot", place.webroot()]
    place.run(*common, "run")
    renew = [*common, "renew", "--no-random-sleep"]
    saved = renewed_when_told(place, lambda: place.run(*renew), place.path("lego", "certificates", name + ".crt"))
    # Whoever still has the old one asks for it to be replaced again, which is refused: so the first order's "replaces" was recorded.
    assert refusals(place, "alreadyReplaced") == 0
    shutil.rmtree(place.path("lego", "certificates"))
    shutil.copytree(saved, place.path("lego", "certificates"))
    place.run(*renew, ok=False)
    assert refusals(place, "alreadyReplaced") == 1


def test_uacme(place, chroot):
    """It follows the window, and sends no "replaces" (1.8.1)."""
    name = place.name("ari-uacme.example.test")
    shutil.copy(place.path("ca.pem"), chroot + "/etc/ssl/certs/ca-certificates.crt")
    hook = place.script("hook", f'[ "$1/$2" = begin/http-01 ] || [ "$1" != begin ] || exit 1\n'
                                f'[ "$1" != begin ] || printf %s "$5" >"{place.files}/$4"\n')
    common = ["chroot", chroot, "uacme", "-a", place.url("hooks"), "-c", place.path("uacme"), "-h", hook, "-y", "-t", "EC"]
    place.run(*common, "new")
    place.run(*common, "issue", name)

    def renew():
        done = place.run(*common, "issue", name, ok=False)
        assert done.returncode in (0, 1), done.stdout  # 1: not yet

    renewed_when_told(place, renew, place.path("uacme", name, "cert.pem"))
