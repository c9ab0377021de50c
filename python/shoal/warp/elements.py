"""The elements of a list lane, kept up by its changes."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

from shoal.errors import OverLimit
from shoal.warp.change import Change, Clear, Cut, Element, Move, Out
from shoal.warp.keys import hashable


class Elements:
    """In the list's order. Where an element has a key it is found by it, near the index that a change names; an index
    alone goes for itself.

    Between ``begin`` and ``end`` a list is synced: its elements come in order, and those that do not come are gone.
    """

    def __init__(self, most: int) -> None:
        """``most``: more elements raise ``OverLimit``."""
        self._most = most
        # the key as hashable, the key, the value
        self._items: list[tuple[Hashable, Any, Any]] = []
        # None: no sync is under way; else the keys that it has not told
        self._stale: set[Hashable] | None = None

    def __len__(self) -> int:
        return len(self._items)

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Key and value."""
        return ((key, value) for _, key, value in self._items)

    def pairs(self) -> list[tuple[Any, Any]]:
        """As ``items`` at this moment, also for another thread."""
        return [(key, value) for _, key, value in self._items.copy()]

    def at(self, index: int) -> tuple[Any, Any] | None:
        """Key and value; None where there is none."""
        try:
            _, key, value = self._items[index]
        except IndexError:
            return None
        return key, value

    def values(self) -> list[Any]:
        return [value for _, _, value in self._items]

    def begin(self) -> None:
        self._stale = {place for place, _, _ in self._items}

    def end(self) -> list[Out]:
        """The elements that have gone meanwhile, each with its index when it is taken out."""
        gone = []
        for index in range(len(self._items) - 1, -1, -1):
            place, key, _ = self._items[index]
            if self._stale and place in self._stale:
                del self._items[index]
                gone.append(Out(index, key))
        self._stale = None
        return gone

    def apply(self, change: Change) -> None:
        match change:
            case Element(index, key, value):
                self._put(index, key, value)
            case Move(from_, to, key):
                at = self._find(from_, key)
                if at is not None:
                    self._items.insert(to, self._items.pop(at))
            case Out(index, key):
                at = self._find(index, key)
                if at is not None:
                    del self._items[at]
            case Clear():
                self._items.clear()
                self._stale = None if self._stale is None else set()
            case Cut("take", number):
                del self._items[max(number, 0) :]
            case Cut("drop", number):
                del self._items[: max(number, 0)]

    def _put(self, index: int, key: Any, value: Any) -> None:
        place = hashable(key)
        at = self._find(index, key)
        if at is None or (key is None and self._stale is not None):
            if len(self._items) >= self._most:
                raise OverLimit(f"the list has over {self._most:,} elements, which is the client's bound")
            self._items.insert(index, (place, key, value))
        elif self._stale is not None and at != index:
            # a sync tells where it stands now
            del self._items[at]
            self._items.insert(index, (place, key, value))
        else:
            self._items[at] = (self._items[at][0], self._items[at][1], value) if key is None else (place, key, value)
        if self._stale is not None:
            self._stale.discard(place)

    def _find(self, index: int, key: Any) -> int | None:
        """Where the element is, from the index on to both sides; without a key at the index. None: nowhere."""
        count = len(self._items)
        if key is None:
            return index if index < count else None
        place = hashable(key)
        for away in range(max(index, count - index) + 1):
            for at in {index - away, index + away}:
                if 0 <= at < count and self._items[at][0] == place:
                    return at
        return None
