"""What a lane holds, kept up by its changes."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Literal

from shoal.errors import OverLimit
from shoal.warp.change import Change, Clear, Cut, Element, Move, Out, Remove, Set, Update
from shoal.warp.elements import Elements
from shoal.warp.keys import hashable


class State:
    """A value, the entries of a map in the order in which they first came, or the elements of a list.

    The first change tells which of them it is, where whoever links it does not; a ``Clear`` may be a map's or a list's.
    Between ``begin`` and ``end`` a lane is synced: entries that the server does not send again are gone.
    """

    def __init__(self, entries: int) -> None:
        """``entries``: a map or list with more raises ``OverLimit``."""
        self.kind: Literal["", "value", "map", "list"] = ""
        self.value: Any = None
        # a change has come
        self.is_told = False
        self._most = entries
        # by the key as hashable; whether it has come since the last `begin`
        self._entries: dict[Hashable, tuple[Any, Any]] = {}
        self._stale: set[Hashable] = set()
        self._elements = Elements(entries)

    def items(self) -> Iterator[tuple[Any, Any]]:
        """The entries of a map, the keys and elements of a list; keys may be of any type of JSON."""
        return self._elements.items() if self.kind == "list" else iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._elements) if self.kind == "list" else len(self._entries)

    def has(self, change: Change) -> bool:
        """The change says what it holds already."""
        match change:
            case Set(value):
                return self.is_told and self.kind == "value" and _same(self.value, value)
            case Update(key, value):
                held = self._entries.get(hashable(key))
                return held is not None and _same(held[1], value)
            case Element(index, key, value):
                there = self._elements.at(index)
                return there is not None and hashable(there[0]) == hashable(key) and _same(there[1], value)
        return False

    def pairs(self) -> list[tuple[Any, Any]]:
        """As ``items`` at this moment, also for another thread."""
        return self._elements.pairs() if self.kind == "list" else list(self._entries.values())

    def entry(self, key: Any) -> tuple[Any, Any] | None:
        """The key and its value; None where there is no such key."""
        return self._entries.get(hashable(key))

    def element(self, index: int) -> tuple[Any, Any] | None:
        """The key and the value of a list's element; None where there is none."""
        return self._elements.at(index)

    def plain(self) -> Any:
        """A value; a list; of a map a dict, or pairs where keys are no texts. ``{}`` where nothing has come."""
        if self.kind == "value":
            return self.value
        if self.kind == "list":
            return self._elements.values()
        if all(isinstance(key, str) for key, _ in self._entries.values()):
            return dict(self._entries.values())
        return [[key, value] for key, value in self._entries.values()]

    def begin(self) -> None:
        self._stale = set(self._entries)
        self._elements.begin()

    def end(self) -> list[Change]:
        """The entries or elements that have gone meanwhile."""
        if self.kind == "list":
            return [*self._elements.end()]
        self._elements.end()
        gone = [Remove(self._entries.pop(key)[0]) for key in list(self._entries) if key in self._stale]
        self._stale.clear()
        return [*gone]

    def apply(self, change: Change) -> None:
        """A map's ``Cut`` is not applied: what it leaves only a sync tells."""
        self.is_told = True
        if isinstance(change, Element | Move | Out) and self.kind != "value":
            self.kind = "list"
        if not self.kind and not isinstance(change, Clear | Cut):
            self.kind = "value" if isinstance(change, Set) else "map"
        if self.kind == "list" or not self.kind:
            self._elements.apply(change)
        match change:
            case Set(value):
                self.value = value
            case Update(key, value):
                place = hashable(key)
                if place not in self._entries and len(self._entries) >= self._most:
                    raise OverLimit(f"the map has over {self._most:,} entries, which is the client's bound")
                self._entries[place] = (key, value)
                self._stale.discard(place)
            case Remove(key):
                self._entries.pop(hashable(key), None)
            case Clear():
                self._entries.clear()
                self._stale.clear()
            case _:
                pass


def _same(a: Any, b: Any) -> bool:
    """``1`` and ``true`` are two."""
    return type(a) is type(b) and bool(a == b)
