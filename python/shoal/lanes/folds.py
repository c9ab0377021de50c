"""The folds: each in a sentence, with what it starts at."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, overload

from shoal.duration import Seconds
from shoal.lanes.command import Command
from shoal.lanes.fold import Fold
from shoal.lanes.lane import MISSING, Declared, Lane, Num
from shoal.lanes.members import Members
from shoal.lanes.path import Body
from shoal.types import Form, form_of
from shoal.variables import N, Save, V

if TYPE_CHECKING:
    from shoal.schema import Schema


class Latest(Fold[V]):
    """The newest value. Unset until the first one, unless it has a default."""

    _fold = "latest"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            src: Lane[V],
            /,
            default: V = ...,
            *,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
            readonly: Literal[True] = True,
        ) -> None: ...
        @overload
        def __init__(
            self,
            src: V | None,
            /,
            default: V = ...,
            *,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
            readonly: Literal[True] = True,
        ) -> None: ...

    def __init__(
        self,
        src: Any,
        /,
        default: Any = MISSING,
        *,
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
        readonly: Literal[True] = True,
    ) -> None:
        super().__init__(src, default=default, name=name, unit=unit, doc=doc, save=save)

    def _result(self, source: Form | None) -> Form:
        if source is None:
            raise self._mistake("Latest keeps a value, and this is none", self._usage())
        return source.required()


class Sum(Fold[N]):
    """The sum, from 0. Whole numbers stay whole. Over members it is exact enough to be zero when the group is empty."""

    _fold = "sum"
    _start = 0

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: Sum[int],
            src: Lane[int] | int | None,
            /,
            *,
            over: Members[Any] | None = None,
            last: Seconds | None = None,
            every: Seconds | None = None,
            default: int = ...,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
            readonly: Literal[True] = True,
        ) -> None: ...
        @overload
        def __init__(
            self: Sum[float],
            src: Num,
            /,
            *,
            over: Members[Any] | None = None,
            last: Seconds | None = None,
            every: Seconds | None = None,
            default: float = ...,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
            readonly: Literal[True] = True,
        ) -> None: ...

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
        readonly: Literal[True] = True,
    ) -> None:
        super().__init__(
            src, over=over, last=last, every=every, default=default, name=name, unit=unit, doc=doc, save=save
        )

    def _result(self, source: Form | None) -> Form:
        return self._number(source)


class Min(Fold[N]):
    """The smallest value. Whole numbers stay whole. Unset until the first one, and over no member."""

    _fold = "min"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: Min[int],
            src: Lane[int] | int | None,
            /,
            *,
            over: Members[Any] | None = None,
            last: Seconds | None = None,
            every: Seconds | None = None,
            default: int = ...,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
            readonly: Literal[True] = True,
        ) -> None: ...
        @overload
        def __init__(
            self: Min[float],
            src: Num,
            /,
            *,
            over: Members[Any] | None = None,
            last: Seconds | None = None,
            every: Seconds | None = None,
            default: float = ...,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
            readonly: Literal[True] = True,
        ) -> None: ...

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
        readonly: Literal[True] = True,
    ) -> None:
        super().__init__(
            src, over=over, last=last, every=every, default=default, name=name, unit=unit, doc=doc, save=save
        )

    def _result(self, source: Form | None) -> Form:
        return self._number(source)


class Max(Fold[N]):
    """The largest value. Whole numbers stay whole. Unset until the first one, and over no member."""

    _fold = "max"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: Max[int],
            src: Lane[int] | int | None,
            /,
            *,
            over: Members[Any] | None = None,
            last: Seconds | None = None,
            every: Seconds | None = None,
            default: int = ...,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
            readonly: Literal[True] = True,
        ) -> None: ...
        @overload
        def __init__(
            self: Max[float],
            src: Num,
            /,
            *,
            over: Members[Any] | None = None,
            last: Seconds | None = None,
            every: Seconds | None = None,
            default: float = ...,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
            readonly: Literal[True] = True,
        ) -> None: ...

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
        readonly: Literal[True] = True,
    ) -> None:
        super().__init__(
            src, over=over, last=last, every=every, default=default, name=name, unit=unit, doc=doc, save=save
        )

    def _result(self, source: Form | None) -> Form:
        return self._number(source)


class Mean(Fold[float]):
    """The mean of all values. Unset until the first one, and over no member."""

    _fold = "mean"

    def __init__(
        self,
        src: Num,
        /,
        *,
        over: Members[Any] | None = None,
        last: Seconds | None = None,
        every: Seconds | None = None,
        default: float = MISSING,
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
        readonly: Literal[True] = True,
    ) -> None:
        super().__init__(
            src, over=over, last=last, every=every, default=default, name=name, unit=unit, doc=doc, save=save
        )

    def _result(self, source: Form | None) -> Form:
        self._number(source)
        return form_of(float)


class Ewma(Fold[float]):
    """The exponentially weighted moving average; it starts at the first value.

    ``alpha``, above 0 and at most 1, is the weight of each new value; with ``half_life`` a value's weight halves in
    that time, whatever the rate of the events.
    """

    _fold = "ewma"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            src: Num,
            /,
            *,
            alpha: float,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
            readonly: Literal[True] = True,
        ) -> None: ...
        @overload
        def __init__(
            self,
            src: Num,
            /,
            *,
            half_life: Seconds,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
            readonly: Literal[True] = True,
        ) -> None: ...

    def __init__(
        self,
        src: Num,
        /,
        *,
        alpha: float | None = None,
        half_life: Seconds | None = None,
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
        readonly: Literal[True] = True,
    ) -> None:
        super().__init__(src, name=name, unit=unit, doc=doc, save=save)
        self.alpha = alpha
        self.half_life = half_life

    def _result(self, source: Form | None) -> Form:
        self._number(source)
        return form_of(float)

    def _settings(self, schema: Schema) -> dict[str, Any]:
        if (self.alpha is None) == (self.half_life is None):
            raise self._mistake(
                "it needs one of alpha= and half_life=", 'Ewma(speed, alpha=0.1), Ewma(speed, half_life="30 s")'
            )
        if self.half_life is not None:
            span = self._span("half_life", self.half_life)
            if span == 0:
                raise self._mistake("half_life= must be above 0")
            return {"half_life": span}
        alpha: Any = self.alpha
        if type(alpha) not in (int, float) or not 0 < alpha <= 1:
            raise self._mistake(f"alpha={alpha!r}", "it is a number above 0 and at most 1")
        return {"alpha": float(alpha)}


class Count(Fold[int]):
    """How many: events of a command, values of a field, writes of a lane; over a group its members, or those whose
    bool lane is true.
    """

    _fold = "count"
    _start = 0

    def __init__(
        self,
        src: Command[Any] | Lane[Any] | None = None,
        /,
        *,
        over: Members[Any] | None = None,
        last: Seconds | None = None,
        every: Seconds | None = None,
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
        readonly: Literal[True] = True,
    ) -> None:
        super().__init__(src, over=over, last=last, every=every, name=name, unit=unit, doc=doc, save=save)

    def _result(self, source: Form | None) -> Form:
        if self.over is not None and source is not None and source.column != "bool":
            raise self._mistake(
                "over members it counts those whose bool lane is true, and its source is not bool",
                "give a bool lane, or Count(over=members) for all of them",
            )
        return form_of(int)

    def _usage(self) -> str:
        return "Count(report) counts a command, Count(lane) a lane's writes, Count(over=members) the members"


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
