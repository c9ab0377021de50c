"""``Client``: the twins of a server, from scripts and notebooks. Each call waits for its answer."""

from __future__ import annotations

import atexit
import logging
import warnings
import weakref
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Self, Unpack, overload

from shoal import Request, Supply
from shoal.client.asynchronous import AsyncClient
from shoal.client.at import At, Ways
from shoal.client.codec import Kind
from shoal.client.feeds import Feed
from shoal.client.live import AsyncLive, AsyncLiveEvents, AsyncLiveList, AsyncLiveMap, live_of
from shoal.client.place import Place, command_of, node_at, node_of, place_of, request_of
from shoal.client.shared import Terms
from shoal.client.thread import LoopThread
from shoal.client.watch import Hooks
from shoal.duration import Seconds
from shoal.errors import ShoalError, WrongType
from shoal.lanes.command import Command
from shoal.lanes.lane import Lane
from shoal.lanes.list import List
from shoal.lanes.map import Map
from shoal.variables import B, K, Q, R, T, V, V_co
from shoal.warp import Bounds, Clear, Element, Move, Out, Remove, Update

log = logging.getLogger("shoal.client")

# Closed at the end of the process, where the program has not.
_open: weakref.WeakSet[Client] = weakref.WeakSet()


class Live(Generic[V_co]):
    """One link, held open: the newest value is always at hand. As ``AsyncLive``, without await.

    Usable in any thread; hooks are called in the client's own. A link that is dropped stays until its client closes.
    """

    def __init__(self, client: Client, live: AsyncLive[V_co]) -> None:
        # held, so that the client lives as long as its links are used
        self._client = client
        self._live = live

    @property
    def value(self) -> V_co:
        """What has come last, without waiting; also while the connection is broken. Of an event lane the last event.

        Errors: ``Unset`` where nothing has come, ``WrongType`` for what does not fit the class.
        """
        return self._live.value

    @property
    def is_linked(self) -> bool:
        """False while the connection is broken, and after the end."""
        return self._live.is_linked

    @property
    def is_synced(self) -> bool:
        """``value`` is the lane's: False while the connection is broken, until the state has come anew."""
        return self._live.is_synced

    @property
    def node(self) -> str:
        return self._live.node

    @property
    def lane(self) -> str:
        return self._live.lane

    def synced(self) -> None:
        """Waits until ``value`` is the lane's, as after a break. Raises what has ended the link."""
        self._client._call(self._live.synced)

    def set(self, value: Any) -> None:
        """Writes the lane; ``value`` is it when the server has told so. Errors: WrongType, NoConnection."""
        self._client._call(lambda: self._live.set(value))

    def __iter__(self) -> Iterator[V_co]:
        """The present state first, then changes: of a value the newest one, those in between are passed over while the
        loop is slow. Ends when the link is closed, raises what has ended it otherwise.
        """
        return _Iteration(self._client, self._client._call(self._begin))

    async def _begin(self) -> Feed:
        return self._live._feed()

    def close(self) -> None:
        """Ends it, and the iterations over it. The last one to a lane unlinks it."""
        if self._client._is_usable:
            self._client._call(self._live.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._live).replace("<Async", "<", 1)


class LiveMap(Live[Mapping[K, V]], Generic[K, V]):
    """A link to a map lane: ``value`` is a mapping that is kept up. An iteration gets ``shoal.warp.Update``, ``Remove``
    and ``Clear``: the entries first, then each change, the newest of a key while the loop is slow.
    """

    _live: AsyncLiveMap[K, V]

    if TYPE_CHECKING:

        def __iter__(self) -> Iterator[Update | Remove | Clear]: ...  # type: ignore[override]

    def __setitem__(self, key: K, value: V) -> None:
        """Writes an entry; errors as of ``set``."""
        self._client._call(lambda: self._live.put(key, value))

    def __delitem__(self, key: K) -> None:
        """Nothing happens where there is no such key."""
        self._client._call(lambda: self._live.remove(key))

    def __getitem__(self, key: K) -> V:
        return self.value[key]

    def __len__(self) -> int:
        return len(self.value)

    def __contains__(self, key: object) -> bool:
        return key in self.value

    def clear(self) -> None:
        self._client._call(self._live.clear)

    def take(self, count: int) -> None:
        """Keeps the first ones only; which are the first, the server says."""
        self._client._call(lambda: self._live.take(count))

    def drop(self, count: int) -> None:
        """Removes the first ones."""
        self._client._call(lambda: self._live.drop(count))


