"""A map lane as a mapping, which is kept up by the link and written through it only."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import TypeVar

from shoal.client.codec import Codec
from shoal.errors import WrongType
from shoal.warp import State

K = TypeVar("K")
V = TypeVar("V")


class Entries(Mapping[K, V]):
    """Always what has come last; in any thread. An iteration goes over the entries of its beginning.

    Raises ``WrongType`` where an entry does not fit the class.
    """

    __slots__ = ("_codec", "_state")

    def __init__(self, codec: Codec, state: State) -> None:
        self._codec = codec
        self._state = state

    def __getitem__(self, key: K) -> V:
        try:
            entry = self._state.entry(self._codec.key_plain(key))
        except WrongType:
            entry = None
        if entry is None:
            raise KeyError(key)
        value: V = self._codec.value(entry[1])
        return value

    def __iter__(self) -> Iterator[K]:
        return iter([self._codec.key_value(key) for key, _ in self._state.pairs()])

    def __len__(self) -> int:
        return len(self._state)

    def copy(self) -> dict[K, V]:
        """Of this moment."""
        codec = self._codec
        return {codec.key_value(key): codec.value(value) for key, value in self._state.pairs()}

    def items(self) -> ItemsView[K, V]:
        return self.copy().items()

    def values(self) -> ValuesView[V]:
        return self.copy().values()

    def __repr__(self) -> str:
        pairs = self._state.pairs()
        shown = ", ".join(f"{key!r}: {value!r}" for key, value in pairs[:10])
        return f"{{{shown}{', …' if len(pairs) > 10 else ''}}}"
