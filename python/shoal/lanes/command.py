"""Command: a one-way message to a twin."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, overload

from shoal.bodies import scalar_kind
from shoal.declaration import CommandLane
from shoal.errors import WrongType
from shoal.handlers import is_async
from shoal.lanes.lane import MISSING, Linkable
from shoal.lanes.taking import Taking
from shoal.place import near
from shoal.variables import B, B_in, Done, S

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from shoal.schema import Schema
    from shoal.twin import Twin


class Send(Protocol[B_in]):
    """A twin's command, ready to be sent."""

    def __call__(self, body: B_in, /) -> None: ...


class SendNothing(Protocol):
    """A twin's command without a body."""

    def __call__(self) -> None: ...


class Command(Linkable, Taking, Generic[B]):
    """A message that twins of this class take. ``time`` names the field that holds the event's own time."""

    _kind = "a command"
    _links_as = "event"
    _place = "command"
    _usage_of_none = "Command({})"
    name: str

    if TYPE_CHECKING:

        @overload
        def __init__(self: Command[None], /, *, name: str = "", unit: str = "", doc: str = "") -> None: ...
        @overload
        def __init__(
            self, body: TypeForm[B], /, *, time: str = "", name: str = "", unit: str = "", doc: str = ""
        ) -> None: ...

    def __init__(
        self, body: Any = MISSING, /, *, time: str = "", name: str = "", unit: str = "", doc: str = ""
    ) -> None:
        super().__init__(name, unit, doc)
        self.time = time
        self._take(body)

    @property
    def body(self) -> B:
        """Typed as the body; while the class is made it records the path to a field."""
        path: B = self._path()
        return path

    if TYPE_CHECKING:

        @overload
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self: Command[None], obj: Twin, owner: type[Any]) -> SendNothing: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> Send[B]: ...

    def __get__(self, obj: Any, owner: Any = None) -> Any:
        if obj is None:
            return self
        return Sending(obj, self)

    if not TYPE_CHECKING:

        def __set__(self, obj: Any, value: Any) -> None:
            raise WrongType(f"{self._label} is a command: it is sent, self.{self.attribute}(...), and holds no value")

    if TYPE_CHECKING:

        @overload
        def handler(self: Command[None], fn: Callable[[S], Done]) -> Callable[[S], Done]: ...
        @overload
        def handler(self, fn: Callable[[S, B], Done]) -> Callable[[S, B], Done]: ...

    def handler(self, fn: Any) -> Any:
        """Decorates the method that a command is handed to: ``(self, body)``, or ``(self)`` for a ``Command()``."""
        from shoal.handlers import mark

        return mark(fn, "handler", self)

    def _resolve(self, schema: Schema) -> None:
        super()._resolve(schema)
        if not self.time:
            return
        fields = {field.name: field.type for field in self._shape.fields}
        if self.time not in fields:
            raise self._mistake(f"time={self.time!r}: {self._shape.title} has no such field", near(self.time, fields))
        kind = scalar_kind(fields[self.time])
        if kind is None or kind[0] not in ("time", "int", "float"):
            raise self._mistake(
                f"time={self.time!r}: the field cannot be the event's time",
                "a datetime is, or a number (s, ms or µs since 1970)",
            )

    def _declare(self, schema: Schema) -> None:
        handler = schema.handler_of(self)
        planned = self._plan()
        lane = CommandLane(
            self.name, planned.declared, None if handler is None else is_async(handler), planned.time_slot
        )
        schema.add_command(lane, handler, planned)


class Sending:
    """A command of the twin whose turn it is, to itself: an ordinary command, after this turn."""

    __slots__ = ("command", "twin")

    def __init__(self, twin: Twin, command: Command[Any]) -> None:
        self.twin = twin
        self.command = command

    def __call__(self, *body: Any) -> None:
        twin, command = self.twin, self.command
        twin._send(twin._population, twin._parameters(), command.number, command._body_of(body))
