"""Start JupyterLab at a lesson: own port, loopback only, nothing fetched."""

import json
import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

from labs_support import settings

PORT = 8888
NEWS = "@jupyterlab/apputils-extension:announcements"


class PortBusy(RuntimeError):
    """The port that was asked for is taken."""


def is_free(port: int) -> bool:
    """Return whether a server can listen on this loopback port."""
    with socket.socket() as probe:
        if os.name != "nt":  # a server that has just stopped does not count
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose_port(asked: int | None, usual: int | None = None) -> int:
    """Return the port asked for, or the usual one, or a free one if that is taken.

    Args:
        asked: the port that has to be had, if any.
        usual: the one to try first otherwise, PORT unless given.

    Raises:
        PortBusy: if a port was asked for and is taken.
    """
    if asked is not None:
        if not is_free(asked):
            raise PortBusy(
                f"Port {asked} is taken by another program. Leave --port out to let "
                "the course choose a free one."
            )
        return asked
    if is_free(usual := usual or PORT):
        return usual
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(port: int, lesson: str, *, browser: bool) -> list[str]:
    """Return the command that starts JupyterLab at notebooks/LESSON.ipynb."""
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": settings.ROOT,
        "ServerApp.log_level": "ERROR",
        "ServerApp.open_browser": browser,
        "ServerApp.answer_yes": True,
        "LabApp.default_url": f"/lab/tree/notebooks/{lesson}.ipynb",
        "LabApp.extension_manager": "readonly",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.news_url": None,
    }
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options["ServerApp.allow_root"] = True
    return [
        *(sys.executable, "-m", "jupyterlab"),
        *(f"--{name}={value}" for name, value in options.items()),
    ]


def ask_no_questions() -> None:
    """Keep JupyterLab from asking, at its first start, whether to fetch its news.

    Does what `jupyter labextension disable` does for this environment, without the
    seconds that the command takes.
    """
    path = Path(sys.prefix) / "etc" / "jupyter" / "labconfig" / "page_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    disabled = config.setdefault("disabledExtensions", {})
    if disabled.get(NEWS):
        return
    disabled[NEWS] = True
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(config, indent=2), encoding="utf-8")
    except OSError:
        return  # then it asks once


def start(lesson: str, port: int | None = None, *, browser: bool = True) -> int:
    """Become JupyterLab, until it is stopped; on Windows return its exit status.

    Raises:
        PortBusy: if a port was asked for and is taken.
    """
    port = choose_port(port)
    ask_no_questions()
    token = secrets.token_urlsafe(16)
    address = f"http://127.0.0.1:{port}/lab/tree/notebooks/{lesson}.ipynb?token={token}"
    print(f"JupyterLab: {address}\nStop it with Ctrl+C.", flush=True)
    if not os.access(settings.ROOT / "notebooks", os.W_OK):
        print(
            f"No permission to write in {settings.ROOT}: you can read and run, but what "
            "you type cannot be saved. Copy the course into a folder of yours.",
            flush=True,
        )
    run = command(port, lesson, browser=browser)
    # in the environment and not on the command line, which every user can read
    env = {**os.environ, "JUPYTER_TOKEN": token}
    if os.name == "nt":
        return subprocess.call(run, cwd=settings.ROOT, env=env)
    os.chdir(settings.ROOT)
    return os.execve(run[0], run, env)  # so that stopping this stops JupyterLab
