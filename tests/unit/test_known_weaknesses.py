"""`make audit` names a dependency of the lock file of which an advisory is out: asked of a service of advisories on loopback."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.full
ROOT = Path(__file__).resolve().parents[2]
WEAK = "aiohttp"


def advisory(name: str, version: str) -> dict[str, Any]:
    """One in OSV's form (ossf.github.io/osv-schema) that concerns every version up to this one."""
    events = [{"introduced": "0"}, {"fixed": "9999"}]
    package = {"name": name, "ecosystem": "PyPI"}
    return {
        "id": "TEST-2026-1", "modified": "2026-01-01T00:00:00Z", "summary": "a weakness", "details": "a weakness",
        "affected": [{"package": package, "ranges": [{"type": "ECOSYSTEM", "events": events}], "versions": [version]}],
    }  # fmt: skip


@contextmanager
def service(weak: str, asked: list[str]) -> Iterator[str]:
    """Advisories on loopback; gives the address."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name, version = question["package"]["name"], question["version"]
            asked.append(name)
            body = json.dumps({"vulns": [advisory(name, version)]} if name == weak else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        server.server_close()


def audit(url: str, cache: Path) -> subprocess.CompletedProcess[str]:
    """The Makefile's own command, asking another service."""
    found = re.search(r"(?m)^audit:.*\n\t@\$\(RUN\) (uv tool run .*)$", (ROOT / "Makefile").read_text())
    assert found and "infra/requirements.lock" in found[1]
    words = [*shlex.split(found[1]), "--vulnerability-service", "osv", "--osv-url", url, "--cache-dir", str(cache)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_weak_dependency_is_named(tmp_path: Path) -> None:
    if subprocess.run(["uv", "tool", "run", "--quiet", "pip-audit", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("pip-audit cannot be had here: it comes from the package registry")
    lock = (ROOT / "infra" / "requirements.lock").read_text()
    locked = set(re.findall(r"(?m)^([a-z0-9._-]+)==\S+ \\$", lock))  # without those of other systems
    for weak in (WEAK, ""):
        asked: list[str] = []
        with service(weak, asked) as url:
            done = audit(url, tmp_path / f"cache-{weak}")
        assert locked <= set(asked), "every line of the lock file was asked about"
        if weak:
            assert done.returncode == 1 and re.search(rf"(?m)^{WEAK}\s.*TEST-2026-1", done.stdout), done.stdout + done.stderr
        else:
            assert done.returncode == 0, done.stdout + done.stderr
