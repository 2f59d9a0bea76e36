"""How an app of the course is served: to this machine alone, with one look, until Ctrl+C."""

import os
import signal
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

import fastapi
import gradio as gr
import uvicorn
from fastapi.middleware.trustedhost import TrustedHostMiddleware

HOST = "127.0.0.1"


def theme() -> gr.themes.Base:
    """Return the look of an app; its fonts are those of the machine."""
    fonts = {"font": ("system-ui", "sans-serif"), "font_mono": ("monospace",)}
    base = gr.themes.Base(primary_hue="teal", neutral_hue="stone", **fonts)
    return base.set(  # darker than the theme's own, for contrast
        color_accent="*primary_700",
        link_text_color="*primary_800",
        link_text_color_dark="*primary_200",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_700",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        input_background_fill="white",
        input_placeholder_color="*neutral_500",
    )


def web(blocks: gr.Blocks, css: Path) -> fastapi.FastAPI:
    """Return what answers HTTP: an app, for requests to this machine by its own name."""
    api = fastapi.FastAPI()
    api.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    return gr.mount_gradio_app(
        api, blocks, "/", server_name=HOST, ssr_mode=False, run_history=False,
        footer_links=[], theme=theme(), css_paths=[css], show_error=True,
    )  # fmt: skip


class Server(uvicorn.Server):
    """A server that says where it is, as soon as it answers.

    Args:
        name: of the app.
        api: what answers HTTP.
        port: free port on the loopback address.
        meanwhile: what is done in a thread once the server answers.
        browser: whether to open a browser window.
    """

    def __init__(
        self,
        name: str,
        api: fastapi.FastAPI,
        port: int,
        *,
        meanwhile: Callable[[], None],
        browser: bool,
    ):
        self.name, self.meanwhile, self.browser = name, meanwhile, browser
        self.address = f"http://{HOST}:{port}/"
        quick = {"log_level": "critical", "timeout_graceful_shutdown": 1}
        super().__init__(uvicorn.Config(api, host=HOST, port=port, **quick))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, then print the address."""
        await super().startup(sockets)
        print(f"{self.name}: {self.address}\nStop it with Ctrl+C.", flush=True)
        threading.Thread(target=self.meanwhile, daemon=True).start()
        if self.browser:
            webbrowser.open(self.address)


def serve(
    name: str,
    blocks: Callable[[], gr.Blocks],
    css: Path,
    port: int,
    *,
    meanwhile: Callable[[], None],
    browser: bool = True,
) -> None:
    """Serve an app on a free port of the loopback address until Ctrl+C.

    Args:
        name: of the app.
        blocks: makes it.
        css: its look.
        port: free port on the loopback address.
        meanwhile: what is done in a thread once the page can be opened.
        browser: whether to open a browser window.
    """
    os.environ["MPLBACKEND"] = "agg"  # else gradio imports pyplot at the first event
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl+C
    try:
        with tempfile.TemporaryDirectory(prefix="labs-") as folder:
            os.environ["GRADIO_TEMP_DIR"] = folder  # for what a visitor uploads
            api = web(blocks(), css)
            Server(name, api, port, meanwhile=meanwhile, browser=browser).run()
    except KeyboardInterrupt:
        print(f"{name} is closed.")
