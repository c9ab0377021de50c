"""Sum, Mean, Min and Max: folds of numbers, over the events of a twin or over the members of a group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from shoal.duration import Seconds
from shoal.lanes.fold import Fold
from shoal.lanes.lane import MISSING, Lane, Num
from shoal.lanes.members import Members
from shoal.types import Form, form_of
from shoal.variables import N, Save


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
