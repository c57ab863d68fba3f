"""Driving Chromium through its DevTools protocol, over a pair of pipes, with Python alone."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--remote-debugging-pipe",
]
PATIENCE_S = 120


class Chromium:
    """A browser with one page; everything that it says or asks for is kept.

    Attributes:
        complaints: what was logged to the console, and exceptions.
        requests: the addresses that were asked for.
    """

    def __init__(self) -> None:
        self.complaints: list[Any] = []
        self.requests: list[str] = []
        self._profile = tempfile.mkdtemp()
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        # The browser reads commands from descriptor 3 and writes to 4.
        script = f'exec "$@" 3<&{to_read} 4>&{to_write}'
        self._process = subprocess.Popen(
            [
                "bash",
                "-c",
                script,
                "chromium",
                CHROMIUM,
                *FLAGS,
                f"--user-data-dir={self._profile}",
            ],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._buffer = b""
        self._number = 0
        self._loaded: set[str] = set()
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._write)  # the browser ends with its pipe
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        shutil.rmtree(self._profile, ignore_errors=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"Chromium has not answered for {PATIENCE_S} seconds"
            received = os.read(self._read, 1 << 20)
            assert received, "Chromium has ended"
            self._buffer += received
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        method, parameters = message.get("method"), message.get("params", {})
        if method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.complaints.append(parameters)
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        if method == "Page.lifecycleEvent" and parameters["name"] == "load":
            self._loaded.add(parameters["loaderId"])
        return message

    def open(self, path: Path, fragment: str = "") -> None:
        """Open a file and wait until it has loaded."""
        self.call("Page.navigate", url="about:blank")  # a fragment alone would load nothing
        self._loaded.clear()
        loader = self.call("Page.navigate", url=path.as_uri() + fragment)["loaderId"]
        while loader not in self._loaded:
            self._receive()

    def size(self, width: int, height: int, scheme: str = "light") -> None:
        """Set the size of the window in pixels, and the colour scheme that is preferred."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )

    def run(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, as JSON has it."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key: 'ArrowRight', 'Tab', ' ', ...."""
        codes = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9}
        codes |= {"Home": 36, "End": 35, "Escape": 27, " ": 32, "Enter": 13}
        for kind in ("rawKeyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=codes[key]
            )

    def wait_until(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + PATIENCE_S
        while not self.run(condition):
            assert time.monotonic() < end, f"not {condition} after {PATIENCE_S} seconds"
            time.sleep(0.02)

    def steps(self) -> int:
        """Return how many steps the page has."""
        return int(self.run('document.getElementById("slider").max'))

    def at_every_step(self, expression: str) -> list[Any]:
        """Return what an expression is at each step of the page, from the first to the last."""
        found: list[Any] = self.run(
            'document.getElementById("first").click();'
            "[...Array(Number(document.getElementById('slider').max))].map(() => {"
            f"  const found = {expression}; document.getElementById('next').click(); return found;"
            "})"
        )
        return found

    def stops(self) -> list[tuple[str, str, str]]:
        """Press Tab until the end of the page; return tag, id and label of what is reached.

        Each has a label and shows its focus.
        """
        focus = """(() => {
          const it = document.activeElement, style = getComputedStyle(it);
          return [it.tagName, it.id, it.getAttribute("aria-label") || it.textContent.trim(),
                  style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0];
        })()"""
        found: list[tuple[str, str, str]] = []
        self.press("Tab")
        while (stop := self.run(focus))[0] != "BODY":
            tag, name, label, visible = stop
            assert label, stop
            assert visible, stop
            found.append((tag, name, label))
            assert len(found) < 100, "Tab goes round"
            self.press("Tab")
        return found


def assert_asks_for_nothing(page: str) -> None:
    """Check that a page has no address and may not load from one."""
    addresses = set(re.findall(r"https?://[^\"'\s<]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, which nobody asks for
    assert "default-src 'none'" in page
