"""POST and PUT: what is taken, and what a sender learns of what is not."""

from collections.abc import Iterator
from typing import Any

import city
import pytest
from wire import Served, served


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(city.make(), tmp_path_factory.mktemp("run")) as server:
        yield server


def test_a_command_is_answered_when_its_turn_is_kept(server: Served) -> None:
    reply = server.post("/bus/1?lane=report", {"speed": 3})
    assert (reply.status, reply.body) == (202, b"")
    assert server.get("/bus/1?lane=speed").body == b"3.0"


@pytest.mark.parametrize("prefer", ["wait=durable", 'Wait="durable"; x, respond-async', "wait=10"])
def test_without_a_store_nothing_is_said_to_be_durable(server: Served, prefer: str) -> None:
    reply = server.ask(
        "POST", "/bus/6?lane=report", b'{"speed":5}', "Content-Type: application/json", f"Prefer: {prefer}"
    )
    assert (reply.status, reply.body) == (202, b"")
    assert "preference-applied" not in reply.headers


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json; charset=utf-8", b'{"speed":4}'),
        ("application/fix+json", b'{"speed":4}'),
        ("application/x-recon", b"{speed:4}"),
        ("application/recon", b"{speed:4}"),
    ],
)
def test_bodies_are_json_or_recon(server: Served, kind: str, body: bytes) -> None:
    before = server.post("/bus/2?lane=report", {"speed": 0}).status
    assert (before, server.post("/bus/2?lane=report", body, kind).status) == (202, 202)
    assert server.get("/bus/2?lane=speed").body == b"4.0"


def test_values_may_be_set(server: Served) -> None:
    server.post("/bus/3?lane=report", {"speed": 0})
    assert server.post("/bus/3?lane=limit", 60).status == 202
    assert server.ask("PUT", "/bus/3?lane=note", b'"late"', "Content-Type: application/json").status == 202
    found = server.get("/bus/3").json
    assert (found["limit"], found["note"]) == (60.0, "late")


@pytest.mark.parametrize(
    ("path", "body", "status", "part", "offset"),
    [
        ("/bus/4?lane=report", {"speed": 99}, 409, "99 m/s is over 50", None),
        ("/bus/4?lane=report", {"speed": 13}, 500, "RuntimeError: thirteen", None),
        ("/bus/4?lane=report", {"spee": 1}, 400, "missing required field `speed`", 11),
        ("/bus/4?lane=report", {"speed": "x"}, 400, "Expected `float`", 10),
        ("/bus/4?lane=report", b'{"speed":1', 400, "", 10),
        ("/bus/4?lane=report", b"\xff", 400, "", 0),
        ("/bus/4?lane=report", b"[" * 600, 400, "", None),
        ("/bus/4?lane=visit", b"[" * 600, 400, "", None),
        ("/bus/4?lane=speed", 1, 405, "read-only", None),
        ("/bus/4?lane=fixed", 1, 405, "read-only", None),
        ("/bus/4?lane=no", 1, 404, "no command lane `no`", None),
        ("/bus/4?lane=_secret", "x", 404, "`_secret`", None),
        ("/bus/4", 1, 400, "?lane=LANE", None),
        ("/tram/4?lane=report", 1, 404, "no twin class", None),
        ("/bus/%00?lane=report", {"speed": 1}, 400, "NUL", None),
    ],
)
def test_what_is_refused_says_what_and_where(
    server: Served, path: str, body: Any, status: int, part: str, offset: int | None
) -> None:
    reply = server.post(path, body)
    problem = reply.json
    assert (reply.status, problem["status"]) == (status, status)
    assert reply.headers["content-type"] == "application/problem+json"
    assert part in problem["detail"]
    assert problem["node"] == path.partition("?")[0]
    if offset is not None:
        assert problem["offset"] == offset
    assert server.get("/city").status in (200, 404), "the shard goes on"


def test_a_failed_first_command_leaves_an_empty_twin_and_no_trace_of_itself(server: Served) -> None:
    assert server.post("/bus/5?lane=report", {"speed": 99}).status == 409
    assert "speed" not in server.get("/bus/5").json


def test_recon_that_is_none_says_where(server: Served) -> None:
    reply = server.post("/bus/4?lane=visit", b"{a:", "application/x-recon")
    assert reply.status == 400
    assert "offset" in reply.json
    assert server.post("/bus/4?lane=visit", b"\xff", "application/x-recon").status == 400


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_other_types_are_415(server: Served, kind: str) -> None:
    reply = server.post("/bus/1?lane=report", b'{"speed":1}', kind)
    assert (reply.status, reply.headers["accept-post"]) == (415, "application/json, application/x-recon")


def test_a_body_that_is_too_large_is_413(server: Served) -> None:
    with server.connect() as wire:
        wire.send(
            b"POST /bus/1?lane=visit HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 2000000\r\n\r\n"
        )
        status, _ = wire.head()
        assert status == 413


def test_a_chunked_body_is_taken(server: Served) -> None:
    with server.connect() as wire:
        wire.send(
            b"POST /bus/6?lane=report HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"spe\r\n6\r\ned":8}\r\n0\r\n\r\n'
        )
        assert wire.head()[0] == 202
    assert server.get("/bus/6?lane=speed").body == b"8.0"


def test_an_empty_body_is_null(server: Served) -> None:
    assert server.post("/bus/6?lane=delete_me", b"").status == 202
    assert server.get("/bus/6").status == 404


def test_a_map_lane_takes_pairs_and_in_recon_what_warp_says(server: Served) -> None:
    def stops() -> Any:
        return server.get("/bus/map?lane=stops").json

    recon = "application/x-recon"
    assert server.post("/bus/map?lane=stops", ["A", 1]).status == 202
    for body, found in (
        (b"{B,2}", {"A": 1, "B": 2}),
        (b"@update(key:C) 3", {"A": 1, "B": 2, "C": 3}),
        (b"@remove(key:A)", {"B": 2, "C": 3}),
        (b"@take(1)", {"B": 2}),
        (b"@clear", {}),
    ):
        assert server.post("/bus/map?lane=stops", body, recon).status == 202
        assert stops() == found
