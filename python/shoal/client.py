"""The other end of a link: twins of a server, from a script or a notebook. Typed now; it comes with the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, Self, overload

from shoal.duration import Seconds
from shoal.lanes.lane import Lane
from shoal.lanes.later import SERVER
from shoal.lanes.request import Request
from shoal.place import not_yet
from shoal.variables import Q, R, T, V, V_co


class Live(Generic[V_co]):
    """One link, held open: the newest value is always at hand."""

    def __init__(self) -> None:
        raise not_yet("Live", SERVER)

    if TYPE_CHECKING:

        @property
        def value(self) -> V_co: ...
        def __iter__(self) -> Iterator[V_co]: ...
        def close(self) -> None: ...


class Client:
    """Blocking, for scripts and notebooks."""

    def __init__(self, url: str, /, *, token: str = "") -> None:
        raise not_yet("Client", SERVER)

    if TYPE_CHECKING:

        def __enter__(self) -> Self: ...
        def __exit__(self, *exc: object) -> None: ...
        @overload
        def at(self, cls: type[T], /, *params: object) -> T: ...
        @overload
        def at(self, uri: str, /) -> Any: ...
        def at(self, cls: Any, /, *params: object) -> Any: ...

        # the second overload: Pyright sees an unannotated lane that a method assigns to as `Value[V] | V` on the class
        @overload
        def get(self, lane: Lane[V], /, *params: object) -> V: ...
        @overload
        def get(self, lane: Lane[V] | V, /, *params: object) -> V: ...
        def get(self, lane: Any, /, *params: object) -> Any: ...
        @overload
        def link(self, lane: Lane[V], /, *params: object) -> Live[V]: ...
        @overload
        def link(self, lane: Lane[V] | V, /, *params: object) -> Live[V]: ...
        def link(self, lane: Any, /, *params: object) -> Any: ...
        def ask(self, lane: Request[Q, R], /, *params: object, body: Q, timeout: Seconds = ...) -> R: ...
        def find(self, cls: type[T] | str, /, **equal: object) -> list[str]: ...
