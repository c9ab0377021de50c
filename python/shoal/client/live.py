"""A link as an asyncio program holds it: the newest value at hand, every change in an iteration, writes through it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Self

from shoal.client.codec import Codec, value_text
from shoal.client.entries import Entries
from shoal.client.feeds import Feed, feed_of
from shoal.client.place import Place
from shoal.client.shared import Shared, Terms
from shoal.client.watch import Hooks, Watch
from shoal.errors import ShoalError, Unset, WrongType
from shoal.variables import K, V, V_co
from shoal.warp import Clear, Remove, State, Update

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
        body = self._codec.body(value)
        between = " " if body and body[0] not in '@{"%' else ""
        await self._write(f"@update(key:{value_text(self._codec.key_plain(key))}){between}{body}")

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
        case "event":
            live.__class__ = AsyncLiveEvents
    return live


class _Iteration(AsyncIterator[Any]):
    """Over one feed, which goes with it."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    async def __anext__(self) -> Any:
        return await self._feed.next()


def _whole(count: int) -> int:
    if type(count) is not int or count < 0:
        raise WrongType(f"it is a number of entries, 0 or more; got {count!r}")
    return count
