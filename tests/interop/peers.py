"""Real clients and servers, each a process of its own.

A client is told steps as lines of JSON, ``{"do": "open", "on": "a", "kind": "map", "node": …, "lane": …}``, and tells
what happens: ``{"on": "a", "is": "synced"}``, ``{"on": "a", "state": …}`` after each change,
``{"on": "a", "event": …}``, and ``{"done": NUMBER}`` behind each step. A map's state is a list of pairs, a list's
one of keys (in Recon) and values.
"""

from __future__ import annotations

import itertools
import json
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
VENV = HERE.parents[1] / ".venv"
SECONDS = 15.0
PAUSE = 0.01


class Client:
    """A client in a process of its own."""

    def __init__(self, name: str, command: list[str], url: str) -> None:
        self.name = name
        self.lines: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._ended = False
        host = url.replace("http://", "warp://")
        self.process = subprocess.Popen(
            [*command, host], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._errors: list[str] = []
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._complain)]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _complain(self) -> None:
        assert self.process.stderr is not None
        self._errors.extend(self.process.stderr)

    def until(self, is_true: Callable[[], Any], what: str) -> None:
        """Waits until it is, looking after each line that the client tells."""
        with self._changed:
            self._changed.wait_for(lambda: is_true() or self._ended, SECONDS)
            assert is_true(), f"{self.name}: no {what}, but {self.lines[-30:]}, {self._errors[-30:]}"

    def do(self, what: str, **more: Any) -> None:
        """One step; returns when the client has taken it."""
        number = next(self._numbers)
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": what, "number": number, **more}) + "\n")
        self.process.stdin.flush()
        self.until(lambda: any(line.get("done") == number for line in self.lines), f"end of {what} {more}")
        (error,) = (line.get("error") for line in self.lines if line.get("done") == number)
        assert error is None, error

    def open(self, on: str, kind: str, node: str, lane: str, is_synced: bool = True) -> None:
        """A link; returns when it is synced, an event link when it is linked."""
        self.do("open", on=on, kind=kind, node=node, lane=lane)
        if is_synced:
            word = "linked" if kind == "event" else "synced"
            self.until(lambda: word in self.said(on), f"{word} of {on}")

    def said(self, on: str) -> list[str]:
        return [line["is"] for line in self.lines if line.get("on") == on and "is" in line]

    def events(self, on: str) -> list[Any]:
        return [line["event"] for line in self.lines if line.get("on") == on and "event" in line]

    def state(self, on: str) -> Any:
        """What it has told last."""
        return next((line["state"] for line in reversed(self.lines) if line.get("on") == on and "state" in line), None)

    def entries(self, on: str) -> dict[Any, Any]:
        """A map's state; no key may be there twice."""
        pairs = self.state(on) or []
        found = dict(pairs)
        assert len(found) == len(pairs), pairs
        return found

    def elements(self, on: str) -> list[Any]:
        """A list's values; no key may be there twice."""
        pairs = self.state(on) or []
        assert len({key for key, _ in pairs}) == len(pairs), pairs
        return [value for _, value in pairs]

    def until_state(self, on: str, expected: Any) -> None:
        self.until(lambda: self.state(on) == expected, f"{on} = {expected!r}")

    def until_entries(self, on: str, expected: dict[Any, Any]) -> None:
        self.until(lambda: self.entries(on) == expected, f"{on} = {expected!r}")

    def until_elements(self, on: str, expected: list[Any]) -> None:
        self.until(lambda: self.elements(on) == expected, f"{on} = {expected!r}")

    def until_back(self, on: str, before: int, word: str = "synced") -> None:
        """It has said ``word`` more than ``before`` times."""
        self.until(lambda: self.said(on).count(word) > before, f"{word} of {on} again")

    def end(self) -> None:
        if self.process.poll() is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            try:
                self.process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for thread in self._threads:
            thread.join(SECONDS)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


def tool(path: Path, hint: str) -> Path:
    """What `make interop` has made."""
    assert path.exists(), f"{path} is missing: {hint}"
    return path


