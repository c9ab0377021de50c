"""What the client makes of a list lane's events."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from warp_server import WarpServer

from shoal.errors import OverLimit
from shoal.warp import Address, Bounds, Clear, Connection, Cut, Element, Move, Out, State, Update
from shoal.warp.change import Change, change_of


@pytest.mark.parametrize(
    ("body", "change"),
    [
        ("@update(index:0,key:a) x", Element(0, "a", "x")),
        ("@update(key:%AQID,index:2){a:1}", Element(2, b"\x01\x02\x03", {"a": 1})),
        ("@update(index:1) 5", Element(1, None, 5)),
        ("@move(from:2,to:0,key:a)", Move(2, 0, "a")),
        ("@remove(index:0,key:a)", Out(0, "a")),
        ("@remove(index:0,key:)", Out(0, None)),
        ("@clear", Clear()),
        ("@take(2)", Cut("take", 2)),
        # a map's
        ("@update(key:a) x", Update("a", "x")),
    ],
)
def test_an_operation_on_a_list_is_read(body: str, change: Change) -> None:
    assert change_of(body) == change


def of(*changes: Change, most: int = 100) -> State:
    state = State(most)
    for change in changes:
        state.apply(change)
    return state


ABC = (Element(0, "a", 1), Element(1, "b", 2), Element(2, "c", 3))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], [1, 2, 3]),
        ([Element(1, "b", 20)], [1, 20, 3]),
        # the key is near the index
        ([Element(0, "c", 30)], [1, 2, 30]),
        ([Element(1, "d", 4)], [1, 4, 2, 3]),
        ([Element(0, None, 10)], [10, 2, 3]),
        ([Element(3, None, 4)], [1, 2, 3, 4]),
        ([Move(0, 2, "a")], [2, 3, 1]),
        ([Move(2, 0, None)], [3, 1, 2]),
        ([Out(0, "b")], [1, 3]),
        ([Out(0, None)], [2, 3]),
        ([Out(0, "gone"), Move(0, 1, "gone"), Out(9, None)], [1, 2, 3]),
        ([Cut("take", 1)], [1]),
        ([Cut("drop", 1)], [2, 3]),
        ([Clear()], []),
        ([Clear(), Element(0, "z", 9)], [9]),
    ],
)
def test_a_state_follows_a_list(changes: list[Change], expected: list[int]) -> None:
    state = of(*ABC, *changes)
    assert (state.kind, state.plain(), len(state)) == ("list", expected, len(expected))


def test_a_clear_may_come_before_it_is_known_what_the_lane_is() -> None:
    assert of(Clear(), *ABC).plain() == [1, 2, 3]
    assert of(Clear(), Update("a", 1)).plain() == {"a": 1}


def test_a_sync_tells_a_list_s_order_and_what_has_gone() -> None:
    state = of(*ABC, Element(3, "d", 4))
    state.begin()
    for index, (key, value) in enumerate([("d", 40), ("b", 2), ("e", 5), ("a", 1)]):
        state.apply(Element(index, key, value))
    assert state.end() == [Out(4, "c")]
    assert state.plain() == [40, 2, 5, 1]
    assert [key for key, _ in state.items()] == ["d", "b", "e", "a"]


def test_a_list_has_no_more_elements_than_it_may() -> None:
    with pytest.raises(OverLimit, match="3"):
        of(*ABC, Element(3, "d", 4), most=3)


def test_any_operations_leave_what_a_plain_list_has() -> None:
    draw = random.Random(7)
    state, model = State(10_000), list[tuple[int, int]]()
    for key in range(3_000):
        index = draw.randrange(len(model) + 1)
        match draw.randrange(4):
            case 0 | 1:
                model.insert(index, (key, key))
                state.apply(Element(index, key, key))
            case 2 if index < len(model):
                to = draw.randrange(len(model))
                model.insert(to, model.pop(index))
                state.apply(Move(index, to, model[to][0]))
            case 3 if index < len(model):
                state.apply(Out(index, model.pop(index)[0]))
        assert len(state) == len(model)
    assert [*state.items()] == model


def told(tag: str, body: str = "") -> str:
    return f'@{tag}(node:"/a",lane:b){body}'


def test_a_link_follows_a_list_over_a_break() -> None:
    bounds = Bounds(open_seconds=5, answer_seconds=5, close_seconds=0.2, first_pause=0.01, longest_pause=0.05)
    rounds = [["@update(index:0,key:a) 1", "@update(index:1,key:b) 2"], ["@update(index:0,key:b) 3"]]

    async def main(server: WarpServer) -> Any:
        async with Connection(Address.parse(server.url), bounds) as connection:
            link = await connection.link("/a", "b", follow=True)
            await link.synced()
            assert link.state.plain() == [1, 2]
            server.push(told("event", "@drop(1)"), told("event", "@update(index:1,key:c) 4"))
            heard: list[Change] = []
            async for change in link.changes():
                heard.append(change)
                if change == Element(1, "c", 4):
                    server.drop()
                if isinstance(change, Out):
                    break
            return heard, link.state.plain()

    def answer(envelope: Any) -> list[str]:
        events = rounds.pop(0) if envelope.tag == "sync" else []
        return [told("linked"), *(told("event", body) for body in events), told("synced")] if events else []

    with WarpServer(answer) as server:
        heard, plain = asyncio.run(main(server))
    assert heard[2:] == [Cut("drop", 1), Element(1, "c", 4), Element(0, "b", 3), Out(1, "c")]
    assert plain == [3]
