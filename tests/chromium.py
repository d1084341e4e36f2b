"""A real browser for tests: Chromium without a window, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shutil
import subprocess
from itertools import count
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.http_server import PATIENCE_S, LoopThread

if TYPE_CHECKING:
    from pathlib import Path

_LISTENS = re.compile(r"DevTools listening on (ws://\S+)")
_LOOK = """new Promise((done, fail) => {
  const look = () => {
    let found;
    try { found = (%s); } catch (error) { return stop(fail, error); }
    if (found) stop(done, found);
  };
  const stop = (tell, what) => { clearInterval(timer); tell(what); };
  const timer = setInterval(look, 15);
  setTimeout(() => stop(fail, new Error("never true")), %d);
  look();
})"""
_KEYS = {"Enter": 13, "Tab": 9, "Escape": 27, " ": 32}
_ALT = 1


def find_chromium() -> str:
    """Its path. Skips the test where there is none, but in CI."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        if os.environ.get("CI") == "true":
            raise FileNotFoundError("no chromium: the page is not looked at")
        pytest.skip("no chromium: the page is not looked at")
    return found


class Chromium:
    """One process. Every page has a window and a profile of its own."""

    def __init__(self, loop: LoopThread, profile: Path) -> None:
        self._loop = loop
        self._ids = count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._pages: dict[str, Page] = {}
        self._process = subprocess.Popen(
            [
                find_chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                "--no-first-run", "--remote-debugging-port=0", "--autoplay-policy=no-user-gesture-required",
                "--mute-audio", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                f"--user-data-dir={profile}", "about:blank",
            ],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stderr is not None
        found = next(filter(None, map(_LISTENS.search, self._process.stderr)))
        loop.run(self._open(found[1]))

    def close(self) -> None:
        self._loop.run(self._end())
        self._process.terminate()
        self._process.wait(PATIENCE_S)
        assert self._process.stderr is not None
        self._process.stderr.close()

    def page(self, url: str, *, width: int = 1100, height: int = 800, dark: bool = False) -> Page:
        """A window with nothing stored, at a URL."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        fields = {"url": "about:blank", "browserContextId": context, "newWindow": True}
        target = self.call("Target.createTarget", **fields)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session, context)
        for domain in ("Page", "Runtime", "Log", "Accessibility"):
            page.call(f"{domain}.enable")
        page.call("Emulation.setFocusEmulationEnabled", enabled=True)
        page.resize(width, height)
        page.colour("dark" if dark else "light")
        page.goto(url)
        return page

    def call(self, method: str, session: str | None = None, **params: Any) -> Any:
        return self._loop.run(self._call(method, session, params))

    async def _open(self, url: str) -> None:
        self._http = aiohttp.ClientSession()
        self._ws = await self._http.ws_connect(url, max_msg_size=0)
        self._reader = asyncio.create_task(self._read())

    async def _end(self) -> None:
        self._reader.cancel()
        await self._ws.close()
        await self._http.close()

    async def _call(self, method: str, session: str | None, params: dict[str, Any]) -> Any:
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params}
        await self._ws.send_json(message if session is None else {**message, "sessionId": session})
        found = await asyncio.wait_for(answer, PATIENCE_S)
        if "error" in found:
            raise AssertionError(f"{method}: {found['error']['message']}")
        return found["result"]

    async def _read(self) -> None:
        async for message in self._ws:
            found = json.loads(message.data)
            if "id" in found:
                self._answers.pop(found["id"]).set_result(found)
            elif (page := self._pages.get(found.get("sessionId", ""))) is not None:
                page.hear(found["method"], found["params"])


class Page:
    """A window."""

    def __init__(self, browser: Chromium, session: str, context: str) -> None:
        self._browser, self._session, self._context = browser, session, context
        self.complaints: list[str] = []
        """Errors of scripts, and all that the content security policy stopped; not that a server is away."""

    def call(self, method: str, **params: Any) -> Any:
        return self._browser.call(method, self._session, **params)

    def hear(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"])[:1_000])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            entry = params["entry"]
            if entry["source"] != "network":  # who asks for what is refused has an answer of its own
                self.complaints.append(f"{entry['source']}: {entry['text']}")

    def goto(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.until(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'")

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def colour(self, scheme: str) -> None:
        """Args: scheme: light or dark."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def js(self, expression: str) -> Any:
        """The value of an expression, awaited."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise AssertionError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def until(self, expression: str, within_s: float = 10.0) -> Any:
        """Wait until it is true; returns its value. The page looks itself, so nothing sleeps here."""
        try:
            return self.js(_LOOK % (expression, within_s * 1e3))
        except AssertionError as error:
            if "context was destroyed" in str(error) or "Cannot find context" in str(error):  # it was just loading
                return self.js(_LOOK % (expression, within_s * 1e3))
            shown = self.js("document.body.innerText.slice(0, 1500)")
            raise AssertionError(f"{expression}\n{shown}\n{self.complaints}") from error

    def sees(self, text: str, within: str = "body") -> None:
        """Wait for a text that can be seen."""
        where = f"document.querySelector({json.dumps(within)})"
        self.until(f"{where}?.innerText.includes({json.dumps(text)})")

    def click(self, selector: str, text: str = "") -> None:
        """With the mouse, on the first that matches and contains the text, as soon as it is there to be clicked."""
        find = (
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            f".find((each) => each.checkVisibility() && each.textContent.includes({json.dumps(text)}))"
        )
        self.until(f"!!{find}")
        place = self.js(
            f"(() => {{ const found = {find}; found.scrollIntoView({{ block: 'center' }});"
            " const box = found.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            fields = {"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", **fields)

    def fill(self, selector: str, text: str) -> None:
        where = f"document.querySelector({json.dumps(selector)})"
        self.until(f"{where}?.checkVisibility()")
        self.js(f"{where}.focus(), {where}.select()")
        self.call("Input.insertText", text=text)

    def press(self, key: str, *, alt: bool = False) -> None:
        number = _KEYS.get(key) or ord(key.upper())
        fields: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": number, "modifiers": _ALT if alt else 0}
        fields["code"] = key if key in _KEYS else f"Key{key.upper()}"
        down = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown" if down else "rawKeyDown", **fields, **down)
        self.call("Input.dispatchKeyEvent", type="keyUp", **fields)

    def focused(self) -> str:
        """What the focus is on, in words."""
        return str(self.js("document.activeElement.id || document.activeElement.textContent"))

    def tree(self) -> list[dict[str, Any]]:
        """What a screen reader is told: role, name and whether it can have the focus, of each node."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [
            {
                "role": node["role"]["value"],
                "name": node.get("name", {}).get("value", ""),
                **{each["name"]: each["value"].get("value") for each in node.get("properties", ())},
            }
            for node in nodes
            if not node["ignored"]
        ]

    def picture(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        self._browser.call("Target.disposeBrowserContext", browserContextId=self._context)
