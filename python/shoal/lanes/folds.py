"""Latest, Count and Ewma: the folds that keep, count and smooth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from shoal.duration import Seconds
from shoal.lanes.command import Command
from shoal.lanes.fold import Fold
from shoal.lanes.lane import MISSING, Lane, Num
from shoal.lanes.members import Members
from shoal.types import Form, form_of
from shoal.variables import Save, V

if TYPE_CHECKING:
    from shoal.lanes.request import Request
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


class Count(Fold[int]):
    """How many: events of a command, values of a field, writes of a lane; over a group its members, or those whose
    bool lane is true.
    """

    _fold = "count"
    _start = 0

    def __init__(
        self,
        src: Command[Any] | Request[Any, Any] | Lane[Any] | None = None,
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
