"""The boundary between Python and the core, checked against the built module by stubtest.

Numbers (``population``, ``column``, ``command`` …) are indices into the lists of the shard's declaration.
All times are microseconds: since 1970 UTC for instants.
"""

from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from os import PathLike
from typing import Any, Self, final

from typing_extensions import disjoint_base

from shoal.asking import Question
from shoal.handlers import Functions

@disjoint_base
class Handle:
    """Base of ``shoal.Twin``: names one twin of one shard. Not made by users."""

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self: ...
    @property
    def uri(self) -> str: ...
    @property
    def _id(self) -> int: ...
    @property
    def _shard(self) -> Shard: ...
    @property
    def _population(self) -> int: ...
    def _parameters(self) -> tuple[str, ...]:
        """The URI's parameters, decoded, in the pattern's order."""
    def _now(self) -> int:
        """The time of the turn in progress."""
    def _sequence(self) -> int:
        """The number of the turn in progress, for seeding ``random``."""
    # Below: only in the twin's own turn; NotInTurn, WrongThread or TwinStopped otherwise.
    # They take effect when the turn ends.
    def _after(self, timer: int, delay: int) -> None: ...
    def _cancel(self, timer: int) -> None: ...
    def _delete(self) -> None: ...
    def _local(self) -> dict[str, Any]:
        """The twin's Local objects, by attribute: kept while the twin is in memory, never rolled back."""
    def _send(self, population: int, parameters: Sequence[str], command: int, body: Any) -> None:
        """A command to another twin; the body is validated (ValidationError) and copied now."""
    def _ask(self, population: int, parameters: Sequence[str], command: int, body: Any, question: Question) -> int:
        """A request to another twin, which leaves at once: ``question.settle`` is called with its answer, in a batch's
        ``settle_asks``. Returns its number. AskFailed, WouldDeadlock, ValidationError.
        """
    def _send_uri(self, uri: str, lane: str, body: Any) -> int:
        """The same by URI; an address without a route becomes a dead letter when it is delivered.

        Returns the command's number in the turn.
        """
    def _unsend(self, number: int) -> bool:
        """Takes a command back that has not been sent yet; false: there is none of this number."""
    def _send_each(self, members: int, command: int, body: Any) -> None:
        """To all members of a group."""
    def _links(self, kind: str, number: int) -> int:
        """How many are linked to a lane: "column", "map", "command", "members", "supply" or "demand"."""
    def _members(self, members: int) -> list[str]: ...
    def _member_count(self, members: int) -> int: ...
    def _has_member(self, members: int, uri: str) -> bool: ...
    def _link_state(self, link: int) -> tuple[bool, bool]:
        """(linked, synced) of one of the twin's links."""
    def _join(self, link: int, key: Any, uri: str) -> None:
        """Adds a link to a join."""
    def _leave(self, link: int, key: Any) -> bool:
        """Takes one out; false: there was none."""

class Cell:
    """Base of every lane that is one column: the descriptor that reads and writes the cell."""

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self: ...
    def _bind(
        self,
        name: str,
        column: int,
        type: str,
        nullable: bool,
        read_only: str,
        decode: Callable[[Any], Any] | None,
        encode: Callable[[Any], Any] | None,
    ) -> None:
        """Called once per final class. ``read_only``: why assigning is refused, or ''.

        ``decode`` and ``encode`` turn the column's builtin form (None, bool, int, float, str, bytes, datetime, Point,
        list, dict) into the declared type and back; None where the column's form is the type.
        """
    def __get__(self, obj: Any, owner: Any = None, /) -> Any: ...
    def __set__(self, obj: Any, value: Any, /) -> None: ...

class Teller:
    """Base of lanes that only tell those who have linked them: reading one in a turn gives what it is told by."""

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self: ...
    def _bind(
        self,
        name: str,
        kind: str,
        number: int,
        type: str | None = None,
        encode: Callable[[Any], Any] | None = None,
    ) -> None:
        """Called once per final class. ``kind``: "demand", "demand map" or "supply"; ``type`` and ``encode`` are those
        of a map's keys, of a supply's items.
        """
    def __get__(self, obj: Any, owner: Any = None, /) -> Any: ...

# The three below are used again for the next read while nobody holds them. They act in the twin's own turn only, as a
# Handle does, and take effect when the turn ends.

@final
class Cueing:
    """A twin's demand lane."""

    def cue(self) -> None:
        """It may have changed. Nobody linked: one bit is looked at."""

