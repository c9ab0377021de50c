"""Lanes that this version does not carry out yet: typed, and refused where they are declared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, Self, overload

from shoal.duration import Seconds
from shoal.lanes.command import Command
from shoal.lanes.fold import Fold
from shoal.lanes.lane import Declared, Lane
from shoal.place import not_yet
from shoal.variables import B_in, Q, R, R_co, S, Save, V

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from shoal.twin import Twin

WINDOWS = "windows and histories"
SERVER = "the server and its links"


class Pusher(Protocol[B_in]):
    """A twin's supply lane, ready to push."""

    def push(self, item: B_in, /) -> None: ...


class Supply(Declared, Generic[V]):
    """Items that a twin pushes to those who listen; nothing is kept."""

    _links_as = "event"
    name: str

    def __init__(self, type: TypeForm[V], /, *, name: str = "", unit: str = "", doc: str = "") -> None:
        raise not_yet("Supply", SERVER)

    if TYPE_CHECKING:

        @overload
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> Pusher[V]: ...
        def __get__(self, obj: Any, owner: Any) -> Any: ...


class Ask(Protocol[B_in, R_co]):
    """A twin's request, ready to be asked."""

    def __call__(self, body: B_in, /, *, timeout: Seconds = ...) -> Awaitable[R_co]: ...


class Request(Declared, Generic[Q, R]):
    """A question that a twin answers."""

    name: str

    def __init__(
        self, query: TypeForm[Q], reply: TypeForm[R], /, *, name: str = "", unit: str = "", doc: str = ""
    ) -> None:
        raise not_yet("Request", SERVER)

    if TYPE_CHECKING:

        @overload
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> Ask[Q, R]: ...
        def __get__(self, obj: Any, owner: Any) -> Any: ...

    @overload
    def handler(self, fn: Callable[[S, Q], Awaitable[R]]) -> Callable[[S, Q], Awaitable[R]]: ...
    @overload
    def handler(self, fn: Callable[[S, Q], R]) -> Callable[[S, Q], R]: ...
    def handler(self, fn: Any) -> Any:
        """Decorates the method that answers."""
        raise not_yet("Request", SERVER)


class Idle(Fold[bool]):
    """True when its source was silent for that long."""

    def __init__(
        self,
        src: Command[Any] | Lane[Any],
        after: Seconds,
        /,
        *,
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
        readonly: Literal[True] = True,
    ) -> None:
        raise not_yet("Idle", WINDOWS)
