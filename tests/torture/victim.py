"""The program under torture: a home made once, and the server that lives and dies on copies of it."""
import importlib.util
import json
import mmap
import os
import shutil
import signal
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def load_fixtures():
    folder = os.path.join(HERE, "..", "system")
    sys.path.append(folder)
    spec = importlib.util.spec_from_file_location("system_fixtures", os.path.join(folder, "conftest.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fixtures = load_fixtures()
LIBRARY = os.path.join(os.path.dirname(fixtures.PROGRAM), "tests", "torture", "libtm_torture.so")
START_SECONDS = 60


class Finding(Exception):
    """Something that must not be."""


class Stock:
    """A home, devices with birth certificates and requests, made once and copied for each run."""

    def __init__(self, directory, requests=48, devices=8):
        self.dir = directory
        self.factory = fixtures.Factory(directory)
        self.home = os.path.join(directory, "stock")
        house = fixtures.House(self.home, self.factory.anchors)
        self.bundle = house.ca_bundle
        # A key stays with its subject: the profiles refuse it to others.
        self.devices = []  # birth certificate, its key, request in DER
        for i in range(devices):
            path = self.factory.csr(f"device-{i}", f"/serialNumber=T-{i}")
            self.devices.append((*self.factory.idevid(f"T-{i}"), self.factory.der(path)))
        self.requests = []  # PEM
        for i in range(requests):
            name = f"host-{i}.example.org"
            with open(self.factory.csr(name, f"/CN={name}", "DNS:" + name), encoding="ascii") as f:
                self.requests.append(f.read())

    def copy(self, name):
        home = os.path.join(self.dir, name)
        shutil.copytree(self.home, home)
        path = os.path.join(home, "touchmark.yaml")
        with open(path, encoding="utf-8") as f:
            text = f.read().replace(self.home + "/", home + "/").replace("requests-per-peer: 200", "requests-per-peer: 0")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return home


# ---- the program under torture ----


class Clock:
    """struct vfs_shim_clock of vfs_shim.h, shared with the processes."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as f:
            f.write(bytes(4096))
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 4096)

    def _get(self, i):
        return struct.unpack_from("=Q", self.map, 8 * i)[0]

    operations = property(lambda self: self._get(0))
    cut = property(lambda self: self._get(2) != 0)

    def cut_at(self, operation):
        struct.pack_into("=Q", self.map, 8, operation)


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return [int(word) for word in f.read().split()]
    except OSError:
        return []


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def gone(pid):
    """Ended, or nothing is left of it but its exit status."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


class Victim(fixtures.House):
    """The server of one run: many lives on one home."""

    def __init__(self, home):  # pylint: disable=super-init-not-called
        self.home = home
        self.process = None
        self.ports = {}
        self.log_path = home + ".log"
        self.nursery = 0
        self.clock = None
        self.life = 0
        self.log_at = 0

    def launch(self, env=None, clock=None):
        ports = os.path.join(self.home, "run", "ports.json")
        if os.path.exists(ports):
            os.unlink(ports)
        self.life += 1
        self.clock = clock
        self.log_at = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        if clock:
            env = {**(env or {}), "LD_PRELOAD": LIBRARY, "TM_TORTURE_CLOCK": clock.path}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([fixtures.PROGRAM, "serve", "--home", self.home], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env={**os.environ, **(env or {})})

    def wait_ready(self):
        """True once it answers; False where the power went off before that."""
        ports = os.path.join(self.home, "run", "ports.json")
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.clock and self.clock.cut:
                return False
            if self.process.poll() is not None:
                raise Finding(f"the server did not start, it ended with {self.process.returncode}: {self.new_log()[-1500:]}")
            if os.path.exists(ports):
                with open(ports, encoding="ascii") as f:
                    text = f.read()
                if text.endswith("}\n"):
                    self.ports = json.loads(text)
                    if self.ready():
                        self.nursery = (children(self.process.pid) or [0])[0]
                        return True
            time.sleep(0.01)
        raise Finding("the server is not ready in time: " + self.new_log()[-1500:])

    def signer(self):
        return (children(self.nursery) or [0])[0] if self.nursery else 0

    def end(self):
        """Everything of it dies now; returns when nothing runs any more."""
        pids = [self.process.pid, self.nursery, *children(self.process.pid)]
        for pid in list(pids):
            pids += children(pid) if pid else []
        for pid in {pid for pid in pids if pid}:
            kill(pid)
        self.process.wait()
        deadline = time.monotonic() + 5
        while not all(gone(pid) for pid in pids if pid):
            if time.monotonic() > deadline:
                raise Finding("a process of a killed server lives on")
            time.sleep(0.002)
        self.process = None

    def new_log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            f.seek(self.log_at)
            return f.read()

    def complaints(self):
        """Events of level error in this life's log; a line that is none of the log's is one as well."""
        found = []
        for line in self.new_log().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                found.append(("?", line))
                continue
            if entry.get("level") == "error":
                found.append((entry.get("event"), line))
        return found
