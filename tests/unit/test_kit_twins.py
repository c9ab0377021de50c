"""A twin's life, what it may do to others, and what a test sees of it."""

import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest
from runs import run

import shoal
from shoal import App, Command, Count, Local, Map, Reject, Twin, Value
from shoal.errors import NoSuchTwin, NotInTurn, RemoteRead, ShoalError, TwinStopped, WrongType


class Settings(msgspec.Struct, frozen=True):
    greeting: str = "hello"


app = App("lives", config=Settings, tz="Europe/Berlin")
life: list[str] = []


@app.twin("/thing/{id}")
class Thing(Twin):
    touch = Command()
    end = Command()
    say = Command(str)
    loop = Command(int)
    dice = Command()
    ask = Command(str)
    away = Command(str)
    break_ = Command(str, name="break")
    touches = Count(touch)
    greeting = Value(str, "")
    readonly = Value(int, 1, readonly=True)
    _private = Value(int, 0)
    steps = Value(tuple[int, ...], ())
    rolls = Value(tuple[float, ...], ())
    fleet = Map(str, int, 0)
    model = Local(list[str])

    def on_create(self) -> None:
        life.append(f"create {self.params.id}")
        if self.params.id == "bad":
            raise Reject("no such thing")
        self.greeting = app.config.greeting

    def on_start(self) -> None:
        life.append(f"start {self.params.id}")
        if self.params.id == "broken":
            raise ValueError("cannot start")

    def on_stop(self) -> None:
        life.append(f"stop {self.params.id} {self.touches}")
        if self.params.id == "stubborn":
            raise ValueError("will not stop")

    @end.handler
    def on_end(self) -> None:
        self.delete()

    @say.handler
    def on_say(self, text: str) -> None:
        self.model.append(text)
        self.greeting = " ".join(self.model)
        self.log.info("said %s", text)
        if text == "no":
            raise Reject("no")

    @loop.handler
    def on_loop(self, n: int) -> None:
        self.steps = (*self.steps, n)
        if n:
            self.loop(n - 1)
            assert self.steps[-1] == n

    @dice.handler
    def on_dice(self) -> None:
        self.rolls = (*self.rolls, self.random.random(), self.random.random())

    @ask.handler
    def on_ask(self, what: str) -> None:
        other: Any = self.at(Thing, "other")
        match what:
            case "read":
                _ = other.greeting
            case "write":
                other.greeting = "x"
            case "method":
                other.on_stop()
            case "unknown":
                other.tuch()
            case "body":
                other.say(3)
            case "parameters":
                self.at(Thing)

    @away.handler
    def on_away(self, uri: str) -> None:
        self.at(uri).set({"a": 1})


@pytest.fixture(autouse=True)
def fresh() -> None:
    life.clear()


def test_hooks_run_once_each_in_their_order() -> None:
    with app.test() as t:
        t.at(Thing, "1").touch()
        t.at(Thing, "1").touch()
        assert life == ["create 1", "start 1"]
        t.at(Thing, "1").end()
        assert life[2:] == ["stop 1 2"]
        t.at(Thing, "1").touch()
        assert t.at(Thing, "1").touches == 1
        t.at(Thing, "2").touch()
    assert life[3:] == ["create 1", "start 1", "create 2", "start 2", "stop 1 1", "stop 2 1"]


@pytest.mark.parametrize(
    ("id", "kind", "reason"), [("bad", "rejected", "no such thing"), ("broken", "failed", "ValueError: cannot start")]
)
def test_a_twin_that_cannot_be_made_is_none_and_its_event_is_dead(id: str, kind: str, reason: str) -> None:
    with app.test(strict=False) as t:
        t.at(Thing, id).touch()
        (letter,) = t.dead_letters
        assert (letter.kind, letter.node, letter.lane) == (kind, f"/thing/{id}", "touch")
        assert letter.reason.startswith(f"the twin could not be made: {reason}")
        assert len(t.all(Thing)) == 0
        with pytest.raises(NoSuchTwin):
            t.at(Thing, id).touches  # noqa: B018


def test_a_failing_on_stop_is_an_error_of_the_test() -> None:
    with pytest.raises(ValueError, match="will not stop"), app.test() as t:
        t.at(Thing, "stubborn").touch()


def test_reading_makes_no_twin() -> None:
    with app.test() as t:
        with pytest.raises(NoSuchTwin, match="there is no Thing at /thing/1"):
            t.at(Thing, "1").touches  # noqa: B018
        with pytest.raises(NoSuchTwin):
            t.at("/thing/1").greeting  # noqa: B018
        with pytest.raises(NoSuchTwin, match="no twin class has a pattern"):
            t.at("/tram/1")
        assert len(t.all(Thing)) == 0