class LiveList(Live[list[V]], Generic[V]):
    """A link to a list lane; ``value`` is a copy of its elements. An iteration gets ``shoal.warp.Element``, ``Move``,
    ``Out`` and ``Clear``: the elements first, then each change in order; one that is over ``Bounds.changes`` behind
    starts over with ``Clear`` and what is there.

    Indexes are those of the link's copy, negative ones count from its end. The server finds an element by its key.
    Errors: IndexError where the copy has no such one.
    """

    _live: AsyncLiveList[V]

    if TYPE_CHECKING:

        def __iter__(self) -> Iterator[Element | Move | Out | Clear]: ...  # type: ignore[override]

    def __getitem__(self, index: int) -> V:
        return self.value[index]

    def __len__(self) -> int:
        return len(self.value)

    def __setitem__(self, index: int, value: V) -> None:
        self.update(index, value)

    def __delitem__(self, index: int) -> None:
        self.remove(index)

    def insert(self, index: int, value: V) -> None:
        """Puts it in before ``index``, as ``list.insert``, and waits until the server has told so.

        Errors: WrongType, NoConnection; ShoalError where it is not told in time, as of a list that is full.
        """
        self._client._call(lambda: self._live.insert(index, value))

    def append(self, value: V) -> None:
        """As ``insert`` at the end."""
        self._client._call(lambda: self._live.append(value))

    def update(self, index: int, value: V) -> None:
        """Another value for the element."""
        self._client._call(lambda: self._live.update(index, value))

    def move(self, from_: int, to: int) -> None:
        """Takes the element out and puts it in again, so that it stands at ``to``."""
        self._client._call(lambda: self._live.move(from_, to))

    def remove(self, index: int) -> None:
        """Takes the element out."""
        self._client._call(lambda: self._live.remove(index))

    def clear(self) -> None:
        self._client._call(self._live.clear)

    def take(self, count: int) -> None:
        """Keeps the first ones only."""
        self._client._call(lambda: self._live.take(count))

    def drop(self, count: int) -> None:
        """Takes the first ones out."""
        self._client._call(lambda: self._live.drop(count))


class LiveEvents(Live[V_co]):
    """A link to a command or supply lane. The first iteration gets every event from the link on, later ones from their
    beginning; one that is over ``Bounds.events`` behind ends with ``OverLimit``.
    """

    _live: AsyncLiveEvents[V_co]

    def send(self, value: Any = None) -> None:
        """A command to the lane."""
        self._client._call(lambda: self._live.send(value))


class _Iteration(Iterator[Any]):
    """Over one feed, which goes with it."""

    def __init__(self, client: Client, feed: Feed) -> None:
        self._client = client
        self._feed = feed

    def __next__(self) -> Any:
        taken = self._client._call(self._take)
        if taken is None:
            raise StopIteration
        return taken[0]

    async def _take(self) -> tuple[Any] | None:
        try:
            return (await self._feed.next(),)
        except StopAsyncIteration:
            return None


