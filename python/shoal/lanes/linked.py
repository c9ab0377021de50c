"""What links of twins have in common.

Which twin is linked is state of the twin like any other: ``open`` and ``close`` belong to the turn, are undone with it,
and are saved. What comes is written to the copy in a turn of its own, and then ``changed`` handlers run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from shoal import _core
from shoal.declaration import Column, LinkTable
from shoal.errors import WrongType
from shoal.lanes.lane import Declared
from shoal.types import Form

if TYPE_CHECKING:
    from shoal.schema import Schema

H = TypeVar("H", bound=Callable[..., Any])


class Linked(Declared):
    """What all links have in common: the lane that they lead to, and hooks for what becomes of them."""

    # Set by __init__, _enter and _resolve.
    link_number: int
    lane: str
    source: Declared | None
    sync: bool
    prio: float
    rate: float

    def _lead(self, source: Any, lane: str, sync: bool, rate: tuple[float, float]) -> None:
        self.source = source if isinstance(source, Declared) else None
        self.lane = lane
        self.sync = sync
        self.prio, self.rate = rate

    def _typed(self) -> type | None:
        """The class whose lane it was declared with."""
        return None if self.source is None else self.source.owner

    def _find_lane(self, schema: Schema) -> None:
        """The linked lane's name on the wire."""
        if self.source is not None:
            if self.source.owner is not None and issubclass(schema.cls, self.source.owner):
                self.source = schema.own(self.source, self)
                schema.resolve(self.source)
            if not self.source.attribute:
                raise self._mistake("it links a lane without a name", "give the inner one a line of its own")
            if self.source._private:
                raise self._mistake(
                    f"it links {self.source._label}, which is private", "private lanes cannot be linked"
                )
            self.lane = self.lane or self.source.name
        lane: Any = self.lane
        if not isinstance(lane, str):
            raise self._mistake(f"lane={lane!r}", "it is the lane's name on the wire")
        if not lane:
            raise self._mistake("it does not say which lane it links", 'name it: Link(float, lane="speed")')
        options: dict[str, Any] = {"prio": self.prio, "rate": self.rate}
        for option, value in options.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise self._mistake(f"{option}={value!r}", f"{option} is a number, 0 or more")

    def _table(self, kind: Any, copy: dict[str, int], target: dict[str, int]) -> LinkTable:
        options: dict[str, Any] = {"sync": self.sync, "prio": float(self.prio), "rate": float(self.rate)}
        return LinkTable(self.name, kind, self.lane, copy, target, **options)

    def _mark(self, fn: H, kind: Any) -> H:
        from shoal.handlers import mark

        return mark(fn, kind, self)

    def linked(self, fn: H) -> H:
        """Decorates a method ``(self)``: called when the other end has answered."""
        return self._mark(fn, "linked")

    def synced(self, fn: H) -> H:
        """Decorates a method ``(self)``: the copy is the linked lane's present state; called again after a break."""
        return self._mark(fn, "synced")

    def unlinked(self, fn: H) -> H:
        """Decorates a method ``(self, reason)`` or ``(self)``: the other end has ended the link."""
        return self._mark(fn, "unlinked")

    def closed(self, fn: H) -> H:
        """Decorates a method ``(self)``: the twin itself has closed the link."""
        return self._mark(fn, "closed")

    def failed(self, fn: H) -> H:
        """Decorates a method ``(self, reason)`` or ``(self)``: it could not be opened. Without it: a dead letter."""
        return self._mark(fn, "failed")


class Single(Linked):
    """A link to one lane of one twin: its target is a column of the twin."""

    def _enter_target(self, schema: Schema) -> None:
        self.target_column = schema.next_column()
        self.link_number = schema.next_link()

    def _declare_target(self, schema: Schema) -> None:
        label = f"{self._label}.target"
        private = f"_{self.name}.target"
        schema.columns.append(Column(private, "string", None, True, False, self.save))
        schema._decoders.append(None)
        schema._encoders.append(None)
        self._target = _core.Cell()
        self._target._bind(label, self.target_column, "string", True, "", None, None)


class Opened:
    """A link in a twin's hands. ``target`` is the node URI that it leads to, None where it is closed."""

    __slots__ = ("_lane", "_twin")

    def __init__(self, twin: Any, lane: Any) -> None:
        self._twin = twin
        self._lane = lane

    @property
    def target(self) -> str | None:
        target: str | None = self._lane._target.__get__(self._twin, type(self._twin))
        return target

    @property
    def is_linked(self) -> bool:
        """The other end has answered, and the connection to it stands."""
        return bool(self._twin._link_state(self._lane.link_number)[0])

    @property
    def is_synced(self) -> bool:
        """The copy is the linked lane's state: what it has not yet told aside."""
        return bool(self._twin._link_state(self._lane.link_number)[1])

    def open(self, target: Any, /, *params: object) -> None:
        """Links a twin when this turn is kept: ``open(Bus, "7")``, ``open(self.at(Bus, "7"))``, ``open("/bus/7")`` or,
        of another server, ``open("warp://host:9001/bus/7")``. A link that is open leads there from then on.
        """
        self._lane._target.__set__(self._twin, address(self._twin, target, params))

    def close(self) -> None:
        """Ends the link when this turn is kept. The copy stays as it is."""
        self._lane._target.__set__(self._twin, None)

    def _send(self, body: Any) -> None:
        target = self.target
        if target is None:
            raise WrongType(f"{self._lane._label} is closed: nobody can be written to through it; open it first")
        self._twin._send_uri(target, self._lane.lane, body)

    def __repr__(self) -> str:
        return f"<{self._lane._label} to {self.target}>"


def address(twin: Any, target: Any, params: tuple[object, ...]) -> str:
    """A node URI. Errors: WrongType for what names no twin."""
    if isinstance(target, str) and not params:
        if not target:
            raise WrongType("a link leads to a node URI, such as /bus/7; got an empty text")
        return target
    from shoal.reference import Reference

    reference = target if isinstance(target, Reference) and not params else twin.at(target, *params)
    return str(reference.uri)


def behind(value: Any) -> dict[str, Any]:
    """A value as it stands behind an attribute of a Recon record."""
    if isinstance(value, dict):
        return value
    return {"$1": value}


def plain(form: Form, label: str, value: Any) -> Any:
    encode = form.encoder(label)
    return value if encode is None else encode(value)
