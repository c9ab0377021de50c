"""Requests to twins of other servers: an HTTP/1.1 POST each, in the shard's loop, over a connection of its own.

asyncio's streams are enough for that: no thread may be busy beside the shard's, and no package that Shoal needs already
speaks HTTP as a client in a loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote

import msgspec

from shoal.errors import AskFailed, AskTimeout, Reject

# Connections at a time; further requests wait for one within their own time.
MOST_CONNECTIONS = 100
# Bytes of one answer, and of its status and headers.
LONGEST_ANSWER = 16 << 20
LONGEST_HEAD = 64 << 10


class _Problem(msgspec.Struct):
    detail: str = ""
    title: str = ""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Servers:
    """Those that one run's twins ask."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(MOST_CONNECTIONS)

    async def ask(self, uri: str, lane: str, body: Any, seconds: float) -> Any:
        """The reply as builtins; None also where a command was taken. ``body`` is anything that has a JSON form.

        Errors: Reject, AskTimeout; AskFailed for all else that may go wrong.
        """
        label = f"{lane} of {uri}"
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                async with self._places:
                    answer = await _post(uri, lane, msgspec.json.encode(body))
        except TimeoutError:
            raise AskTimeout(f"{label} has not answered within {max(0.0, seconds):g} s") from None
        except (OSError, EOFError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise AskFailed(f"{label}: {reason}") from None
        if answer.status in (202, 204):
            return None
        if answer.status != 200 or not _is_json(answer):
            _refuse(label, answer)
        try:
            return msgspec.json.decode(answer.body)
        except msgspec.DecodeError as error:
            raise AskFailed(f"{label}: its answer is no JSON: {error}") from None


def _is_json(answer: Answer) -> bool:
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _refuse(label: str, answer: Answer) -> NoReturn:
    problem = _Problem()
    if _is_json(answer):
        with contextlib.suppress(msgspec.MsgspecError):
            problem = msgspec.json.decode(answer.body, type=_Problem)
    reason = problem.detail or problem.title or f"HTTP status {answer.status}"
    if answer.status == 409:
        raise Reject(reason)
    if answer.status == 504:
        raise AskTimeout(f"{label}: {reason}")
    raise AskFailed(f"{label}: {reason}")


async def _post(uri: str, lane: str, body: bytes) -> Answer:
    # what links need is not loaded before somebody asks
    from shoal.warp.address import Address, split_node

    server, node = split_node(uri)
    address = Address.parse(server or "")
    context = ssl.create_default_context() if address.secure else None
    reader, writer = await asyncio.open_connection(address.host, address.port, ssl=context, limit=LONGEST_HEAD)
    try:
        head = (
            f"POST {node.partition('?')[0].partition('#')[0]}?lane={quote(lane, safe='')} HTTP/1.1\r\n"
            f"Host: {address.place}\r\nConnection: close\r\nAccept: application/json\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode("ascii") + body)
        await writer.drain()
        return await _answer(reader)
    finally:
        # without the closing handshake: the answer is whole, or nobody waits for it
        writer.transport.abort()


async def _answer(reader: asyncio.StreamReader) -> Answer:
    """Errors: EOFError, ValueError for what is no HTTP/1.1."""
    status = 100
    while 100 <= status < 200:
        status, headers = await _head(reader)
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return Answer(status, headers, await _chunks(reader))
    if "content-length" in headers:
        length = int(headers["content-length"])
        if not 0 <= length <= LONGEST_ANSWER:
            raise ValueError(f"an answer of over {LONGEST_ANSWER >> 20} MiB")
        return Answer(status, headers, await reader.readexactly(length))
    body = bytearray()
    while piece := await reader.read(1 << 16):
        body += piece
        if len(body) > LONGEST_ANSWER:
            raise ValueError(f"an answer of over {LONGEST_ANSWER >> 20} MiB")
    return Answer(status, headers, bytes(body))


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.LimitOverrunError:
        raise ValueError("the headers of its answer are too long") from None
    except asyncio.IncompleteReadError:
        raise EOFError("it closed the connection without an answer") from None
    version, _, rest = lines[0].partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise ValueError("it does not speak HTTP")
    pairs = (line.partition(":") for line in lines[1:] if line)
    return int(rest[:3]), {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        if len(body) + size > LONGEST_ANSWER:
            raise ValueError(f"an answer of over {LONGEST_ANSWER >> 20} MiB")
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    return bytes(body)
