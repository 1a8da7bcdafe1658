"""The command line: help, wrong usage, resources that are wrong, and a house from its first day."""
import json
import os
import re
import shutil
import subprocess
import time

import pytest
import yaml

from conftest import PROGRAM


def run(program, *args):
    return subprocess.run([program, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)


def commands(program):
    """Every "noun verb" of the overview."""
    listed = run(program, "--help")
    assert listed.returncode == 0
    rows = re.findall(r"^  ([a-z][a-z-]*(?: [a-z][a-z-]*)?) {1,} ", listed.stdout, re.MULTILINE)
    assert len(rows) > 10, listed.stdout
    return rows


def test_help_of_every_command(program):
    for row in commands(program):
        done = run(program, *row.split(), "--help")
        assert done.returncode == 0, f"{row}: {done.stderr}"
        assert "Usage: touchmark " + row in done.stdout
        assert "Example:" in done.stdout, row


def test_no_arguments(program):
    done = run(program)
    assert done.returncode == 2 and "Usage:" in done.stderr and not done.stdout


@pytest.mark.parametrize("args", [["frobnicate"], ["cert", "frobnicate"], ["cert", "list", "--frobnicate"]])
def test_unknown(program, args):
    done = run(program, *args)
    assert done.returncode == 2
    assert "--help" in done.stderr


def test_no_home(program, tmp_path):
    done = run(program, "ca", "list", "--home", str(tmp_path / "none"))
    assert done.returncode == 1
    assert len(done.stderr.strip().split("\n")) == 1


def test_init__prints_fingerprint_and_next_steps(house):
    text = house.init.stdout
    assert re.search(r"([0-9A-F]{2}:){31}[0-9A-F]{2}", text)
    assert text.count("touchmark ") >= 3


def test_init__twice_is_refused(house, program):
    done = run(program, "init", "--home", house.home, "--generate-passphrase")
    assert done.returncode == 1 and "not empty" in done.stderr


def test_empty_argument_is_refused(house):
    done = house.cli("device", "register", "", ok=None)
    assert done.returncode == 2 and "empty" in done.stderr


def test_init__says_where_it_will_listen(program, tmp_path):
    done = run(program, "init", "--home", str(tmp_path / "open"), "--generate-passphrase")
    assert done.returncode == 0 and "every address" in done.stdout and "Next" in done.stdout
    done = run(program, "init", "--home", str(tmp_path / "quiet"), "--generate-passphrase", "--no-next", "--demo-ports")
    assert done.returncode == 0 and "127.0.0.1" in done.stdout and "Next" not in done.stdout


def test_init__leaves_nothing_open(house):
    for path in ("keys", "store", "admin", "root"):
        assert os.stat(os.path.join(house.home, path)).st_mode & 0o077 == 0
    assert os.stat(os.path.join(house.home, "admin", "token")).st_mode & 0o077 == 0


PROFILE = """kind: Profile
name: cli-printers
authority: issuing-ca
lifetime: { default: 30d }
san:
  allow:
    dns: { suffixes: [print.example.org] }
usage:
  eku: [serverAuth]
"""


@pytest.mark.parametrize("old, new, line", [
    ("lifetime: { default: 30d }", "lifetime: { defualt: 30d }", 4),
    ("lifetime: { default: 30d }", "lifetime: { default: [30d] }", 4),
    ("  eku: [serverAuth]", "  ekus: [serverAuth]", 9),
    ("    dns: { suffixes: [print.example.org] }", "    dns: { suffixes: 7 }", 7),
])
def test_apply__says_where_it_is_wrong(house, tmp_path, old, new, line):
    path = tmp_path / "bad.yaml"
    path.write_text(PROFILE.replace(old, new))
    done = house.cli("apply", "-f", str(path), ok=False)
    assert done.returncode == 1
    assert re.search(rf"bad\.yaml:{line}:\d+: ", done.stderr), done.stderr


def test_apply__unchanged_writes_nothing(house, tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(PROFILE.replace("cli-printers", "cli-same"))
    assert "cli-same applied" in house.cli("apply", "-f", str(path)).stdout
    assert "cli-same unchanged" in house.cli("apply", "-f", str(path), "--dry-run").stdout
    assert "cli-same unchanged" in house.cli("apply", "-f", str(path)).stdout
    time.sleep(1.1)  # for the sequencer: an event that was there would now show
    assert len(house.api("GET", "/register/events?type=resource.put&subject=resource/Profile/cli-same").json["items"]) == 1
    assert [v["version"] for v in house.api("GET", "/resources/profiles/cli-same/history").json["items"]] == [1]
    path.write_text(PROFILE.replace("cli-printers", "cli-same").replace("30d", "31d"))
    assert "cli-same would be applied" in house.cli("apply", "-f", str(path), "--dry-run").stdout
    assert "cli-same applied" in house.cli("apply", "-f", str(path)).stdout
    house.cli("delete", "profile", "cli-same")


def test_apply__dry_run_changes_nothing(house, tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text(PROFILE.replace("cli-printers", "cli-dry"))
    house.cli("apply", "-f", str(path), "--dry-run")
    assert house.cli("get", "profiles", "cli-dry", ok=None).returncode == 1


def test_apply_get_delete(house, tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text(PROFILE)
    house.cli("apply", "-f", str(path))
    got = house.cli_json("get", "profiles", "cli-printers")
    assert "print.example.org" in json.dumps(got)
    assert "cli-printers" in house.cli("get", "profiles").stdout
    house.cli("delete", "profiles", "cli-printers")
    assert house.cli("get", "profiles", "cli-printers", ok=None).returncode == 1


def test_delete__what_is_needed_stays(house, tmp_path):
    def refused(kind, name, why):
        done = house.cli("delete", kind, name, ok=False)
        assert done.returncode == 1 and why in done.stderr, done
        house.cli("get", kind, name)

    refused("authorities", "issuing-ca", "disabled: true")  # its certificates need its revocation list
    refused("profiles", "server-internal-1y", 'Endpoint "')
    path = tmp_path / "needed.yaml"
    path.write_text(PROFILE.replace("cli-printers", "cli-needed") + """
---
kind: Endpoint
name: cli-needed
protocol: rest
profiles: [cli-needed]
""")
    house.cli("apply", "-f", str(path))
    refused("profiles", "cli-needed", 'Endpoint "cli-needed"')
    house.cli("delete", "endpoints", "cli-needed")
    house.cli("delete", "profiles", "cli-needed")


@pytest.mark.parametrize("args, why", [
    (["--endpoint", "no-such"], 'endpoint "no-such"'),
    (["--endpoint", "servers", "--profile", "no-such"], 'profile "no-such"'),
    (["--endpoint", "servers", "--name", "server.example.org"], "DNS:server.example.org"),
    (["--principal", "admin"], 'tenant "default"'),
    (["--for", "est"], "say which it is for"),
    (["--for", "coap"], "0 endpoints of protocol coap"),
    (["--for", "nought"], "no protocol"),
    (["--for", "est", "--endpoint", "rest"], 'no est endpoint "rest"'),
])
def test_token_create__for_what_is_not_there(house, args, why):
    assert why in house.cli("token", "create", *args, ok=False).stderr


def test_token_create__many(house, tmp_path):
    """Secrets in bulk: a file of one's own, numbered names, each good for what it says."""
    path = tmp_path / "secrets.ndjson"
    many = ["token", "create", "--for", "est", "--endpoint", "servers", "--count", "12", "--first", "90", "--name", "DNS:bulk-{n}.example.org"]
    house.cli(*many, "--out", str(path))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["names"] for row in rows] == [[f"DNS:bulk-{n}.example.org"] for n in range(90, 102)]
    assert len({row["secret"] for row in rows}) == 12 and path.stat().st_mode & 0o777 == 0o600
    shown = house.cli_json("token", "show", rows[3]["id"])
    assert shown["status"] == "open" and shown["claims"]["names"] == ["DNS:bulk-93.example.org"]
    assert "new file" in house.cli(*many, "--out", str(path), ok=False).stderr
    table = tmp_path / "secrets.csv"
    house.cli(*many, "--out", str(table))
    lines = table.read_text().splitlines()
    assert lines[0] == "id,secret,token,device,names" and len(lines) == 13 and lines[1].endswith(",DNS:bulk-90.example.org")


@pytest.mark.parametrize("args, why", [
    (["cert", "isue"], 'did you mean "cert issue"?'),
    (["issue"], 'did you mean "cert issue"?'),
    (["crt", "issue"], 'did you mean "cert"?'),
    (["show"], "see: touchmark --help"),
    (["cert", "frobnicate"], "see: touchmark cert --help"),
])
def test_a_word_that_is_none__guessed_where_it_is_near(args, why):
    done = subprocess.run([PROGRAM, *args], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 2 and why in done.stderr


def test_help__of_a_command():
    for args in (["help", "cert", "issue"], ["cert", "issue", "--help"]):
        done = subprocess.run([PROGRAM, *args], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert done.returncode == 0 and done.stdout.startswith("Usage: touchmark cert issue")


def test_profile_test__explains(house, openssl):
    good = openssl.csr("good", "/CN=a.example.org", "DNS:a.example.org")
    text = house.cli("profile", "test", "--profile", "server-internal-1y", "--csr", good).stdout
    assert "issue" in text
    openssl.run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521", "-out", "p521.key")
    weak = openssl.csr("weak", "/CN=a.example.org", "DNS:a.example.org", key=openssl.file("p521.key"))
    done = house.cli("profile", "test", "--profile", "server-internal-1y", "--csr", weak, ok=False)
    assert done.returncode == 1
    assert "key." in done.stdout + done.stderr


def test_cert_show__any_object(house, openssl):
    csr = openssl.csr("show", "/CN=show.example.org", "DNS:show.example.org")
    assert "show.example.org" in house.cli("cert", "show", csr).stdout


def test_offline__same_commands_without_a_server(new_house, openssl):
    h = new_house()
    csr = openssl.csr("off", "/CN=off.example.org", "DNS:off.example.org")
    h.cli("cert", "issue", "--profile", "server-internal-1y", "--csr", csr, "--out", openssl.file("off.pem"))
    assert "off.example.org" in openssl.text("x509", "-in", "off.pem", "-noout", "-text")
    h.cli("register", "verify")


def tool(name):
    return shutil.which(name) or pytest.skip(f"{name} is not installed")


@pytest.fixture
def completion(program, tmp_path):
    def write(shell):
        path = tmp_path / ("touchmark." + shell)
        done = run(program, "completion", shell)
        assert done.returncode == 0
        path.write_text(done.stdout)
        return str(path)

    return write


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion__parses(shell, completion):
    done = run(tool(shell), "-n", completion(shell))
    assert done.returncode == 0 and not done.stderr


@pytest.mark.parametrize("words, expected", [
    ("touchmark ce", ["cert"]),
    ("touchmark cert re", ["revoke", "renew-now", "release"]),
    ("touchmark cert list --ex", ["--expires-before"]),
    ("touchmark apply --dr", ["--dry-run"]),
    ("touchmark completion ", ["bash", "zsh", "fish"]),
])
def test_completion__offers(words, expected, completion, tmp_path):
    quoted = " ".join(f"'{w}'" for w in words.split(" "))
    script = f"source {completion('bash')}; COMP_WORDS=({quoted}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _touchmark; echo \"${{COMPREPLY[@]}}\""
    done = run(tool("bash"), "-c", script)
    assert done.stdout.split() == expected and not done.stderr
    if shutil.which("fish"):
        done = run("fish", "-c", f"source {completion('fish')}; complete -C '{words}'")
        offered = [line.split("\t")[0] for line in done.stdout.splitlines()]
        assert set(expected) == {w for w in offered if w.startswith(words.split(" ")[-1]) and w}, done.stdout


def test_man__renders_without_a_warning(program, tmp_path):
    done = run(program, "man")
    assert done.returncode == 0 and done.stdout.startswith(".TH TOUCHMARK 1")
    assert done.stdout.isascii()
    path = tmp_path / "touchmark.1"
    path.write_text(done.stdout)
    lint = run(tool("mandoc"), "-T", "lint", "-W", "warning", str(path))
    assert lint.returncode == 0, lint.stdout
    page = run("mandoc", "-T", "ascii", str(path)).stdout
    for row in commands(program):
        assert "touchmark " + row in page.replace("\b", ""), row


DATA = [["ca", "list"], ["ca", "show", "root"], ["cert", "list"], ["status"], ["device", "list"], ["token", "list"], ["request", "list"],
        ["get", "profiles"], ["get", "endpoints", "rest"], ["profile", "list"], ["endpoint", "list"], ["tenant", "list"], ["principal", "list"],
        ["trust-set", "list"], ["register", "show"], ["register", "key"], ["register", "verify"], ["crl", "show", "root"],
        ["cert", "find", "pki.example.org"]]


@pytest.mark.parametrize("args", DATA, ids=" ".join)
def test_data__as_json_and_yaml(house, args):
    assert json.loads(house.cli(*args, "-o", "json").stdout) is not None
    assert yaml.safe_load(house.cli(*args, "-o", "yaml").stdout) is not None
    table = house.cli(*args).stdout
    assert "\x1b" not in table


NOUGHT = [["ca", "show", "nought"], ["cert", "get", "00"], ["cert", "find", "nought"], ["device", "show", "nought"], ["token", "show", "nought"],
          ["request", "show", "nought"], ["get", "profiles", "nought"], ["crl", "show", "nought"], ["profile", "show", "nought"],
          ["cert", "revoke", "00112233"], ["register", "prove", "999999"], ["cert", "show", "/nowhere"], ["device", "import", "/nowhere"],
          ["cert", "issue", "--csr", "/nowhere"], ["restore", "/nowhere"]]


@pytest.mark.parametrize("args", NOUGHT, ids=" ".join)
def test_failure__is_one_line(house, args):
    done = house.cli(*args, ok=False)
    assert done.returncode == 1 and not done.stdout
    lines = done.stderr.strip().split("\n")
    assert len(lines) == 1 and lines[0].startswith("touchmark"), done.stderr


def on_a_terminal(house, *args):
    """What a command writes to a terminal on standard error."""
    import pty

    terminal, slave = pty.openpty()
    done = subprocess.run([PROGRAM, *args, "--home", house.home], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave, timeout=60)
    os.close(slave)
    shown = b""
    try:
        while chunk := os.read(terminal, 65536):
            shown += chunk
    except OSError:  # the other side is closed
        pass
    os.close(terminal)
    assert done.returncode == 0, shown
    return shown.decode()


def test_progress__on_a_terminal_only(house, tmp_path):
    path = tmp_path / "devices.csv"
    path.write_text("id\n" + "".join(f"CLI-{i}\n" for i in range(3000)))
    shown = on_a_terminal(house, "device", "import", str(path))
    assert "importing [" in shown and "100%" in shown
    assert "importing" not in on_a_terminal(house, "device", "import", str(path), "--quiet")
    assert not house.cli("device", "import", str(path)).stderr
    assert "exported" in on_a_terminal(house, "register", "export", "--out", str(tmp_path / "register.ndjson"))


def test_cert_list__without_subjects(house, openssl):
    """What has no subject is told from others by its names."""
    profile = {"kind": "Profile", "name": "cli-nameless", "authority": "issuing-ca", "lifetime": {"default": "10d"},
               "subject": {"empty": "allow"}, "san": {"allow": {"dns": {}}, "min": 1}}
    door = house.cli_json("get", "endpoint", "rest")
    door.update(name="cli-nameless", profiles=["cli-nameless"])
    told = json.loads(house.cli("apply", "-f", "-", "-o", "json", data=json.dumps(profile) + "\n---\n" + json.dumps(door)).stdout)
    assert [(x["kind"], x["outcome"]) for x in told] == [("Profile", "applied"), ("Endpoint", "applied")]
    house.cli("cert", "issue", "--endpoint", "cli-nameless", "--csr", openssl.csr("cli-nameless", "/", "DNS:nameless.example.org"),
              "--out", openssl.file("nameless.pem"))
    assert "DNS:nameless.example.org" in house.cli("cert", "list", "--profile", "cli-nameless").stdout


def test_token_create__for_acme(house):
    """An ACME client can only be given the key of an external account."""
    assert house.cli("token", "create", "--for", "acme", "--endpoint", "acme").stdout.startswith("key id:")
