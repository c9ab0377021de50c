"""What an iteration over a link gets, however slow it is. Each has a feed of its own, in the client's loop."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from shoal.client.codec import Codec
from shoal.errors import OverLimit, ShoalError, Unset
from shoal.warp import Bounds, Change, Clear, Element, Remove, Set, State, Update
from shoal.warp.keys import hashable


class Feed:
    """``next`` waits for one; ``StopAsyncIteration`` where the link was closed, and what has ended it otherwise."""

    def __init__(self, codec: Codec, state: State) -> None:
        self._codec = codec
        self._state = state
        self._ready = asyncio.Event()
        self._ended = False
        self._error: ShoalError | None = None

    @abstractmethod
    def put(self, change: Change) -> None:
        """The state has it already."""

    def resynced(self) -> None:
        """The state is the lane's, also after a break."""

    @abstractmethod
    def _take(self) -> tuple[Any] | None:
        """What waits longest, as the program gets it; None: nothing."""

    def end(self, error: ShoalError | None) -> None:
        self._ended = True
        self._error = self._error or error
        self._ready.set()

    async def next(self) -> Any:
        while True:
            taken = self._take()
            if taken is not None:
                return taken[0]
            if self._ended:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()


class Newest(Feed):
    """Of a value: what it is now, if that is another write than the last one that was taken."""

    def __init__(self, codec: Codec, state: State) -> None:
        super().__init__(codec, state)
        self._fresh = state.is_told

    def put(self, change: Change) -> None:
        self._fresh = True
        self._ready.set()

    def _take(self) -> tuple[Any] | None:
        if not self._fresh:
            return None
        self._fresh = False
        try:
            return (self._codec.value(self._state.value),)
        except Unset:
            return None


class NewestOfKeys(Feed):
    """Of a map: its entries, then each change; while one waits, only the newest of its key is kept.

    Bound: the map's own. Where more keys come and go unread, all starts over with a ``Clear`` and what is there.
    """

    def __init__(self, codec: Codec, state: State, most: int) -> None:
        super().__init__(codec, state)
        self._most = most
        self._waiting: dict[Hashable, Change] = {}
        self._present()

    def _present(self) -> None:
        for key, value in self._state.pairs():
            self._waiting[hashable(key)] = Update(key, value)

    def put(self, change: Change) -> None:
        match change:
            case Update(key, _) | Remove(key):
                self._waiting[hashable(key)] = change
            case _:
                self._waiting = {_ALL: Clear()}
        if len(self._waiting) > self._most:
            self._waiting = {_ALL: Clear()}
            self._present()
        self._ready.set()

    def _take(self) -> tuple[Any] | None:
        if not self._waiting:
            return None
        change = self._waiting.pop(next(iter(self._waiting)))
        match change:
            case Update(key, value):
                return (Update(self._codec.key_value(key), self._codec.value(value)),)
            case Remove(key):
                return (Remove(self._codec.key_value(key)),)
        return (change,)


# Before any key.
_ALL = ("all of the map",)


class Deltas(Feed):
    """Of a list: its elements, then each change, in order. Past the bound all starts over with a ``Clear`` and what is
    there: changes of a list build on those before.
    """

    def __init__(self, codec: Codec, state: State, most: int) -> None:
        super().__init__(codec, state)
        self._most = most
        self._waiting: deque[Change] = deque()
        # what waits begins with what was there
        self._bound = 0
        self._starts_over = False
        self._present()

    def _present(self) -> None:
        pairs = self._state.pairs()
        self._waiting.extend(Element(index, key, value) for index, (key, value) in enumerate(pairs))
        self._bound = self._most + len(pairs)

    def put(self, change: Change) -> None:
        if self._starts_over:
            return
        self._waiting.append(change)
        if len(self._waiting) > self._bound:
            self._starts_over = True
            self._waiting.clear()
        self._ready.set()

    def _take(self) -> tuple[Any] | None:
        if self._starts_over:
            self._starts_over = False
            self._waiting.append(Clear())
            self._present()
        if not self._waiting:
            return None
        change = self._waiting.popleft()
        if isinstance(change, Element):
            return (change._replace(value=self._codec.value(change.value)),)
        return (change,)


class Every(Feed):
    """Of commands and supplies: each, in order. Past the bound the iteration ends with ``OverLimit``, behind those that
    wait: it would have missed some.
    """

    def __init__(self, codec: Codec, state: State, most: int) -> None:
        super().__init__(codec, state)
        self._most = most
        self._waiting: deque[Any] = deque()

    def put(self, change: Change) -> None:
        if self._ended:
            return
        if len(self._waiting) >= self._most:
            self.end(
                OverLimit(
                    f"{self._codec.label}: over {self._most:,} events wait for this iteration, which is the client's "
                    "bound; link with rate=, or read faster"
                )
            )
            return
        self._waiting.append(change.value if isinstance(change, Set) else change)
        self._ready.set()

    def _take(self) -> tuple[Any] | None:
        return (self._codec.value(self._waiting.popleft()),) if self._waiting else None


class Arrival(Feed):
    """Of a list: once, when a change is told that was sent. ``is_it`` knows it; a list that starts over has it, too."""

    def __init__(self, codec: Codec, state: State, is_it: Callable[[Change], bool]) -> None:
        super().__init__(codec, state)
        self._is_it = is_it
        self._there = False

    def put(self, change: Change) -> None:
        if isinstance(change, Clear) or self._is_it(change):
            self._there = True
            self._ready.set()

    def resynced(self) -> None:
        # what was sent before the break is in it, or is doubtful, as commands are
        self._there = True
        self._ready.set()

    def _take(self) -> tuple[Any] | None:
        return (None,) if self._there else None


def feed_of(codec: Codec, state: State, bounds: Bounds) -> Feed:
    """By the lane's kind; of an untyped link by what has come, a value where nothing has."""
    match codec.kind or state.kind:
        case "map":
            return NewestOfKeys(codec, state, bounds.entries)
        case "list":
            return Deltas(codec, state, bounds.changes)
        case "event":
            return Every(codec, state, bounds.events)
    return Newest(codec, state)
