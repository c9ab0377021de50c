"""A served app in this process, and a client made of a socket: what is sent and what comes back, byte by byte."""

import asyncio
import base64
import json
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from shoal import App
from shoal.run import Run, RunOptions, with_loop

SECONDS = 20.0


class Served:
    """A run in a thread of its own. ``port`` is where it serves."""

    def __init__(self, app: App[Any], folder: Path, **options: Any) -> None:
        self._app = app
        self._options = RunOptions(**{"port": 0, "dead_letters": folder / "dead.jsonl"} | options)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._wires: list[Wire] = []
        self._thread = threading.Thread(target=self._main)
        self._thread.start()
        assert self._ready.wait(SECONDS)
        if self._failure is not None:
            raise self._failure

    def _main(self) -> None:
        try:
            self._run = run = Run(self._app, options=self._options)
            run.listen()
            self.port = int(run.address.rpartition(":")[2])
            with_loop(self._until_done(run))
            run.close()
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _until_done(self, run: Run) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._ready.set)
        await run.until_done()

    def stop(self) -> None:
        with suppress(RuntimeError):  # it has ended already
            self._loop.call_soon_threadsafe(self._run.stop)

    def end(self) -> None:
        if self._thread.is_alive():
            self.stop()
            self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        for wire in self._wires:
            wire.socket.close()

    def connect(self) -> "Wire":
        """Closed at the end, where the test has not."""
        self._wires.append(Wire(self.port))
        return self._wires[-1]

    def open(self, path: str = "/", *headers: str) -> "Wire":
        """A WebSocket."""
        wire = self.connect()
        status, _, _ = wire.upgrade(path, *headers)
        assert status == 101
        return wire

    def ask(self, method: str, path: str, body: bytes | None = None, *headers: str) -> "Reply":
        """One request on a connection of its own."""
        with self.connect() as wire:
            return wire.ask(method, path, body, *headers)

    def get(self, path: str, *headers: str) -> "Reply":
        return self.ask("GET", path, None, *headers)

    def post(self, path: str, body: Any, kind: str = "application/json") -> "Reply":
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("POST", path, data, f"Content-Type: {kind}")


@contextmanager
def served(app: App[Any], folder: Path, **options: Any) -> Iterator[Served]:
    """``options``: of the run."""
    server = Served(app, folder, **options)
    try:
        yield server
    finally:
        # a client that stays would have the server wait for its close
        server.close()
        server.end()


class Reply(tuple[int, dict[str, str], bytes]):
    """Status, headers by lower-case name, body."""

    __slots__ = ()

    status = property(lambda self: self[0])
    headers = property(lambda self: self[1])
    body = property(lambda self: self[2])

    @property
    def json(self) -> Any:
        return json.loads(self[2])


class Wire:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        self.socket.settimeout(SECONDS)
        self._read = b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def exactly(self, count: int) -> bytes:
        while len(self._read) < count:
            piece = self.socket.recv(65_536)
            assert piece, f"the connection ended after {self._read!r}"
            self._read += piece
        data, self._read = self._read[:count], self._read[count:]
        return data

    def until(self, mark: bytes) -> bytes:
        while mark not in self._read:
            piece = self.socket.recv(65_536)
            assert piece, f"the connection ended after {self._read!r}"
            self._read += piece
        data, _, self._read = self._read.partition(mark)
        return data + mark

    def rest(self) -> bytes:
        """All until the other end closes."""
        data = self._read
        while piece := self.socket.recv(65_536):
            data += piece
        self._read = b""
        return data

    # -- HTTP

    def head(self) -> tuple[int, dict[str, str]]:
        lines = self.until(b"\r\n\r\n").decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split()[1]), {name.lower(): value for name, value in pairs}

    def ask(self, method: str, path: str, body: bytes | None = None, *headers: str) -> Reply:
        lines = [f"{method} {path} HTTP/1.1", "Host: twins", *headers]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([*lines, "", ""]).encode() + (body or b""))
        status, found = self.head()
        length = 0 if method == "HEAD" else int(found.get("content-length", 0))
        return Reply((status, found, self.exactly(length)))

    def chunk(self) -> bytes:
        """One chunk of a chunked body (RFC 9112, 7.1)."""
        size = int(self.until(b"\r\n"), 16)
        return self.exactly(size + 2)[:-2]

    # -- WebSocket

    def upgrade(self, path: str, *headers: str) -> Reply:
        key = base64.b64encode(os.urandom(16)).decode()
        return self.ask(
            "GET",
            path,
            None,
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            *headers,
        )

    def text(self, *envelopes: str) -> None:
        self.send(b"".join(frame(0x81, envelope.encode()) for envelope in envelopes))

    def next(self) -> tuple[int, bytes]:
        """The first byte and the payload of the next frame."""
        first, length = self.exactly(2)
        if length == 126:
            (length,) = struct.unpack(">H", self.exactly(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self.exactly(8))
        return first, self.exactly(length)

    def envelope(self) -> str:
        first, payload = self.next()
        assert first == 0x81, (first, payload)
        return payload.decode()

    def closed(self) -> tuple[int, str]:
        """The code and the reason of the close frame, which is the last that comes."""
        first, payload = self.next()
        while first == 0x81:
            first, payload = self.next()
        assert first == 0x88, (first, payload)
        assert self.rest() == b""
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()


def frame(first: int, payload: bytes, mask: bytes = b"\x12\x34\x56\x78") -> bytes:
    """A masked frame (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", first, 0x80 | size)
    elif size < 65_536:
        head = struct.pack(">BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack(">BBQ", first, 0x80 | 127, size)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")
