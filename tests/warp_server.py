"""Servers to test clients against: one that speaks WARP as it is told to, and one that answers HTTP as Shoal."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from websockets.asyncio.server import Request, Response, ServerConnection, serve
from websockets.datastructures import Headers

from shoal.warp.envelope import Envelope, read

RECORDINGS = Path(__file__).parent / "recordings"

Answer = Callable[[Envelope], list[str]]


class WarpServer:
    """Runs in a thread of its own. ``answer``: the frames after each envelope of a client, to that client.

    Plain GETs get ``pages`` by path, else 404 without a body, as Swim's servers answer.
    """

    def __init__(
        self, answer: Answer, pages: dict[str, Any] | None = None, port: int = 0, deauth: bool = False
    ) -> None:
        self._answer = answer
        self._pages = pages or {}
        self._port = port
        self._deauth = deauth
        self._open: set[ServerConnection] = set()
        # what clients have sent, in order
        self.heard: list[Envelope] = []
        self.subprotocols: list[str | None] = []
        # the paths of upgrades, the claims of `@auth`, and the numbers in the headers of links
        self.paths: list[str] = []
        self.claims: list[str] = []
        self.rates: list[str] = []
        # the codes of clients that have closed
        self.closed: list[int | None] = []
        self._changed = threading.Condition()

    def __enter__(self) -> WarpServer:
        started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *exc: object) -> None:
        """Ends connections with a word, and frees the port."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self, tag: str, count: int = 1) -> None:
        """Until clients have sent so many of these."""
        with self._changed:
            there = self._changed.wait_for(lambda: sum(one.tag == tag for one in self.heard) >= count, 20)
        assert there, self.heard

    def push(self, *frames: str | bytes) -> None:
        """To all clients."""

        async def send() -> None:
            for one in list(self._open):
                for frame in frames:
                    await one.send(frame)

        self._await(send())

    def drop(self) -> None:
        """Breaks all connections without a word."""

        async def abort() -> None:
            for one in list(self._open):
                one.transport.abort()

        self._await(abort())

    def _await(self, main: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(main, self._loop).result(10)

    def _run(self, started: threading.Event) -> None:
        try:
            self._loop.run_until_complete(self._serve(started))
        finally:
            self._loop.close()

    async def _serve(self, started: threading.Event) -> None:
        self._ended = asyncio.Event()
        async with serve(
            self._talk,
            "127.0.0.1",
            self._port,
            subprotocols=["warp0"],  # type: ignore[list-item]
            compression=None,
            process_request=self._plain,
            close_timeout=1,
        ) as server:
            self.port = server.sockets[0].getsockname()[1]
            started.set()
            await self._ended.wait()

    def _plain(self, connection: ServerConnection, request: Request) -> Response | None:
        if "Upgrade" in request.headers:
            self.paths.append(request.path)
            return None
        page = self._pages.get(request.path)
        if page is None:
            return Response(404, "Not Found", Headers({"Content-Length": "0"}), b"")
        body = json.dumps(page).encode()
        kind = "application/json"
        if isinstance(page, dict) and "status" in page:
            kind = "application/problem+json"
        headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"})
        return Response(page.get("status", 200) if isinstance(page, dict) else 200, "", headers, body)

    async def _talk(self, connection: ServerConnection) -> None:
        self._open.add(connection)
        self.subprotocols.append(connection.subprotocol)
        try:
            async for frame in connection:
                if str(frame).startswith("@auth"):
                    self.claims.append(str(frame))
                    await connection.send("@deauthed" if self._deauth else "@authed")
                    continue
                envelope = read(str(frame))
                self.rates += re.findall(r"^@(?:link|sync)\([^)]*?((?:,prio:[^,)]*)?(?:,rate:[^,)]*)?)\)", str(frame))
                with self._changed:
                    self.heard.append(envelope)
                    self._changed.notify_all()
                for answer in self._answer(envelope):
                    await connection.send(answer)
        finally:
            self._open.discard(connection)
            self.closed.append(connection.close_code)


def replay(name: str) -> Answer:
    """Answers each envelope as the recorded server has answered the same one; silence where it is not recorded.

    What follows an envelope, up to the client's next one to the same lane on that connection, is its answer. An
    envelope that was recorded several times gets the answers in turn, and the last one again.
    """
    recorded: dict[tuple[str, str, str], list[list[str]]] = {}
    asked: dict[tuple[int, str, str], list[str]] = {}
    for line in (RECORDINGS / f"{name}.jsonl").read_text("utf-8").splitlines():
        entry = json.loads(line)
        if entry.get("op") != "text":
            continue
        try:
            envelope = read(entry["text"])
        except ValueError:
            continue
        place = (entry["conn"], envelope.node.lower(), envelope.lane)
        if entry["dir"] == "c2s":
            asked[place] = []
            recorded.setdefault((envelope.tag, envelope.node, envelope.lane), []).append(asked[place])
        elif place in asked:
            asked[place].append(entry["text"])

    def answer(envelope: Envelope) -> list[str]:
        if envelope.tag == "unlink" and ("unlink", envelope.node, envelope.lane) not in recorded:
            return [f'@unlinked(node:"{envelope.node}",lane:"{envelope.lane}")']
        answers = recorded.get((envelope.tag, envelope.node, envelope.lane), [[]])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    return answer


def lane(node: str, name: str, *state: str) -> Answer:
    """One lane with that state, as the bodies of events; commands to it are its events. All else is unknown."""
    at = f'(node:"{node}",lane:{name})'

    def answer(envelope: Envelope) -> list[str]:
        unknown = "" if envelope.node == node and envelope.lane == name else "node" if envelope.node != node else "lane"
        match envelope.tag:
            case "link" | "sync" if unknown:
                return [f'@unlinked(node:"{envelope.node}",lane:"{envelope.lane}")@{unknown}NotFound']
            case "link":
                return [f"@linked{at}"]
            case "sync":
                return [f"@linked{at}", *(f"@event{at}{body}" for body in state), f"@synced{at}"]
            case "unlink" if not unknown:
                return [f"@unlinked{at}"]
        return []

    return answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._reply(b"")

    def do_POST(self) -> None:
        self._reply(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _reply(self, body: bytes) -> None:
        call = Call(self.command, self.path, self.headers.get("Content-Type", ""), body)
        self.server.calls.append(call)
        status, answer = self.server.answer(call)
        text = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        if text:
            self.send_header("Content-Type", "application/json" if status < 400 else "application/problem+json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Call(tuple[str, str, str, bytes]):
    """Method, path with query, content type and body."""

    __slots__ = ()

    def __new__(cls, *parts: Any) -> Call:
        return super().__new__(cls, parts)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    calls: list[Call]
    answer: Callable[[Call], tuple[int, Any]]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A test may break a connection."""


@contextmanager
def shoal_http(answer: Callable[[Call], tuple[int, Any]]) -> Iterator[tuple[str, list[Call]]]:
    """Its URL, and the requests that it has had."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.calls = []
    server.answer = answer
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", server.calls
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
