"""Joins: live maps of lanes of many twins, of this app or of other servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, Never, Self, overload

from shoal import _core
from shoal.declaration import MapTable
from shoal.errors import WrongType
from shoal.lanes.lane import MISSING, Lane
from shoal.lanes.linked import Linked, address, plain
from shoal.lanes.map import Map
from shoal.lanes.map_link import Copied, CopyView, take_map
from shoal.lanes.members import Members
from shoal.types import form_of
from shoal.variables import K, Save, V

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from shoal.schema import Schema
    from shoal.twin import Twin

# Entries of one twin's join, and its links
LIMIT = 1_000_000


class JoinView(CopyView[K, V], Mapping[K, V]):
    """A join in a twin's hands: reading is of the map that the linked lanes come to."""

    __slots__ = ("_lane", "_twin")

    def __init__(self, twin: Any, lane: Any) -> None:
        self._twin = twin
        self._lane = lane

    @property
    def targets(self) -> Mapping[Any, str]:
        """The node URIs that are linked, by the keys that they were added with."""
        lane = self._lane
        if lane._targets is None:
            members: Any = lane.over.__get__(self._twin, type(self._twin))
            return {uri: uri for uri in members}
        targets: Mapping[Any, str] = lane._targets.__get__(self._twin, type(self._twin))
        return targets

    def owner(self, key: K, /) -> str:
        """The node URI of the twin whose lane gave this entry. Raises KeyError for a key that is not there."""
        lane = self._lane
        if key not in self:
            raise KeyError(key)
        if lane._owners is not None:
            key = lane._owners.__get__(self._twin, type(self._twin))[key]
        return self.targets[key]

    def add(self, key: Any, target: Any, /, *params: object) -> None:
        """Links one more twin when this turn is kept: ``add("7", Bus, "7")``, ``add("7", self.at(Bus, "7"))``, or a
        node URI, with ``warp://host:port`` before it where it is another server's. A key that is there leads there from
        then on.
        """
        self._lane._check_open()
        self._twin._join(self._lane.link_number, self._lane._target_key(key), address(self._twin, target, params))

    def remove(self, key: Any, /) -> None:
        """Ends a link, and takes out what it gave. Raises KeyError where there is none."""
        self._lane._check_open()
        if not self._twin._leave(self._lane.link_number, self._lane._target_key(key)):
            raise KeyError(key)

    def __repr__(self) -> str:
        return f"<{self._lane._label}: {dict(self)!r}>"


class Joined(Linked, Copied[K, V]):
    """What both joins have in common: a map that the core writes, and a map of the twins that are linked."""

    _wire: Literal["join", "join_map"]
    # Any: to a checker a Members in a class is a descriptor
    over: Any
    _targets: Any
    _owners: Any

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> JoinView[K, V]: ...
        def __get__(self, obj: Any, owner: Any) -> Any: ...
        def __set__(self, obj: Twin, value: Never) -> None: ...  # type: ignore[override]
    else:

        def __get__(self, obj: Any, owner: Any = None) -> Any:
            return self if obj is None else JoinView(obj, self)

        def __set__(self, obj: Any, value: Any) -> None:
            raise WrongType(f"{self._label} is a join, which the core writes; add and remove its twins")

    def _enter(self, schema: Schema) -> None:
        Map._enter(self, schema)
        self.target_map = schema.next_map() if self.over is None else -1
        self.owner_map = schema.next_map() if self._wire == "join_map" else -1
        self.link_number = schema.next_link()

    def _find_over(self, schema: Schema) -> None:
        if self.over is None:
            return
        if not isinstance(self.over, Members):
            raise self._mistake(f"over={self.over!r} is no Members lane", "declare buses = Members(Bus): over=buses")
        self.over = schema.own(self.over, self)
        target = self.over._schema()
        if self.source is None or self.source.owner is None or not issubclass(target.cls, self.source.owner):
            raise self._mistake(
                f"it links no lane of {target.name}, the members' class", f"give it as {target.name}.lane"
            )

    def _declare(self, schema: Schema) -> None:
        Map._declare(self, schema)
        copy = {"map": self.number}
        key = self._key_of_targets()
        self._targets = self._owners = None
        target = {"members": self.over.number} if self.over is not None else {"map": self.target_map}
        if self.over is None:
            self._targets = self._hidden(schema, "of", self.target_map, key, form_of(str))
        if self._wire == "join_map":
            self._owners = self._hidden(schema, "by", self.owner_map, self.key_form, key)
        table = self._table(self._wire, copy, target)
        table.owners = self.owner_map if self._wire == "join_map" else None
        table.nullable = self.value_form.nullable
        schema.add_link(self, table, self._typed())

    def _hidden(self, schema: Schema, what: str, number: int, key: Any, value: Any) -> Any:
        """A map of the twin that only the core and this lane write."""
        functions = (key.decoder(), value.decoder(), key.encoder("a key"), value.encoder("an entry"))
        table = MapTable(f"_{self.name}.{what}", key.column, value.column, None, self.limit, False, self.save)
        schema.add_map(self, table, functions)
        bound = _core.Table()
        bound._bind(
            f"{self._label}.{what}",
            number,
            key.column,
            value.column,
            functions[0],
            functions[2],
            functions[1],
            functions[3],
            None,
            False,
        )
        return bound

    def _key_of_targets(self) -> Any:
        raise NotImplementedError

    def _target_key(self, key: Any) -> Any:
        return plain(self._key_of_targets(), f"a key of {self._label}", key)

    def _check_open(self) -> None:
        if self.over is not None:
            raise WrongType(
                f"{self._label} links the members of {self.over.attribute}, no more and no less; "
                "a join without over= has add and remove"
            )


