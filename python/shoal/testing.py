"""The test kit: an app in memory, in one thread, on a clock that the test moves.

``Kit`` is what ``with app.test() as t:`` gives. Every command, post, feed and advance runs until nothing waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import Awaitable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, overload

import msgspec

from shoal._core import DeadLetter, Shard
from shoal.declaration import Declaration
from shoal.duration import Seconds, microseconds
from shoal.errors import NoSuchTwin, ShoalError
from shoal.lanes.command import Command
from shoal.lanes.supply import Supply
from shoal.reader import Reader
from shoal.sources import SourceDecl
from shoal.turn import Runner
from shoal.twin import TwinMeta, address
from shoal.variables import B, R, T, V

if TYPE_CHECKING:
    from types import TracebackType

    from shoal.app import App

# A batch has no time limit in a test.
_BUDGET = 3_600_000_000
# Real seconds that a test waits for a thread or a socket that an async handler awaits.
_PATIENCE = 5.0
_CHUNK = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Item = TypeVar("Item")


class Sent(NamedTuple):
    """A command to another server, which a test keeps instead of sending it."""

    uri: str
    lane: str
    body: Any


class Population(Generic[T]):
    """All twins of one class, in the order of their creation."""

    def __init__(self, kit: Kit, cls: type[T]) -> None:
        self._kit = kit
        self._class = cls

    def __len__(self) -> int:
        return self._kit.shard.size(self._number())

    def __iter__(self) -> Iterator[T]:
        for params in self._kit.shard.twins(self._number()):
            yield Reader(self._kit, self._class, params)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"<{len(self)} twins of {self._class.__name__}>"

    def _number(self) -> int:
        number: int = self._kit._schema(self._class).population
        return number


class _Selector(selectors.SelectSelector):
    """Never blocks: when nothing is ready, the loop has come to rest and goes back to the test."""

    loop: TestLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events and timeout != 0:
            self.loop.stop()
        return events


class TestLoop(asyncio.SelectorEventLoop):
    """asyncio on the app's clock: sleeps and time-outs follow ``t.advance``."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        selector = _Selector()
        super().__init__(selector)
        selector.loop = self
        self._selector_of_threads = selector
        # a sleep that ends within the clock's microsecond has ended; less than that is lost in a float of seconds
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._shard.now() / 1e6

    def next_due(self) -> int | None:
        """µs since 1970 at which the earliest sleep or time-out ends."""
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        due = min((handle.when() for handle in scheduled if not handle.cancelled()), default=None)
        return None if due is None else round(due * 1e6)

    def wait(self, seconds: float) -> bool:
        """Waits in real time until another thread or a socket has something; false: it had not."""
        return bool(selectors.SelectSelector.select(self._selector_of_threads, seconds))


