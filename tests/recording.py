"""Recordings of the Java server, replayed: what its clients sent is sent again, what comes back is compared.

They were taken of swim-java 4.3 (46592f18e) with raw WebSocket clients and with Swim's own for JavaScript and Python. A
recording is JSON Lines, one frame a line: ``conn`` the connection, ``dir`` who sent it (``c2s``, ``s2c``, or ``note``,
a remark), ``t`` when, in s, ``op`` its kind; ``"fin":false`` a fragment, ``repeat`` so many alike, ``len`` the length
of a text that was cut.
"""

import itertools
import json
import re
import socket
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from difflib import SequenceMatcher
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from wire import Served, Wire, frame

from shoal._core import warp_fields

FOLDER = Path(__file__).parent / "recordings"
CUT = "...(cut by warptap)"
OPCODES = {"text": 1, "binary": 2, "cont": 0, "close": 8, "ping": 9, "pong": 10}
# The recorded driver did not wait between frames that are nearer to each other than this, in s.
TOGETHER = 0.1


def load(name: str) -> list[dict[str, Any]]:
    lines = (FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [uncut(json.loads(line)) for line in lines]


def uncut(line: dict[str, Any]) -> dict[str, Any]:
    """A text that was cut has its length again: all that is missing are copies of its last character."""
    text = line.get("text", "")
    if text.endswith(CUT):
        text = text.removesuffix(CUT)
        end = '"' if text.count('"') % 2 else ""
        line["text"] = text + text[-1] * (line["len"] - len(text) - len(end)) + end
    return line


HEADER = re.compile(r"@(\w+)(?:\(node:\"?(.*?)\"?,lane:\"?(.*?)\"?(?:,[^)]*)?\))?(.*)", re.DOTALL)


class Item(NamedTuple):
    """One frame as it is compared: ``text`` for people, ``key`` by structure, numbers by value."""

    text: str
    key: str


# "CONN NODE LANE", or "CONN handshake", "CONN auth", "CONN pong", "CONN end", "CONN http" → its frames
Streams = dict[str, list[Item]]


def plain(text: str) -> Item:
    return Item(text, text)


def envelope(conn: int, text: str) -> tuple[str, Item]:
    """The stream of a frame, and the frame."""
    header, node, lane, body = HEADER.fullmatch(text).groups("")
    body = body.strip()
    gap = "" if body[:1] in ("", *'@{[%"') else " "
    try:
        fields = json.loads(warp_fields(text))
    except ValueError:
        # what Shoal does not read, such as a selector in the body
        return f"{conn} {node} {lane}", plain(f"@{header}{gap}{body}")
    kind = f"@{fields['kind']}"
    for name in ("prio", "rate"):
        kind += f"({name}:{fields[name]:g})" if fields[name] else ""
    where = f"{conn} auth" if fields["node"] is None else f"{conn} {fields['node']} {fields['lane']}"
    shown = f"{kind}{gap}{body}"
    return where, Item(
        shown if len(shown) < 200 else f"{shown[:80]}…", kind + json.dumps(by_value(fields["body_json"]))
    )


def by_value(tree: Any) -> Any:
    """A tagged structure in which numbers that are equal are alike, and so is what an envelope cannot tell apart."""
    match tree:
        case {"int": digits}:
            return {"number": str(Fraction(digits))}
        case {"float": digits}:
            return {"number": str(Fraction(float(digits)))}
        case {"uint32": digits} | {"uint64": digits}:
            return {"number": str(Fraction(int(digits, 16)))}
        case {"record": []} | {"extant": True} | {"absent": True}:
            return None
        case {"record": items}:
            return {"record": [by_value(item) for item in items]}
        case {"attr": [name, value]}:
            return {"attr": [name, by_value(value)]}
        case {"slot": [key, value]}:
            return {"slot": [by_value(key), by_value(value)]}
    return tree


def close_text(code: int | None, reason: str) -> Item:
    return plain(f"close {code}" + (f" {reason}" if reason else ""))


def answer(status: int, headers: dict[str, str]) -> Iterator[Item]:
    yield plain(f"{status}")
    for name in ("accept", "protocol", "extensions"):
        if (value := headers.get(f"sec-websocket-{name}")) is not None:
            yield plain(f"{name}: {value}")


def head_of(text: str) -> tuple[int, dict[str, str]]:
    lines = text.split("\r\n")
    pairs = (line.split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), {name.lower(): value for name, value in pairs}


def recorded(lines: list[dict[str, Any]]) -> Streams:
    """What the Java server sent."""
    streams: Streams = defaultdict(list)
    parts: dict[int, str] = {}
    upgrading = {line["conn"] for line in lines if line.get("op") == "http" and "Upgrade: websocket" in line["text"]}
    for line in lines:
        if line["dir"] != "s2c":
            continue
        conn = line["conn"]
        match line["op"]:
            case "text" | "cont":
                whole = parts.pop(conn, "") + line["text"] * line.get("repeat", 1)
                if line.get("fin") is False:
                    parts[conn] = whole
                    continue
                where, item = envelope(conn, whole)
                streams[where].append(item)
            case "http":
                streams[f"{conn} {'handshake' if conn in upgrading else 'http'}"] += answer(*head_of(line["text"]))
            case "pong":
                streams[f"{conn} pong"].append(plain(line["hex"]))
            case "close":
                streams[f"{conn} end"].append(close_text(line.get("code"), line.get("reason", "")))
            case "eof" | "refused" as end:
                streams[f"{conn} end"].append(plain(end))
    return streams


class Connection:
    """One connection of a recording, made again. What comes back is kept in ``streams``."""

    def __init__(self, number: int, port: int, streams: Streams) -> None:
        self.number = number
        self.streams = streams
        self.wire = Wire(port)
        self.fragmented = False
        self.open = False  # as a WebSocket
        self.ended = False
        # HTTP requests without their answer: the method of each
        self.asked: list[str] = []
        self._part = b""

    def put(self, where: str, *items: Item) -> None:
        self.streams[f"{self.number} {where}"] += items

    def send(self, data: bytes) -> None:
        # why it cannot be sent, reading will tell
        with suppress(OSError):
            self.wire.send(data)

    def request(self, head: str) -> None:
        self.send(head.encode() + b"\r\n\r\n")
        if "Upgrade: websocket" not in head:
            self.asked.append(head.split()[0])
            return
        status, headers = self.wire.head()
        self.put("handshake", *answer(status, headers))
        self.open = status == 101

    def answers(self) -> None:
        """Takes the answers to all requests."""
        for method in self.asked:
            try:
                status, headers = self.wire.head()
                self.wire.exactly(0 if method == "HEAD" else int(headers.get("content-length", 0)))
            except (AssertionError, ConnectionError):
                self.end("eof")
                return
            self.put("http", plain(f"{status}"))
        self.asked.clear()

    def end(self, how: str) -> None:
        if not self.ended:
            self.put("end", plain(how))
        self.open, self.ended = False, True
        self.wire.socket.close()

    def read(self) -> str:
        """Takes one frame; gives its text, or "" where it has none."""
        try:
            first, payload = self.wire.next()
        except (AssertionError, ConnectionError):
            self.end("eof")
            return ""
        if first & 15 == 8:
            code = int.from_bytes(payload[:2], "big") if payload else None
            self.put("end", close_text(code, payload[2:].decode()))
            self.open = False
        elif first & 15 == 10:
            self.put("pong", plain(payload.hex()))
        elif first & 15 in (0, 1):
            self._part += payload
            if first & 0x80:
                text, self._part = self._part.decode(), b""
                return text
        return ""

    def read_until(self, mark: str) -> None:
        """Takes all up to the frame ``mark``, or to the end."""
        while not self.ended:
            text = self.read()
            if text and text == mark:
                return
            if text:
                where, item = envelope(self.number, text)
                self.streams[where].append(item)

    def leave(self) -> None:
        """The client ends TCP; so does the server, then."""
        if not self.ended:
            self.answers()
        if not self.ended:
            with suppress(OSError):
                self.wire.socket.shutdown(socket.SHUT_WR)
            self.read_to_end()

    def read_to_end(self) -> None:
        while not self.ended:
            self.read_until("")


class Aside(NamedTuple):
    """A frame at which Shoal closes and Java did not, sent on a connection of its own: the rest can be compared."""

    recording: str
    frame: str
    # what is sent in its place on the recorded connection; "" nothing
    instead: str
    # the close frame it must get
    close: str
    reason: str


class Replay:
    """Sends what a recording's clients sent; ``streams`` is what came back."""

    def __init__(self, server: Served, asides: Sequence[Aside] = ()) -> None:
        self.server = server
        self.streams: Streams = defaultdict(list)
        self._asides = {aside.frame: aside for aside in asides}
        # those that were met, with the close frame they got
        self.aside: dict[str, str] = {}
        self._connections: dict[int, Connection] = {}
        self._count = itertools.count()

    def run(self, lines: list[dict[str, Any]]) -> Streams:
        waits, before = False, 0.0
        for line in lines:
            if line["dir"] != "c2s":
                waits = True
                if line["dir"] == "note" and line["text"] == "stop now":
                    self.barrier()
                    self.server.stop()
                    self.to_the_end()
                elif line.get("op") == "refused":
                    self.refused(line["conn"])
                continue
            if waits or line["t"] - before > TOGETHER:
                self.barrier()
            waits, before = False, line["t"]
            self.step(line)
        self.barrier()
        ended = {line["conn"] for line in lines if line.get("op") == "eof"}
        for conn, connection in self._connections.items():
            connection.leave()
            if conn not in ended:
                # the recording was over before the connection was
                self.streams[f"{conn} end"].remove(plain("eof"))
        return self.streams

    def step(self, line: dict[str, Any]) -> None:
        number, op = line["conn"], line["op"]
        connection = self._connections.get(number)
        if connection is None:
            connection = self._connections[number] = Connection(number, self.server.port, self.streams)
        match op:
            case "http":
                connection.request(line["text"])
            case "httpbody":
                connection.send(line["text"].encode())
            case "text" | "cont" | "binary" | "ping":
                payload = bytes.fromhex(line["hex"]) if "hex" in line else line["text"].encode()
                aside = self._asides.get(line.get("text", ""))
                if aside is not None and not connection.fragmented:
                    self.aside[aside.frame] = self.alone(aside.frame)
                    payload = aside.instead.encode()
                    if not payload:
                        return
                last = line.get("fin", True)
                connection.fragmented = not last
                for _ in range(line.get("repeat", 1)):
                    connection.send(frame(OPCODES[op] | (0x80 if last else 0), payload))
            case "close":
                code = line.get("code")
                connection.send(frame(0x88, b"" if code is None else code.to_bytes(2, "big") + line["reason"].encode()))
                connection.read_to_end()
            case "eof" | "reset":
                connection.leave()

    def alone(self, text: str) -> str:
        """The close frame that a frame on a connection of its own gets."""
        with self.server.open() as wire:
            wire.text(text)
            code, reason = wire.closed()
            return f"close {code} {reason}"

    def barrier(self) -> None:
        """All that was sent has been worked off, and what followed from it has come back.

        A link to a node that is not there is refused behind all that was sent before; its refusal goes before waiting
        events. So a second one on every connection comes behind the events of whatever the first one came behind.
        """
        for connection in self._connections.values():
            if connection.asked:
                connection.answers()
        for _ in range(2):
            marks = []
            for connection in self._connections.values():
                if connection.open and not connection.fragmented:
                    address = f'(node:"/barrier",lane:n{next(self._count)})'
                    connection.send(frame(0x81, f"@sync{address}".encode()))
                    marks.append((connection, f"@unlinked{address}@nodeNotFound"))
            for connection, mark in marks:
                connection.read_until(mark)

    def to_the_end(self) -> None:
        for connection in self._connections.values():
            connection.read_to_end()

    def refused(self, number: int) -> None:
        """The server is gone."""
        self.to_the_end()
        try:
            socket.create_connection(("127.0.0.1", self.server.port), 1).close()
        except ConnectionRefusedError:
            self.streams[f"{number} end"].append(plain("refused"))


# -- comparing


class Hunk(NamedTuple):
    """Where two streams differ: frames of the one that stand in the place of frames of the other, as text."""

    where: str
    java: str
    shoal: str


def sort_snapshots(items: list[Item]) -> list[Item]:
    """The order of a map's snapshot is free: the updates of keys right before ``@synced`` in one order of their own."""
    items = list(items)
    for at, item in enumerate(items):
        if item.text != "@synced":
            continue
        start, seen = at, set[str]()
        while start > 0 and (key := update_key(items[start - 1])) and key not in seen:
            seen.add(key)
            start -= 1
        items[start:at] = sorted(items[start:at])
    return items


def update_key(item: Item) -> str:
    """The key of a map's update, as text; "" for all else."""
    if not item.text.startswith("@event@update("):
        return ""
    body = json.loads(item.key.removeprefix("@event"))
    return json.dumps(body["record"][0]["attr"][1])


def conflate(lines: list[dict[str, Any]], where: str, items: list[Item]) -> list[Item]:
    """A burst on a value or map lane: events may be left out, the last one (of each key) may not, and none may come
    that was not sent, or out of order. Gives what is then left to compare: all but the events before the last.
    """
    sent: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        if line["dir"] == "c2s" and line.get("text", "").startswith("@command"):
            to, item = envelope(line["conn"], line["text"].replace("@command", "@event", 1))
            if to.partition(" ")[2] == where.partition(" ")[2]:
                sent[update_key(item)].append(item.key)
    left, last = list[Item](), dict[str, Item]()
    for item in items:
        key = update_key(item)
        if item.key not in sent[key]:
            left.append(item)
            continue
        del sent[key][: sent[key].index(item.key) + 1]
        last[key] = item
    assert not any(sent.values()), f"{where}: the last of a burst did not come: {sent}"
    return left + [item for _, item in sorted(last.items())]


def compare(java: Streams, shoal: Streams) -> list[Hunk]:
    hunks = []
    for where in sorted({*java, *shoal}):
        pair = [sort_snapshots(streams.get(where, [])) for streams in (java, shoal)]
        matcher = SequenceMatcher(None, *([item.key for item in items] for items in pair), autojunk=False)
        for kind, *spans in matcher.get_opcodes():
            if kind != "equal":
                sides = (pair[0][spans[0] : spans[1]], pair[1][spans[2] : spans[3]])
                hunks.append(Hunk(where, *(" · ".join(item.text for item in side) for side in sides)))
    return hunks
