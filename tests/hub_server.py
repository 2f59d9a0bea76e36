"""A stand-in for the model hub on the loopback address: serves a folder, read-only.

FOLDER/ORG/NAME holds the files of the repository ORG/NAME. It answers the four requests
that huggingface_hub makes for public models, so that the real loading code runs without
a network.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from labs_support.settings import ROOT

INFO = re.compile(r"/api/models/([^/]+/[^/]+)(?:/revision/[^/]+)?")
TREE = re.compile(r"/api/models/([^/]+/[^/]+)/tree/[^/]+/?(.*)")
FILE = re.compile(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)")


class HubHandler(BaseHTTPRequestHandler):
    """Answers for the repositories in the server's folder."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        """Keep the test output quiet."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        for pattern, answer in (
            (TREE, self.tree),
            (INFO, self.info),
            (FILE, self.file),
        ):
            match = pattern.fullmatch(path)
            if match and (self.server.folder / match[1]).is_dir():
                return answer(self.server.folder / match[1], *match.groups()[1:])
        return self.missing("RepoNotFound")

    def info(self, repo):
        names = [p.relative_to(repo).as_posix() for p in files(repo)]
        self.send_json(
            {
                "id": "/".join(repo.parts[-2:]),
                "sha": commit(repo),
                "private": False,
                "gated": False,
                "tags": [],
                "siblings": [{"rfilename": name} for name in names],
            }
        )

    def tree(self, repo, below):
        if not (repo / below).is_dir():
            return self.missing("EntryNotFound")
        return self.send_json(
            [
                {
                    "type": "file",
                    "path": p.relative_to(repo).as_posix(),
                    "size": p.stat().st_size,
                    "oid": digest(p)[:40],
                }
                for p in files(repo / below)
            ]
        )

    def file(self, repo, name):
        path = (repo / name).resolve()
        if not path.is_file() or not path.is_relative_to(repo.resolve()):
            return self.missing("EntryNotFound", ("X-Repo-Commit", commit(repo)))
        head = (("X-Repo-Commit", commit(repo)), ("ETag", f'"{digest(path)}"'))
        return self.send(200, path.read_bytes(), *head)

    def missing(self, code, *head):
        self.send(404, b"{}", ("X-Error-Code", code), *head)

    def send_json(self, value):
        self.send(200, json.dumps(value).encode(), ("Content-Type", "application/json"))

    def send(self, status, body, *head):
        self.send_response(status)
        for name, value in (*head, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def files(repo: Path) -> list[Path]:
    """Return the files of a repository in a fixed order."""
    return sorted(path for path in repo.rglob("*") if path.is_file())


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def commit(repo: Path) -> str:
    """Return 40 hexadecimal digits that stand for the state of a repository."""
    return hashlib.sha256("".join(map(digest, files(repo))).encode()).hexdigest()[:40]


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder while the `with` block runs, and give it the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), HubHandler)
    server.folder = folder
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def run(words: list[str], address: str, home: Path) -> subprocess.CompletedProcess:
    """Run Python in the hub profile, with the hub at an address and a cache of its own.

    Args:
        words: of the command, after `python`.
        address: of the hub.
        home: folder for what is fetched.
    """
    env = {k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"} | {
        "LABS_PROFILE": "hub", "LABS_DEVICE": "cpu", "HF_HOME": str(home),
        "HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip
    command = [sys.executable, *words]
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)


def run_code(code: str, folder: Path, *words: str) -> subprocess.CompletedProcess:
    """Run code in the hub profile: the hub is FOLDER/hub, the cache FOLDER/home."""
    with serving(folder / "hub") as address:
        return run(["-c", code, *words], address, folder / "home")
