"""A link as an asyncio program holds it: the newest value at hand, every change in an iteration, writes through it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Self

from shoal.client.codec import Codec, value_text
from shoal.client.entries import Entries
from shoal.client.feeds import Arrival, Feed, feed_of
from shoal.client.place import Place
from shoal.client.shared import Shared, Terms
from shoal.client.watch import Hooks, Watch
from shoal.errors import ShoalError, Unset, WrongType
from shoal.variables import K, V, V_co
from shoal.warp import Change, Clear, Element, Move, Out, Remove, State, Update

if TYPE_CHECKING:
    from shoal.client.session import Session


class AsyncLive(Generic[V_co]):
    """A link to a lane, made by ``await client.link(...)``.

    ``value`` is what has come last. ``async for`` begins with the present state: of a value the newest one, those in
    between are passed over while the loop is slow.
    """

    def __init__(self, session: Session, place: Place, terms: Terms, hooks: Hooks | None = None) -> None:
        self._session = session
        self._place = place
        self._codec: Codec = place.codec
        self._terms = terms
        self._watch = Watch(str(place), hooks or {})
        self._shared: Shared | None = None
        # of the first iteration over events: it gets those from the link on
        self._first: Feed | None = None

    async def _open(self) -> None:
        """Errors: Unlinked, NoConnection."""
        self._shared = shared = await self._session.look(self._watch, self._place, self._terms)
        if self._codec.kind is None:
            # as the server has told; kept, so that what it takes does not change later
            told = shared.link.state.kind or None
            self._codec = self._codec._replace(kind=told)
        if self._codec.kind == "event":
            self._first = self._watch.add(feed_of(self._codec, self._state, self._session.bounds))

    # -- what a program does with it

    @property
    def node(self) -> str:
        return self._place.node

    @property
    def lane(self) -> str:
        return self._place.lane

    @property
    def is_linked(self) -> bool:
        """False while the connection is broken, and after the end."""
        return self._shared is not None and self._shared.is_linked and not self._watch.is_over

    @property
    def is_synced(self) -> bool:
        """``value`` is the lane's: False while the connection is broken, until the state has come anew."""
        return self._shared is not None and self._shared.is_synced and not self._watch.is_over

    @property
    def value(self) -> V_co:
        """What has come last, also while the connection is broken; of an event lane the last event.

        Errors: ``Unset`` where nothing has come, ``WrongType`` for what does not fit the class.
        """
        state = self._state
        value: Any
        match self._codec.kind:
            case "map":
                value = Entries(self._codec, state)
            case "list":
                value = [self._codec.value(element) for _, element in state.pairs()]
            case None:
                value = state.plain()
            case _:
                if not state.is_told:
                    raise Unset(f"{self._codec.label} of {self.node}: nothing has come yet")
                value = self._codec.value(state.value)
        return value  # type: ignore[no-any-return]

    def __aiter__(self) -> AsyncIterator[V_co]:
        return _Iteration(self._feed())

    async def synced(self) -> None:
        """Waits until ``value`` is the lane's, as after a break. Raises what has ended the link."""
        shared = self._held()
        await shared.wait(synced=True)

    async def set(self, value: Any) -> None:
        """Writes the lane; ``value`` is it when the server has told so. Errors: WrongType, NoConnection."""
        self._check_kind("set", "value", None)
        await self._write(self._codec.body(value))

    async def close(self) -> None:
        """Ends it; iterations end. The last one to a lane unlinks it."""
        if self._watch.is_over:
            return
        self._watch.closed(None)
        if self._shared is not None:
            await self._session.leave(self._watch, self._shared)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._session}{self.node} {self.lane} {self._condition()}: {self._shown()}>"

    # -- for those that build on it

    @property
    def _state(self) -> State:
        if self._shared is None:
            raise Unset(f"{self._codec.label} of {self.node} is not linked yet")
        return self._shared.link.state

    def _held(self) -> Shared:
        if self._watch.is_over or self._shared is None:
            raise self._watch.error or ShoalError(f"the link to {self._place} is closed")
        return self._shared

    def _feed(self) -> Feed:
        first, self._first = self._first, None
        return first or self._watch.add(feed_of(self._codec, self._state, self._session.bounds))

    async def _write(self, body: str) -> None:
        self._held()
        if self._codec.readonly:
            raise WrongType(f"{self._codec.label} cannot be written from outside: {self._codec.readonly}")
        await self._session.send(self.node, self.lane, body)

    def _check_kind(self, what: str, *kinds: str | None) -> None:
        if self._codec.kind not in kinds:
            raise WrongType(f"{what}() is not for {self._place}, which is linked as {self._codec.kind or 'a value'}")

    def _condition(self) -> str:
        if self._watch.is_over:
            return "closed"
        return "synced" if self.is_synced else "linked" if self.is_linked else "broken"

    def _shown(self) -> str:
        try:
            text = repr(self.value)
        except ShoalError:
            return "unset"
        return text if len(text) <= 200 else f"{text[:197]}..."


