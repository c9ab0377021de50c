"""Links of a twin to a lane of another twin, of this app or of another server: its copy is read without waiting.

Which twin is linked is state of the twin like any other: ``open`` and ``close`` belong to the turn, are undone with it,
and are saved. What comes is written to the copy in a turn of its own, and then ``changed`` handlers run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from os import urandom
from typing import TYPE_CHECKING, Any, Generic, Never, Self, TypeVar, overload

from shoal import _core
from shoal.declaration import Column, LinkTable
from shoal.errors import WrongType
from shoal.lanes.command import Command
from shoal.lanes.lane import MISSING, Declared, Lane
from shoal.lanes.list import List
from shoal.lanes.map import Map
from shoal.lanes.supply import Supply
from shoal.shapes import Misfit
from shoal.types import Form, form_of
from shoal.variables import B, K, Save, V

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from shoal.schema import Schema
    from shoal.twin import Twin

H = TypeVar("H", bound=Callable[..., Any])

_TARGET = form_of(str | None)


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


class LinkView(Opened, Generic[V]):
    """A value link in a twin's hands."""

    __slots__ = ()

    @property
    def value(self) -> V:
        """The newest that has come. Raises Unset while nothing has."""
        value: V = self._lane._cell.__get__(self._twin, type(self._twin))
        return value

    def set(self, value: V, /) -> None:
        """Writes the linked lane, as a command to its twin: the copy changes when that twin says so."""
        lane = self._lane
        encode = lane.form.encoder(lane._label)
        self._send(value if encode is None else encode(value))


class Link(Single, Lane[V]):
    """A twin's link to a value lane of one other twin. It is a lane: folds step on what comes, others may link to it.

    ``Link(Bus.speed)``, or by type where the class is elsewhere: ``Link(float, lane="speed")``. ``sync=False``: only
    what comes from then on, not the present value. ``prio`` and ``rate`` (events a second at most) are for other
    servers.
    """

    _kind = "a link"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            src: Lane[V],
            /,
            *,
            lane: str = "",
            sync: bool = True,
            prio: float = 0,
            rate: float = 0,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
        ) -> None: ...
        @overload
        def __init__(
            self,
            src: TypeForm[V],
            /,
            *,
            lane: str,
            sync: bool = True,
            prio: float = 0,
            rate: float = 0,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
        ) -> None: ...

    def __init__(
        self,
        src: Any,
        /,
        *,
        lane: str = "",
        sync: bool = True,
        prio: float = 0,
        rate: float = 0,
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
    ) -> None:
        super().__init__(name, unit, doc, save, True)
        self.type = src
        self._lead(src, lane, sync, (prio, rate))

    if TYPE_CHECKING:

        @overload
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> LinkView[V]: ...
        def __get__(self, obj: Any, owner: Any) -> Any: ...
        def __set__(self, obj: Twin, value: Never) -> None: ...
    else:

        def __get__(self, obj: Any, owner: Any = None) -> Any:
            return self if obj is None else LinkView(obj, self)

        def __set__(self, obj: Any, value: Any) -> None:
            raise WrongType(f"{self._label} is a link: self.{self.attribute}.set(...) writes the lane that it leads to")

    def _enter(self, schema: Schema) -> None:
        super()._enter(schema)
        self._enter_target(schema)

    def _resolve(self, schema: Schema) -> None:
        self._find_lane(schema)
        if self.source is None:
            try:
                self.form = form_of(self.type)
            except Misfit as misfit:
                raise self._misfit(misfit) from None
            return
        if not isinstance(self.source, Lane):
            kind: dict[type, str] = {Map: "MapLink", List: "ListLink", Command: "EventLink"}
            better = next((name for cls, name in kind.items() if isinstance(self.source, cls)), "")
            raise self._mistake(
                f"{self.source._label} is {self.source._kind}, and Link is for lanes with one value",
                f"use {better}" if better else "",
            )
        self.form = self.source.form

    def _decoder(self) -> Callable[[Any], Any] | None:
        return self.source._decoder() if isinstance(self.source, Lane) else self.form.decoder()

    def _declare(self, schema: Schema) -> None:
        form = self.form
        schema.add_column(self, Column(self.name, form.column, None, form.nullable, False, self.save), self._decoder())
        self._declare_target(schema)
        self._cell = _core.Cell()
        self._cell._bind(
            self._label, self.column, form.column, form.nullable, "is a link's copy", self._decoder(), None
        )
        table = self._table("value", {"column": self.column}, {"column": self.target_column})
        schema.add_link(self, table, self._typed())


