"""The command blocks of README and docs that are marked as runnable, run verbatim: each page in a shell and directory of its own.

A block is marked by a line `<!-- run -->` above its ```sh fence. Blocks of a page share one shell, as a reader's would.
"""
import os
import re
import signal
import subprocess

import pytest

from conftest import PROGRAM, ROOT, openssl_path

BLOCK = re.compile(r"^<!-- run -->\n```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = ["README.md"] + sorted("docs/" + name for name in os.listdir(os.path.join(ROOT, "docs")) if name.endswith(".md"))
SECONDS = 120


def blocks(page):
    with open(os.path.join(ROOT, page), encoding="utf-8") as f:
        return BLOCK.findall(f.read())


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])
def test_blocks(page, tmp_path):
    script = "set -e\nset -o pipefail\n" + "\n".join(blocks(page))
    programs = tmp_path / "bin"
    programs.mkdir()
    os.symlink(os.path.abspath(PROGRAM), programs / "touchmark")
    openssl = openssl_path()
    if os.path.isabs(openssl):
        os.symlink(openssl, programs / "openssl")
    work = tmp_path / "work"
    work.mkdir()
    env = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(work)}
    env.pop("TOUCHMARK_HOME", None)
    # A session of its own: servers that a page starts end with it, however it ends.
    with open(tmp_path / "output", "wb") as log:
        shell = subprocess.Popen(["/bin/bash", "-c", script], cwd=work, env=env, stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = shell.wait(SECONDS)
        except subprocess.TimeoutExpired:
            status = "no end"
        finally:
            try:
                os.killpg(shell.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
    assert status == 0, f"{page}: {status}: " + (tmp_path / "output").read_text(errors="replace")[-3000:]


LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES)
def test_links(page):
    with open(os.path.join(ROOT, page), encoding="utf-8") as f:
        for target in LINK.findall(f.read()):
            assert os.path.exists(os.path.join(ROOT, os.path.dirname(page), target)), f"{page} links to {target}"