class AsyncLiveMap(AsyncLive[Mapping[K, V]], Generic[K, V]):
    """A link to a map lane. An iteration gets ``shoal.warp.Update``, ``Remove`` and ``Clear``: the entries first, then
    each change, the newest of a key while the loop is slow.
    """

    if TYPE_CHECKING:

        def __aiter__(self) -> AsyncIterator[Update | Remove | Clear]: ...  # type: ignore[override]

    async def put(self, key: K, value: V) -> None:
        """Errors: WrongType, NoConnection; as all writes."""
        await self._write(
            _with_value(f"@update(key:{value_text(self._codec.key_plain(key))})", self._codec.body(value))
        )

    async def remove(self, key: K) -> None:
        """Nothing happens where there is no such key."""
        await self._write(f"@remove(key:{value_text(self._codec.key_plain(key))})")

    async def clear(self) -> None:
        await self._write("@clear")

    async def take(self, count: int) -> None:
        """Keeps the first ones only; which are the first, the server says."""
        await self._write(f"@take({_whole(count)})")

    async def drop(self, count: int) -> None:
        """Removes the first ones."""
        await self._write(f"@drop({_whole(count)})")


class AsyncLiveList(AsyncLive[list[V]], Generic[V]):
    """A link to a list lane; ``value`` is a copy of its elements. An iteration gets ``shoal.warp.Element``, ``Move``,
    ``Out`` and ``Clear``: the elements first, then each change in order; one that is over ``Bounds.changes`` behind
    starts over with ``Clear`` and what is there.

    Indexes are those of the link's copy, negative ones count from its end. The server finds an element by its key, so
    that it is the one that was meant, wherever others have moved it. Errors: IndexError where the copy has no such one.
    """

    if TYPE_CHECKING:

        def __aiter__(self) -> AsyncIterator[Element | Move | Out | Clear]: ...  # type: ignore[override]

    async def insert(self, index: int, value: V) -> None:
        """Puts it in before ``index``, as ``list.insert``, and waits until the server has told so.

        Errors: WrongType, NoConnection; ShoalError where it is not told in time, as of a list that is full.
        """
        count = len(self._state)
        index = max(0, index + count) if index < 0 else min(index, count)
        await self._put_in(index, value)

    async def append(self, value: V) -> None:
        """As ``insert`` at the end."""
        await self._put_in(len(self._state), value)

    async def update(self, index: int, value: V) -> None:
        """Another value for the element; waits as ``insert``, as do those that follow."""
        at, key, slot = self._find(index)
        body = _with_value(f"@update(index:{at}{slot})", self._codec.body(value))
        await self._write_and_wait(body, lambda change: isinstance(change, Element) and change.key == key)

    async def move(self, from_: int, to: int) -> None:
        """Takes the element out and puts it in again, so that it stands at ``to``."""
        at, key, slot = self._find(from_)
        target, _, _ = self._find(to)
        if at != target:
            body = f"@move(from:{at},to:{target}{slot})"
            await self._write_and_wait(body, lambda change: isinstance(change, Move) and change.key == key)

    async def remove(self, index: int) -> None:
        """Takes the element out."""
        at, key, slot = self._find(index)
        body = f"@remove(index:{at}{slot})"
        await self._write_and_wait(body, lambda change: isinstance(change, Out) and change.key == key)

    async def clear(self) -> None:
        await self._shorten("@clear", 0)

    async def take(self, count: int) -> None:
        """Keeps the first ones only."""
        await self._shorten(f"@take({_whole(count)})", count)

    async def drop(self, count: int) -> None:
        """Takes the first ones out."""
        await self._shorten(f"@drop({_whole(count)})", max(0, len(self._state) - count))

    async def _put_in(self, index: int, value: V) -> None:
        # a key of its own, by which it is known when it comes
        key = secrets.token_hex(8)
        body = _with_value(f"@update(index:{index},key:{value_text(key)})", self._codec.body(value))
        await self._write_and_wait(body, lambda change: isinstance(change, Element) and change.key == key)

    async def _shorten(self, body: str, left: int) -> None:
        if len(self._state) > left:
            await self._write_and_wait(body, lambda change: len(self._state) <= left)

    async def _write_and_wait(self, body: str, is_it: Callable[[Change], bool]) -> None:
        """Until the copy has it, so that the next index is meant as it reads."""
        arrival = Arrival(self._codec, self._state, is_it)
        self._watch.add(arrival)
        await self._write(body)
        seconds = self._session.bounds.answer_seconds
        try:
            async with asyncio.timeout(seconds):
                await arrival.next()
        except TimeoutError:
            raise ShoalError(
                f"{self._codec.label} of {self.node}: the server has not told of this change within {seconds:g} s; "
                "it may have refused it (the lane's limit or type, readonly)"
            ) from None
        except StopAsyncIteration:
            raise ShoalError(f"the link to {self._place} was closed before this change was told") from None

    def _find(self, index: int) -> tuple[int, Any, str]:
        """An element's index, not negative, its key, and that as the slot of an operation."""
        count = len(self._state)
        at = index + count if index < 0 else index
        found = self._state.element(at) if at >= 0 else None
        if found is None:
            raise IndexError(f"{self._codec.label} of {self.node} has {count} elements, and none at {index}")
        key, _ = found
        return at, key, "" if key is None else f",key:{value_text(key)}"


