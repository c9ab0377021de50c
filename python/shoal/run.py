"""A run: one app's shard in one asyncio loop, from the first record to the closing line.

The loop wakes when work arrives, runs turns for at most 2 ms, hands what could not be applied to the dead-letter file,
and then lets asyncio have its go. Nothing here decides what a turn does: that is ``turn.py`` and the core.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from shoal._core import DeadLetter, Recovered, Shard
from shoal.config import load
from shoal.control import Control
from shoal.dead_letters import FLUSH_SECONDS, DeadLetterFile
from shoal.declaration import Declaration
from shoal.errors import RunFailed
from shoal.servers import Servers
from shoal.sources import Inferred
from shoal.sources.opening import Feeder, declare, tells_time
from shoal.totals import Spent, Totals
from shoal.turn import Runner

if TYPE_CHECKING:
    from shoal.app import App

R = TypeVar("R")

BATCH_MICROSECONDS = 2_000
DRAIN_SECONDS = 5.0
# of those, what is kept for links and connections to end
HANG_UP_SECONDS = 1.5
# what the disk may take for the last records
SAVE_SECONDS = 30.0
# A serving run's: a second busy Python thread holds the shard's up for so long, not for 5 ms.
SWITCH_SECONDS = 0.0005
# A replay's records that are due within this run together: a wake-up for each would cost more than the turns.
PACE_SECONDS = 0.001

OnError = Callable[[BaseException, str, str], None]
OnDeadLetters = Callable[[Sequence[DeadLetter]], None]


@dataclass(frozen=True)
class RunOptions:
    """How a run goes; the defaults are those of ``shoal run``."""

    # ends when all sources are exhausted and nothing waits, commands to other servers included
    once: bool = False
    # ends at the first dead letter
    strict: bool = False
    # None: dead-letters/APP.jsonl
    dead_letters: Path | None = None
    # where WARP and HTTP are served; port None: they are not, 0: at any that is free
    host: str = "127.0.0.1"
    port: int | None = None
    # replaces the speed of every file source that tells the time
    speed: float | Literal["max"] | None = None
    # the folder of a store: state is taken up from it and saved to it; None: nothing is saved
    store: Path | None = None
    # classes and CLASS.LANEs of the store whose values may go
    forget: tuple[str, ...] = ()
    # SIGINT and SIGTERM end the run cleanly, a second one at once; only in the main thread
    signals: bool = False
    # called for each exception of user code: the exception, the kind of its dead letter, the twin's URI
    on_error: OnError | None = None
    # of an app that was inferred from its source
    inferred: Inferred | None = None
    # called with the dead letters of each batch, after the file has taken them over
    on_dead_letters: OnDeadLetters | None = None


class Run:
    """One run of an app: made, driven and read in one thread; ``until_done`` may be awaited once.

    ``config`` None: from the environment and the defaults. Making it raises ``DeclarationError`` and ``ConfigError``,
    and ``RunFailed`` where the store cannot be used; ``totals`` may be read until ``close``.
    """

    def __init__(self, app: App[Any], config: Any = None, options: RunOptions = RunOptions()) -> None:
        self.app = app
        self.config = config if config is not None else load(app.config_type, app.name, environ=os.environ)
        self.options = options
        data, self.classes, functions = app.declaration()
        self.declaration = msgspec.json.decode(data, type=Declaration)
        self.sources = declare(app, self.declaration, options.speed)
        if options.inferred is not None:
            for source in self.sources:
                known = list(options.inferred.known)
                source.declaration = msgspec.structs.replace(source.declaration, known=known)
                source.preview = options.inferred.preview
        self.replay = any(tells_time(source, self.declaration) for source in self.sources)
        self.shard = Shard(data, self.classes, functions, self.replay, False)
        # what the store held; None: there is no store
        self.recovered: Recovered | None = None
        letters = options.dead_letters or Path("dead-letters") / f"{app.name}.jsonl"
        try:
            if options.store is not None:
                self.recovered = self.shard.open_store(options.store, list(options.forget))
            if self.recovered is None:
                self.dead_letters = DeadLetterFile(letters)
            else:
                self.dead_letters = DeadLetterFile(letters, self.recovered.letters, self.recovered.store)
        except RunFailed:
            # another run may have the store
            self.shard.close()
            raise
        # lanes of ``App.add_lane`` that the shard has
        self.added = app._added
        self._letters_kept = 0
        # the dead letter that ended a strict run
        self.stopped_by: DeadLetter | None = None
        # the run was ended by ``stop`` before its sources were exhausted
        self.interrupted = False
        # where it serves, as a URL; "" where it does not
        self.address = ""
        # made by ``listen``
        self._control: Control | None = None
        self._start = Spent.now()
        self._earlier = 0
        self._feeders: list[Feeder] = []
        self._failure: BaseException | None = None
        self._draining = False
        self._at_once = False
        self._left = False
        self._next: asyncio.Handle | None = None
        self._switch = sys.getswitchinterval()

    # -- what others may ask of it

    def totals(self) -> Totals:
        numbers = {source.declaration.name: source.number for source in self.sources if source.number >= 0}
        names = [p.name for p in self.declaration.populations]
        return Totals.of(self.shard, numbers, names, self._start, self._earlier)

    def listen(self) -> list[str]:
        """Opens the port of the options, if there is one, and the store's socket; else the first batch does. What the
        operator should know.

        Raises ``RunFailed`` where the port is taken or no address of this machine.
        """
        notes: list[str] = []
        if self.options.port is not None and not self.address:
            host, port, notes = self.shard.serve(self.options.host, self.options.port)
            self.address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        if self.options.store is not None and self._control is None:
            self._control = Control(self.options.store, self.shard)
            notes += self._control.bind()
        return notes

    def stop(self) -> None:
        """Ends the run cleanly: nothing more is read, what waits is applied. Called again, it ends at once."""
        if self.interrupted:
            self._at_once = True
            self._quiet.set()
        self.interrupted = True
        self._ended.set()

    async def until_done(self) -> Totals:
        """Runs to the end of the sources (``once``), the first dead letter (``strict``) or ``stop``; then drains.

        Raises ``RunFailed`` where a source cannot be opened or a dead letter cannot be written, and whatever stopped
        the core. The shard can still be read afterwards.
        """
        self._loop = loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._quiet = asyncio.Event()
        seconds = self.app.settings.handler_seconds
        self._runner = Runner(
            self.shard, on_error=self._report, loop=loop, wake=self._go_on, seconds=seconds, servers=Servers()
        )
        linking = self.app._while_linking(self.shard, self._go_on)
        with self.app.running(self.config), self.app._while_growing(self), linking:
            try:
                self._open()
                if self._control is not None:
                    await self._control.serve()
                await self._ended.wait()
                await self._drain()
            finally:
                if self._control is not None:
                    self._control.leave()
                self._save()
                if self._control is not None:
                    await self._control.close()
                self._leave()
        if self._failure is not None:
            raise self._failure
        return self.totals()

    def close(self) -> None:
        if self._control is not None:
            self._control.leave()
        self.shard.close()

    # -- the loop

    def _open(self) -> None:
        if self.options.signals:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._loop.add_signal_handler(number, self.stop)
        # what has been imported until now stays: the collector need not look at it again
        gc.freeze()
        self._start = Spent.now()
        self.listen()
        if self.address:
            sys.setswitchinterval(SWITCH_SECONDS)
        for source in self.sources:
            # opening it takes what the store says of it
            mark = self.shard.mark(source.name)
            source.open(self.shard)
            if source.records is not None:
                self._feeders.append(Feeder(source, self.shard, mark))
        self._earlier = self.totals().read if self.recovered is not None else 0
        self._loop.add_reader(self.shard.fileno(), self._wake)
        self._go_on()

    def _wake(self) -> None:
        self.shard.woken()
        self._go_on()

    def _go_on(self) -> None:
        """The next batch runs after asyncio has had its go."""
        if self._left:
            return
        self._forget()
        self._next = self._loop.call_soon(self._batch)

    def _batch(self) -> None:
        self._next = None
        try:
            if not self._draining:
                for feeder in self._feeders:
                    feeder.step()
            more = self._runner.batch(BATCH_MICROSECONDS)
            self.app._hear_links(self.shard)
            self._bury()
            self._catch_up()
            if self.options.inferred is not None and self._learn(self.options.inferred):
                more = True
        except BaseException as error:
            # a panic of the core, a full disk, an interrupt: no batch may follow it
            self._failure = error
            self._quiet.set()
            self._ended.set()
            return
        if self._ended.is_set() and not self._draining:
            return
        if more or (not self._draining and any(not feeder.exhausted for feeder in self._feeders)):
            self._go_on()
        else:
            self._rest()

    def _bury(self) -> None:
        letters: Sequence[DeadLetter] = self.shard.dead_letters()
        if self.options.inferred is not None:
            letters = [self.options.inferred.on_letter(letter) for letter in letters]
        # without those that the file has from a run before
        letters = self.dead_letters.add(letters)
        if not letters:
            self.dead_letters.flush_old()
        self._keep_letters()
        if not letters:
            return
        if self.options.on_dead_letters is not None:
            self.options.on_dead_letters(letters)
        if self.options.strict and self.stopped_by is None:
            self.stopped_by = letters[0]
            self._ended.set()

    def _keep_letters(self) -> None:
        """The journal need not keep what the file has on the disk."""
        if self.recovered is not None and (kept := self.dead_letters.position()) > self._letters_kept:
            self._letters_kept = kept
            self.shard.letters_kept(kept)

    def _learn(self, inferred: Inferred) -> bool:
        """Has the schema grow by fields that nobody had declared. False: there is none."""
        news = self.shard.news()
        for source, position, text in news:
            self.shard.go_on(source, inferred.on_news(self, position, text))
        return bool(news)

    def _lanes_added(self) -> None:
        """A lane was added to a class of the app: it is there now, or after the batch in progress."""
        if not self.shard.at():
            self._catch_up()
        self._go_on()

    def _catch_up(self) -> None:
        # an async turn knows its columns by their old numbers
        if self.added != self.app._added and not self.shard.in_flight():
            self.grow()

    def grow(self) -> None:
        """Takes over what the app's classes declare by now. Errors: DeclarationError where that does not only add."""
        data, self.classes, functions = self.app.declaration()
        self.shard.extend(data, self.classes, functions)
        self.declaration = msgspec.json.decode(data, type=Declaration)
        self.added = self.app._added
        self.app._show_lanes()

    def _rest(self) -> None:
        """Nothing waits now: sets the alarm for what comes by itself, or sees that nothing will."""
        delays = []
        if self.dead_letters.waiting:
            delays.append(FLUSH_SECONDS)
        if not self._draining:
            due = None if self.replay else self.shard.next_due()
            if due is not None:
                delays.append((due - self.shard.now()) / 1e6)
            wake = self.shard.next_wake()
            if wake is not None:
                delays.append(max(wake / 1e6, PACE_SECONDS))
        if not self.shard.in_flight():
            # a server that is away is waited for only where the sources are exhausted, at most for `remote_seconds`
            if not self.shard.is_sending():
                self._quiet.set()
            if self.options.once and not self._draining and self._exhausted() and not self.shard.unsent():
                self._ended.set()
                return
        if delays:
            self._next = self._loop.call_later(max(0.0, min(delays)), self._batch)

    def _exhausted(self) -> bool:
        return all(self.shard.counts(s.number).state != "open" for s in self.sources if s.records is None) and all(
            feeder.exhausted for feeder in self._feeders
        )

    def _forget(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    async def _drain(self) -> None:
        """What has been read is applied, async turns end, ``on_stop`` runs, commands leave for servers that are there:
        all that within DRAIN_SECONDS."""
        self._draining = True
        self.shard.stop_listening()
        connected = self.address or self.shard.remotes()
        try:
            async with asyncio.timeout(DRAIN_SECONDS - (HANG_UP_SECONDS if connected else 0.0)):
                for step in (self.shard.stop_reading, self.shard.stop):
                    if self._failure is not None or self.stopped_by is not None or self._at_once:
                        return
                    step()
                    self._quiet.clear()
                    self._go_on()
                    await self._quiet.wait()
        except TimeoutError:
            pass  # the totals say what still waits

    def _save(self) -> None:
        """The last record. After a failure of the core or the disk there is none: what was durable is what counts."""
        self._left = True
        self._forget()
        if self.recovered is None or (self._failure is not None and not isinstance(self._failure, RunFailed)):
            return
        try:
            self.shard.close_journal(SAVE_SECONDS)
            self._bury()
        except RunFailed as error:
            self._failure = self._failure or error

    def _report(self, error: BaseException, kind: str, uri: str) -> None:
        # coroutines that leaving cancels have not failed; the totals count them as waiting
        if self.options.on_error is not None and not self._left:
            self.options.on_error(error, kind, uri)

    def _leave(self) -> None:
        if self.address:
            sys.setswitchinterval(self._switch)
        self.shard.stop_serving(0.0 if self._at_once else HANG_UP_SECONDS)
        self._loop.remove_reader(self.shard.fileno())
        if self.options.signals:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._loop.remove_signal_handler(number)
        for task in list(self._runner.tasks):
            task.cancel()
        try:
            self.dead_letters.close()
        except RunFailed as error:
            self._failure = self._failure or error


def once(app: App[Any], config: Any = None, options: RunOptions = RunOptions(once=True)) -> Totals:
    """Runs an app to the end of its sources, in this thread, and gives the totals. Raises as ``Run.until_done``."""
    run = Run(app, config, options)
    try:
        return with_loop(run.until_done())
    finally:
        run.close()


def serve(app: App[Any], *, host: str, port: int, store: str | os.PathLike[str] | None = None) -> None:
    """``app.run()``: as ``shoal run --host HOST --port PORT --store DIR``, config from the environment and the app's
    TOML file.

    Leaves the process with the exit code of ``shoal run`` where that is not 0.
    """
    from shoal.cli.faults import Fault
    from shoal.cli.run import run_app

    options = RunOptions(host=host, port=port, store=None if store is None else Path(store), signals=True)
    try:
        code = run_app(app, Path(app._place.file), options)
    except Fault as fault:
        print(f"shoal: {fault}", file=sys.stderr)
        code = fault.code
    if code:
        raise SystemExit(code)


def with_loop(main: Coroutine[Any, Any, R]) -> R:
    """What a coroutine returns, run in a loop of its own: uvloop's where it is installed."""
    try:
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)
