"""A headless Chromium, driven over the Chrome DevTools Protocol.

    with Browser(path) as browser:
        page = browser.open("http://127.0.0.1:7860/")
        page.type("#question textarea", "When do you open?")
        page.press("Enter")
        page.wait("document.querySelector('.message')")

It resolves no host name, and every page remembers the addresses that it asked for.
"""

import base64
import itertools
import json
import re
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from websocket import create_connection

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --disable-dev-shm-usage "
    "--hide-scrollbars --remote-allow-origins=* --remote-debugging-port=0"
).split()
NO_NAMES = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
KEYS = {"Enter": (13, "\r"), "Tab": (9, ""), "Escape": (27, ""), " ": (32, " ")}


class Page:
    """One tab.

    Args:
        address: of its debugging web socket.
        seconds: how long to wait for anything.
    """

    def __init__(self, address: str, seconds: float = 180):
        self.socket = create_connection(
            address, timeout=seconds, http_no_proxy=["127.0.0.1"]
        )
        self.seconds, self.number = seconds, itertools.count(1)
        self.requests: list[str] = []
        self.problems: list[str] = []
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params) -> dict:
        """Return the result of one command, after noting what happened before it."""
        number = next(self.number)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self.note(message.get("method"), message.get("params"))

    def note(self, event: str, params: dict) -> None:
        """Keep the addresses that are asked for, and the errors of scripts."""
        if event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif event == "Network.webSocketCreated":
            self.requests.append(params["url"])
        elif event == "Runtime.exceptionThrown":
            self.problems.append(params["exceptionDetails"]["text"])

    def run(self, script: str):
        """Return the value of an expression of JavaScript."""
        result = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, script: str):
        """Return the value of an expression as soon as it is true; of an element True."""
        end = time.monotonic() + self.seconds
        script = f"(value => value instanceof Element || value)({script})"
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"not within {self.seconds} s: {script}"
            time.sleep(0.05)
        return value

    def close(self) -> None:
        """Close the tab."""
        self.call("Page.close")
        self.socket.close()

    def find(self, selector: str) -> str:
        """Return JavaScript for the first element that fits."""
        return f"document.querySelector({json.dumps(selector)})"

    def text(self, selector: str) -> str:
        """Return the text that an element shows, "" where there is none."""
        return self.run(f"{self.find(selector)}?.innerText ?? ''")

    def click(self, selector: str) -> None:
        """Click on an element with the mouse, as soon as it can be seen."""
        box = self.wait(
            f"(e => {{ e?.scrollIntoView({{block: 'nearest', behavior: 'instant'}}); "
            "const b = e?.getBoundingClientRect(); return b?.width && "
            f"[b.x + b.width / 2, b.y + b.height / 2] }})({self.find(selector)})"
        )
        for kind in ("mousePressed", "mouseReleased"):
            place = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, **place)

    def type(self, selector: str, text: str) -> None:
        """Put the cursor into a field, empty it, and insert a text."""
        self.wait(f"{self.find(selector)} && true")
        self.run(f"{self.find(selector)}.focus(), {self.find(selector)}.select()")
        self.press("Delete")
        if text:
            self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press and release one key."""
        code, text = KEYS.get(key, (46, ""))
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def upload(self, selector: str, file: Path) -> None:
        """Give a file to a field for files, which need not be visible."""
        self.wait(f"{self.find(selector)} && true")
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        found = self.call("DOM.querySelector", nodeId=root, selector=selector)
        self.call("DOM.setFileInputFiles", files=[str(file)], **found)

    def size(self, width: int, height: int, *, is_dark: bool = False) -> None:
        """Give the tab a size in pixels, and a light or a dark look."""
        phone = {"deviceScaleFactor": 1, "mobile": width < 600}
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, **phone
        )
        look = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[look])

    def picture(self, file: Path) -> None:
        """Write what the tab shows into a PNG file."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        file.write_bytes(base64.b64decode(data))


class Browser:
    """A Chromium with a profile of its own, while the `with` block runs.

    Args:
        path: the program.
    """

    def __init__(self, path: str):
        self.path = path

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        log = Path(self.folder.name) / "log"
        with log.open("w") as stderr:
            self.process = subprocess.Popen(
                [self.path, *FLAGS, NO_NAMES, f"--user-data-dir={self.folder.name}"],
                stderr=stderr, stdout=stderr,
            )  # fmt: skip
        end = time.monotonic() + 60
        while not (found := re.search(r"ws://(127.0.0.1:\d+)/", log.read_text())):
            assert time.monotonic() < end, f"Chromium: {log.read_text()[-500:]}"
            time.sleep(0.05)
        self.host, self.pages = found[1], []
        return self

    def __exit__(self, *_):
        for page in self.pages:
            page.socket.close()
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()

    def open(self, address: str) -> Page:
        """Return a new tab that shows an address."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        new = urllib.request.Request(f"http://{self.host}/json/new", method="PUT")
        with opener.open(new) as answer:
            page = Page(json.load(answer)["webSocketDebuggerUrl"])
        self.pages.append(page)
        page.call("Page.navigate", url=address)
        return page