class AsyncLiveEvents(AsyncLive[V_co]):
    """A link to a command or supply lane. The first iteration gets every event from the link on, later ones from their
    beginning; one that is over ``Bounds.events`` behind ends with ``OverLimit``.
    """

    async def send(self, value: Any = None) -> None:
        """A command to the lane."""
        await self._write(self._codec.body(value))


async def live_of(session: Session, place: Place, terms: Terms, hooks: Hooks) -> AsyncLive[Any]:
    """An open link of the lane's kind; an untyped one tells by its state which that is. Errors: as ``_open``."""
    live: AsyncLive[Any] = AsyncLive(session, place, terms, hooks)
    await live._open()
    match live._codec.kind:
        case "map":
            live.__class__ = AsyncLiveMap
        case "list":
            live.__class__ = AsyncLiveList
        case "event":
            live.__class__ = AsyncLiveEvents
    return live


class _Iteration(AsyncIterator[Any]):
    """Over one feed, which goes with it."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    async def __anext__(self) -> Any:
        return await self._feed.next()


def _with_value(operation: str, body: str) -> str:
    return f"{operation} {body}" if body and body[0] not in '@{"%' else operation + body


def _whole(count: int) -> int:
    if type(count) is not int or count < 0:
        raise WrongType(f"it is a number of entries, 0 or more; got {count!r}")
    return count
