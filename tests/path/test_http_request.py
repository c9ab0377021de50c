"""Request lanes over HTTP, as Swim's HTTP lanes: methods, queries, replies; over WARP, which has no place for them; and
twins that ask those of another server.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from wire import Reply, Served, served

from shoal import App, AskFailed, AskTimeout, Command, Count, Reject, Request, Settings, Twin, Value
from shoal.errors import NoConnection, Refused
from shoal.queries import Queries
from shoal.warp.address import Address


class Query(msgspec.Struct):
    flight: int
    heavy: bool = False
    note: str | None = None
    weight: float | None = None


class Strict(msgspec.Struct):
    size: Annotated[int, msgspec.Meta(ge=1)]
    tags: list[str] = []
    box: dict[str, int] = {}


class Gate(msgspec.Struct):
    name: str
    query: dict[str, Any]


def make(**settings: Any) -> App[None]:
    app = App("air", settings=Settings(**settings))

    @app.twin("/airport/{code}")
    class Airport(Twin):
        gate = Request(Query, Gate)
        asked = Count(gate)
        strict = Request(Strict, Strict)
        number = Request(int, int)
        numbers = Request(list[int], int)
        tally = Request(None, int | None)
        slow = Request(float, str)
        which = Request(str, str)
        only = Request(None, str)
        sends = Command(str)
        speed = Value(float, 1.5)
        _hidden = Request(None, int)

        @gate.handler
        def on_gate(self, query: Query) -> Gate:
            if query.flight == 13:
                raise Reject("no such gate")
            if query.flight == 14:
                raise RuntimeError("out of order")
            return Gate(f"A{query.flight}", msgspec.to_builtins(query))

        @strict.handler
        def on_strict(self, query: Strict) -> Strict:
            return query

        @number.handler
        def on_number(self, number: int) -> int:
            return number + 1

        @numbers.handler
        def on_numbers(self, numbers: list[int]) -> int:
            return sum(numbers)

        @tally.handler
        def on_tally(self) -> int | None:
            return self.asked or None

        @slow.handler
        async def on_slow(self, seconds: float) -> str:
            await asyncio.sleep(seconds)
            return "done"

        @which.get
        def get_which(self, text: str) -> str:
            return f"get {text}"

        @which.put
        async def put_which(self, text: str) -> str:
            return f"put {text}"

        @which.post
        def post_which(self, text: str) -> str:
            return f"post {text}"

        @which.delete
        def delete_which(self, text: str) -> str:
            self.delete()
            return f"delete {text}"

        @which.handler
        def any_which(self, text: str) -> str:
            return f"any {text}"

        @only.get
        def get_only(self) -> str:
            return "one method"

        @_hidden.handler
        def on_hidden(self) -> int:
            return 1

    @app.twin("/plane/{id}")
    class Plane(Twin):
        land = Command(str)
        got = Value(str, "")

        @land.handler
        async def on_land(self, address: str) -> None:
            lane, _, uri = address.partition(" ")
            try:
                query: Any = {"flight": 7} if lane == "gate" else 1.5 if lane == "slow" else "x"
                reply = await getattr(self.at(uri), lane)(query, timeout="500 ms")
                self.got = json.dumps(reply)
            except (Reject, AskFailed, AskTimeout) as error:
                self.got = f"{type(error).__name__}: {error}"

    return app


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(make(answer_seconds=1.0), tmp_path_factory.mktemp("run")) as server:
        server.post("/airport/x?lane=number", 0)
        yield server


JSON = "Content-Type: application/json"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("flight=7", {"flight": 7, "heavy": False, "note": None, "weight": None}),
        ("flight=7.0&heavy=true", {"flight": 7, "heavy": True, "note": None, "weight": None}),
        ("flight=7&heavy=0&note=&weight=", {"flight": 7, "heavy": False, "note": "", "weight": None}),
        ("flight=7&note=null&weight=null", {"flight": 7, "heavy": False, "note": None, "weight": None}),
        ("flight=7&note=a%3Db+c&weight=1e3", {"flight": 7, "heavy": False, "note": "a=b c", "weight": 1000.0}),
        # other fields are passed over, as in a body; `token` is a policy's
        ("flight=7&other=1&token=t", {"flight": 7, "heavy": False, "note": None, "weight": None}),
    ],
)
def test_a_get_has_its_query_in_the_url(server: Served, query: str, expected: dict[str, Any]) -> None:
    reply = server.get(f"/airport/x?lane=gate&{query}")
    assert (reply.status, reply.json) == (200, {"name": "A7", "query": expected})
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    head = server.ask("HEAD", f"/airport/x?lane=gate&{query}")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(reply.body)))


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_body_is_json_or_recon(server: Served, method: str) -> None:
    for kind, body in (("application/json", b'{"flight":7}'), ("application/x-recon", b"{flight:7}")):
        reply = server.ask(method, "/airport/x?lane=gate", body, f"Content-Type: {kind}")
        assert (reply.status, reply.json["name"]) == (200, "A7")


@pytest.mark.parametrize("kind", ["application/recon", "application/x-recon", "text/recon"])
def test_a_reply_is_recon_for_those_who_accept_it(server: Served, kind: str) -> None:
    reply = server.get("/airport/x?lane=strict&size=2&tags=a&tags=b", f"Accept: {kind}")
    assert (reply.status, reply.body) == (200, b"{size:2,tags:{a,b},box:{}}")
    assert reply.headers["content-type"] == kind


@pytest.mark.parametrize(
    ("target", "status", "body"),
    [
        ("number&body=4", 200, b"5"),
        ("numbers&body=[1,2]", 200, b"3"),
        ("numbers&body=1&body=2", 200, b"3"),
        ("tally", 200, None),
        ("strict&size=3&tags=%5B%22a%22,%22b%22%5D", 200, b'{"size":3,"tags":["a","b"],"box":{}}'),
        ("strict&size=3&box=%7B%22a%22:1%7D&limit=x", 200, b'{"size":3,"tags":[],"box":{"a":1}}'),
    ],
)
def test_queries_of_other_types(server: Served, target: str, status: int, body: bytes | None) -> None:
    server.get("/airport/x?lane=gate&flight=1")
    reply = server.get(f"/airport/x?lane={target}")
    assert (reply.status, body is None or reply.body == body) == (status, True), reply.body


def test_none_is_204(server: Served) -> None:
    reply = server.ask("POST", "/airport/none?lane=tally", b"", JSON)
    assert (reply.status, reply.body) == (204, b"")
    assert "content-type" not in reply.headers


@pytest.mark.parametrize(
    ("method", "target", "status", "part"),
    [
        ("GET", "/airport/x?lane=gate", 400, "missing required field `flight`"),
        ("GET", "/airport/x?lane=gate&flight=seven", 400, "Expected `int`, got `str` - at `$.flight`"),
        ("GET", "/airport/x?lane=gate&flight=1&flight=2", 400, "`flight` is given twice"),
        ("GET", "/airport/x?lane=gate&flight=7.5", 400, "Expected `int`"),
        ("GET", "/airport/x?lane=strict&size=0", 400, "Expected `int` >= 1"),
        ("GET", "/airport/x?lane=number&other=4", 400, "in the one parameter `body`, not `other`"),
        ("GET", "/airport/x?lane=number", 400, "Expected `int`, got `null`"),
        ("GET", "/airport/x?lane=tally&a=1", 400, "takes no query"),
        ("GET", "/airport/x?lane=gate&flight=13", 409, "no such gate"),
        ("GET", "/airport/x?lane=gate&flight=14", 500, "RuntimeError: out of order"),
        ("GET", "/airport/no?lane=gate&flight=7", 404, "there is no Airport at /airport/no; GET never makes one"),
        ("HEAD", "/airport/no?lane=gate&flight=7", 404, ""),
        ("DELETE", "/airport/no?lane=gate&flight=7", 404, "DELETE never makes one"),
        ("GET", "/airport/x?lane=_hidden", 404, "no lane `_hidden`"),
        ("GET", "/tram/x?lane=gate", 404, "no twin class"),
        ("POST", "/airport/x?lane=only", 405, "`only` of Airport does not answer POST"),
        ("DELETE", "/airport/x?lane=speed", 405, "`speed` is no request lane"),
        ("DELETE", "/airport/x", 405, "DELETE NODE?lane=LANE"),
        ("GET", "/airport/x?lane=slow&body=9", 504, "answer_seconds"),
        ("PATCH", "/airport/x?lane=gate", 405, "PATCH"),
    ],
)
def test_what_is_refused_says_why(server: Served, method: str, target: str, status: int, part: str) -> None:
    path = target.replace("/airport/x?lane=slow", "/airport/slow?lane=slow")
    if "slow" in path:
        server.post("/airport/slow?lane=number", 0)
    reply = server.ask(method, path, b"" if method == "POST" else None, JSON)
    assert reply.status == status, reply
    if method != "HEAD":
        problem = reply.json
        assert (problem["status"], part in problem["detail"]) == (status, True), problem
        assert reply.headers["content-type"] == "application/problem+json"


def test_a_body_that_is_none_of_its_type_says_where(server: Served) -> None:
    reply = server.post("/airport/x?lane=gate", {"flight": "x"})
    assert (reply.status, reply.json["offset"], reply.json["lane"]) == (400, 11, "gate")
    assert server.post("/airport/x?lane=gate", b"{}", "text/plain").status == 415


def test_methods_may_have_handlers_of_their_own(server: Served) -> None:
    def ask(method: str, text: str) -> Reply:
        if method in ("GET", "DELETE"):
            return server.ask(method, f"/airport/w?lane=which&body={text}")
        return server.ask(method, "/airport/w?lane=which", json.dumps(text).encode(), JSON)

    for method in ("PUT", "POST", "GET", "DELETE"):
        assert ask(method, "it").json == f"{method.lower()} it"
    # that was its end
    assert ask("GET", "it").status == 404


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/airport/x?lane=gate", "GET, HEAD, PUT, POST, DELETE, OPTIONS"),
        ("/airport/x?lane=only", "GET, HEAD, OPTIONS"),
        ("/airport/x?lane=sends", "GET, HEAD, POST, PUT, OPTIONS"),
        ("/airport/x?lane=asked", "GET, HEAD, OPTIONS"),
    ],
)
def test_allow_lists_what_is_answered(server: Served, path: str, allow: str) -> None:
    reply = server.ask("OPTIONS", path)
    assert (reply.status, reply.headers["allow"]) == (204, allow)
    if path.endswith("only"):
        refused = server.ask("PUT", path, b"", JSON)
        assert (refused.status, refused.headers["allow"]) == (405, allow)


def test_a_request_lane_has_no_stream_and_no_state(server: Served) -> None:
    reply = server.get("/airport/x?lane=gate", "Accept: text/event-stream")
    assert (reply.status, "it has no stream" in reply.json["detail"]) == (405, True)
    assert "gate" not in server.get("/airport/x").json
    assert server.get("/airport?fields=gate").status == 400


def test_over_warp_it_is_unsupported(server: Served) -> None:
    with server.open() as wire:
        for tag in ("link", "sync"):
            wire.text(f'@{tag}(node:"/airport/x",lane:gate)')
            assert wire.envelope() == '@unlinked(node:"/airport/x",lane:gate)@unsupported'
        wire.text('@link(node:"/airport/x",lane:"_hidden")')
        assert wire.envelope() == '@unlinked(node:"/airport/x",lane:_hidden)@laneNotFound'
        wire.text('@command(node:"/airport/x",lane:gate){flight:7}')
        # the shard has taken it when it answers the next one
        wire.text('@link(node:"/airport/x",lane:gate)')
        wire.envelope()
    asked = server.get("/airport/x?lane=asked").json
    server.get("/airport/x?lane=gate&flight=7")
    assert server.get("/airport/x?lane=asked").json == asked + 1


def test_a_command_to_it_is_a_dead_letter_that_says_how_to_ask(tmp_path: Path) -> None:
    with served(make(), tmp_path) as server, server.open() as wire:
        wire.text('@command(node:"/airport/x",lane:gate){flight:7}')
        wire.text('@link(node:"/airport/x",lane:gate)')
        wire.envelope()
    (letter,) = (json.loads(line) for line in (tmp_path / "dead.jsonl").read_text().splitlines())
    assert (letter["node"], letter["lane"]) == ("/airport/x", "gate")
    assert "is a request lane, which takes no commands: ask it by" in letter["reason"]


def test_the_blocking_client_asks(server: Served) -> None:
    with Queries(Address.parse(f"http://127.0.0.1:{server.port}")) as queries:
        assert json.loads(queries.ask("/airport/x", "number", b"4")) == 5
        assert queries.ask("/airport/fresh", "tally", b"") == b""
        with pytest.raises(Refused, match="no such gate") as refused:
            queries.ask("/airport/x", "gate", b'{"flight":13}')
        assert refused.value.status == 409
    with pytest.raises(NoConnection):
        Queries(Address.parse("http://127.0.0.1:1")).ask("/airport/x", "number", b"4")


@pytest.mark.parametrize(
    ("target", "got"),
    [
        ("gate /airport/x", r'{"name": "A7"'),
        ("sends /airport/x", "null"),
        (
            "slow /airport/asleep",
            "AskTimeout: slow of warp://127.0.0.1:PORT/airport/asleep has not answered within 0.5 s",
        ),
        ("no /airport/x", "AskFailed: no of warp://127.0.0.1:PORT/airport/x: Airport has no command lane `no`"),
        ("which /airport/x", '"post x"'),
    ],
)
def test_a_twin_asks_one_of_another_server(server: Served, tmp_path: Path, target: str, got: str) -> None:
    lane, _, node = target.partition(" ")
    with served(make(), tmp_path) as near:
        near.post("/plane/1?lane=land", f"{lane} warp://127.0.0.1:{server.port}{node}")
        found = near.get("/plane/1?lane=got").json
    assert found.startswith(got.replace("PORT", str(server.port))), found


def test_a_server_that_is_not_there_or_is_none(tmp_path: Path) -> None:
    with served(make(), tmp_path) as near:
        near.post("/plane/1?lane=land", "gate warp://127.0.0.1:1/airport/x")
        assert near.get("/plane/1?lane=got").json.startswith("AskFailed: gate of warp://127.0.0.1:1/airport/x: ")


def test_what_still_waits_at_the_end_is_cancelled(tmp_path: Path) -> None:
    begun = time.monotonic()
    with served(make(handler_seconds=60.0, answer_seconds=60.0), tmp_path) as server:
        wire = server.connect()
        wire.send(
            b"POST /airport/x?lane=slow HTTP/1.1\r\nHost: x\r\n"
            b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n50"
        )
        assert server.get("/airport/y").status == 404
    assert time.monotonic() - begun < 10