class Kit:
    """A run of an app in a test."""

    def __init__(self, app: App[Any], *, strict: bool = True, config: Any = None) -> None:
        self.app = app
        self.strict = strict
        self._config = config
        self._errors: list[BaseException] = []
        self._letters: list[DeadLetter] = []
        self._feeds: dict[tuple[int, int], int] = {}
        self._running: contextlib.AbstractContextManager[None] | None = None
        self._noting = True
        # lanes of ``App.add_lane`` that the shard has
        self.added = app._added
        self._growing = app._while_growing(self)

    # -- its life

    def __enter__(self) -> Kit:
        data, classes, functions = self.app.declaration()
        declaration = msgspec.json.decode(data, type=Declaration)
        self.shard = Shard(data, classes, functions, True, keep_remote=True)
        self._loop = TestLoop(self.shard)
        seconds = declaration.settings.handler_seconds
        self._runner = Runner(self.shard, on_error=self._note, loop=self._loop, seconds=seconds)
        self._running = self.app.running(self._config)
        self._running.__enter__()
        self.added = self.app._added
        self._growing.__enter__()
        self._linking = self.app._while_linking(self.shard, lambda: None)
        self._linking.__enter__()
        self._settle()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.shard.stop()
                self._settle()
        finally:
            self._leave()
        if kind is None and self.strict and self._errors:
            first, *others = self._errors
            for other in others[:10]:
                first.add_note(f"another handler failed: {other!r}")
            raise first

    def _leave(self) -> None:
        # handlers that are still at work have not failed: nothing of them has happened
        self._noting = False
        for task in self._runner.tasks:
            task.cancel()
        for _ in range(100):
            if not self._runner.tasks:
                break
            self._turn_loop()
        self._loop.close()
        self.shard.close()
        if self._running is not None:
            self._linking.__exit__(None, None, None)
            self._growing.__exit__(None, None, None)
            self._running.__exit__(None, None, None)

    def _note(self, error: BaseException, kind: str, uri: str) -> None:
        if self._noting:
            error.add_note(f"in a turn of {uri}")
            self._errors.append(error)

    # -- what a test does

    @overload
    def at(self, cls: type[T], /, *params: object) -> T: ...
    @overload
    def at(self, uri: str, /) -> Any: ...
    def at(self, cls: Any, /, *params: object) -> Any:
        """A twin from outside: its commands are sent, its committed lanes are read.

        Reading a twin that does not exist raises ``NoSuchTwin``.
        """
        if isinstance(cls, str):
            route = self.shard.route(cls)
            if route is None:
                raise NoSuchTwin(f"no twin class has a pattern for {cls!r}")
            return Reader(self, self.app.classes[route[0]], route[1])
        return Reader(self, cls, address(self.app, cls, params))

    def all(self, cls: type[T], /) -> Population[T]:
        """All twins of a class, in the order of their creation."""
        self._schema(cls)
        return Population(self, cls)

    def feed(self, to: Command[B], records: Iterable[B | Mapping[str, Any]], /) -> None:
        """Records to a command, each to the twin that its key fields name, as from a file."""
        schema = self._schema(to.owner)
        target = (schema.population, to.number)
        source = self._feeds.get(target)
        if source is None:
            declared = SourceDecl(
                name="feed", file=None, target=target, lane="", key={}, time="", filter=False, speed=None
            )
            source = self._feeds[target] = self.shard.ingest(msgspec.json.encode(declared), None, None)
        chunk: list[Any] = []
        for record in records:
            chunk.append(record)
            if len(chunk) == _CHUNK:
                self.shard.records(source, chunk)
                self._settle()
                chunk = []
        self.shard.records(source, chunk)
        self._settle()

    def post(self, uri: str, lane: str, body: Any = None, /) -> None:
        """A command, or a value for a lane that may be set, by URI and wire name; ``rejected`` has what is refused."""
        self.shard.post(uri, lane, body)
        self._settle()

    def run(self, answer: Awaitable[R], /) -> R:
        """Waits for what an async function of the test gives, on the app's clock."""

        async def wait() -> R:
            return await answer

        task = self._loop.create_task(wait())
        self._settle()
        while not task.done():
            due = self._next_due()
            if due is None:
                task.cancel()
                self._settle()
                raise ShoalError(
                    "nothing that waits can make this answer come: no timer is set and no handler is under way"
                )
            self.shard.advance(due)
            self._settle()
        return task.result()

    def advance(self, by: Seconds, /) -> None:
        """Moves the clock; timers, sleeps and time-outs on the way happen in their order, each at its time."""
        target = self.shard.now() + microseconds(by)
        while (due := self._next_due()) is not None and due <= target:
            self.shard.advance(due)
            self._settle()
        self.shard.advance(target)
        self._settle()

    def pushed(self, lane: Supply[V], /, *params: object) -> list[V]:
        """What a supply lane of a twin has pushed, in order, to nobody, too: ``t.pushed(Bus.alerts, "7")``."""
        schema = self._schema(lane.owner)
        return lane._read(self.shard.pushed(schema.population, address(self.app, lane.owner, params), lane.number))

    @property
    def now(self) -> datetime:
        """The app's clock, in the app's time zone."""
        return (_EPOCH + timedelta(microseconds=self.shard.now())).astimezone(self.app.zone)

    @property
    def rejected(self) -> list[str]:
        """What was not applied, each as "URI: reason": refused, invalid, without an address, or over a bound.

        Failures of handlers are in ``errors``.
        """
        return [
            f"{letter.node}: {letter.reason}" if letter.node else letter.reason
            for letter in self._letters
            if letter.kind != "failed"
        ]

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """All of them, as a run writes them to its file."""
        return list(self._letters)

    @property
    def errors(self) -> list[BaseException]:
        """Exceptions of handlers, in their order. A strict test raises the first at its end."""
        return self._errors

    @property
    def sent(self) -> list[Sent]:
        """Commands to other servers (``warp://`` addresses), which a test keeps instead."""
        return [Sent(*each) for each in self.shard.sent()]

    # -- until nothing waits

    def _settle(self) -> None:
        """Runs turns and coroutines until neither has anything left to do at this time."""
        while True:
            while self._runner.batch(_BUDGET):
                self._collect()
                self._catch_up()
            self._collect()
            self._catch_up()
            self._turn_loop()
            if self.shard.waiting():
                continue
            if self._stuck() and self._loop.wait(_PATIENCE):
                continue
            if not self.shard.waiting():
                return

    def _lanes_added(self) -> None:
        """As ``Growing._lanes_added``: now, or after the batch in progress."""
        if not self.shard.at():
            self._catch_up()

    def _catch_up(self) -> None:
        if self.added != self.app._added and not self.shard.in_flight():
            self.shard.extend(*self.app.declaration())
            self.added = self.app._added
            self.app._show_lanes()

    def _turn_loop(self) -> None:
        """Runs the loop until everything in it waits for time, or for another thread."""
        if not self._loop.is_closed():
            self._loop.run_forever()

    def _stuck(self) -> bool:
        """An async turn waits for something that the clock will not bring: a thread or a socket."""
        return bool(self._runner.tasks) and any(self._waits_outside(task) for task in self._runner.tasks)

    def _waits_outside(self, task: asyncio.Task[None]) -> bool:
        return bool(getattr(self._loop, "_default_executor", None)) and not task.done() and self._executor_busy()

    def _executor_busy(self) -> bool:
        executor = getattr(self._loop, "_default_executor", None)
        threads = getattr(executor, "_threads", ())
        idle = getattr(executor, "_idle_semaphore", None)
        free = getattr(idle, "_value", len(threads))
        return len(threads) > free

    def _next_due(self) -> int | None:
        dues = [due for due in (self.shard.next_due(), self._loop.next_due()) if due is not None]
        return min(dues, default=None)

    def _collect(self) -> None:
        self.app._hear_links(self.shard)
        self._letters.extend(self.shard.dead_letters())

    def _schema(self, cls: Any) -> Any:
        if not isinstance(cls, TwinMeta) or cls.__shoal__.app is not self.app:
            raise NoSuchTwin(f"{getattr(cls, '__name__', cls)!r} is no twin class of this app")
        return cls.__shoal__