class MapLinkView(Opened, Mapping[K, V]):
    """A map link in a twin's hands: reading is of the copy, writing goes to the linked lane."""

    __slots__ = ()

    def _view(self) -> Any:
        return _core.Table.__get__(self._lane, self._twin, type(self._twin))

    def __getitem__(self, key: K, /) -> V:
        value: V = self._view()[key]
        return value

    def __iter__(self) -> Iterator[K]:
        return iter(self._view())

    def __len__(self) -> int:
        return len(self._view())

    def __contains__(self, key: object) -> bool:
        return key in self._view()

    def __setitem__(self, key: K, value: V, /) -> None:
        """Sets an entry of the linked lane, by a command to its twin: the copy changes when that twin says so."""
        lane = self._lane
        self._send({"@update": {"key": lane._plain_key(key)}, **_behind(lane._plain_value(value))})

    def __delitem__(self, key: K, /) -> None:
        """Removes an entry of the linked lane, by a command to its twin."""
        self._send({"@remove": {"key": self._lane._plain_key(key)}})

    def clear(self) -> None:
        """Empties the linked lane, by a command to its twin."""
        self._send({"@clear": None})

    def __repr__(self) -> str:
        return f"<{self._lane._label} to {self.target}: {dict(self)!r}>"


def _behind(value: Any) -> dict[str, Any]:
    """A value as it stands behind an attribute of a Recon record."""
    if isinstance(value, dict):
        return value
    return {"$1": value}


class Copied(Map[K, V]):
    """A map that the core writes: the copy of what is linked."""

    def _plain_key(self, key: Any) -> Any:
        return _plain(self.key_form, f"a key of {self._label}", key)

    def _plain_value(self, value: Any) -> Any:
        return _plain(self.value_form, f"an entry of {self._label}", value)


def _plain(form: Form, label: str, value: Any) -> Any:
    encode = form.encoder(label)
    return value if encode is None else encode(value)


class MapLink(Single, Copied[K, V], Generic[K, V]):
    """A twin's link to a map lane of one other twin: ``MapLink(Bus.stops)``, or ``MapLink(str, int, lane="stops")``."""

    _kind = "a map link"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            src: Map[K, V],
            /,
            *,
            lane: str = "",
            sync: bool = True,
            prio: float = 0,
            rate: float = 0,
            limit: int = ...,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
        ) -> None: ...
        @overload
        def __init__(
            self,
            src: TypeForm[K],
            value: TypeForm[V],
            /,
            *,
            lane: str,
            sync: bool = True,
            prio: float = 0,
            rate: float = 0,
            limit: int = ...,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
        ) -> None: ...

    def __init__(
        self,
        src: Any,
        value: Any = MISSING,
        /,
        *,
        lane: str = "",
        sync: bool = True,
        prio: float = 0,
        rate: float = 0,
        limit: int = 10_000,
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
    ) -> None:
        Map.__init__(self, src, value, limit=limit, name=name, unit=unit, doc=doc, save=save, readonly=True)
        self._lead(src, lane, sync, (prio, rate))

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> MapLinkView[K, V]: ...
        def __get__(self, obj: Any, owner: Any) -> Any: ...
        def __set__(self, obj: Twin, value: Never) -> None: ...  # type: ignore[override]
    else:

        def __get__(self, obj: Any, owner: Any = None) -> Any:
            return self if obj is None else MapLinkView(obj, self)

        def __set__(self, obj: Any, value: Any) -> None:
            raise WrongType(f"{self._label} is a link: self.{self.attribute}[key] = value writes the lane it leads to")

    def _enter(self, schema: Schema) -> None:
        Map._enter(self, schema)
        self._enter_target(schema)

    def _resolve(self, schema: Schema) -> None:
        self._find_lane(schema)
        _take_map(self, self.source)
        Map._resolve(self, schema)

    def _declare(self, schema: Schema) -> None:
        Map._declare(self, schema)
        self._declare_target(schema)
        schema.add_link(self, self._table("map", {"map": self.number}, {"column": self.target_column}), self._typed())


