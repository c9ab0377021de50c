"""Alarm: a condition that a person has to know of, and to acknowledge."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, overload

from shoal import _core
from shoal.bodies import plan, shape_of
from shoal.declaration import Column, CommandLane, Fold
from shoal.errors import NotInTurn, WrongType
from shoal.lanes.lane import Lane
from shoal.types import Form
from shoal.variables import Save, Severity

if TYPE_CHECKING:
    from shoal.schema import Schema
    from shoal.twin import Twin

State = dict[str, Any]
QUIET: State = {"active": False, "acked": False, "since": None, "text": "", "by": ""}


class AlarmState:
    """The state of one twin's alarm: ``active``, ``acked``, ``since``, ``text`` and ``by``, who acknowledged it.

    ``since`` is when it became active, None while it is not. A cleared alarm keeps its text and its acknowledgement.
    Outside the twin's own turn it can be read, and acknowledged where ``acknowledge`` sends that to the twin.
    """

    __slots__ = ("_acknowledge", "_label", "_read")

    def __init__(self, label: str, read: Callable[[], State], acknowledge: Callable[[str], None] | None = None) -> None:
        self._label = label
        self._read = read
        self._acknowledge = acknowledge

    @property
    def active(self) -> bool:
        return bool(self._read()["active"])

    @property
    def acked(self) -> bool:
        return bool(self._read()["acked"])

    @property
    def since(self) -> datetime | None:
        since: datetime | None = self._read()["since"]
        return since

    @property
    def text(self) -> str:
        return str(self._read()["text"])

    @property
    def by(self) -> str:
        return str(self._read()["by"])

    def set(self, text: str) -> None:
        """The condition holds, and this is what a person reads. Again with the same text changes nothing."""
        raise NotInTurn(f"{self._label}.set: only the twin sets its alarm, in its own turn: send it a command")

    def clear(self) -> None:
        """The condition is over."""
        raise NotInTurn(f"{self._label}.clear: only the twin clears its alarm, in its own turn: send it a command")

    def ack(self, by: str = "") -> None:
        """Somebody has taken notice. An alarm that was never set, or is acknowledged already, stays as it is."""
        if self._acknowledge is None:
            raise NotInTurn(f"{self._label}.ack: this is the alarm's state at one moment; acknowledge it at the twin")
        self._acknowledge(_text(by, f"{self._label}.ack"))

    def __repr__(self) -> str:
        state = "active" if self.active else "quiet"
        return f"<{self._label} {state}{', acknowledged' if self.acked else ''}: {self.text!r}>"


class OwnAlarm(AlarmState):
    """The alarm of the twin whose turn it is."""

    __slots__ = ("_cell", "_follows", "_twin")

    def __init__(self, label: str, twin: Twin, cell: _core.Cell, follows: str) -> None:
        super().__init__(label, lambda: cell.__get__(twin) or QUIET)
        self._twin = twin
        self._cell = cell
        # the lane that sets and clears it, or ""
        self._follows = follows

    def set(self, text: str) -> None:
        self._check("set")
        state = self._read()
        if state["active"] and state["text"] == _text(text, f"{self._label}.set"):
            return
        since = state["since"] if state["active"] else self._twin.now
        self._cell.__set__(self._twin, {"active": True, "acked": False, "since": since, "text": text, "by": ""})

    def clear(self) -> None:
        self._check("clear")
        state = self._read()
        if state["active"]:
            self._cell.__set__(self._twin, {**state, "active": False, "since": None})

    def _check(self, what: str) -> None:
        if self._follows:
            raise WrongType(f"{self._label}.{what}: it follows {self._follows}, which alone sets and clears it")

    def ack(self, by: str = "") -> None:
        state = self._read()
        _text(by, f"{self._label}.ack")
        if not state["acked"] and (state["active"] or state["text"]):
            self._cell.__set__(self._twin, {**state, "acked": True, "by": by})


def _text(value: Any, label: str) -> str:
    if not isinstance(value, str):
        raise WrongType(f"{label} takes a text, got {value!r}")
    return value


class Alarm(Lane[AlarmState]):
    """An alarm that handlers set and clear, or that is active while ``when``, a bool lane of the class, is true.
    ``severity`` and ``text`` are for those who show it.

    It is acknowledged by ``ack()``, or from outside by the command ``NAME.ack``, whose body is who does it.
    """

    _kind = "an alarm"
    # Set by _enter.
    number: int

    def __init__(
        self,
        when: Lane[bool] | None = None,
        /,
        *,
        severity: Severity = "warning",
        text: str = "",
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
        readonly: bool = False,
    ) -> None:
        super().__init__(name, unit, doc, save, readonly)
        self.when = when
        self.severity = severity
        self.text = text

    @overload
    def __get__(self, obj: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, obj: Twin, owner: type[Any]) -> AlarmState: ...
    def __get__(self, obj: Any, owner: Any = None) -> Any:
        if obj is None:
            return self
        return OwnAlarm(self._label, obj, self._cell, "" if self.when is None else self._source._label)

    if not TYPE_CHECKING:

        def __set__(self, obj: Any, value: Any) -> None:
            raise WrongType(f"{self._label} is an alarm: write self.{self.attribute}.set(text) or .clear()")

    def _seen(self, state: State | None, acknowledge: Callable[[str], None] | None = None) -> AlarmState:
        """The state as others see it: ``state`` is what the column holds."""
        return AlarmState(self._label, lambda: state or QUIET, acknowledge)

    def _enter(self, schema: Schema) -> None:
        super()._enter(schema)
        self.number = schema.next_command()

    def _resolve(self, schema: Schema) -> None:
        if self.severity not in ("info", "warning", "critical"):
            raise self._mistake(f"severity={self.severity!r}", 'it is "info", "warning" or "critical"')
        self.form = Form(AlarmState, "value", False, None, False, ())
        if self.when is not None:
            self._source = self._find_source(schema, self.when)

    def _declare(self, schema: Schema) -> None:
        schema.add_column(self, Column(self.name, "value", QUIET, save=self.save), decode=self._seen)
        if self.when is not None:
            schema.add_fold(Fold(self.column, {"column": self._source.column}, "alarm", text=self.text))
        self._cell = _core.Cell()
        self._cell._bind(self._label, self.column, "value", False, "", None, None)
        handler = None if self.readonly else self._handle_ack()
        body = plan(shape_of(str | None), (), "")
        lane = CommandLane(f"{self.name}.ack", body.declared, None if handler is None else False)
        schema.add_command(lane, handler, body)

    def _find_source(self, schema: Schema, when: Any) -> Any:
        """The bool lane of this class that it follows. Any: to a checker a lane in a class is a descriptor."""
        if not isinstance(when, Lane):
            raise self._mistake(
                f"it follows {when!r}, which is no lane", "give a bool lane, such as Above(speed, 25.0)"
            )
        lane: Any = schema.own(when, self)
        schema.resolve(lane)
        if lane.form.column != "bool":
            raise self._mistake(
                f"it follows {lane._label}, which is no bool lane", "give one, such as Above(speed, 25.0)"
            )
        return lane

    def _handle_ack(self) -> Callable[[Twin, str | None], None]:
        def ack(twin: Twin, by: str | None) -> None:
            self.__get__(twin, type(twin)).ack(by or "")

        return ack