class Join(Joined[K, V], Generic[K, V]):
    """A live map of one value lane of many twins, by key: ``Join(Bus.speed)``, with ``self.speeds.add("7", Bus, "7")``;
    or of all members of a group, by their URIs: ``Join(Bus.speed, over=buses)``. By type where the class is elsewhere:
    ``Join(float, lane="speed")``. A twin whose lane is unset has no entry.
    """

    _kind = "a join"
    _wire = "join"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: Join[str, V],
            src: Lane[V],
            /,
            *,
            over: Members[Any] | None = None,
            lane: str = "",
            limit: int = ...,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
        ) -> None: ...
        @overload
        def __init__(
            self,
            src: Lane[V],
            /,
            *,
            key: TypeForm[K],
            lane: str = "",
            limit: int = ...,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
        ) -> None: ...
        @overload
        def __init__(
            self: Join[str, V],
            src: TypeForm[V],
            /,
            *,
            lane: str,
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
            key: TypeForm[K],
            lane: str,
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
        key: Any = str,
        over: Members[Any] | None = None,
        lane: str = "",
        limit: int = LIMIT,
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
    ) -> None:
        Map.__init__(self, key, src, limit=limit, name=name, unit=unit, doc=doc, save=save, readonly=True)
        self.over = over
        self._lead(src, lane, True, (0.0, 0.0))

    def _resolve(self, schema: Schema) -> None:
        self._find_lane(schema)
        self._find_over(schema)
        if self.over is not None and self.key is not str:
            raise self._mistake(
                f"key={self.key!r} and over=", "the entries of a join over members have their URIs as keys"
            )
        if self.source is not None:
            if not isinstance(self.source, Lane):
                raise self._mistake(
                    f"{self.source._label} is {self.source._kind}, and Join is for lanes with one value",
                    "use JoinMap for map lanes",
                )
            # the form of the lane, which need not have a type that one writes down
            self.value = float
            Map._resolve(self, schema)
            form = self.source.form
            self.value_form = form._replace(column="value") if form.nullable else form
            return
        Map._resolve(self, schema)

    def _key_of_targets(self) -> Any:
        return self.key_form


class JoinMap(Joined[K, V], Generic[K, V]):
    """The union of one map lane of many twins: ``JoinMap(Bus.stops)``, with ``self.stops.add("7", Bus, "7")``, or
    ``JoinMap(Bus.stops, over=buses)``. An entry belongs to the twin that has set it last, and goes with it.
    """

    _kind = "a join"
    _wire = "join_map"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            src: Map[K, V],
            /,
            *,
            over: Members[Any] | None = None,
            lane: str = "",
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
        over: Members[Any] | None = None,
        lane: str = "",
        limit: int = LIMIT,
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
    ) -> None:
        Map.__init__(self, src, value, limit=limit, name=name, unit=unit, doc=doc, save=save, readonly=True)
        self.over = over
        self._lead(src, lane, True, (0.0, 0.0))

    def _resolve(self, schema: Schema) -> None:
        self._find_lane(schema)
        self._find_over(schema)
        take_map(self, self.source)
        Map._resolve(self, schema)

    def _key_of_targets(self) -> Any:
        return form_of(str)