def _take_map(lane: Any, source: Any) -> None:
    """The types of keys and values of the linked map."""
    if source is None:
        if lane.value is MISSING:
            raise lane._mistake(
                "it has one type", f"{type(lane).__name__} takes two, of keys and of values, or a map lane"
            )
        return
    if not isinstance(source, Map):
        raise lane._mistake(f"{source._label} is {source._kind}, and no map", "Link is for lanes with one value")
    lane.key, lane.value = source.key, source.value


class ListLinkView(Opened, Sequence[V]):
    """A list link in a twin's hands: reading is of the copy, writing goes to the linked lane."""

    __slots__ = ()

    def _view(self) -> Any:
        return _core.ListTable.__get__(self._lane, self._twin, type(self._twin))

    @overload
    def __getitem__(self, index: int, /) -> V: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[V]: ...
    def __getitem__(self, index: Any, /) -> Any:
        return self._view()[index]

    def __len__(self) -> int:
        return len(self._view())

    def __setitem__(self, index: int, value: V, /) -> None:
        """Replaces an element of the linked lane, by a command to its twin: the copy changes when that twin says so."""
        place = self._place(index)
        self._send({"@update": {"index": place, "key": self._view().key(place)}, **self._behind(value)})

    def __delitem__(self, index: int, /) -> None:
        """Takes an element out of the linked lane, by a command to its twin."""
        place = self._place(index)
        self._send({"@remove": {"index": place, "key": self._view().key(place)}})

    def insert(self, index: int, value: V) -> None:
        """Puts an element into the linked lane, before the one that stands at ``index`` of the copy."""
        length = len(self)
        place = max(0, index + length) if index < 0 else min(index, length)
        # a key of its own, so that it is told from the element that stands there
        self._send({"@update": {"index": place, "key": urandom(8).hex()}, **self._behind(value)})

    def append(self, value: V) -> None:
        """Puts an element at the end of the linked lane."""
        self.insert(len(self), value)

    def move(self, from_: int, to: int) -> None:
        """Moves an element of the linked lane."""
        place = self._place(from_)
        self._send({"@move": {"from": place, "to": self._place(to), "key": self._view().key(place)}})

    def take(self, n: int) -> None:
        """Keeps the first elements of the linked lane."""
        self._send({"@take": n})

    def drop(self, n: int) -> None:
        """Takes the first elements out of the linked lane."""
        self._send({"@drop": n})

    def clear(self) -> None:
        """Empties the linked lane."""
        self._send({"@clear": None})

    def _place(self, index: int) -> int:
        length = len(self)
        place = index + length if index < 0 else index
        if not 0 <= place < length:
            raise IndexError(f"{self._lane._label} has {length} elements, and {index} is no index of it")
        return place

    def _behind(self, value: V) -> dict[str, Any]:
        lane = self._lane
        return _behind(_plain(lane.value_form, f"an element of {lane._label}", value))

    def __repr__(self) -> str:
        return f"<{self._lane._label} to {self.target}: {list(self)!r}>"