def test_all_is_in_the_order_of_creation() -> None:
    with app.test() as t:
        for id in ("b", "a", "c"):
            t.at(Thing, id).touch()
        t.at(Thing, "b").end()
        t.at(Thing, "b").touch()
        assert [thing.params.id for thing in t.all(Thing)] == ["a", "c", "b"]


def test_a_command_to_oneself_runs_after_this_turn() -> None:
    with app.test() as t:
        t.at(Thing, "1").loop(3)
        assert t.at(Thing, "1").steps == (3, 2, 1, 0)


@pytest.mark.parametrize(
    ("what", "error", "text"),
    [
        ("read", RemoteRead, "Members and over="),
        ("write", RemoteRead, "send it a command"),
        ("method", RemoteRead, "cannot be read from another twin"),
        ("unknown", AttributeError, "touch"),
        ("body", Exception, "Expected `str`, got `int`"),
        ("parameters", WrongType, ""),
    ],
)
def test_another_twin_is_sent_commands_and_nothing_else(what: str, error: type[Exception], text: str) -> None:
    with app.test(strict=False) as t:
        t.at(Thing, "1").ask(what)
        (raised,) = t.errors
        assert isinstance(raised, error)
        assert text in str(raised)
        assert [thing.params.id for thing in t.all(Thing)] == ["1"]


def test_commands_to_other_servers_are_kept_in_a_test_and_dead_in_a_run_when_nobody_is_there(tmp_path: Path) -> None:
    with app.test() as t:
        t.at(Thing, "1").away("warp://plc:9001/valve/7")
        assert t.sent == [("warp://plc:9001/valve/7", "set", {"a": 1})]
        assert t.dead_letters == []
    # nobody listens at port 1
    away = "warp://127.0.0.1:1/valve/7"
    other = App("away", settings=shoal.Settings(remote_seconds=0.1))

    @other.twin("/thing/{id}")
    class Away(Twin):
        go = Command(str)

        @go.handler
        def on_go(self, uri: str) -> None:
            self.at(uri).set(1)

    other.ingest([{"id": "1", "uri": away}], Away.go)
    done = run(other, tmp_path)
    (letter,) = done.letters
    assert letter["reason"].startswith("no connection to warp://127.0.0.1:1 within 0.1 s (remote_seconds): nobody")
    assert (letter["kind"], letter["node"], letter["lane"], letter["origin"]) == (
        "unrouted",
        away,
        "set",
        "/thing/1",
    )
    assert (done.counts.dead, done.totals.inner.dead) == (0, 1)


def test_random_numbers_are_the_same_in_a_replay_and_differ_between_turns_and_twins() -> None:
    def rolls() -> list[tuple[float, ...]]:
        with app.test() as t:
            for id in ("1", "2", "1"):
                t.at(Thing, id).dice()
            return [thing.rolls for thing in t.all(Thing)]

    once = rolls()
    assert once == rolls()
    assert len(set(once[0] + once[1])) == 6


def test_a_local_is_the_twins_own_is_not_rolled_back_and_goes_with_it() -> None:
    with app.test() as t:
        t.at(Thing, "1").say("a")
        t.at(Thing, "1").say("no")
        t.at(Thing, "2").say("b")
        assert (t.at(Thing, "1").greeting, t.at(Thing, "2").greeting) == ("a", "b")
        t.at(Thing, "1").say("c")
        assert t.at(Thing, "1").greeting == "a no c"
        t.at(Thing, "1").end()
        t.at(Thing, "1").say("d")
        assert t.at(Thing, "1").greeting == "d"
        with pytest.raises(NotInTurn):
            t.at(Thing, "1").model  # noqa: B018


def test_config_exists_while_the_app_runs() -> None:
    with app.test(config=Settings("moin")) as t:
        t.at(Thing, "1").touch()
        assert t.at(Thing, "1").greeting == "moin"
        with app.test() as inner:
            inner.at(Thing, "1").touch()
            assert inner.at(Thing, "1").greeting == "hello"
        t.at(Thing, "2").touch()
        assert t.at(Thing, "2").greeting == "moin"
    with pytest.raises(ShoalError, match="exists only while the app runs"):
        app.config  # noqa: B018


