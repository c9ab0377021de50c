"""A list lane against a plain list: whatever turns do, fail at, or do while others wait."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal import App, Command, List, Twin

pytestmark = pytest.mark.slow

# what is done, and three numbers that it may need
Op = tuple[str, int, int, int]


class Script(msgspec.Struct):
    ops: list[Op]
    fail: bool


def perform(target: Any, op: Op) -> None:
    """On a list, or on a view of one: places are taken modulo what there is."""
    what, i, j, x = op
    count = len(target)
    at, to = (i % count, j % count) if count else (0, 0)
    match what:
        case "append":
            target.append(x)
        case "insert":
            target.insert(i - j, x)
        case "set" if count:
            target[at] = x
        case "pop" if count:
            target.pop(-1 - at)
        case "move" if count and isinstance(target, list):
            target.insert(to, target.pop(at))
        case "move" if count:
            target.move(at, to)
        case "take" if isinstance(target, list):
            del target[i:]
        case "take":
            target.take(i)
        case "drop" if isinstance(target, list):
            del target[:i]
        case "drop":
            target.drop(i)
        case "reverse":
            target.reverse()
        case "clear":
            target.clear()
        case "slice":
            target[at:to] = [x, x + 1]
        case "delete":
            del target[:: j + 1]
        case "extend":
            target += [x] * (i % 3)


def make() -> App[None]:
    app = App("model")

    @app.twin("/list")
    class Holder(Twin):
        do = Command(Script)
        slowly = Command(Script)
        items = List(int)

        @do.handler
        def on_do(self, script: Script) -> None:
            view = self.items
            for op in script.ops:
                perform(view, op)
            if script.fail:
                raise RuntimeError("fails")

        @slowly.handler
        async def on_slowly(self, script: Script) -> None:
            for op in script.ops:
                await asyncio.sleep(0.5)
                perform(self.items, op)
            if script.fail:
                raise RuntimeError("fails")

    return app


APP = make()
HOLDER: Any = next(iter(APP.declaration()[1]))
KINDS = ["append", "insert", "set", "pop", "move", "take", "drop", "reverse", "clear", "slice", "delete", "extend"]
# what makes a list longer, more often
KIND = st.sampled_from([*KINDS, "append", "insert", "insert", "extend", "move", "move"])
SMALL = st.integers(0, 12)
OP = st.tuples(KIND, SMALL, SMALL, st.integers(0, 99))
TURN = st.tuples(st.lists(OP, max_size=8), st.booleans(), st.integers(0, 3))


@settings(max_examples=100)
@given(turns=st.lists(TURN, max_size=12))
def test_it_is_a_plain_list_whatever_is_done(turns: list[tuple[list[Op], bool, int]]) -> None:
    model: list[int] = []
    with APP.test(strict=False) as t:
        holder = t.at(HOLDER)
        holder.do(Script([], False))
        for ops, fail, kind in turns:
            after = list(model)
            for op in ops:
                perform(after, op)
            script = Script(ops, fail)
            if kind == 0:
                # everybody else reads the list as it was, until the turn ends
                holder.slowly(script)
                t.advance(max(len(ops) - 1, 0) / 2)
                assert not ops or holder.items == model
                t.advance(0.5)
            else:
                holder.do(script)
            model = model if fail else after
            assert holder.items == model
        assert [type(error) for error in t.errors] == [RuntimeError] * sum(fail for _, fail, _ in turns)