class ListLink(Single, List[V], Generic[V]):
    """A twin's link to a list lane of one other twin: ``ListLink(Bus.route)``, or ``ListLink(str, lane="route")``."""

    _kind = "a list link"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            src: List[V],
            /,
            *,
            lane: str = "",
            sync: bool = True,
            prio: float = 0,
            rate: float = 0,
            limit: int = ...,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
        ) -> None: ...
        @overload
        def __init__(
            self,
            src: TypeForm[V],
            /,
            *,
            lane: str,
            sync: bool = True,
            prio: float = 0,
            rate: float = 0,
            limit: int = ...,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
        ) -> None: ...

    def __init__(
        self,
        src: Any,
        /,
        *,
        lane: str = "",
        sync: bool = True,
        prio: float = 0,
        rate: float = 0,
        limit: int = 10_000,
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
    ) -> None:
        List.__init__(self, src, limit=limit, name=name, unit=unit, doc=doc, save=save, readonly=True)
        self._lead(src, lane, sync, (prio, rate))

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> ListLinkView[V]: ...
        def __get__(self, obj: Any, owner: Any) -> Any: ...
        def __set__(self, obj: Twin, value: Never) -> None: ...  # type: ignore[override]
    else:

        def __get__(self, obj: Any, owner: Any = None) -> Any:
            return self if obj is None else ListLinkView(obj, self)

        def __set__(self, obj: Any, value: Any) -> None:
            raise WrongType(f"{self._label} is a link: its methods write the lane that it leads to")

    def _enter(self, schema: Schema) -> None:
        List._enter(self, schema)
        self._enter_target(schema)

    def _resolve(self, schema: Schema) -> None:
        self._find_lane(schema)
        if self.source is not None:
            source: Any = self.source
            if not isinstance(source, List):
                raise self._mistake(
                    f"{source._label} is {source._kind}, and no list", "Link is for lanes with one value"
                )
            self.value = source.value
        List._resolve(self, schema)

    def _declare(self, schema: Schema) -> None:
        List._declare(self, schema)
        self._declare_target(schema)
        schema.add_link(self, self._table("list", {"map": self.number}, {"column": self.target_column}), self._typed())


class EventView(Opened):
    """An event link in a twin's hands."""

    __slots__ = ()

    def send(self, body: Any, /) -> None:
        """Commands the linked lane."""
        self._send(body)


class EventLink(Single, Command[B]):
    """A twin's link to a command or supply lane of one other twin: each item comes as a command to the twin itself, in
    order, once. ``EventLink(Bus.report)``, or by type: ``EventLink(Fix, lane="report")``.
    """

    _kind = "an event link"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            src: Command[B] | Supply[B],
            /,
            *,
            lane: str = "",
            prio: float = 0,
            rate: float = 0,
            name: str = "",
            unit: str = "",
            doc: str = "",
        ) -> None: ...
        @overload
        def __init__(
            self,
            src: TypeForm[B],
            /,
            *,
            lane: str,
            prio: float = 0,
            rate: float = 0,
            name: str = "",
            unit: str = "",
            doc: str = "",
        ) -> None: ...

    def __init__(
        self,
        src: Any,
        /,
        *,
        lane: str = "",
        prio: float = 0,
        rate: float = 0,
        name: str = "",
        unit: str = "",
        doc: str = "",
    ) -> None:
        if isinstance(src, Command):
            Command.__init__(self, name=name, unit=unit, doc=doc)  # type: ignore[arg-type]
            self._shape, self._misfit_of_body = src._shape, src._misfit_of_body
        else:
            body = src.type if isinstance(src, Declared) and hasattr(src, "type") else src
            Command.__init__(self, body, name=name, unit=unit, doc=doc)
        self._lead(src, lane, False, (prio, rate))

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> EventView: ...
        def __get__(self, obj: Any, owner: Any) -> Any: ...
    else:

        def __get__(self, obj: Any, owner: Any = None) -> Any:
            return self if obj is None else EventView(obj, self)

    def _enter(self, schema: Schema) -> None:
        Command._enter(self, schema)
        self._enter_target(schema)

    def _resolve(self, schema: Schema) -> None:
        self._find_lane(schema)
        Command._resolve(self, schema)

    def _declare(self, schema: Schema) -> None:
        # nobody else may send it: its name on the wire is private
        name, self.name = self.name, f"_{self.name}.event"
        Command._declare(self, schema)
        self.name = name
        self._declare_target(schema)
        schema.add_link(self, self._table("event", {"command": self.number}, {"column": self.target_column}), None)
