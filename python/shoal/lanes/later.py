"""Lanes that this version does not carry out yet: typed, and refused where they are declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, Self, overload

from shoal.duration import Seconds
from shoal.lanes.command import Command
from shoal.lanes.fold import Fold
from shoal.lanes.lane import Declared, Lane
from shoal.place import not_yet
from shoal.variables import B_in, Save, V

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
