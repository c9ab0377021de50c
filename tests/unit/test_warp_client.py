"""The client's side of WARP: frames, changes, states, links that survive breaks."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from warp_server import RECORDINGS, WarpServer, lane, replay

from shoal._core import recon_tagged, warp_fields
from shoal.errors import NoConnection, OverLimit, Unlinked
from shoal.warp import Address, Bounds, Clear, Connection, Cut, Element, Remove, Set, State, Update, split_node
from shoal.warp.change import Change, change_of
from shoal.warp.envelope import attribute, read, write

R = TypeVar("R")

QUICK = Bounds(
    open_seconds=5, answer_seconds=5, close_seconds=0.2, first_pause=0.01, longest_pause=0.05, absent_pause=0.01
)


def run(main: Coroutine[Any, Any, R]) -> R:
    async def bounded() -> R:
        async with asyncio.timeout(30):
            return await main

    return asyncio.run(bounded())


async def until(link: Any, wanted: Change | None) -> None:
    async for change in link.changes():
        if change == wanted:
            return


# -- addresses


@pytest.mark.parametrize(
    ("text", "http", "websocket"),
    [
        ("http://127.0.0.1:9001", "http://127.0.0.1:9001", "ws://127.0.0.1:9001/"),
        ("localhost:9001/", "http://localhost:9001", "ws://localhost:9001/"),
        ("warp://h", "http://h:80", "ws://h:80/"),
        ("swims://h/a%20b/?token=x", "https://h:443/a%20b", "wss://h:443/a%20b?token=x"),
        ("wss://[::1]:1", "https://[::1]:1", "wss://[::1]:1/"),
    ],
)
def test_an_address_serves_http_and_warp(text: str, http: str, websocket: str) -> None:
    address = Address.parse(text)
    assert (str(address), address.socket) == (http, websocket)


@pytest.mark.parametrize("text", ["ftp://h", "http://", "http://h:99999", "http://h:x", "http://me:secret@h"])
def test_what_is_no_address_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="h") as caught:
        Address.parse(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "url", "node"),
    [
        ("/bus/7", None, "/bus/7"),
        ("bus/7", None, "/bus/7"),
        ("/line/12:a", None, "/line/12:a"),
        ("line/12:a", None, "/line/12:a"),
        ("swim:meta:host", None, "swim:meta:host"),
        ("warp://h:1/bus/7", "warp://h:1", "/bus/7"),
        ("http://h", "http://h", "/"),
        ("/straße/a b/%20", None, "/stra%C3%9Fe/a%20b/%20"),
        ('/a"[b]|', None, "/a%22%5Bb%5D%7C"),
    ],
)
def test_a_node_may_name_its_server(text: str, url: str | None, node: str) -> None:
    assert split_node(text) == (url, node)


# -- frames


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ('@event(node:"/a",lane:b)5', ("event", "/a", "b", "5")),
        ('@event(node:"/a",lane:"b c") @update(key:1) 2', ("event", "/a", "b c", "@update(key:1) 2")),
        ('  @linked ( node : "/a\\"b" , lane : x , prio : 0.5 ) ', None),
        ('@linked( node : "/a\\"b" , lane : x , prio : 0.5 ) ', ("linked", '/a"b', "x", "")),
        ('@linked(lane:x,node:"/a)")', ("linked", "/a)", "x", "")),
        ('@unlinked("/a",b)@nodeNotFound', ("unlinked", "/a", "b", "@nodeNotFound")),
        ('@event(node:5,lane:b)"x"', ("event", "5", "b", '"x"')),
        ("", None),
        ("hello", None),
        ('@event(node:"/a"', None),
        ('@event(node:"/a")', None),
        ("@event(node:true,lane:b)", None),
        ("@event", None),
        ("@event(", None),
        ('@event(node:"/a",lane:b]', None),
        ("@", None),
    ],
)
def test_frames_are_read_or_refused(frame: str, expected: tuple[str, ...] | None) -> None:
    if expected is None:
        with pytest.raises(ValueError, match=r"."):
            read(frame)
    else:
        assert read(frame) == expected


def recorded_frames() -> list[str]:
    """Of the recordings, and of the vectors of envelopes."""
    frames = []
    for path in sorted(RECORDINGS.glob("*.jsonl")):
        entries = map(json.loads, path.read_text("utf-8").splitlines())
        frames += [one["text"] for one in entries if one.get("op") == "text" and "len" not in one]
    vectors = RECORDINGS.parent / "vectors" / "warp.jsonl"
    return frames + [json.loads(line)["frame"] for line in vectors.read_text("utf-8").splitlines()]


def test_recorded_frames_are_read_as_the_core_reads_them() -> None:
    compared = 0
    for frame in recorded_frames():
        try:
            fields = json.loads(warp_fields(frame))
        except ValueError:
            continue
        if fields["node"] is None:  # @auth and its like, which no client hears without asking
            continue
        if "" in (fields["node"], fields["lane"]) or "({" in frame or "node:{" in frame:
            # addresses that are no text, or are so only by Java's leniency: no server writes them
            continue
        envelope = read(frame)
        assert envelope.tag == fields["kind"], frame
        # the core gives addresses in their normal form
        again = json.loads(warp_fields(write(envelope.tag, envelope.node, envelope.lane)))
        assert (again["node"], again["lane"]) == (fields["node"], fields["lane"]), frame
        body = json.loads(recon_tagged(envelope.body))
        if set(body) == {"record"} and not any(set(item) & {"attr", "slot"} for item in body["record"]):
            # a record of one plain value is that value there, and none is nothing
            body = body["record"][0] if len(body["record"]) == 1 else body
            body = {"absent": True} if body == {"record": []} else body
        assert body == fields["body_json"], frame
        compared += 1
    assert compared > 250


def test_frames_are_written_as_swims_servers_read_them() -> None:
    assert write("link", "/a", "b") == '@link(node:"/a",lane:b)'
    assert write("sync", "/a", "true", rate=0.5) == '@sync(node:"/a",lane:"true",rate:0.5)'
    assert write("command", "/a", "nodes#/", "5") == '@command(node:"/a",lane:"nodes#/") 5'
    assert write("command", "/a", "b", "@clear") == '@command(node:"/a",lane:b)@clear'
    assert write("command", "/a", "b", "{x:1}") == '@command(node:"/a",lane:b){x:1}'


def test_an_attribute_ends_where_its_parentheses_close() -> None:
    assert attribute("@a") == ("a", "", "")
    assert attribute("@a(b:{c:(1)},d:[x])@e rest") == ("a", "b:{c:(1)},d:[x]", "@e rest")
    assert attribute("@a(`)` # )\n,')')x") == ("a", "`)` # )\n,')'", "x")
    assert attribute('@"two words"(1) 2') == ("two words", "1", "2")
    assert attribute("@a(") is None
    assert attribute("5") is None


@pytest.mark.parametrize(
    ("body", "change"),
    [
        ("", Set(None)),
        ("31.5", Set(31.5)),
        ("{31.5}", Set(31.5)),
        ("{{5}}", Set([5])),
        ("@update(key:a){1}", Update("a", 1)),
        ("@update(key:a) 1", Update("a", 1)),
        ("@update(key:a)1", Update("a", 1)),
        ('@update(key:"rye bread")@loaf', Update("rye bread", {"@loaf": None})),
        ("@update(key:{a:1}){b:2}", Update({"a": 1}, {"b": 2})),
        ("@update(index:0,key:k) v", Element(0, "k", "v")),
        ("@update(key:a)", Update("a", None)),
        ("@update(key:)", Update(None, None)),
        ("@remove(key:5)", Remove(5)),
        ("@clear", Clear()),
        ("@take(2)", Cut("take", 2)),
        ("@drop(3)", Cut("drop", 3)),
        # values that only look like them
        ("@update{key:a}", Set({"@update": None, "key": "a"})),
        ("@clear(1)", Set({"@clear": 1})),
        ("@drop(x)", Set({"@drop": "x"})),
        # past 64 bits, and no Recon at all: nothing is lost of what came
        ("123456789012345678901234567890", Set(123456789012345678901234567890)),
        ('"a', Set('"a')),
    ],
)
def test_the_body_of_an_event_is_a_change(body: str, change: Change) -> None:
    assert change_of(body) == change


# -- states


def test_a_state_drops_what_a_sync_does_not_send_again() -> None:
    state = State(10)
    for key in ("a", "b", "c"):
        state.apply(Update(key, 1))
    state.begin()
    state.apply(Update("b", 2))
    state.apply(Update("d", 3))
    assert state.end() == [Remove("a"), Remove("c")]
    assert state.plain() == {"b": 2, "d": 3}
    assert state.end() == []


def test_keys_of_any_type_are_told_apart() -> None:
    state = State(10)
    for key in ("1", 1, True, None, {"a": 1}, {"a": 1}, [1]):
        state.apply(Update(key, "x"))
    assert [key for key, _ in state.items()] == ["1", 1, True, None, {"a": 1}, [1]]
    assert state.plain()[0] == ["1", "x"]
    state.apply(Remove({"a": 1}))
    assert len(state) == 5


def test_a_map_past_its_bound_is_refused() -> None:
    state = State(1)
    state.apply(Update("a", 1))
    state.apply(Update("a", 2))
    with pytest.raises(OverLimit, match="over 1 entries"):
        state.apply(Update("b", 1))


# -- links against recorded servers


def test_a_recorded_map_is_followed_to_its_state() -> None:
    async def main() -> Any:
        with WarpServer(replay("map_sync_0_and_3")) as server:
            async with Connection(Address.parse(server.url), QUICK) as connection:
                link = await connection.link("/unit/m1", "shopping")
                await link.synced()
                empty = link.state.plain()
                for body in ("milk", "eggs", "bread"):
                    await connection._send(write("command", "/unit/m1", "shopping", body))
                await connection._send(write("command", "/unit/m1", "shopping", "again"))
                await until(link, Update("milk", 2))
                return empty, link.state.plain(), server.subprotocols

    empty, state, subprotocols = run(main())
    assert empty == {}
    assert state == {"milk": 2, "eggs": {"n": 12}, "rye bread": {"@loaf": None}}
    assert subprotocols == ["warp0"]


def test_a_recorded_value_lane_that_was_never_set_is_none() -> None:
    async def main() -> Any:
        with WarpServer(replay("value_link_sync_unlink")) as server:
            node = next(iter(_first_node("value_link_sync_unlink")))
            async with Connection(Address.parse(server.url), QUICK) as connection:
                link = await connection.link(node, "info")
                await link.synced()
                return link.state.kind, link.state.plain()

    assert run(main()) == ("value", None)


def _first_node(name: str) -> list[str]:
    entries = map(json.loads, (RECORDINGS / f"{name}.jsonl").read_text().splitlines())
    return [read(one["text"]).node for one in entries if one.get("op") == "text" and one["dir"] == "c2s"]


def test_escapes_may_come_back_in_lower_case() -> None:
    async def main() -> Any:
        with WarpServer(replay("meta")) as server:
            async with Connection(Address.parse(server.url), QUICK) as connection:
                link = await connection.link("swim:meta:node/%2Funit%2Fmeta1", "lanes")
                await link.synced()
                return link.state.plain()

    lanes = run(main())
    assert lanes["shopping"] == {"laneUri": "shopping", "laneType": "map"}


# -- refusals


def test_unknown_nodes_and_lanes_are_said_each_time() -> None:
    async def main() -> list[str]:
        told = []
        with WarpServer(lane("/a", "b")) as server:
            async with Connection(Address.parse(server.url), QUICK) as connection:
                for node, name in (("/x", "b"), ("/a", "x"), ("/x", "b")):
                    link = await connection.link(node, name)
                    with pytest.raises(Unlinked) as caught:
                        await link.synced()
                    told.append(caught.value.reason)
                with pytest.raises(Unlinked, match="/a x: the node has no such lane"):
                    await connection.command("/a", "x", "5")
        return told

    assert run(main()) == ["nodeNotFound", "laneNotFound", "nodeNotFound"]


def test_a_command_is_sent_after_its_lane_is_known_and_read_before_it_returns() -> None:
    async def main() -> list[str]:
        with WarpServer(lane("/a", "b")) as server:
            async with Connection(Address.parse(server.url), QUICK) as connection:
                await connection.command("/a", "b", "{x:1}")
                return [f"{one.tag} {one.body}" for one in server.heard]

    assert run(main()) == ["link ", "command {x:1}", "unlink "]


def test_a_command_that_may_be_lost_is_told() -> None:
    async def main() -> None:
        def answer(envelope: Any) -> list[str]:
            if envelope.tag == "command":
                asyncio.get_running_loop().call_soon(lambda: [one.transport.abort() for one in server._open])
                return []
            return [] if envelope.tag == "unlink" else lane("/a", "b")(envelope)

        with WarpServer(answer) as server:
            async with Connection(Address.parse(server.url), QUICK) as connection:
                with pytest.raises(NoConnection, match="the connection broke; the command may have been carried out"):
                    await connection.command("/a", "b", "5")

    run(main())


def test_a_server_without_an_answer_is_not_waited_for_longer_than_the_bound() -> None:
    async def main() -> None:
        with WarpServer(lambda envelope: []) as server:
            bounds = Bounds(answer_seconds=0.05, close_seconds=0.2)
            async with Connection(Address.parse(server.url), bounds) as connection:
                link = await connection.link("/a", "b")
                with pytest.raises(NoConnection, match=r"no answer to the link of /a b within 0.05 s"):
                    await link.opened()

    run(main())


@pytest.mark.parametrize("frame", ["hello", "", '@event(node:"/a"', b"\xff\xfe"])
def test_what_is_no_warp_ends_the_link_with_the_reason(frame: str | bytes) -> None:
    async def main() -> None:
        with WarpServer(lane("/a", "b", "5")) as server:
            async with Connection(Address.parse(server.url), QUICK) as connection:
                link = await connection.link("/a", "b")
                await link.synced()
                server.push(frame)
                with pytest.raises(NoConnection, match=r"does not speak WARP|is no UTF-8"):
                    async for _ in link.changes():
                        pass

    run(main())


def test_binary_frames_are_read_as_text() -> None:
    async def main() -> Change:
        with WarpServer(lane("/a", "b", "5")) as server:
            async with Connection(Address.parse(server.url), QUICK) as connection:
                link = await connection.link("/a", "b")
                await link.synced()
                changes = link.changes()
                first = asyncio.ensure_future(anext(changes))
                await asyncio.sleep(0)
                server.push(b'@event(node:"/a",lane:b) 6')
                return await first

    assert run(main()) == Set(6)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1", "nobody listens at http://127.0.0.1:1"),
        ("http://nowhere.invalid:9001", "there is no host nowhere.invalid"),
    ],
)
def test_why_there_is_no_connection_is_said(url: str, words: str) -> None:
    async def main() -> None:
        async with Connection(Address.parse(url), QUICK):
            pass

    with pytest.raises(NoConnection, match=words):
        run(main())


def test_a_server_that_does_not_answer_at_all_is_left_after_the_bound() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = Address("127.0.0.1", silent.getsockname()[1])

        async def main() -> None:
            async with Connection(address, Bounds(open_seconds=0.1)):
                pass

        with pytest.raises(NoConnection, match=r"no answer within 0.1 s"):
            run(main())


# -- breaks


def test_a_link_comes_back_after_a_break_with_what_it_missed() -> None:
    async def main() -> Any:
        state = ["@update(key:a) 1", "@update(key:b) 2"]
        told: list[str] = []
        with WarpServer(lambda envelope: lane("/a", "b", *state)(envelope)) as server:
            address = Address.parse(server.url)
            async with Connection(
                address, QUICK, lambda reason, pause: told.append(reason), lambda: told.append("back")
            ) as connection:
                link = await connection.link("/a", "b")
                await link.synced()
                changes = link.changes()
                following = asyncio.ensure_future(anext(changes))
                state[:] = ["@update(key:b) 3", "@update(key:c) 4"]
                await asyncio.sleep(0)
                server.drop()
                seen = [await following, await anext(changes), await anext(changes)]
                return told, seen, link.state.plain()

    told, seen, state = run(main())
    assert told[0] == "the connection broke"
    assert told[-1] == "back"
    assert seen == [Update("b", 3), Update("c", 4), Remove("a")]
    assert state == {"b": 3, "c": 4}


def test_a_server_that_stops_and_starts_again_is_found_again() -> None:
    async def main() -> Any:
        told: list[str] = []
        server = WarpServer(lane("/a", "b", "1")).__enter__()
        async with Connection(
            Address.parse(server.url), QUICK, lambda reason, pause: told.append(reason)
        ) as connection:
            link = await connection.link("/a", "b")
            await link.synced()
            following = asyncio.ensure_future(anext(link.changes()))
            await asyncio.sleep(0)
            server.push('@unlinked(node:"/a",lane:b)')
            await asyncio.to_thread(server.__exit__)
            again = WarpServer(lane("/a", "b", "2"), port=server.port).__enter__()
            assert await following == Set(2)
        again.__exit__()
        return told

    told = run(main())
    assert told[0].startswith("the server stops")


def test_a_node_that_is_not_there_yet_after_a_break_is_asked_for_again() -> None:
    async def main() -> Any:
        known = [True]

        def answer(envelope: Any) -> list[str]:
            return lane("/a" if known[0] else "/other", "b", "1")(envelope)

        with WarpServer(answer) as server:
            async with Connection(Address.parse(server.url), QUICK) as connection:
                link = await connection.link("/a", "b")
                await link.synced()
                following = asyncio.ensure_future(anext(link.changes()))
                await asyncio.sleep(0)
                known[0] = False
                server.drop()
                await asyncio.to_thread(server.wait, "sync", 2)
                known[0] = True
                return await following

    assert run(main()) == Set(1)


def test_an_unlink_with_a_reason_ends_the_link_and_one_without_too_where_the_server_goes_on() -> None:
    async def main() -> Any:
        reasons = []
        with WarpServer(lane("/a", "b", "1")) as server:
            async with Connection(Address.parse(server.url), QUICK) as connection:
                for body in ('"100 events wait already"', ""):
                    link = await connection.link("/a", "b")
                    await link.synced()
                    server.push(f'@unlinked(node:"/a",lane:b){body}')
                    with pytest.raises(Unlinked) as caught:
                        await until(link, None)
                    reasons.append(str(caught.value))
        return reasons

    first, second = run(main())
    assert first == "/a b: 100 events wait already"
    assert second == "/a b: the server has ended the link and gives no reason"


def test_take_and_drop_are_made_good_by_a_sync() -> None:
    async def main() -> Any:
        state = ["@update(key:a) 1", "@update(key:b) 2"]
        with WarpServer(lambda envelope: lane("/a", "b", *state)(envelope)) as server:
            async with Connection(Address.parse(server.url), QUICK) as connection:
                link = await connection.link("/a", "b")
                await link.synced()
                changes = link.changes()
                following = asyncio.ensure_future(anext(changes))
                await asyncio.sleep(0)
                state[:] = ["@update(key:b) 2"]
                server.push('@event(node:"/a",lane:b)@drop(1)')
                return [await following, await anext(changes)], link.state.plain()

    assert run(main()) == ([Update("b", 2), Remove("a")], {"b": 2})


def test_a_link_that_is_closed_here_ends_with_what_had_come() -> None:
    async def main() -> list[Any]:
        with WarpServer(lane("/a", "b", *(str(n) for n in range(4)))) as server:
            bounds = Bounds(answer_seconds=5, close_seconds=0.2, changes=4)
            async with Connection(Address.parse(server.url), bounds) as connection:
                link = await connection.link("/a", "b", follow=True)
                await link.synced()
                await link.close()
                return [change async for change in link.changes()]

    assert run(main()) == [Set(0), Set(1), Set(2), Set(3)]


def test_a_reader_that_stalls_stalls_the_connection_and_misses_nothing() -> None:
    async def main() -> list[Any]:
        with WarpServer(lane("/a", "b")) as server:
            bounds = Bounds(answer_seconds=5, close_seconds=0.2, changes=4)
            async with Connection(Address.parse(server.url), bounds) as connection:
                link = await connection.link("/a", "b")
                await link.synced()
                changes = link.changes()
                following = asyncio.ensure_future(anext(changes))
                await asyncio.sleep(0)
                server.push(*(f'@event(node:"/a",lane:b) {n}' for n in range(100)))
                await asyncio.wait({following}, timeout=10)
                waiting = link._waiting
                assert waiting is not None
                assert waiting.qsize() <= 4
                seen = [await following]
                while len(seen) < 100:
                    seen.append(await anext(changes))
                return seen

    assert run(main()) == [Set(n) for n in range(100)]
