"""Questions to a Shoal server by HTTP: state as JSON, and commands that are answered (docs/http.md)."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from shoal.errors import AskTimeout, NoConnection, NotShoal, Refused
from shoal.warp.address import Address

# Bytes of one answer: above a server's `page_bytes`, and of any twin.
LONGEST_ANSWER = 256 << 20
# Twins that are asked for at a time; a server may send fewer.
PAGE = 1_000

T = TypeVar("T")


class PopulationSummary(msgspec.Struct, frozen=True):
    """``all`` is the path that lists its twins, ``example`` the address of one of them."""

    pattern: str
    twins: int
    cls: str = msgspec.field(default="", name="class")
    all: str | None = None
    example: str | None = None
    lanes: list[str] = []

    @property
    def path(self) -> str:
        """``/bus`` of ``/bus/{id}``; the pattern where its twins are not listed."""
        return self.all or self.pattern


class AppSummary(msgspec.Struct, frozen=True):
    populations: list[PopulationSummary]
    app: str = ""
    version: str = ""


class Page(msgspec.Struct, frozen=True):
    """Some twins as JSON objects with a ``uri``; ``next`` is the reference to those after them."""

    twins: list[msgspec.Raw]
    next: str | None = None


class _Count(msgspec.Struct):
    count: int


class _Problem(msgspec.Struct):
    """RFC 9457; ``offset``: bytes before the fault in the body that was sent."""

    detail: str = ""
    title: str = ""
    offset: int | None = None


class _Answer(msgspec.Struct):
    status: int
    kind: str
    body: bytes


class Queries:
    """One server's, over one connection that is kept; blocking, each answer within ``seconds``.

    All raise ``NoConnection`` where the server does not answer, ``NotShoal`` where it answers as Shoal never does,
    ``Refused`` where it says no.
    """

    def __init__(self, address: Address, seconds: float = 10.0) -> None:
        self.address = address
        self._seconds = seconds
        self._made: http.client.HTTPConnection | None = None

    def __enter__(self) -> Queries:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        if self._made is not None:
            self._made.close()
            self._made = None

    # -- what can be asked

    def app(self) -> AppSummary | None:
        """The app and its populations. None: a Shoal server that does not tell, as a twin stands at ``/``."""
        body = self._get("/")
        try:
            return msgspec.json.decode(body, type=AppSummary)
        except msgspec.ValidationError:
            return None

    def read(self, node: str, lane: str | None = None) -> bytes:
        """A twin, or one of its lanes, as JSON; b"" for a lane that is unset."""
        return self._get(node, {"lane": lane} if lane is not None else {})

    def pages(
        self, path: str, conditions: Sequence[str] = (), fields: Sequence[str] = (), limit: int | None = None
    ) -> Iterator[list[msgspec.Raw]]:
        """The twins below a path that fulfil all conditions, at most ``limit``; a page at a time, each an object."""
        parameters: dict[str, Any] = {"where": list(conditions), "limit": min(PAGE, limit or PAGE)}
        if fields:
            parameters["fields"] = ",".join(fields)
        target: str | None = _target(path, parameters)
        left = limit
        while target is not None and left != 0:
            try:
                page = self._decoded(self._fetch(target), Page)
            except Refused as error:
                # a server may be set to smaller pages
                if "max_page" not in str(error) or parameters.pop("limit", None) is None:
                    raise
                target = _target(path, parameters)
                continue
            twins = page.twins if left is None else page.twins[:left]
            left = None if left is None else left - len(twins)
            yield twins
            target = page.next

    def count(self, path: str, conditions: Sequence[str] = ()) -> int:
        return self._decoded(self._get(path, {"where": list(conditions), "count": "true"}), _Count).count

    def command(self, node: str, lane: str, body: bytes, kind: str) -> None:
        """Sends a command and waits until its turn is kept. ``kind`` is the body's content type.

        It is never sent twice: ``NoConnection`` may come after it was carried out, and then says so.
        """
        self._send_once(node, lane, body, kind, "the command")

    def _send_once(self, node: str, lane: str, body: bytes, kind: str, what: str) -> bytes:
        self.close()  # a kept connection may be one that the server is closing
        try:
            answer = self._exchange("POST", _target(node, {"lane": lane}), body, {"Content-Type": kind})
        except (NoConnection, NotShoal) as error:
            if self._made is None:
                raise
            raise NoConnection(f"{error}; {what} may have been carried out") from None
        return self._checked(answer)

    def ask(self, node: str, lane: str, body: bytes, seconds: float | None = None) -> bytes:
        """A request's reply as JSON, b"" for None; ``body`` is JSON. It is never sent twice.

        Raises ``AskTimeout`` where no reply comes within ``seconds``, by default those of all answers.
        """
        self.close()  # a kept connection may be one that the server is closing
        headers = {"Content-Type": "application/json"}
        try:
            answer = self._exchange("POST", _target(node, {"lane": lane}), body, headers, seconds)
        except NoConnection as error:
            if isinstance(error.__context__, TimeoutError) and self._made is not None:
                self.close()
                raise AskTimeout(
                    f"{self.address}: no reply of {node} {lane} within {seconds or self._seconds:g} s"
                ) from None
            raise
        return self._checked(answer)

    # -- HTTP

    def _get(self, path: str, parameters: dict[str, Any] = {}) -> bytes:  # noqa: B006
        return self._fetch(_target(path, parameters))

    def _fetch(self, target: str) -> bytes:
        kept = self._made is not None
        try:
            answer = self._exchange("GET", target, None, {})
        except (NoConnection, NotShoal):
            if not kept:
                raise
            # a kept connection that has been idle for too long
            self.close()
            answer = self._exchange("GET", target, None, {})
        return self._checked(answer)

    def _checked(self, answer: _Answer) -> bytes:
        if answer.kind == "application/problem+json":
            problem = self._decoded(answer.body, _Problem)
            at = "" if problem.offset is None else f" (byte {problem.offset} of the body)"
            raise Refused((problem.detail or problem.title or f"HTTP status {answer.status}") + at, answer.status)
        if answer.status in (202, 204) or (answer.status == 200 and answer.kind == "application/json"):
            return answer.body
        raise NotShoal(f"{self.address} is no Shoal server: HTTP status {answer.status} {answer.kind}".rstrip())

    def _exchange(
        self, method: str, target: str, body: bytes | None, headers: dict[str, str], within: float | None = None
    ) -> _Answer:
        address, seconds = self.address, within or self._seconds
        until = time.monotonic() + seconds
        query = f"{'&' if '?' in target else '?'}{address.query}" if address.query else ""
        try:
            if self._made is None:
                made = _connection(address, seconds)
                made.connect()
                self._made = made
            elif self._made.sock is not None:
                self._made.sock.settimeout(seconds)
            self._made.request(method, address.prefix + target + query, body, {"Accept": "application/json", **headers})
            response = self._made.getresponse()
            kind = (response.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
            read = bytearray()
            while piece := response.read1(1 << 20):
                read += piece
                if len(read) > LONGEST_ANSWER:
                    self.close()
                    raise NoConnection(f"{address}: an answer of over {LONGEST_ANSWER >> 20} MiB")
                if time.monotonic() > until:
                    raise TimeoutError
            # read to its end, so that the connection can be used again
            response.close()
            return _Answer(response.status, kind, bytes(read))
        except ConnectionRefusedError:
            raise NoConnection(f"nobody listens at {address}") from None
        except TimeoutError:
            raise NoConnection(f"{address}: no answer within {seconds:g} s") from None
        except socket.gaierror as error:
            raise NoConnection(f"{address}: there is no host {address.host} ({error.strerror})") from None
        except ssl.SSLError as error:
            raise NoConnection(f"{address}: TLS failed: {error.reason or error}") from None
        except http.client.RemoteDisconnected:
            raise NotShoal(f"{address} is no Shoal server: it closed the connection without an answer") from None
        except http.client.HTTPException as error:
            raise NotShoal(f"{address} is no Shoal server: {type(error).__name__} {error}") from None
        except OSError as error:
            raise NoConnection(f"{address}: {error.strerror or error}") from None

    def _decoded(self, body: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise NotShoal(f"{self.address} is no Shoal server: {error}") from None


def _connection(address: Address, seconds: float) -> http.client.HTTPConnection:
    if address.secure:
        return http.client.HTTPSConnection(address.host, address.port, timeout=seconds)
    return http.client.HTTPConnection(address.host, address.port, timeout=seconds)


def _target(path: str, parameters: dict[str, Any]) -> str:
    query = urlencode(parameters, doseq=True, quote_via=quote)
    # a node's own query is no part of its address here
    return path.partition("?")[0].partition("#")[0] + (f"?{query}" if query else "")
