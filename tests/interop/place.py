"""Where clients that others wrote meet a running house: ACME endpoints, DNS and web servers on loopback, a directory for their state."""
import json
import os
import shutil
import socket
import subprocess

import pytest
from acme import AlpnServer, HttpServer
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
        self.txt, self.files, self.alpn_files = self.path("txt"), self.path("files"), self.path("alpn")
        for folder in (self.txt, self.files, self.alpn_files):
            os.mkdir(folder)
        self.dns = DnsServer()
        self.dns.txt_dir = self.txt
        self.dns.add("example.test", "SOA", "example.test")
        self.web = HttpServer()
        self.web.directory = self.files
        self.alpn = AlpnServer(self.alpn_files, by_name=True)
        self.endpoint("clients", self.http_port, self.tls_port)
        self.endpoint("hooks", self.web.port, self.alpn.port)
        self.endpoint("bound", self.web.port, self.alpn.port, "required")

    def endpoint(self, name, http_port, tls_port, external="optional", profile="server-internal-1y"):
        validation = {"resolvers": [self.dns.address], "dnssec": False, "networks": ["127.0.0.0/8"], "http-port": http_port,
                      "tls-port": tls_port}
        self.house.cli("apply", "-f", "-", data=json.dumps(
            {"kind": "Endpoint", "name": name, "protocol": "acme", "profiles": [profile],
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

    def webroot(self):
        """A web root whose challenge directory is the one that our web server gives out."""
        root = self.path("webroot")
        os.makedirs(root + "/.well-known", exist_ok=True)
        if not os.path.exists(root + "/.well-known/acme-challenge"):
            os.symlink(self.files, root + "/.well-known/acme-challenge")
        return root

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
        self.alpn.close()


def read(path):
    with open(path, "rb") as f:
        return x509.load_pem_x509_certificate(f.read())


def names(path):
    return sorted(read(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName))