def javascript(url: str) -> Client:
    folder = VENV / "interop/js"
    tool(folder / "node_modules/@swim/client", "make interop")
    # Node looks for packages beside the program
    program = shutil.copy(HERE / "js/client.mjs", folder)
    return Client("JavaScript", ["node", program], url)


def python(url: str) -> Client:
    program = tool(VENV / "interop/py/bin/python", "make interop")
    return Client("Python", [str(program), str(HERE / "py/client.py")], url)


def rust(url: str) -> Client:
    return Client("Rust", [str(tool(VENV / "interop/rust/debug/client", "make interop-rust"))], url)


CLIENTS = {"javascript": javascript, "python": python, "rust": rust}


class Server:
    """A server in a process of its own, which may be ended and started again on the same port."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._command = command
        self._folder = folder
        self.port = 0
        self.start()

    def start(self) -> None:
        with (self._folder / "errors.txt").open("ab") as errors:
            self.process = subprocess.Popen(
                [*self._command, "--port", str(self.port)], cwd=self._folder, stdout=subprocess.PIPE, stderr=errors
            )
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], SECONDS)[0], self.errors()
        told = self.process.stdout.readline()
        found = re.fullmatch(rb"serving http://127\.0\.0\.1:(\d+)\n", told)
        assert found, (told, self.errors())
        self.port = int(found.group(1))
        self.url = f"http://127.0.0.1:{self.port}"

    def errors(self) -> str:
        return (self._folder / "errors.txt").read_text("utf-8", "replace")

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """By this signal; returns when it is gone."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(SECONDS)
        finally:
            self.process.kill()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process.wait()

    def restart(self, how: signal.Signals = signal.SIGTERM) -> None:
        self.end(how)
        self.start()

    # -- over HTTP, as Shoal speaks it

    def ask(self, method: str, node: str, lane: str = "", body: Any = None, prefer: str = "") -> tuple[int, Any]:
        query = f"?lane={urllib.parse.quote(lane)}" if lane else ""
        data = None if method == "GET" else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + node + query, data, {"Content-Type": "application/json", "Prefer": prefer}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as reply:
                text = reply.read()
                return reply.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def get(self, node: str, lane: str) -> Any:
        """A lane's value; ``None`` where there is no such twin yet."""
        status, found = self.ask("GET", node, lane)
        assert status in (200, 404), (status, found)
        return found if status == 200 else None

    def entries(self, node: str, lane: str) -> dict[Any, Any]:
        """A map lane's; with keys of several types they come as pairs."""
        return dict(self.get(node, lane) or {})

    def post(self, node: str, lane: str, body: Any) -> None:
        status, found = self.ask("POST", node, lane, body)
        assert status in (200, 202, 204), (status, found)

    def until(self, node: str, lane: str, expected: Any) -> None:
        """Asks until the lane's value is this one: what a client has sent is not acknowledged by the protocol."""
        self._until(lambda: self.get(node, lane), expected, f"{node} {lane}")

    def until_entries(self, node: str, lane: str, expected: dict[Any, Any]) -> None:
        self._until(lambda: self.entries(node, lane), expected, f"{node} {lane}")

    def _until(self, ask: Callable[[], Any], expected: Any, where: str) -> None:
        deadline = time.monotonic() + SECONDS
        while (found := ask()) != expected:
            assert time.monotonic() < deadline, f"{where} is {found!r}, not {expected!r}"
            time.sleep(PAUSE)


def shoal(folder: Path, app: str = "units.py", *more: str) -> Server:
    command = [sys.executable, "-m", "shoal.cli", "run", str(HERE / app), "--store", "store", *more]
    return Server(command, folder)


def rust_server(folder: Path) -> Server:
    """Swim's own server for Rust, in memory: what it holds ends with it."""
    return Server([str(tool(VENV / "interop/rust/debug/server", "make interop-rust"))], folder)


SERVERS = {"shoal": shoal, "rust": rust_server}
