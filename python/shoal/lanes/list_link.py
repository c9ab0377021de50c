"""Links of a twin to a list lane of another twin."""

from __future__ import annotations

from collections.abc import Sequence
from os import urandom
from typing import TYPE_CHECKING, Any, Generic, Never, Self, overload

from shoal import _core
from shoal.errors import WrongType
from shoal.lanes.linked import Opened, Single, behind, plain
from shoal.lanes.list import List
from shoal.variables import Save, V

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from shoal.schema import Schema
    from shoal.twin import Twin


class ListLinkView(Opened, Sequence[V]):
    """A list link in a twin's hands: reading is of the copy, writing goes to the linked lane."""

    __slots__ = ()

    def _view(self) -> Any:
        return _core.ListTable.__get__(self._lane, self._twin, type(self._twin))

    @overload
    def __getitem__(self, index: int, /) -> V: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[V]: ...
    def __getitem__(self, index: Any, /) -> Any:
        return self._view()[index]

    def __len__(self) -> int:
        return len(self._view())

    def __setitem__(self, index: int, value: V, /) -> None:
        """Replaces an element of the linked lane, by a command to its twin: the copy changes when that twin says so."""
        place = self._place(index)
        self._send({"@update": {"index": place, "key": self._view().key(place)}, **self._behind(value)})

    def __delitem__(self, index: int, /) -> None:
        """Takes an element out of the linked lane, by a command to its twin."""
        place = self._place(index)
        self._send({"@remove": {"index": place, "key": self._view().key(place)}})

    def insert(self, index: int, value: V) -> None:
        """Puts an element into the linked lane, before the one that stands at ``index`` of the copy."""
        length = len(self)
        place = max(0, index + length) if index < 0 else min(index, length)
        # a key of its own, so that it is told from the element that stands there
        self._send({"@update": {"index": place, "key": urandom(8).hex()}, **self._behind(value)})

    def append(self, value: V) -> None:
        """Puts an element at the end of the linked lane."""
        self.insert(len(self), value)

    def move(self, from_: int, to: int) -> None:
        """Moves an element of the linked lane."""
        place = self._place(from_)
        self._send({"@move": {"from": place, "to": self._place(to), "key": self._view().key(place)}})

    def take(self, n: int) -> None:
        """Keeps the first elements of the linked lane."""
        self._send({"@take": n})

    def drop(self, n: int) -> None:
        """Takes the first elements out of the linked lane."""
        self._send({"@drop": n})

    def clear(self) -> None:
        """Empties the linked lane."""
        self._send({"@clear": None})

    def _place(self, index: int) -> int:
        length = len(self)
        place = index + length if index < 0 else index
        if not 0 <= place < length:
            raise IndexError(f"{self._lane._label} has {length} elements, and {index} is no index of it")
        return place

    def _behind(self, value: V) -> dict[str, Any]:
        lane = self._lane
        return behind(plain(lane.value_form, f"an element of {lane._label}", value))

    def __repr__(self) -> str:
        return f"<{self._lane._label} to {self.target}: {list(self)!r}>"


class ListLink(Single, List[V], Generic[V]):
    """A twin's link to a list lane of one other twin: ``ListLink(Bus.route)``, or ``ListLink(str, lane="route")``."""

    _kind = "a list link"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            src: List[V],
            /,
            *,
            lane: str = "",
            sync: bool = True,
            prio: float = 0,
            rate: float = 0,
            limit: int = ...,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
        ) -> None: ...
        @overload
        def __init__(
            self,
            src: TypeForm[V],
            /,
            *,
            lane: str,
            sync: bool = True,
            prio: float = 0,
            rate: float = 0,
            limit: int = ...,
            name: str = "",
            unit: str = "",
            doc: str = "",
            save: Save = "async",
        ) -> None: ...

    def __init__(
        self,
        src: Any,
        /,
        *,
        lane: str = "",
        sync: bool = True,
        prio: float = 0,
        rate: float = 0,
        limit: int = 10_000,
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
    ) -> None:
        List.__init__(self, src, limit=limit, name=name, unit=unit, doc=doc, save=save, readonly=True)
        self._lead(src, lane, sync, (prio, rate))

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> ListLinkView[V]: ...
        def __get__(self, obj: Any, owner: Any) -> Any: ...
        def __set__(self, obj: Twin, value: Never) -> None: ...  # type: ignore[override]
    else:

        def __get__(self, obj: Any, owner: Any = None) -> Any:
            return self if obj is None else ListLinkView(obj, self)

        def __set__(self, obj: Any, value: Any) -> None:
            raise WrongType(f"{self._label} is a link: its methods write the lane that it leads to")

    def _enter(self, schema: Schema) -> None:
        List._enter(self, schema)
        self._enter_target(schema)

    def _resolve(self, schema: Schema) -> None:
        self._find_lane(schema)
        if self.source is not None:
            source: Any = self.source
            if not isinstance(source, List):
                raise self._mistake(
                    f"{source._label} is {source._kind}, and no list", "Link is for lanes with one value"
                )
            self.value = source.value
        List._resolve(self, schema)

    def _declare(self, schema: Schema) -> None:
        List._declare(self, schema)
        self._declare_target(schema)
        schema.add_link(self, self._table("list", {"map": self.number}, {"column": self.target_column}), self._typed())
