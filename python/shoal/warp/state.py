"""What a lane holds, kept up by its changes."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Literal

import msgspec

from shoal.errors import OverLimit
from shoal.warp.change import Change, Clear, Cut, Remove, Set, Update


class State:
    """A value, or the entries of a map in the order in which they first came.

    The first change tells which of the two it is, where whoever links it does not.
    Between ``begin`` and ``end`` a lane is synced: entries that the
    server does not send again are gone.
    """

    def __init__(self, entries: int) -> None:
        """``entries``: a map with more raises ``OverLimit``."""
        self.kind: Literal["", "value", "map"] = ""
        self.value: Any = None
        # a change has come
        self.is_told = False
        self._most = entries
        # by the key as hashable; whether it has come since the last `begin`
        self._entries: dict[Hashable, tuple[Any, Any]] = {}
        self._stale: set[Hashable] = set()

    def items(self) -> Iterator[tuple[Any, Any]]:
        """The entries of a map; its keys may be of any type of JSON."""
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def has(self, change: Change) -> bool:
        """The change says what it holds already."""
        match change:
            case Set(value):
                return self.is_told and self.kind == "value" and _same(self.value, value)
            case Update(key, value):
                held = self._entries.get(hashable(key))
                return held is not None and _same(held[1], value)
        return False

    def pairs(self) -> list[tuple[Any, Any]]:
        """The entries at this moment, also for another thread."""
        return list(self._entries.values())

    def entry(self, key: Any) -> tuple[Any, Any] | None:
        """The key and its value; None where there is no such key."""
        return self._entries.get(hashable(key))

    def plain(self) -> Any:
        """A value; of a map a dict, or a list of pairs where keys are no texts. ``{}`` where nothing has come."""
        if self.kind == "value":
            return self.value
        if all(isinstance(key, str) for key, _ in self._entries.values()):
            return dict(self._entries.values())
        return [[key, value] for key, value in self._entries.values()]

    def begin(self) -> None:
        self._stale = set(self._entries)

    def end(self) -> list[Remove]:
        """The entries that have gone meanwhile."""
        gone = [Remove(self._entries.pop(key)[0]) for key in list(self._entries) if key in self._stale]
        self._stale.clear()
        return gone

    def apply(self, change: Change) -> None:
        """``Cut`` is not applied: what it leaves only a sync tells."""
        self.is_told = True
        if not self.kind:
            self.kind = "value" if isinstance(change, Set) else "map"
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
            case Cut():
                pass


def _same(a: Any, b: Any) -> bool:
    """``1`` and ``true`` are two."""
    return type(a) is type(b) and bool(a == b)


def hashable(key: Any) -> Hashable:
    """Equal for equal keys: ``1`` and ``true`` are two."""
    return key if isinstance(key, str) else msgspec.json.encode(key)