@final
class CueingKey:
    """A twin's demand-map lane. Its keys are checked also where nobody listens (WrongType)."""

    def cue(self, key: Any, /) -> None:
        """What it has under a key may have changed."""
    def remove(self, key: Any, /) -> None:
        """A key is gone."""

@final
class Pushing:
    """A twin's supply lane."""

    def push(self, item: Any, /) -> None:
        """Checked also where nobody listens (WrongType); counts as one of the turn's sends (OverLimit)."""

@disjoint_base
class Table:
    """Base of map lanes: the descriptor whose reading gives a ``TableView``."""

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self: ...
    def _bind(
        self,
        name: str,
        map: int,
        key: str,
        value: str,
        decode_key: Callable[[Any], Any] | None,
        encode_key: Callable[[Any], Any] | None,
        decode_value: Callable[[Any], Any] | None,
        encode_value: Callable[[Any], Any] | None,
        default: Any,
        has_default: bool,
    ) -> None: ...
    def __get__(self, obj: Any, owner: Any = None, /) -> Any: ...
    def __set__(self, obj: Any, value: Any, /) -> None: ...

@final
class TableView:
    """One twin's entries of a map lane: a MutableMapping, in the order of insertion."""

    def __getitem__(self, key: Any, /) -> Any: ...
    def __setitem__(self, key: Any, value: Any, /) -> None: ...
    def __delitem__(self, key: Any, /) -> None: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...
    def __contains__(self, key: object, /) -> bool: ...
    def keys(self) -> list[Any]: ...
    def values(self) -> list[Any]: ...
    def items(self) -> list[tuple[Any, Any]]: ...
    def get(self, key: Any, default: Any = None, /) -> Any: ...
    def pop(self, key: Any, *default: Any) -> Any: ...
    def popitem(self) -> tuple[Any, Any]: ...
    def setdefault(self, key: Any, default: Any = None, /) -> Any: ...
    def update(self, other: Any = None, /, **entries: Any) -> None: ...
    def clear(self) -> None: ...

@disjoint_base
class ListTable:
    """Base of list lanes: the descriptor whose reading gives a ``ListView``."""

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self: ...
    def _bind(
        self,
        name: str,
        map: int,
        value: str,
        decode: Callable[[Any], Any] | None,
        encode: Callable[[Any], Any] | None,
    ) -> None: ...
    def __get__(self, obj: Any, owner: Any = None, /) -> Any: ...
    def __set__(self, obj: Any, value: Any, /) -> None: ...

@final
class ListView:
    """One twin's elements of a list lane: a MutableSequence whose elements have keys and can be moved."""

    def __getitem__(self, key: Any, /) -> Any: ...
    def __setitem__(self, key: Any, value: Any, /) -> None: ...
    def __delitem__(self, key: Any, /) -> None: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __reversed__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __iadd__(self, value: Any, /) -> Self: ...
    def index(self, value: Any, start: int | None = None, stop: int | None = None, /) -> int: ...
    def count(self, value: Any) -> int: ...
    def insert(self, index: int, value: Any) -> None: ...
    def append(self, value: Any) -> None: ...
    def extend(self, values: Any) -> None: ...
    def pop(self, index: int = -1) -> Any: ...
    def remove(self, value: Any) -> None: ...
    def reverse(self) -> None: ...
    def clear(self) -> None: ...
    def move(self, from_: int, to: int) -> None: ...
    def take(self, n: int) -> None: ...
    def drop(self, n: int) -> None: ...
    def key(self, index: int) -> Any: ...

@final
class DeadLetter:
    """What could not be applied, and why."""

    def __new__(
        cls,
        origin: str,
        sequence: int,
        time: int,
        node: str,
        lane: str,
        kind: str,
        reason: str,
        record: bytes,
        number: int = 0,
    ) -> DeadLetter: ...
    @property
    def origin(self) -> str:
        """A source's name, a twin's URI, "timer", "members" or "outside"."""
    @property
    def sequence(self) -> int:
        """Line or row of a file; number of the envelope otherwise."""
    @property
    def time(self) -> int:
        """µs since 1970 UTC."""
    @property
    def node(self) -> str:
        """The URI, as far as it is known."""
    @property
    def lane(self) -> str: ...
    @property
    def kind(self) -> str:
        """ "invalid" (validation), "unrouted", "rejected" (Reject), "failed" (an exception, a fold) or "limit"."""
    @property
    def reason(self) -> str: ...
    @property
    def record(self) -> bytes:
        """The record as it was read, or the body as JSON."""
    @property
    def number(self) -> int:
        """Among the letters of the store, from 1 on and rising; 0 without a store.

        What made it makes it again under the same number when a run starts anew.
        """

