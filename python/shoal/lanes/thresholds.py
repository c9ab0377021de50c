"""Above and Below: whether a number is past a limit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from shoal.duration import Seconds
from shoal.lanes.fold import Fold
from shoal.lanes.lane import MISSING, Declared, Lane, Num
from shoal.lanes.path import Body
from shoal.types import Form, form_of
from shoal.variables import Save

if TYPE_CHECKING:
    from shoal.schema import Schema


class Above(Fold[bool]):
    """True when the value is above the limit, and false again when it is at ``clear`` (default: the limit) or below.

    The limit is a constant or a number lane of the same class. With ``hold`` the condition must last that long first.
    """

    _fold = "above"
    _start = False

    def __init__(
        self,
        src: Num,
        limit: Lane[float] | float,
        /,
        *,
        clear: float = MISSING,
        hold: Seconds = 0,
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
        readonly: Literal[True] = True,
    ) -> None:
        super().__init__(src, name=name, unit=unit, doc=doc, save=save)
        self.limit = limit
        self.clear = clear
        self.hold = hold

    def _resolve(self, schema: Schema) -> None:
        super()._resolve(schema)
        self._limit = self._find_limit(schema)

    def _result(self, source: Form | None) -> Form:
        self._number(source)
        return form_of(bool)

    def _find_limit(self, schema: Schema) -> dict[str, Any]:
        limit: Any = self.limit
        if isinstance(limit, Lane):
            lane = schema.own(limit, self)
            schema.resolve(lane)
            if not lane.form.number:
                raise self._mistake(f"its limit {lane._label} is no number lane")
            return {"column": lane.column}
        if isinstance(limit, (Declared, Body)):
            raise self._mistake(
                "its limit is no lane", "keep a field in a lane of its own: limit = Latest(report.body.limit)"
            )
        return {"constant": self._finite("limit", limit)}

    def _settings(self, schema: Schema) -> dict[str, Any]:
        settings: dict[str, Any] = {"limit": self._limit, "hold": self._span("hold", self.hold)}
        if self.clear is not MISSING:
            clear = settings["clear"] = self._finite("clear", self.clear)
            limit = self._limit.get("constant")
            if limit is not None and (clear < limit if isinstance(self, Below) else clear > limit):
                side = "below" if isinstance(self, Below) else "above"
                raise self._mistake(f"clear={clear} is {side} the limit {limit}: it would switch at every value")
        return settings

    def _finite(self, name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self._mistake(
                f"{name}={value!r}", "it is a finite number" + (" or a number lane" if name == "limit" else "")
            )
        return float(value)


class Below(Above):
    """True when the value is below the limit, and false again when it is at ``clear`` (default: the limit) or above."""

    _fold = "below"