class Client:
    """The twins of the server at ``url``: their commands, lanes, links and requests, each call waiting for its answer.

    It connects with its first use, and again whenever the connection breaks; usable in any thread and beside a running
    event loop. ``token`` goes along as the query ``?token=`` and as ``@auth``. ``with``, or ``close()`` at the end.
    """

    def __init__(self, url: str, /, *, token: str = "", bounds: Bounds | None = None) -> None:
        self._client = AsyncClient(url, token=token, bounds=bounds)
        self._thread = LoopThread()
        _open.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if exc[0] is None:
            self.close()
        else:
            self._abandon()

    def close(self) -> None:
        """Ends all links, and waits until what was sent has been read. Errors: as ``flush``."""
        if self._thread.is_forked or not self._thread.is_running:
            return
        try:
            self._call(self._client.close)
        finally:
            _open.discard(self)
            self._thread.end()

    # -- a twin

    @overload
    def at(self, cls: type[T], /, *params: object) -> T: ...
    @overload
    def at(self, uri: str, /) -> Any: ...
    def at(self, cls: Any, /, *params: object) -> Any:
        """A twin: ``client.at(Bus, "7").report(fix)`` sends a command, ``client.at(Bus, "7").speed`` reads a lane, and
        assigning one writes it. By URI all that is named is a command.
        """
        if isinstance(cls, str):
            if params:
                raise WrongType(f"at({cls!r}) is a whole URI and takes no parameters")
            return At(node_at(cls), None, self._ways())
        return At(node_of(cls, params), cls, self._ways())

    @overload
    def send(self, uri: str, lane: str, /, *, body: Any = None) -> None: ...
    @overload
    def send(self, command: Command[B], /, *params: object, body: B) -> None: ...
    @overload
    def send(self, command: Command[None], /, *params: object) -> None: ...
    def send(self, command: Any, /, *params: object, body: Any = None) -> None:
        """A command, handed to the connection: ``client.send(Bus.report, "7", body=fix)``, as ``at`` does it.

        While the connection is down it waits. Errors: WrongType; NoConnection where it cannot be handed over in time;
        OverLimit where too many wait. What a server does with a command it does not say: ``flush`` tells whether it
        has been read.
        """
        self._send(command_of(command, params), body)

    def flush(self) -> None:
        """Waits until the server has read all commands so far. Raises ``NoConnection`` where a break makes that
        uncertain, ``Unlinked`` where the newest command's node is none.
        """
        self._call(self._client.flush)

    # -- lanes

    @overload
    def get(self, uri: str, lane: str, /) -> Any: ...
    @overload
    def get(self, lane: Map[K, V], /, *params: object) -> Mapping[K, V]: ...
    @overload
    def get(self, lane: List[V], /, *params: object) -> list[V]: ...
    # the last one: Pyright sees an unannotated lane that a method assigns to as `Value[V] | V` on the class
    @overload
    def get(self, lane: Lane[V], /, *params: object) -> V: ...
    @overload
    def get(self, lane: Lane[V] | V, /, *params: object) -> V: ...
    def get(self, lane: Any, /, *params: object) -> Any:
        """What a lane holds now: ``client.get(Bus.speed, "7")``, ``client.get("/bus/7", "speed")``.

        It never makes a twin of a Shoal server; of others it asks by a link. Errors: Unset, NoSuchTwin, NoConnection,
        WrongType for what does not fit the class.
        """
        return self._get(place_of(lane, params))

    @overload
    def link(
        self,
        uri: str,
        lane: str,
        /,
        *,
        kind: Kind | None = None,
        sync: bool = True,
        rate: float = 0.0,
        prio: float = 0.0,
        **hooks: Unpack[Hooks],
    ) -> Any: ...
    @overload
    def link(
        self,
        lane: Map[K, V],
        /,
        *params: object,
        sync: bool = True,
        rate: float = 0.0,
        prio: float = 0.0,
        **hooks: Unpack[Hooks],
    ) -> LiveMap[K, V]: ...
    @overload
    def link(
        self,
        lane: List[V],
        /,
        *params: object,
        sync: bool = True,
        rate: float = 0.0,
        prio: float = 0.0,
        **hooks: Unpack[Hooks],
    ) -> LiveList[V]: ...
    @overload
    def link(
        self,
        lane: Command[B] | Supply[B],
        /,
        *params: object,
        sync: bool = True,
        rate: float = 0.0,
        prio: float = 0.0,
        **hooks: Unpack[Hooks],
    ) -> LiveEvents[B]: ...
    @overload
    def link(
        self,
        lane: Lane[V],
        /,
        *params: object,
        sync: bool = True,
        rate: float = 0.0,
        prio: float = 0.0,
        **hooks: Unpack[Hooks],
    ) -> Live[V]: ...
    @overload
    def link(
        self,
        lane: Lane[V] | V,
        /,
        *params: object,
        sync: bool = True,
        rate: float = 0.0,
        prio: float = 0.0,
        **hooks: Unpack[Hooks],
    ) -> Live[V]: ...
    def link(
        self,
        lane: Any,
        /,
        *params: object,
        kind: Kind | None = None,
        sync: bool = True,
        rate: float = 0.0,
        prio: float = 0.0,
        **hooks: Unpack[Hooks],
    ) -> Any:
        """A standing link, which the server makes again after each break; it is synced when this gives it.

        ``sync`` False: only what comes from now on. ``rate``: events a second at most, 0 for all. ``prio``: a server
        may send higher ones first. ``kind`` is what an untyped lane is ("value", "map", "list", "event"), where its
        state does not tell. Errors: Unlinked where there is no such node or lane; NoConnection.
        """
        place, terms = place_of(lane, params, kind), Terms(sync, rate, prio)
        live = self._call(lambda: live_of(self._client._session, place, terms, hooks))
        match live:
            case AsyncLiveMap():
                return LiveMap(self, live)
            case AsyncLiveList():
                return LiveList(self, live)
            case AsyncLiveEvents():
                return LiveEvents(self, live)
        return Live(self, live)

    # -- questions

    @overload
    def ask(self, uri: str, lane: str, /, *, body: Any = None, timeout: Seconds = 5) -> Any: ...
    @overload
    def ask(self, lane: Request[Q, R], /, *params: object, body: Q, timeout: Seconds = 5) -> R: ...
    def ask(self, lane: Any, /, *params: object, body: Any = None, timeout: Seconds = 5) -> Any:
        """A request's reply. Errors: Reject with the reason, AskTimeout, AskFailed, NoConnection; NotShoal."""
        place = request_of(lane, params)
        return self._call(lambda: self._client._ask(place, lane, body, timeout))

    def find(self, cls: type[T] | str, /, **equal: object) -> list[str]:
        """URIs of the twins of a class, or below a path: ``find(Bus, speeding=True, speed__gt=20)``.

        Signs: ``__gt __ge __lt __le __ne``. Errors: Refused for what cannot be compared, NotShoal, NoConnection.
        """
        return self._call(lambda: self._client.find(cls, **equal))

    def __repr__(self) -> str:
        return repr(self._client).replace("<Async", "<", 1)

    def __del__(self) -> None:
        thread: LoopThread | None = getattr(self, "_thread", None)
        if thread is None or not thread.is_running:
            return
        warnings.warn(f"{self!r} was not closed: use `with`, or close()", ResourceWarning, 2, self)
        self._abandon(wait=False)

    # -- inside

    @property
    def _is_usable(self) -> bool:
        return self._thread.is_running

    def _call(self, main: Callable[[], Coroutine[Any, Any, R]]) -> R:
        if not self._thread.is_forked and not self._thread.is_running and self._client._session.is_closed:
            self._client._session.check_open()
        return self._thread.call(main)

    def _abandon(self, wait: bool = True) -> None:
        """Closes without waiting for answers."""
        _open.discard(self)
        thread, session = self._thread, self._client._session
        session.is_closed = True

        async def end() -> None:
            try:
                await session.abandon()
            finally:
                thread.end(wait=False)

        thread.post(end)
        if wait:
            thread.join()

    def _get(self, place: Place) -> Any:
        return self._call(lambda: self._client._session.get(place))

    def _send(self, place: Place, body: Any) -> None:
        text = place.codec.body(body)
        session = self._client._session

        async def send() -> None:
            await session.send(place.node, place.lane, text)

        self._call(send)

    def _write(self, place: Place, value: Any) -> None:
        if place.codec.readonly:
            raise WrongType(f"{place.codec.label} cannot be written from outside: {place.codec.readonly}")
        self._send(place, value)

    def _ways(self) -> Ways:
        return Ways(self._send, self._get, self._write, _no_ask)


def _no_ask(place: Place, lane: Request[Any, Any], body: Any, timeout: Any) -> Any:
    raise WrongType(f"{place.codec.label} is asked by client.ask({place.codec.label}, …, body=…), which waits for it")


@atexit.register
def _close_all() -> None:
    """Sent commands are not cut off by the end of the process."""
    for client in list(_open):
        try:
            client.close()
        except ShoalError as error:
            log.warning("%s", error)