def test_the_log_names_the_twin(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), app.test() as t:
        t.at(Thing, "1").say("hi")
    assert any("/thing/1" in record.getMessage() and "said hi" in record.getMessage() for record in caplog.records)


def test_now_is_in_the_apps_zone() -> None:
    with app.test() as t:
        assert str(t.now.tzinfo) == "Europe/Berlin"


def test_values_and_maps_may_be_set_from_outside() -> None:
    with app.test() as t:
        t.post("/thing/1", "greeting", "hey")
        t.post("/thing/1", "fleet", ["a", 3])
        t.post("/thing/1", "fleet", ["b", 4])
        t.post("/thing/1", "fleet", ["a"])
        assert (t.at(Thing, "1").greeting, t.at(Thing, "1").fleet) == ("hey", {"b": 4})
        t.at(Thing, "1").greeting = "you"
        assert t.at(Thing, "1").greeting == "you"
        assert t.rejected == []


@pytest.mark.parametrize(
    ("lane", "body", "reason"),
    [
        ("greeting", 3, "`greeting` takes a str"),
        ("greeting", None, "takes no null"),
        ("readonly", 3, "lane `readonly` of Thing is read-only"),
        ("touches", 3, "lane `touches` of Thing is read-only"),
        ("_private", 3, "Thing has no command lane `_private`"),
        ("fleet", {"a": 1}, "a map lane is set by [key, value], an entry removed by [key]"),
        ("fleet", ["a", "x"], "`fleet` takes an int"),
        ("fleet", [1, 1], "`fleet` takes a str"),
        ("say", 3, "Expected `str`, got `int`"),
        ("say", None, "Expected `str`, got `null`"),
        ("nothing", 3, "Thing has no command lane `nothing`"),
    ],
)
def test_what_may_not_be_set_is_rejected_with_the_reason(lane: str, body: object, reason: str) -> None:
    with app.test() as t:
        t.at(Thing, "1").touch()
        before = t.shard.dump()
        t.post("/thing/1", lane, body)
        (rejected,) = t.rejected
        assert reason in rejected
        assert t.shard.dump() == before


def test_errors_of_handlers_are_raised_at_the_end_and_kept_where_asked() -> None:
    other = App("errors")

    @other.twin("/one")
    class One(Twin):
        go = Command(str)
        gone = Count(go)

        @go.handler
        def on_go(self, text: str) -> None:
            raise ValueError(text)

    def fail_twice(own: str = "") -> None:
        with other.test() as t:
            t.at(One).go("first")
            t.at(One).go("second")
            assert not own, own

    with pytest.raises(ValueError, match="first") as caught:
        fail_twice()
    assert caught.value.__notes__ == ["in a turn of /one", "another handler failed: ValueError('second')"]
    with other.test(strict=False) as t:
        t.at(One).go("first")
        assert [str(error) for error in t.errors] == ["first"]
        assert (t.rejected, t.at(One).gone) == ([], 0)
    with pytest.raises(AssertionError, match="goes first"):
        fail_twice("the test's own failure goes first")


def test_a_handle_kept_beyond_its_turn() -> None:
    other = App("kept")
    kept: list[Any] = []

    @other.twin("/thing/{id}")
    class Kept(Twin):
        keep = Command()
        end = Command()
        x = Value(int, 0)

        @keep.handler
        def on_keep(self) -> None:
            kept.append(self)
            self.x += 1

        @end.handler
        def on_end(self) -> None:
            self.delete()

    with other.test() as t:
        t.at(Kept, "1").keep()
        t.at(Kept, "2").keep()
        assert [twin.uri for twin in kept] == ["/thing/1", "/thing/2"]
        for act in (lambda twin: setattr(twin, "x", 5), lambda twin: twin.keep(), lambda twin: twin.delete()):
            with pytest.raises(NotInTurn):
                act(kept[0])
        t.at(Kept, "1").end()
        t.at(Kept, "3").keep()
        with pytest.raises((TwinStopped, NotInTurn)):
            kept[0].x = 5
        assert (t.at(Kept, "2").x, t.at(Kept, "3").x) == (1, 1)


def test_a_class_has_no_room_for_undeclared_attributes() -> None:
    other = App("attributes")

    @other.twin("/one")
    class One(Twin):
        go = Command()
        speed = Value(float, 0.0)

        @go.handler
        def on_go(self) -> None:
            setattr(self, "sped", 1.0)  # noqa: B010

    with other.test(strict=False) as t:
        t.at(One).go()
        assert isinstance(t.errors[0], AttributeError)
        assert "sped" in str(t.errors[0])