@final
class Counts:
    """read = applied + filtered + dead + waiting."""

    def __new__(
        cls, read: int, applied: int, filtered: int, dead: int, waiting: int, late: int, state: str
    ) -> Counts: ...
    @property
    def read(self) -> int: ...
    @property
    def applied(self) -> int: ...
    @property
    def filtered(self) -> int: ...
    @property
    def dead(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    @property
    def late(self) -> int:
        """Events older than the clock."""
    @property
    def state(self) -> str:
        """ "open", "done" or the reason why it failed."""

@final
class Recovered:
    """What a start has found in its store."""

    @property
    def is_new(self) -> bool:
        """The store was made just now."""
    @property
    def twins(self) -> int: ...
    @property
    def changes(self) -> int:
        """Cells and entries that records have changed since the checkpoint."""
    @property
    def records(self) -> int: ...
    @property
    def checkpoint(self) -> int:
        """The record that the checkpoint holds all up to; 0: there was none."""
    @property
    def seconds(self) -> float: ...
    @property
    def letters(self) -> int:
        """Dead letters up to this number are in their file."""
    @property
    def store(self) -> str:
        """Names the store, and no other that was ever made."""
    @property
    def notes(self) -> list[str]:
        """What the operator should know."""

@final
class JournalStatus:
    """How a journal is doing."""

    @property
    def risk_seconds(self) -> float:
        """Age of the oldest change that is not on the disk; 0: there is none."""
    @property
    def risk_changes(self) -> int:
        """Turns that are not on the disk."""
    @property
    def durable(self) -> int:
        """The newest record on the disk."""
    @property
    def paused(self) -> bool:
        """What comes from outside waits for the disk."""
    @property
    def records(self) -> int:
        """Of this run, as are ``bytes`` and ``transactions`` (one fsync each)."""
    @property
    def bytes(self) -> int: ...
    @property
    def transactions(self) -> int: ...
    @property
    def checkpoint(self) -> int:
        """The newest record that a checkpoint holds."""
    @property
    def checkpoint_seconds(self) -> float: ...
    @property
    def kept_bytes(self) -> int:
        """Bytes of records behind the checkpoint."""
    @property
    def problem(self) -> str:
        """Why the last checkpoint could not be written; "": it could."""

@final
class Preview:
    """A look at a source's first records. ``file`` is JSON: ``shoal.sources.FileDecl``. Errors: RunFailed."""

    def __new__(cls, file: bytes) -> Self: ...
    def look(self, frm: int, to: int, seconds: float, /) -> list[bytes]:
        """Records ``frm`` to ``to`` as JSON, unreadable ones left out: when they are there, or the source or the
        patience has ended. Errors: RunFailed.
        """
    def header(self) -> list[str] | None:
        """The columns, where records are rows of delimited text."""
    def total(self) -> int | None:
        """How many records there are, if the source has been read to its end."""
    def close(self) -> None: ...

@final
class Shard:
    """Twins of one app in one process; used by the thread that made it (WrongThread)."""

    def __new__(
        cls,
        declaration: bytes,
        classes: Sequence[type],
        functions: Sequence[Functions],
        virtual: bool,
        keep_remote: bool = False,
    ) -> Shard:
        """``virtual``: the clock stands still until an event or ``advance`` moves it (tests, replays)."""
    # -- the loop
    def turns(self, budget: int) -> Turns:
        """Runs turns for at most ``budget`` µs of real time or ``commit_turns`` turns.

        Stops at each that needs Python.
        """
    def commit(self) -> int:
        """Ends the batch; returns the commit's number."""
    def at(self) -> str:
        """The URI of the turn in progress; "" between turns."""
    @property
    def context(self) -> ContextVar[int | None]:
        """Holds the number of the parked turn that a coroutine belongs to; its tasks inherit it."""
    def fail(self, kind: str, reason: str) -> None:
        """Undoes the turn in progress; its envelope is a dead letter."""
    def park(self) -> int:
        """The call in progress gave a coroutine: sets its turn aside; returns the turn's number."""
    def finish(self, turn: int, kind: str, reason: str) -> None:
        """The coroutine of a parked turn ended; kind "" is success. The turn is applied or undone by ``turns``."""
    def reply(self, turn: int, result: Any) -> None:
        """What the coroutine of a parked turn gave: its reply, where it answers a request (WrongType), else ignored."""
    def ask(self, population: int, parameters: Sequence[str], command: int, body: Any, question: Question) -> int:
        """A program's request to a twin; as ``Handle._ask``."""
    def forget_ask(self, number: int) -> None:
        """Nobody waits for this answer any more."""
    def settle_asks(self) -> None:
        """Hands out the answers that have come."""
    def waiting(self) -> bool:
        """Whether ``turns`` would find work now."""
    def in_flight(self) -> int:
        """Parked turns: async handlers that are at work."""
    def fileno(self) -> int:
        """Becomes readable when work arrives from another thread (an eventfd; ``woken`` resets it)."""
    def woken(self) -> None: ...
    def next_due(self) -> int | None:
        """When the earliest timer fires."""
    def next_wake(self) -> int | None:
        """Real microseconds until a paced source's next record is due; None where none is paced."""
    def now(self) -> int: ...
    def advance(self, to: int) -> None:
        """Moves a virtual clock. Timers due until then become work; the caller runs them in between."""
    def stop_reading(self) -> None:
        """Readers end. What has been handed over is still work; of a paced source, what is due by now."""
    def stop(self) -> None:
        """on_stop of every twin becomes work."""
    def serve(self, host: str, port: int) -> tuple[str, int, list[str]]:
        """Listens for WARP and HTTP; port 0 is any that is free.

        Returns the address, the port, and what the operator should know. RunFailed: it cannot be listened there.
        """
    def stop_listening(self) -> None:
        """Nothing more is taken from outside; what has been is still work."""
    def stop_serving(self, seconds: float) -> None:
        """Ends all links and connections, those to other servers among them; blocks until they have ended, at most so
        long."""
    def unsent(self) -> int:
        """Commands to other servers that are not written yet."""
    def is_sending(self) -> bool:
        """Whether some of them wait for servers that are not known to be away."""
    def remotes(self) -> list[tuple[str, bool, int, int, str]]:
        """Other servers by address: with whether there is a connection, links, commands that wait, what is wrong."""
    # -- the journal
    def open_store(self, folder: str | PathLike[str], forget: Sequence[str]) -> Recovered:
        """Takes up the state of the store in a folder, made where there is none, and saves to it from here on.

        ``forget``: classes and CLASS.LANEs of the store whose values may go. RunFailed: it cannot be used.
        """
    def journal(self) -> JournalStatus | None:
        """None: there is no store."""
    def mark(self, source: str) -> tuple[int, list[int]] | None:
        """What the store says of a source that is not open yet: it is applied up to there, but these positions."""
    def letters_kept(self, through: int) -> None:
        """Dead letters up to this number are in their file, on the disk."""
    def checkpoint(self) -> None:
        """Begins a checkpoint now."""
    def begin_backup(self, to: str | PathLike[str]) -> None:
        """Has the store copied into a folder, in the background. RunFailed while another copy is made."""
    def backup_answer(self) -> str | None:
        """What was copied; None: it is not done yet. RunFailed: it could not be."""
    def close_journal(self, seconds: float) -> None:
        """Saves all that has happened and closes the store; no turn may follow. RunFailed: what is not saved."""
    def close(self) -> None:
        """Ends readers; every later call raises."""
    # -- from outside
    def post(self, uri: str, lane: str, body: Any, origin: str = "outside") -> None: ...
    def post_to(
        self, population: int, parameters: Sequence[str], command: int, body: Any, origin: str = "outside"
    ) -> None: ...
    def ingest(
        self,
        source: bytes,
        where: Callable[[Any], bool] | None,
        to: Callable[[Any], str] | None,
        preview: Preview | None = None,
    ) -> int:
        """Starts a reader. ``source`` is JSON: ``shoal.sources.SourceDecl``. Returns the source's number.

        ``preview``: the source has been looked at, and goes on from its first record.
        """
    def news(self) -> list[tuple[int, int, bytes]]:
        """Records with a field that nobody has declared, which their sources wait with: (source, position, text)."""
    def go_on(self, source: int, passed: Sequence[str]) -> None:
        """A source goes on after news; it does not stop for the ``passed`` fields again."""
    def extend(self, declaration: bytes, classes: Sequence[type], functions: Sequence[Functions]) -> None:
        """Commits, and goes on with a declaration that only adds. Errors: DeclarationError; then nothing was done."""
    def records(self, source: int, records: Sequence[Any], first: int = 0) -> None:
        """Python records for a source of kind "records" (iterables, ``t.feed``).

        ``first`` is the position of the first of them, from 1 on and behind those before; 0: the next.
        """
    def counts(self, source: int) -> Counts: ...
    def outside_counts(self) -> Counts:
        """Commands of programs on this thread."""
    def inner_counts(self) -> Counts:
        """Commands between twins, and timers: read means sent."""
    def dead_letters(self) -> list[DeadLetter]:
        """Takes those that have come since the last call."""
    def sent(self) -> list[tuple[str, str, Any]]:
        """With ``keep_remote``: the commands to other servers so far, as (URI, lane, body)."""
    def pushed(self, population: int, parameters: Sequence[str], supply: int) -> list[Any]:
        """What a supply lane has pushed, in order; [] but in tests (``keep_remote``)."""
    def route(self, uri: str) -> tuple[int, tuple[str, ...]] | None: ...
    # -- reading committed state
    def exists(self, population: int, parameters: Sequence[str]) -> bool: ...
    def read(self, population: int, parameters: Sequence[str], column: int) -> Any:
        """A cell in its builtin form (not decoded). NoSuchTwin."""
    def read_map(self, population: int, parameters: Sequence[str], map: int) -> list[tuple[Any, Any]]: ...
    def open_link(self, uri: str, lane: str, kind: str, sync: bool, prio: float, rate: float) -> int:
        """A link of the app; ``link_news`` has what comes, under the number that is given."""
    def close_link(self, link: int) -> None: ...
    def link_news(self) -> list[tuple[Any, ...]]:
        """(link, what, arguments of it …) of all that has come since the last call."""
    def link_state(self, population: int, parameters: Sequence[str], link: int) -> tuple[bool, bool]:
        """(linked, synced) of a twin's link."""
    def read_members(self, population: int, parameters: Sequence[str], members: int) -> list[str]: ...
    def twins(self, population: int) -> list[tuple[str, ...]]:
        """Parameters of all twins, in the order of creation."""
    def size(self, population: int) -> int: ...
    def uri(self, population: int, parameters: Sequence[str]) -> str: ...
    def dump(self) -> bytes:
        """The whole state as JSON, hidden state included; for tests."""

@final
class Turns:
    def __iter__(self) -> Turns: ...
    def __next__(self) -> tuple[Any, BaseException | None]:
        """Ends the turn before and calls the handlers of those that follow, until one has given back something, or
        raised: (result, None) or (None, exception). Its turn is still open.
        """

__version__: str

def recon_loads(text: str | bytes | bytearray, /) -> Any: ...
def recon_dumps(obj: Any, /, *, default: Callable[[Any], Any] | None = None, sort_keys: bool = False) -> str: ...
def recon_tagged(text: str, /) -> str:
    """The structure of a Recon text as JSON in which no difference is lost."""

def recon_canonical(text: str, /) -> str:
    """The text that swim-java writes for what a Recon text says."""

def frozen(value: Any, /) -> Any:
    """A copy that nobody can change: lists as tuples, dicts as read-only mappings."""

def warp_fields(frame: str, /) -> str:
    """The fields of a WARP frame as JSON."""

# Stores that nobody runs. Bytes are JSON: ``shoal.stores``. Errors: RunFailed.

def store_check(folder: str | PathLike[str]) -> bytes: ...
def store_compact(folder: str | PathLike[str]) -> bytes: ...
def store_repair(folder: str | PathLike[str], app: str | None = None) -> bytes: ...
def store_export(folder: str | PathLike[str], to: str | PathLike[str], format: str) -> bytes:
    """``format``: "arrow" or "jsonl"."""

def store_backup(folder: str | PathLike[str], to: str | PathLike[str]) -> int:
    """The number of the last record that is in the copy."""

__all__ = [
    "Cell",
    "Counts",
    "Cueing",
    "CueingKey",
    "DeadLetter",
    "Handle",
    "JournalStatus",
    "ListTable",
    "ListView",
    "Preview",
    "Pushing",
    "Recovered",
    "Shard",
    "Table",
    "TableView",
    "Teller",
    "Turns",
    "__version__",
    "frozen",
    "recon_canonical",
    "recon_dumps",
    "recon_loads",
    "recon_tagged",
    "store_backup",
    "store_check",
    "store_compact",
    "store_export",
    "store_repair",
    "warp_fields",
]
