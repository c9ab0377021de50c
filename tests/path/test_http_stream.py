"""Server-Sent Events: the present state, every change, the end."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import city
import pytest
from wire import Served, Wire, served


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with served(city.make(), tmp_path) as server:
        assert server.post("/bus/7?lane=report", {"speed": 1}).status == 202
        yield server


class Stream:
    """The events of one stream: (event, data)."""

    def __init__(self, server: Served, path: str) -> None:
        self.wire: Wire = server.connect()
        self.wire.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".encode())
        status, headers = self.wire.head()
        assert (status, headers["content-type"]) == (200, "text/event-stream")
        self._text = ""

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.socket.close()

    def next(self) -> tuple[str, Any]:
        while "\n\n" not in self._text:
            self._text += self.wire.chunk().decode()
        event, _, self._text = self._text.partition("\n\n")
        fields = dict(line.split(": ", 1) for line in event.split("\n"))
        return fields["event"], json.loads(fields["data"])


def test_a_lane_streams_its_state_and_its_changes(server: Served) -> None:
    with Stream(server, "/bus/7?lane=speed") as stream:
        assert [stream.next(), stream.next()] == [("speed", {"value": 1.0}), ("synced", "speed")]
        for speed in (2.0, 3.0):
            server.post("/bus/7?lane=report", {"speed": speed})
            assert stream.next() == ("speed", {"value": speed})


def test_a_twin_streams_all_lanes_with_state(server: Served) -> None:
    with Stream(server, "/bus/7") as stream:
        lanes = set()
        while len(lanes) < 13:
            event, data = stream.next()
            if event == "synced":
                lanes.add(data)
        assert lanes >= {"speed", "stops", "limit", "position"}
        assert not lanes & {"report", "_secret", "cache"}
        server.post("/bus/7?lane=visit", "A")
        assert stream.next() == ("stops", {"key": "A", "value": 1})


def test_a_command_lane_streams_its_commands(server: Served) -> None:
    with Stream(server, "/bus/7?lane=visit") as stream:
        assert stream.next() == ("synced", "visit")
        server.post("/bus/7?lane=visit", "A")
        assert stream.next() == ("visit", {"command": "A"})


def test_a_deleted_twin_ends_its_streams_with_a_word(server: Served) -> None:
    with Stream(server, "/bus/7?lane=speed") as stream:
        assert [stream.next()[0], stream.next()[0]] == ["speed", "synced"]
        server.post("/bus/7?lane=delete_me", None)
        assert stream.next()[0] == "unlinked"


def test_stopping_ends_streams_with_a_word(server: Served) -> None:
    with Stream(server, "/bus/7?lane=speed") as stream:
        assert [stream.next()[0], stream.next()[0]] == ["speed", "synced"]
        server.stop()
        assert stream.next() == ("unlinked", {"lane": "speed", "reason": ""})
        assert stream.wire.rest().endswith(b"0\r\n\r\n")


def test_head_opens_no_stream(server: Served) -> None:
    with server.connect() as wire:
        reply = wire.ask("HEAD", "/bus/7?lane=speed", None, "Accept: text/event-stream")
        assert (reply.status, reply.headers["content-type"]) == (200, "text/event-stream")
        assert wire.ask("GET", "/bus/7?lane=speed").body == b"1.0"


def test_a_rate_that_is_none_is_400(server: Served) -> None:
    assert server.get("/bus/7?lane=speed&rate=x", "Accept: text/event-stream").status == 400
