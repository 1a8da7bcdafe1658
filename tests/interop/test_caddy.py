"""Caddy with the configuration of docs/howto-acme-clients.md: what it serves comes from the house."""
import os
import re
import ssl
import socket
import subprocess
import time

from cryptography import x509
from place import free_port, need

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "docs", "howto-acme-clients.md")
NAME = "www.example.org"


def served(port, roots):
    """The certificate that is served for NAME, once there is one."""
    context = ssl.create_default_context(cafile=roots)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s, context.wrap_socket(s, server_hostname=NAME) as tls:
        return x509.load_der_x509_certificate(tls.getpeercert(True))


def test_caddy(place):
    program = need("caddy")
    with open(PAGE, encoding="utf-8") as f:
        config = re.search(r"<!-- caddy -->\n```\n(.*?)```", f.read(), re.S).group(1)
    made = place.house.cli_json("token", "create", "--external", "--endpoint", "bound", "--name", "DNS:" + NAME)
    port = free_port()
    here = {"https://pki.example.org:8443/acme/acme/directory": place.url("bound"), "root.pem": place.house.ca_bundle, "KEY_ID": made["id"],
            "HMAC_KEY": made["secret"], "{\n\tacme_ca ": f"{{\n\tadmin off\n\thttp_port {free_port()}\n\thttps_port {port}\n\tacme_ca "}
    for text, value in here.items():
        assert text in config
        config = config.replace(text, value, 1)
    folder = place.path("caddy")
    os.mkdir(folder)
    with open(folder + "/Caddyfile", "w", encoding="utf-8") as f:
        f.write(config)
    env = {**os.environ, "HOME": folder, "XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder}
    with open(folder + "/log", "wb") as log:
        caddy = subprocess.Popen([program, "run", "--config", folder + "/Caddyfile"], cwd=folder, env=env, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 30
        while True:
            try:
                cert = served(port, place.house.ca_bundle)
                break
            except OSError as e:
                assert time.monotonic() < end and caddy.poll() is None, f"{e}: {open(folder + '/log', encoding='utf-8').read()[-3000:]}"
                time.sleep(0.2)
    finally:
        caddy.terminate()
        caddy.wait(20)
    assert place.house.api("GET", f"/certificates/{cert.serial_number:032x}").json["endpoint"] == "bound"
