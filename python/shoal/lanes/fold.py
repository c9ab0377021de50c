"""Fold: a lane that the core writes by itself, and where it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Never, Self, overload

from shoal import _core
from shoal.declaration import Column, Rollup
from shoal.declaration import Fold as FoldEntry
from shoal.duration import Seconds, microseconds
from shoal.errors import WrongType
from shoal.lanes.lane import MISSING, Declared, Lane
from shoal.lanes.list import List
from shoal.lanes.map import Map
from shoal.lanes.members import Members
from shoal.lanes.path import fields_in
from shoal.lanes.taking import Taking
from shoal.place import near
from shoal.shapes import Misfit, title
from shoal.types import Form, Point, form_of
from shoal.variables import Save, V

if TYPE_CHECKING:
    from shoal.bodies import Path
    from shoal.schema import Schema
    from shoal.twin import Twin


class Reads(NamedTuple):
    """What a fold of a final class reads: a ``command`` (with paths of its body), a ``lane``, a ``map``, or members."""

    # Any: to a checker a Command in a class is a descriptor
    command: Any
    paths: tuple[Path, ...]
    lane: Any
    map: Any
    # None where there is nothing but the event: a command, a map
    form: Form | None

    def entry(self) -> str | dict[str, Any]:
        """As ``declaration.Fold.input`` has it."""
        if self.command is not None:
            slots = self.command._plan().slots
            return {"command": {"command": self.command.number, "slots": [slots[path] for path in self.paths]}}
        if self.lane is not None:
            return {"column": self.lane.column}
        return {"map": self.map.number} if self.map is not None else "members"


class Fold(Lane[V], _core.Cell):
    """A lane that the core writes: it steps on every event of its command, or on every write of its lane.

    None or a missing field steps no fold. Handlers read it and cannot assign to it.
    """

    _kind = "a fold"
    _fold: Any
    # what it is before it first steps; MISSING: unset
    _start: Any = MISSING
    _rolls_up = False

    def __init__(
        self,
        src: Any,
        /,
        *,
        over: Members[Any] | None = None,
        last: Seconds | None = None,
        every: Seconds | None = None,
        default: Any = MISSING,
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
    ) -> None:
        super().__init__(name, unit, doc, save, True)
        self.src = src
        self.over = over
        self.last = last
        self.every = every
        self.default = default

    if TYPE_CHECKING:
        # the native cell reads, and refuses to write
        @overload  # type: ignore[override]
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> V: ...
        def __get__(self, obj: Any, owner: Any) -> Any: ...
        def __set__(self, obj: Twin, value: Never) -> None: ...

    def _resolve(self, schema: Schema) -> None:
        if self.over is None:
            self._source = self._find_source(schema, self.src)
        else:
            self._source = self._find_members(schema, self.over)
        self.form = self._result(self._source.form)
        start = self._start if self.default is MISSING else self.default
        try:
            self.initial = None if start is MISSING else self.form.initial(start)
        except Misfit as misfit:
            raise self._misfit(misfit) from None

    def _declare(self, schema: Schema) -> None:
        schema.add_column(self, Column(self.name, self.form.column, self.initial, save=self.save), self._decoder())
        schema.add_fold(
            FoldEntry(self.column, self._source.entry(), self._fold, window=self._window(), **self._settings(schema))
        )
        self._bind(
            self._label,
            self.column,
            self.form.column,
            False,
            f"is a {type(self).__name__}, which the core writes; handlers write Value lanes",
            self._decoder(),
            None,
        )

    def _result(self, source: Form | None) -> Form:
        """The fold's own type. Errors: DeclarationError for a source that it cannot fold."""
        raise NotImplementedError

    def _window(self) -> dict[str, int] | None:
        given = {option: span for option, span in (("last", self.last), ("every", self.every)) if span is not None}
        if not given:
            return None
        if len(given) > 1:
            raise self._mistake("it has both last= and every=", "last= slides, every= is the last whole window")
        ((option, span),) = given.items()
        if self.over is not None:
            name = type(self).__name__
            raise self._mistake(
                f"over= and {option}= do not go together",
                f"fold the roll-up's own lane: hour = {name}({self.attribute}, {option}={span!r})",
            )
        length = self._span(option, span)
        if length == 0:
            raise self._mistake(f"{option}= must be above 0")
        return {option: length}

    def _settings(self, schema: Schema) -> dict[str, Any]:
        return {}

    def _find_source(self, schema: Schema, src: Any) -> Reads:
        """A field of a body or a lane, of this class."""
        try:
            fields = fields_in(src)
        except Misfit as misfit:
            raise self._misfit(misfit) from None
        if fields is not None:
            command = schema.own(fields.command, self)
            forms = [self._form_at(command, path) for path in fields.paths]
            command._paths.extend(path for path in fields.paths if path not in command._paths)
            if len(forms) == 1:
                return Reads(command, fields.paths, None, None, forms[0])
            if not all(form.number for form in forms):
                raise self._mistake(
                    "a Point takes two number fields", "Point(report.body.lat, report.body.lon), in degrees"
                )
            return Reads(command, fields.paths, None, None, form_of(Point))
        if isinstance(src, Taking):
            return Reads(schema.own(src, self), (), None, None, None)
        if isinstance(src, Map | List):
            return Reads(None, (), None, schema.own(src, self), None)
        if isinstance(src, Lane):
            lane = schema.own(src, self)
            schema.resolve(lane)
            return Reads(None, (), lane, None, lane.form)
        if isinstance(src, Declared):
            raise self._mistake(f"{type(src).__name__} cannot be folded", "fold a field of a command's body or a lane")
        if src is None or src is MISSING:
            raise self._mistake("it has nothing to fold", self._usage())
        raise self._mistake(f"it folds {src!r}, which is no lane", self._usage())

    def _find_members(self, schema: Schema, over: Any) -> Reads:
        """A lane of the members' class: the lane becomes a roll-up of the group."""
        if not isinstance(over, Members):
            raise self._mistake(f"over={over!r} is no Members lane", "declare buses = Members(Bus) and give over=buses")
        members = schema.own(over, self)
        target = members._schema()
        lane: Any = None
        if self.src is not None and self.src is not MISSING:
            src = self.src
            if not isinstance(src, Lane):
                raise self._mistake("a roll-up folds a lane of the members", f"give it as {target.name}.lane")
            if src.owner is None or not issubclass(target.cls, src.owner):
                raise self._mistake(
                    f"{src._label or 'its source'} is no lane of {target.name}, the members' class",
                    near(src.attribute, target.lanes) or f"{target.name} has no lanes",
                )
            lane = target.lanes[src.attribute]
            if not isinstance(lane, Lane):
                raise self._mistake(f"{lane._label} is {lane._kind}, which cannot be rolled up")
        members._rollups.append(Rollup(self._fold, None if lane is None else lane.column, self.column))
        return Reads(None, (), None, None, None if lane is None else lane.form)

    def _form_at(self, command: Taking, path: Path) -> Form:
        """The type of a field in the final class, whose command may be another than the one that was written down."""
        try:
            return command._form(path)
        except KeyError as missing:
            raise self._mistake(
                f"{command._label} takes a {command._shape.title}, which has no field `{missing.args[0]}`"
            ) from None
        except Misfit as misfit:
            raise self._misfit(misfit) from None

    def _number(self, source: Form | None) -> Form:
        """The source's type, without None, where it is a number."""
        if source is None:
            raise self._mistake(f"{type(self).__name__} folds numbers, and this is no value", self._usage())
        if source.column == "bool":
            raise self._mistake(
                f"{type(self).__name__} folds numbers, and its source is a bool",
                "Count(lane, over=members) counts those that are true",
            )
        if not source.number:
            raise self._mistake(
                f"{type(self).__name__} folds numbers, and its source is {title(source.type)}", self._usage()
            )
        return form_of(int if source.column == "int64" else float)

    def _span(self, option: str, value: Seconds) -> int:
        """µs. Errors: DeclarationError."""
        try:
            return microseconds(value)
        except WrongType as error:
            raise self._mistake(f"{option}=: {error}") from None

    def _usage(self) -> str:
        name = type(self).__name__
        return f"{name} takes a field of a command's body, such as report.body.speed, or a lane of this class"
