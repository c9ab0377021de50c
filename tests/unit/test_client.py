"""``AsyncClient`` and ``Client`` against a server that says what a test tells it to."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from warp_server import Answer, Call, WarpServer, lane, shoal_http

import shoal
from shoal import (
    App,
    AskFailed,
    AskTimeout,
    AsyncClient,
    AsyncLiveList,
    AsyncLiveMap,
    Client,
    Command,
    List,
    Live,
    LiveMap,
    Map,
    NoConnection,
    NotShoal,
    OverLimit,
    Reject,
    RemoteRead,
    ShoalError,
    Twin,
    Unlinked,
    Unset,
    Value,
    WrongThread,
    WrongType,
)
from shoal.client.codec import Codec, body_text
from shoal.client.feeds import NewestOfKeys
from shoal.lanes.lane import Declared
from shoal.warp import Bounds, Clear, Element, Move, Out, Remove, State, Update
from shoal.warp.envelope import Envelope

R = TypeVar("R")

QUICK = Bounds(
    open_seconds=5,
    answer_seconds=5,
    close_seconds=0.05,
    first_pause=0.01,
    longest_pause=0.05,
    absent_pause=0.01,
    changes=10,
    events=3,
    commands=2,
)


class Place(msgspec.Struct, frozen=True):
    name: str
    floor: int = 0
    tags: tuple[str, ...] = ()


class Reading(msgspec.Struct):
    value: float


app = App("doors")


@app.twin("/door/{id}")
class Door(Twin):
    push = Command(Reading)
    ring = Command()
    size = Value(float, 2.0)
    place = Value(Place | None, None)
    seen = Value(datetime)
    steps = Value(tuple[int, ...], ())
    tags = Map(str, int)
    rows = Map(int, Place)
    stops = List(str)
    fixed = Value(int, 7, readonly=True)


class Loose(Twin):
    size = Value(float, 1.0)


def run(main: Coroutine[Any, Any, R]) -> R:
    async def bounded() -> R:
        async with asyncio.timeout(30):
            return await main

    return asyncio.run(bounded())


def answers(*lanes: Answer) -> Answer:
    """Of several lanes of one node: what knows the lane answers."""

    def answer(envelope: Envelope) -> list[str]:
        replies = [one(envelope) for one in lanes]
        known = [frames for frames in replies if frames and "NotFound" not in frames[0]]
        return known[0] if known else replies[0]

    return answer


def door(name: str, *state: str) -> Answer:
    return lane("/door/1", name, *state)


def event(name: str, body: str) -> str:
    return f'@event(node:"/door/1",lane:{name}){body}'


# -- values by their classes


@pytest.mark.parametrize(
    ("name", "body", "value"),
    [
        ("size", " 3", 3.0),
        ("place", "{name:hall,floor:2,tags:{a,b}}", Place("hall", 2, ("a", "b"))),
        # a whole float for a whole number, an empty list
        ("place", "{name:hall,floor:2.0,tags:{}}", Place("hall", 2)),
        ("place", "", None),
        ("seen", '"2026-01-02T03:04:05Z"', datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("steps", "{1,2}", (1, 2)),
        ("steps", "{}", ()),
        # a list of one, as Shoal and as Swim's Java server write it
        ("steps", "{{5}}", (5,)),
        ("steps", "{5}", (5,)),
    ],
)
def test_a_value_comes_as_its_class_has_it(name: str, body: str, value: Any) -> None:
    async def main() -> Any:
        with WarpServer(door(name, body)) as server:
            async with AsyncClient(server.url, bounds=QUICK) as client:
                return (await client.link(getattr(Door, name), "1")).value

    assert run(main()) == value


def test_a_value_of_another_type_names_the_lane_and_what_came() -> None:
    async def main() -> None:
        with WarpServer(answers(door("size", " tall"), door("tags", "@update(key:a) many"))) as server:
            async with AsyncClient(server.url, bounds=QUICK) as client:
                live = await client.link(Door.size, "1")
                with pytest.raises(WrongType, match=r"Door\.size is float, and came as 'tall'"):
                    _ = live.value
                with pytest.raises(WrongType, match=r"Door\.size"):
                    async for _ in live:
                        pass
                tags = await client.link(Door.tags, "1")
                with pytest.raises(WrongType, match=r"Door\.tags is int, and came as 'many'"):
                    _ = tags.value["a"]
                assert "many" in repr(tags)

    run(main())


def test_a_lane_that_nothing_has_written_is_unset() -> None:
    async def main() -> None:
        with WarpServer(door("seen", "")) as server:
            async with AsyncClient(server.url, bounds=QUICK) as client:
                live = await client.link(Door.seen, "1")
                with pytest.raises(Unset, match=r"Door\.seen is unset"):
                    _ = live.value
                assert "unset" in repr(live)
                with pytest.raises(Unset):
                    await client.get(Door.seen, "1")

    run(main())


def test_bodies_are_written_as_a_server_reads_them() -> None:
    assert [body_text(each) for each in (None, 5, [5], [[1]], {"a": 1}, "true", [1, 2], [], "a b")] == [
        "",
        "5",
        "{{5}}",
        "{{{1}}}",
        "{a:1}",
        '"true"',
        "{1,2}",
        "{}",
        '"a b"',
    ]
    with pytest.raises(WrongType, match="no form in Recon"):
        body_text({"a": float("nan")})


# -- addresses


def test_addresses_are_checked_before_anything_is_sent() -> None:
    client = AsyncClient("warp://127.0.0.1:1")
    assert client.at(Door, "a/b ä").uri == "/door/a%2Fb%20%C3%A4"
    assert client.at(Door, 7).uri == "/door/7"
    assert client.at("bus/7").uri == "/bus/7"
    for wrong in ("", ".", "..", "a\0", "x" * 1_025):
        with pytest.raises(WrongType, match=r"\{id\} of Door"):
            client.at(Door, wrong)
    with pytest.raises(WrongType, match=r"Door is at /door/\{id\}"):
        client.at(Door)
    with pytest.raises(WrongType, match="no pattern here"):
        client.at(Loose)
    with pytest.raises(WrongType, match="speaks to one server"):
        client.at("warp://elsewhere/door/1")
    with pytest.raises(AttributeError, match="did you mean `push`"):
        client.at(Door, "1").pusj(Reading(1.0))
    with pytest.raises(RemoteRead, match=r"client\.get"):
        _ = client.at(Door, "1").size
    with pytest.raises(WrongType, match="neither a twin class nor a URI"):
        client.at(int)  # type: ignore[type-var]
    with pytest.raises(WrongType, match="a server is at"):
        AsyncClient("ftp://x")
    for asked in (lambda: client.get(5), lambda: client.get("/door/1")):
        with pytest.raises(WrongType):
            run(asked())  # type: ignore[no-untyped-call]


def test_a_token_goes_along_and_is_not_shown() -> None:
    async def main() -> None:
        with WarpServer(door("size", " 1")) as server:
            async with AsyncClient(f"{server.url}/?a=b", token="s3 cret", bounds=QUICK) as client:
                server.paths.clear()
                await client.link(Door.size, "1")
                assert server.paths == ["/?a=b&token=s3%20cret"]
                assert server.claims == ['@auth{token:"s3 cret"}']
                assert "cret" not in repr(client)

    run(main())


def test_a_token_that_is_refused_is_said() -> None:
    async def main() -> None:
        with WarpServer(door("size", " 1"), deauth=True) as server:
            client = AsyncClient(server.url, token="x", bounds=QUICK)
            with pytest.raises(NoConnection, match="does not accept the token"):
                await client.link(Door.size, "1")
            with pytest.raises(NoConnection, match="does not accept the token"):
                await client.send(Door.ring, "1")
            await client.close()

    run(main())


# -- links


def test_links_to_one_lane_share_one_on_the_wire() -> None:
    async def main() -> None:
        with WarpServer(door("size", " 1")) as server:
            async with AsyncClient(server.url, bounds=QUICK) as client:
                first = await client.link(Door.size, "1")
                second = await client.link("/door/1", "size")
                assert (first.value, second.value) == (1.0, 1)
                assert [one.tag for one in server.heard] == ["sync"]
                with pytest.raises(WrongType, match="linked already with rate=0"):
                    await client.link(Door.size, "1", rate=2.0)
                await first.close()
                server.push(event("size", " 2"))
                async for value in second:
                    if value == 2:
                        break
                assert [one.tag for one in server.heard] == ["sync"]
                await second.close()
                await heard(server, "unlink")
                assert (first.is_linked, second.is_linked, first.value) == (False, False, 2.0)
                # and anew
                assert (await client.link(Door.size, "1", rate=2.0, prio=0.5)).is_synced
                assert server.rates[-1] == ",prio:0.5,rate:2"

    run(main())


def test_a_link_without_state_is_synced_for_who_wants_it() -> None:
    async def main() -> None:
        with WarpServer(door("size", " 1")) as server:
            async with AsyncClient(server.url, bounds=QUICK) as client:
                bare = await client.link(Door.size, "1", sync=False)
                with pytest.raises(Unset):
                    _ = bare.value
                assert (bare.is_linked, bare.is_synced) == (True, False)
                full = await client.link(Door.size, "1")
                assert (full.value, bare.value) == (1.0, 1.0)
                assert [one.tag for one in server.heard] == ["link", "sync"]

    run(main())


def test_a_slow_loop_sees_the_newest_value() -> None:
    async def main() -> list[float]:
        with WarpServer(door("size", " 0")) as server:
            async with AsyncClient(server.url, bounds=QUICK) as client:
                live = await client.link(Door.size, "1")
                seen = []
                async for value in live:
                    seen.append(value)
                    if value == 0:
                        server.push(*(event("size", f" {number}") for number in range(1, 101)))
                        await until(lambda: live.value == 100)
                    else:
                        return seen
                raise AssertionError("it ended")

    assert run(main()) == [0.0, 100.0]


def test_a_map_is_a_mapping_and_its_changes_an_iteration() -> None:
    async def main() -> None:
        with WarpServer(answers(door("tags", "@update(key:a) 1", "@update(key:b) 2"))) as server:
            async with AsyncClient(server.url, bounds=QUICK) as client:
                live = await client.link(Door.tags, "1")
                assert isinstance(live, AsyncLiveMap)
                view = live.value
                assert (dict(view), view["a"], "c" in view, len(view)) == ({"a": 1, "b": 2}, 1, False, 2)
                assert (list(view), list(view.values()), repr(view)) == (["a", "b"], [1, 2], "{'a': 1, 'b': 2}")
                with pytest.raises(KeyError):
                    view["c"]
                changes = aiter(live)
                assert [await anext(changes), await anext(changes)] == [Update("a", 1), Update("b", 2)]
                server.push(event("tags", "@remove(key:a)"), event("tags", "@update(key:b) 3"))
                server.push(event("tags", "@update(key:b) 4"))
                await until(lambda: dict(view) == {"b": 4})
                # the newest of each key, in the order of the first
                assert [await anext(changes), await anext(changes)] == [Remove("a"), Update("b", 4)]
                server.push(
                    event("tags", "@update(key:z) 1"), event("tags", "@clear"), event("tags", "@update(key:y) 1")
                )
                await until(lambda: dict(view) == {"y": 1})
                assert [await anext(changes), await anext(changes)] == [Clear(), Update("y", 1)]

    run(main())


def test_keys_have_their_type() -> None:
    async def main() -> None:
        with WarpServer(door("rows", "@update(key:5){name:a}")) as server:
            async with AsyncClient(server.url, bounds=QUICK) as client:
                live = await client.link(Door.rows, "1")
                assert live.value == {5: Place("a")}
                await live.put(6, Place("b", 1))
                await live.remove(5)
                await live.clear()
                await live.take(2)
                await live.drop(1)
                with pytest.raises(WrongType, match=r"a key of Door\.rows takes int"):
                    await live.put("six", Place("b"))  # type: ignore[arg-type]
                with pytest.raises(WrongType, match=r"Door\.rows takes Place"):
                    await live.put(6, "b")  # type: ignore[arg-type]
                with pytest.raises(WrongType, match="0 or more"):
                    await live.take(-1)
                with pytest.raises(WrongType, match="linked as map"):
                    await live.set({})
                await heard(server, "command", 5)
                assert [one.body for one in server.heard if one.tag == "command"] == [
                    "@update(key:6){name:b,floor:1,tags:{}}",
                    "@remove(key:5)",
                    "@clear",
                    "@take(2)",
                    "@drop(1)",
                ]

    run(main())


def test_more_changed_keys_than_a_map_may_have_start_over() -> None:
    state = State(2)
    feed = NewestOfKeys(Codec("tags", "map"), state, 2)
    for number in range(3):
        for change in (Update(f"k{number}", 1), Remove(f"k{number}")):
            state.apply(change)
            feed.put(change)
    state.apply(Update("last", 1))
    feed.put(Update("last", 1))

    async def main() -> list[Any]:
        return [await feed.next(), await feed.next()]

    assert run(main()) == [Clear(), Update("last", 1)]


def test_an_untyped_link_tells_what_it_is() -> None:
    async def main() -> None:
        with WarpServer(answers(door("tags", "@update(key:{a:1}) 1", "@update(key:b) 2"), door("none"))) as server:
            async with AsyncClient(server.url, bounds=QUICK) as client:
                live = await client.link("/door/1", "tags")
                assert isinstance(live, AsyncLiveMap)
                assert live.value["b"] == 2
                await live.put("c", [1])
                none = await client.link("/door/1", "none")
                assert not isinstance(none, AsyncLiveMap)
                assert none.value == {}
                await none.close()
                chosen = await client.link("/door/1", "none", kind="map")
                assert isinstance(chosen, AsyncLiveMap)
                with pytest.raises(WrongType, match="linked as value"):
                    await client.link(Door.size, "1", kind="map")  # type: ignore[call-overload]
                await heard(server, "command")
                assert [one.body for one in server.heard if one.tag == "command"] == ["@update(key:c){{1}}"]

    run(main())


def test_every_event_comes_and_one_too_many_is_said() -> None:
    async def main() -> None:
        with WarpServer(door("push")) as server:
            async with AsyncClient(server.url, bounds=QUICK) as client:
                live = await client.link(Door.push, "1")
                assert [one.tag for one in server.heard] == ["link"]
                server.push(*(event("push", f"{{value:{number}}}") for number in range(3)))
                await until(lambda: live._state.is_told and live.value == Reading(2.0))
                events = aiter(live)
                assert [await anext(events) for _ in range(3)] == [Reading(0.0), Reading(1.0), Reading(2.0)]
                server.push(*(event("push", f"{{value:{number}}}") for number in range(4)))
                await until(lambda: live.value == Reading(3.0))
                assert [await anext(events) for _ in range(3)] == [Reading(0.0), Reading(1.0), Reading(2.0)]
                with pytest.raises(OverLimit, match=r"Door\.push: over 3 events wait"):
                    await anext(events)
                assert live.is_linked
                await live.send(Reading(5.0))
                await heard(server, "command")

    run(main())


def test_a_list_is_followed_and_written_by_its_keys() -> None:
    def answer(envelope: Envelope) -> list[str]:
        if envelope.tag == "command":
            return [event("stops", envelope.body)]
        return door("stops", "@update(index:0,key:5) a", "@update(index:1,key:k) b")(envelope)

    async def main() -> None:
        with WarpServer(answer) as server:
            async with AsyncClient(server.url, bounds=QUICK) as client:
                live = await client.link(Door.stops, "1")
                assert isinstance(live, AsyncLiveList)
                assert (live.value, isinstance(await client.link("/door/1", "stops"), AsyncLiveList)) == (
                    ["a", "b"],
                    True,
                )
                assert await client.get(Door.stops, "1") == ["a", "b"]
                changes = aiter(live)
                assert [await anext(changes) for _ in range(2)] == [Element(0, 5, "a"), Element(1, "k", "b")]
                server.push(event("stops", "@move(from:0,to:1,key:5)"), event("stops", "@remove(index:0,key:k)"))
                assert [await anext(changes) for _ in range(2)] == [Move(0, 1, 5), Out(0, "k")]
                server.push(event("stops", "@update(index:0,key:k) c"))
                assert await anext(changes) == Element(0, "k", "c")
                assert live.value == ["c", "a"]
                # it waits until it is there
                await live.append("d e")
                assert live.value == ["c", "a", "d e"]
                assert (await anext(changes)).at == 2
                await live.update(0, "x")
                await live.update(-2, "y")
                await live.move(0, 1)
                await live.remove(1)
                await live.take(2)
                await live.drop(1)
                await live.append("a")
                await live.clear()
                server.push(*(event("stops", f'@update(index:{n},key:{n})"{n}"') for n in range(3)))
                await until(lambda: len(live.value) == 3)
                for wrong in (live.update(3, "z"), live.remove(-4), live.move(0, 3)):
                    with pytest.raises(IndexError, match="has 3 elements"):
                        await wrong
                with pytest.raises(WrongType, match=r"Door\.stops takes str"):
                    await live.update(0, 5)  # type: ignore[arg-type]
                await client.flush()
                assert [one.body for one in server.heard if one.tag == "command"][1:5] == [
                    "@update(index:0,key:k) x",
                    "@update(index:1,key:5) y",
                    "@move(from:0,to:1,key:k)",
                    "@remove(index:1,key:k)",
                ]
                changes = aiter(live)
                assert [(await anext(changes)).key for _ in range(3)] == [0, 1, 2]
                # more changes than its bound: all starts over
                server.push(*(event("stops", f"@update(index:0,key:0) v{number}") for number in range(20)))
                await until(lambda: live.value[0] == "v19")
                assert await anext(changes) == Clear()
                assert [(await anext(changes)).value for _ in range(3)] == ["v19", "1", "2"]

    run(main())


def test_an_element_that_is_not_told_is_said() -> None:
    async def main() -> None:
        with WarpServer(door("stops")) as server:
            async with AsyncClient(server.url, bounds=replace(QUICK, answer_seconds=0.05)) as client:
                live = await client.link(Door.stops, "1")
                assert live.value == []
                with pytest.raises(ShoalError, match="has not told of this change"):
                    await live.append("a")

    run(main())


def test_a_break_keeps_the_value_and_the_iteration_goes_on() -> None:
    told: list[str] = []

    async def main() -> None:
        server = WarpServer(answers(door("size", " 1"), door("tags", "@update(key:a) 1", "@update(key:b) 1")))
        server.__enter__()
        try:
            async with AsyncClient(server.url, bounds=QUICK) as client:
                live = await client.link(
                    Door.size,
                    "1",
                    on_linked=lambda: told.append("linked"),
                    on_synced=lambda: told.append("synced"),
                    on_unlinked=lambda reason: told.append(f"unlinked: {reason}"),
                    on_closed=lambda: told.append("closed"),
                    on_failed=lambda error: told.append(f"failed: {error}"),
                )
                tags = await client.link(Door.tags, "1")
                values, changes = aiter(live), aiter(tags)
                assert await anext(values) == 1.0
                assert [await anext(changes), await anext(changes)] == [Update("a", 1), Update("b", 1)]
                server.drop()
                await until(lambda: not live.is_synced)
                assert (live.value, live.is_linked) == (1.0, False)
                assert "broken" in repr(live) or live.is_linked
                await live.synced()
                await tags.synced()
                # what the sync tells again is no change
                server.push(event("size", " 2"), event("tags", "@update(key:c) 3"))
                assert await anext(values) == 2.0
                assert await anext(changes) == Update("c", 3)
                await live.close()
                with pytest.raises(StopAsyncIteration):
                    await anext(values)
        finally:
            server.__exit__()

    run(main())
    assert told == ["linked", "synced", "unlinked: the connection broke", "linked", "synced", "closed"]


def test_a_server_that_ends_a_link_is_said_with_its_reason() -> None:
    told: list[str] = []

    async def main() -> None:
        with WarpServer(door("size", " 1")) as server:
            async with AsyncClient(server.url, bounds=QUICK) as client:
                live = await client.link(
                    Door.size,
                    "1",
                    on_unlinked=told.append,
                    on_closed=lambda: told.append("closed"),
                    on_failed=lambda error: told.append(type(error).__name__),
                )
                values = aiter(live)
                assert await anext(values) == 1.0
                server.push('@unlinked(node:"/door/1",lane:size)"no more"')
                with pytest.raises(Unlinked, match="no more"):
                    await anext(values)
                with pytest.raises(Unlinked, match="no more"):
                    await live.set(5.0)
                with pytest.raises(Unlinked, match="no more"):
                    await live.synced()
                assert (live.value, live.is_linked) == (1.0, False)
                assert "closed" in repr(live)
                # it can be linked anew
                assert (await client.link(Door.size, "1")).is_synced
                with pytest.raises(Unlinked, match="no such lane"):
                    await client.link(Door.fixed, "1")
                with pytest.raises(Unlinked, match="no such node"):
                    await client.link(Door.size, "2")

    run(main())
    assert told == ["/door/1 size: no more", "Unlinked", "closed"]


def test_a_hook_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("thirteen")

    async def main() -> None:
        with WarpServer(door("size", " 1")) as server:
            async with AsyncClient(server.url, bounds=QUICK) as client:
                live = await client.link(Door.size, "1", on_synced=fail)
                assert live.value == 1.0

    run(main())
    assert "on_synced of the link to /door/1 size failed" in caplog.text
    assert "thirteen" in caplog.text


def test_a_link_that_nobody_answers_ends_in_time() -> None:
    async def main() -> None:
        with WarpServer(lambda envelope: []) as server:
            client = AsyncClient(server.url, bounds=replace(QUICK, answer_seconds=0.05))
            with pytest.raises(NoConnection, match=r"no answer to the link of /door/1 size within 0\.05 s"):
                await client.link(Door.size, "1")
            assert "0 links" in repr(client)
            await client.close()

    run(main())


# -- commands


def test_commands_are_sent_in_order_and_read() -> None:
    async def main() -> None:
        with WarpServer(door("push")) as server:
            async with AsyncClient(server.url, bounds=QUICK) as client:
                client.at(Door, "1").push(Reading(1.0))
                await client.send(Door.push, "1", body=Reading(2.0))
                await client.send(Door.ring, "1")
                await client.send("/door/1", "other", body={"a": [5]})
                await client.at("/door/1").bare()
                await client.flush()
                async with AsyncClient(server.url, bounds=QUICK) as other:
                    # its end waits for it
                    other.at(Door, "1").ring()
                assert [(one.lane, one.body) for one in server.heard if one.tag == "command"] == [
                    ("push", "{value:1}"),
                    ("push", "{value:2}"),
                    ("ring", ""),
                    ("other", "{a:{5}}"),
                    ("bare", ""),
                    ("ring", ""),
                ]
                with pytest.raises(WrongType, match=r"Door\.push takes one body"):
                    client.at(Door, "1").push()  # type: ignore[call-arg]
                with pytest.raises(WrongType, match=r"Door\.push takes Reading, got 5"):
                    client.at(Door, "1").push(5)  # type: ignore[arg-type]
                with pytest.raises(WrongType, match="takes a command"):
                    await client.send(Door.size, "1")  # type: ignore[call-overload]

    run(main())


def test_a_command_to_nowhere_is_found_out() -> None:
    async def main() -> None:
        with WarpServer(door("push")) as server:
            client = AsyncClient(server.url, bounds=QUICK)
            await client.send("/nowhere", "push", body=1)
            with pytest.raises(Unlinked, match="/nowhere: there is no such node; what was sent to it is lost"):
                await client.flush()
            await client.flush()
            await client.close()

    run(main())


def test_commands_wait_for_a_connection_that_is_down_bounded() -> None:
    async def main() -> None:
        server = WarpServer(door("push"))
        server.__enter__()
        client = AsyncClient(server.url, bounds=QUICK)
        await client.link(Door.push, "1")
        await asyncio.to_thread(server.__exit__)
        await until(lambda: "broken" in repr(client))
        waiting = [asyncio.create_task(client.send("/door/1", "push", body=number)) for number in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(OverLimit, match="2 commands wait for it"):
            await client.send("/door/1", "push", body=3)
        with WarpServer(door("push"), port=server.port) as again:
            await asyncio.gather(*waiting)
            await client.flush()
            assert [one.body for one in again.heard if one.tag == "command"] == ["0", "1"]
            await client.close()

    run(main())


def test_a_command_that_cannot_be_sent_in_time_is_said() -> None:
    async def main() -> None:
        server = WarpServer(door("push"))
        server.__enter__()
        client = AsyncClient(server.url, bounds=replace(QUICK, answer_seconds=0.05))
        await client.link(Door.push, "1")
        await asyncio.to_thread(server.__exit__)
        await until(lambda: "broken" in repr(client))
        with pytest.raises(
            NoConnection, match=r"no connection within 0\.05 s; the command to /door/1 push is not sent"
        ):
            await client.send("/door/1", "push", body=1)
        await client.close()

    run(main())


def test_a_break_makes_commands_doubtful(caplog: pytest.LogCaptureFixture) -> None:
    held = threading.Event()

    def answer(envelope: Envelope) -> list[str]:
        if envelope.tag == "link" and envelope.lane == "~" and not held.is_set():
            return []
        return door("push")(envelope)

    async def main() -> None:
        with WarpServer(answer) as server:
            client = AsyncClient(server.url, bounds=QUICK)
            await client.send(Door.ring, "1")
            await client.send(Door.ring, "1")
            await heard(server, "link")
            held.set()
            server.drop()
            with pytest.raises(NoConnection, match="the last 2 commands may not have been carried out"):
                await client.flush()
            await client.send(Door.ring, "1")
            await client.flush()
            await client.close()

    with caplog.at_level(logging.WARNING, "shoal.client"):
        run(main())
    assert "the last 2 commands may not" in caplog.text


def test_nobody_listens() -> None:
    async def main() -> None:
        client = AsyncClient("warp://127.0.0.1:1", bounds=QUICK)
        for asked in (client.link(Door.size, "1"), client.send(Door.ring, "1"), client.get(Door.size, "1")):
            with pytest.raises(NoConnection, match=r"nobody listens at http://127\.0\.0\.1:1"):
                await asked
        await client.close()
        with pytest.raises(NoConnection, match="this client is closed"):
            await client.send(Door.ring, "1")

    run(main())


# -- questions


def test_get_of_a_server_that_is_no_shoal_syncs() -> None:
    async def main() -> None:
        with WarpServer(answers(door("size", " 4"), door("tags", "@update(key:a) 1"))) as server:
            async with AsyncClient(server.url, bounds=QUICK) as client:
                assert await client.get(Door.size, "1") == 4.0
                assert await client.get("/door/1", "size") == 4
                assert await client.get(Door.tags, "1") == {"a": 1}
                assert await client.get("/door/1", "tags") == {"a": 1}
                await heard(server, "unlink", 4)
                assert "0 links" in repr(client)
                with pytest.raises(NotShoal, match="find needs a Shoal server"):
                    await client.find(Door)
                with pytest.raises(NotShoal, match="ask needs a Shoal server"):
                    await client.ask("/door/1", "gate", body=1)

    run(main())


@pytest.mark.parametrize(
    ("status", "answer", "error", "words"),
    [
        (409, {"detail": "it is full"}, Reject, "^it is full$"),
        (504, {"detail": "too slow"}, AskTimeout, "/door/1 gate: too slow"),
        (500, {"detail": "thirteen"}, AskFailed, "/door/1 gate: thirteen"),
        (404, {"detail": "no such lane"}, AskFailed, "no such lane"),
    ],
)
def test_what_becomes_of_a_request(status: int, answer: Any, error: type[Exception], words: str) -> None:
    async def main(url: str) -> None:
        async with AsyncClient(url, bounds=QUICK) as client:
            with pytest.raises(error, match=words):
                await client.ask("/door/1", "gate", body={"n": 1})

    with shoal_http(lambda call: (status, answer)) as (url, calls):
        run(main(url))
    assert calls == [Call("POST", "/door/1?lane=gate", "application/json", b'{"n":1}')]


def test_requests_are_answered_beside_each_other_and_in_time() -> None:
    first = threading.Event()

    def answer(call: Call) -> tuple[int, Any]:
        if call[3] == b"1":
            assert first.wait(10)
        first.set()
        if call[3] == b"3":
            time.sleep(0.2)
        return 200, json_number(call[3])

    async def main(url: str) -> Any:
        async with AsyncClient(url, bounds=QUICK) as client:
            both = await asyncio.gather(*(client.ask("/door/1", "gate", body=number) for number in (1, 2)))
            with pytest.raises(AskTimeout, match=r"no reply of /door/1 gate within 0\.05 s"):
                await client.ask("/door/1", "gate", body=3, timeout="50 ms")
            return both

    with shoal_http(answer) as (url, _):
        assert run(main(url)) == [10, 20]


def json_number(body: bytes) -> int:
    return int(body) * 10


def test_find_writes_conditions() -> None:
    page = {"twins": [{"uri": "/door/1", "size": 1.0}, {"uri": "/door/1/lock"}], "next": None}

    async def main(url: str) -> None:
        async with AsyncClient(url, bounds=QUICK) as client:
            assert await client.find(Door, size__gt=2.5, size__ne=None, fixed=7) == ["/door/1"]
            assert await client.find("/door", name='a "b"', on=True) == ["/door/1", "/door/1/lock"]
            with pytest.raises(AttributeError, match="did you mean `size`"):
                await client.find(Door, sise=1)
            with pytest.raises(WrongType, match="compares truths"):
                await client.find(Door, place=Place("x"))

    with shoal_http(lambda call: (200, page)) as (url, calls):
        run(main(url))
    asked = [urlsplit(call[1]) for call in calls]
    assert [one.path for one in asked] == ["/door/*", "/door"]
    assert parse_qs(asked[0].query)["where"] == ["size > 2.5", "size != null", "fixed = 7"]
    assert parse_qs(asked[1].query)["where"] == ['name = "a \\"b\\""', "on = true"]


# -- the blocking one


def test_a_client_blocks_in_any_thread_and_beside_a_loop() -> None:
    with WarpServer(answers(door("size", " 1"), door("tags", "@update(key:a) 1"))) as server:
        with Client(server.url, bounds=QUICK) as client:
            live = client.link(Door.size, "1")
            assert isinstance(live, Live)
            assert (live.value, live.is_linked, live.is_synced, live.node, live.lane) == (
                1.0,
                True,
                True,
                "/door/1",
                "size",
            )
            assert client.at(Door, "1").size == 1.0

            async def inside() -> float:
                return client.get(Door.size, "1")

            assert asyncio.run(inside()) == 1.0
            tags = client.link(Door.tags, "1")
            assert isinstance(tags, LiveMap)
            tags["b"] = 2
            del tags["a"]
            tags.clear()
            live.set(3.5)
            client.at(Door, "1").size = 4.5
            client.at(Door, "1").ring()
            with pytest.raises(WrongType, match="readonly"):
                client.at(Door, "1").fixed = 8
            with pytest.raises(WrongType, match="through a link"):
                client.at(Door, "1").tags = {}
            assert (tags["a"], "a" in tags, len(tags)) == (1, True, 1)
            client.flush()
            assert [one.body for one in server.heard if one.tag == "command"] == [
                "@update(key:b) 2",
                "@remove(key:a)",
                "@clear",
                "3.5",
                "4.5",
                "",
            ]
            seen: list[float] = []

            def follow() -> None:
                seen.extend(live)

            other = threading.Thread(target=follow)
            other.start()
            server.push(event("size", " 9"))
            wait(lambda: 9.0 in seen)
            live.close()
            other.join(10)
            assert not other.is_alive()
            assert repr(client).startswith(f"<Client {server.url}: connected, ")
            assert repr(tags).startswith(f"<LiveMap {server.url}/door/1 tags synced: ")
        client.close()
        assert "closed" in repr(client)
        live.close()
        with pytest.raises(NoConnection, match="is closed"):
            client.get(Door.size, "1")
    assert server.closed == [1000]


def test_a_hook_must_not_wait_for_its_own_thread() -> None:
    said: list[BaseException] = []
    with WarpServer(door("size", " 1")) as server, Client(server.url, bounds=QUICK) as client:

        def hook() -> None:
            try:
                client.flush()
            except WrongThread as error:
                said.append(error)

        client.link(Door.size, "1", on_synced=hook)
    assert "hook" in str(said[0])


def test_a_client_that_is_forgotten_warns_once_and_closes() -> None:
    with WarpServer(door("size", " 1")) as server:
        client = Client(server.url, bounds=QUICK)
        live = client.link(Door.size, "1")
        thread = client._thread._thread
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del client
            gc.collect()
            assert (caught, live.value) == ([], 1.0)  # a link holds it
            del live
            gc.collect()
        assert [(one.category, "was not closed" in str(one.message)) for one in caught] == [(ResourceWarning, True)]
        thread.join(10)
        assert not thread.is_alive()
        wait(lambda: server.closed == [1000])


def test_an_async_client_that_is_forgotten_warns_and_closes() -> None:
    async def main() -> None:
        client = AsyncClient(server.url, bounds=QUICK)
        await client.link(Door.size, "1")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del client
            gc.collect()
        assert [one.category for one in caught] == [ResourceWarning]
        await until(lambda: server.closed == [1000])

    with WarpServer(door("size", " 1")) as server:
        run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_is_told() -> None:
    with WarpServer(door("size", " 1")) as server, Client(server.url, bounds=QUICK) as client:
        client.link(Door.size, "1")
        reads, writes = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                client.flush()
            except ShoalError as error:
                os.write(writes, str(error).encode())
            finally:
                os._exit(0)
        os.close(writes)
        with os.fdopen(reads) as pipe:
            assert "before the process was forked" in pipe.read()
        os.waitpid(child, 0)


def test_a_thread_that_fails_is_reported() -> None:
    client = Client("warp://127.0.0.1:1")

    def fail() -> None:
        raise SystemExit("the loop is ended from inside")

    thread = client._thread
    thread._loop.call_soon_threadsafe(fail)
    thread._thread.join(10)
    with pytest.raises(ShoalError, match="thread has ended") as caught:
        client.flush()
    assert isinstance(caught.value.__cause__, SystemExit)
    client.close()


PROGRAM = """
import sys, threading
sys.path[:0] = {path!r}
from shoal import Client
client = Client({url!r})
{rest}
"""


def program(server: WarpServer, rest: str, **options: Any) -> subprocess.Popen[str]:
    text = PROGRAM.format(path=sys.path, url=server.url, rest=rest)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", text],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.mark.slow
def test_ctrl_c_ends_a_loop_at_once() -> None:
    with WarpServer(door("size", " 1")) as server:
        made = program(server, "for value in client.link('/door/1', 'size'):\n    print(value, flush=True)")
        assert made.stdout is not None
        assert made.stdout.readline() == "1\n"
        began = time.monotonic()
        made.send_signal(signal.SIGINT)
        _, errors = made.communicate(timeout=20)
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert time.monotonic() - began < 5
        assert server.closed == [1000]


@pytest.mark.slow
def test_commands_are_not_cut_off_by_the_end_of_a_process() -> None:
    with WarpServer(door("push")) as server:
        made = program(server, "for n in range(500): client.send('/door/1', 'push', body=n)")
        _, errors = made.communicate(timeout=20)
        assert (made.returncode, errors) == (0, "")
        assert [one.body for one in server.heard if one.tag == "command"] == [str(n) for n in range(500)]
        assert server.closed == [1000]


async def heard(server: WarpServer, tag: str, count: int = 1) -> None:
    await until(lambda: sum(one.tag == tag for one in server.heard) >= count)


async def until(there: Callable[[], bool]) -> None:
    """Polls: what comes over a socket has no event that a test could wait for."""
    while not there():
        await asyncio.sleep(0.001)


def wait(there: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not there():
        assert time.monotonic() - began < 20
        time.sleep(0.001)


def test_every_kind_of_lane_says_how_it_is_linked() -> None:
    kinds = [
        each for each in map(vars(shoal).get, shoal.__all__) if isinstance(each, type) and issubclass(each, Declared)
    ]
    silent = {each.__name__ for each in kinds if not each._links_as}
    assert silent == {"Linkable", "Local", "Request"}
