"""Members: the live set of twins that belong to this one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, Self, overload

from shoal.declaration import MembersTable, Rollup
from shoal.errors import RemoteRead
from shoal.lanes.command import Command
from shoal.lanes.lane import Lane, Linkable
from shoal.place import near
from shoal.variables import T

if TYPE_CHECKING:
    from shoal.schema import Schema
    from shoal.twin import Twin


class Group(Generic[T]):
    """The members of one twin, as of this turn. Iteration and ``in`` give and take URIs, in no promised order."""

    __slots__ = ("_lane", "_twin")

    def __init__(self, twin: Any, lane: Members[T]) -> None:
        """``twin`` is a handle, or has its ``_members``, ``_member_count``, ``_has_member`` and ``_send_each``."""
        self._twin = twin
        self._lane = lane

    def __len__(self) -> int:
        return int(self._twin._member_count(self._lane.number))

    def __iter__(self) -> Iterator[str]:
        return iter(self._twin._members(self._lane.number))

    def __contains__(self, uri: object) -> bool:
        return isinstance(uri, str) and bool(self._twin._has_member(self._lane.number, uri))

    @property
    def each(self) -> T:
        """All members at once: ``self.players.each.kick()`` sends them all the command."""
        all_of_them: T = Each(self._twin, self._lane)  # type: ignore[assignment]
        return all_of_them

    def __repr__(self) -> str:
        return f"<{self._lane._label}: {len(self)} members>"


class Each:
    """What ``each`` gives: the commands of the members' class."""

    __slots__ = ("__lane", "__twin")

    def __init__(self, twin: Any, lane: Members[Any]) -> None:
        self.__twin = twin
        self.__lane = lane

    def __getattr__(self, name: str) -> EachCommand:
        target = self.__lane._schema()
        lane = target.lanes.get(name)
        if isinstance(lane, Command):
            return EachCommand(self.__twin, self.__lane, lane)
        label = f"{self.__lane._label}.each.{name}"
        if lane is not None:
            raise RemoteRead(
                f"{label}: members are read by a roll-up, such as Mean({lane._label}, over={self.__lane.attribute})"
            )
        commands = [each for each in target.lanes if isinstance(target.lanes[each], Command)]
        raise AttributeError(f"{label}: {target.name} has no such command; {near(name, commands)}", name=name, obj=self)


class EachCommand:
    """One command to all members of a group."""

    __slots__ = ("command", "members", "twin")

    def __init__(self, twin: Any, members: Members[Any], command: Command[Any]) -> None:
        self.twin = twin
        self.members = members
        self.command = command

    def __call__(self, *body: Any) -> None:
        self.twin._send_each(self.members.number, self.command.number, self.command._body_of(body))


class Members(Linkable, Generic[T]):
    """The live set of twins of ``cls`` whose ``by`` lane names this twin; without ``by``, all of them.

    ``by`` holds the value of the group's only URI parameter; a tuple of lanes has one for each, in the pattern's order.
    """

    _kind = "a group"
    _links_as = "map"
    _place = "members"
    # Set by _enter and _resolve.
    number: int
    by_columns: list[int] | None

    def __init__(
        self,
        cls: type[T],
        /,
        *,
        by: Lane[str] | Lane[str | None] | str | tuple[Lane[str] | Lane[str | None] | str, ...] | None = None,
        name: str = "",
        unit: str = "",
        doc: str = "",
    ) -> None:
        super().__init__(name, unit, doc)
        self.cls = cls
        self.by = by
        self._rollups: list[Rollup] = []

    @overload
    def __get__(self, obj: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, obj: Twin, owner: type[Any]) -> Group[T]: ...
    def __get__(self, obj: Any, owner: Any = None) -> Any:
        if obj is None:
            return self
        return Group(obj, self)

    if not TYPE_CHECKING:

        def __set__(self, obj: Any, value: Any) -> None:
            raise AttributeError(f"{self._label} is the set of its members; they join it by what their own lanes say")

    def _schema(self) -> Schema:
        """Of the members' class."""
        schema: Schema | None = getattr(self.cls, "__shoal__", None)
        if schema is None:
            raise self._mistake(f"{self.cls!r} is no twin class", "give the members' class: Members(Bus)")
        return schema

    def _copy(self) -> Self:
        copy = super()._copy()
        copy._rollups = []
        return copy

    def _enter(self, schema: Schema) -> None:
        self.number = schema.next_members()

    def _resolve(self, schema: Schema) -> None:
        target = self._schema()
        by = self.by
        self.by_columns = (
            None if by is None else [self._column(target, each) for each in (by if isinstance(by, tuple) else (by,))]
        )

    def _column(self, target: Schema, by: Any) -> int:
        name = by if isinstance(by, str) else by.attribute if isinstance(by, Lane) else None
        if name is None:
            raise self._mistake(
                f"by={by!r} is no lane", f"name the lane of {target.name} that holds this twin's parameter"
            )
        lane = target.lanes.get(name)
        if not isinstance(lane, Lane) or (
            isinstance(by, Lane) and (by.owner is None or not issubclass(target.cls, by.owner))
        ):
            raise self._mistake(f"by= is no lane of {target.name}, the members' class", near(name, target.lanes))
        if lane.form.column != "string":
            raise self._mistake(
                f"by={lane._label} is no text lane",
                "it holds the group's URI parameter, which is a text: declare it as str",
            )
        return lane.column

    def _declare(self, schema: Schema) -> None:
        # the members' population gets its number with the app
        schema.add_members(self, MembersTable(self.name, -1, self.by_columns, self._rollups))
