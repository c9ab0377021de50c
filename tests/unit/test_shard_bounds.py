"""Whose a shard is: its thread's, in its process."""

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from shoal import App, Command, Count, Twin, Value
from shoal.errors import WrongThread
from shoal.testing import Kit

app = App("bounds")


@app.twin("/thing/{id}")
class Thing(Twin):
    touch = Command()
    touches = Count(touch)
    x = Value(int, 0)


CALLS: list[Callable[[Kit], Any]] = [
    lambda t: t.at(Thing, "1").touch(),
    lambda t: t.at(Thing, "1").touches,
    lambda t: t.at(Thing, "1").uri,
    lambda t: list(t.all(Thing)),
    lambda t: t.post("/thing/1", "touch"),
    lambda t: t.advance(1),
    lambda t: t.shard.now(),
    lambda t: t.shard.turns(0),
    lambda t: t.shard.close(),
]


@pytest.mark.parametrize("call", CALLS)
def test_another_thread_is_refused(call: Callable[[Kit], Any]) -> None:
    with app.test() as t:
        t.at(Thing, "1").touch()
        errors: list[BaseException] = []

        def run() -> None:
            try:
                call(t)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        assert [type(error) for error in errors] == [WrongThread]
        assert "loop.call_soon_threadsafe" in str(errors[0])
        assert t.at(Thing, "1").touches == 1


# newer Pythons warn of what this test does: to fork with threads at work
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("call", CALLS)
def test_a_forked_child_is_refused(call: Callable[[Kit], Any]) -> None:
    with app.test() as t:
        t.at(Thing, "1").touch()
        child = os.fork()
        if not child:
            # whatever happens, the child must not go on as a second pytest
            try:
                call(t)
            except WrongThread as error:
                os._exit(0 if "was forked" in str(error) else 1)
            finally:
                os._exit(2)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        t.at(Thing, "1").touch()
        assert t.at(Thing, "1").touches == 2
