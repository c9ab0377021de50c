"""``AsyncClient``: the twins of a server, from an asyncio program."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Mapping
from typing import Any, Self, Unpack, overload

from shoal import Request, Supply
from shoal.client.at import At, Ways
from shoal.client.codec import Kind
from shoal.client.live import AsyncLive, AsyncLiveEvents, AsyncLiveList, AsyncLiveMap, live_of
from shoal.client.place import Place, command_of, node_at, node_of, place_of, request_of
from shoal.client.session import Session
from shoal.client.shared import Terms
from shoal.client.watch import Hooks
from shoal.duration import Seconds
from shoal.errors import RemoteRead, WrongType
from shoal.lanes.command import Command
from shoal.lanes.lane import Lane
from shoal.lanes.list import List
from shoal.lanes.map import Map
from shoal.variables import B, K, Q, R, T, V
from shoal.warp import Bounds


class AsyncClient:
    """The twins of the server at ``url``: their commands, lanes, links and requests.

    It connects with its first use, and again whenever the connection breaks. ``token`` goes along as the query
    ``?token=`` and as ``@auth``. ``async with``, or ``await close()`` at the end. It belongs to the event loop in which
    it is used first.
    """

    def __init__(self, url: str, /, *, token: str = "", bounds: Bounds | None = None) -> None:
        self._session = Session(url, token, bounds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        if exc[0] is None:
            await self.close()
        else:
            await self._session.abandon()

    async def close(self) -> None:
        """Ends all links, and waits until what was sent has been read. Errors: as ``flush``."""
        await self._session.close()

    # -- a twin

    @overload
    def at(self, cls: type[T], /, *params: object) -> T: ...
    @overload
    def at(self, uri: str, /) -> Any: ...
    def at(self, cls: Any, /, *params: object) -> Any:
        """A twin, to send commands to: ``client.at(Bus, "7").report(fix)`` sends at once, and can be awaited.

        Its requests are awaited. Its lanes are read by ``get`` and ``link``.
        """
        if isinstance(cls, str):
            if params:
                raise WrongType(f"at({cls!r}) is a whole URI and takes no parameters")
            return At(node_at(cls), None, self._ways())
        return At(node_of(cls, params), cls, self._ways())

    @overload
    async def send(self, uri: str, lane: str, /, *, body: Any = None) -> None: ...
    @overload
    async def send(self, command: Command[B], /, *params: object, body: B) -> None: ...
    @overload
    async def send(self, command: Command[None], /, *params: object) -> None: ...
    async def send(self, command: Any, /, *params: object, body: Any = None) -> None:
        """A command, handed to the connection: ``await client.send(Bus.report, "7", body=fix)``.

        While the connection is down it waits. Errors: WrongType; NoConnection where it cannot be handed over in time;
        OverLimit where too many wait. What a server does with a command it does not say: ``flush`` tells whether it
        has been read.
        """
        place = command_of(command, params)
        await self._session.send(place.node, place.lane, place.codec.body(body))

    async def flush(self) -> None:
        """Waits until the server has read all commands so far. Raises ``NoConnection`` where a break makes that
        uncertain, ``Unlinked`` where the newest command's node is none.
        """
        await self._session.flush()

    # -- lanes

    @overload
    async def get(self, uri: str, lane: str, /) -> Any: ...
    @overload
    async def get(self, lane: Map[K, V], /, *params: object) -> Mapping[K, V]: ...
    @overload
    async def get(self, lane: List[V], /, *params: object) -> list[V]: ...
    @overload
    async def get(self, lane: Lane[V], /, *params: object) -> V: ...
    @overload
    async def get(self, lane: Lane[V] | V, /, *params: object) -> V: ...
    async def get(self, lane: Any, /, *params: object) -> Any:
        """What a lane holds now: ``await client.get(Bus.speed, "7")``, ``await client.get("/bus/7", "speed")``.

        It never makes a twin of a Shoal server; of others it asks by a link. Errors: Unset, NoSuchTwin, NoConnection,
        WrongType for what does not fit the class.
        """
        return await self._session.get(place_of(lane, params))

    @overload
    async def link(
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
    async def link(
        self,
        lane: Map[K, V],
        /,
        *params: object,
        sync: bool = True,
        rate: float = 0.0,
        prio: float = 0.0,
        **hooks: Unpack[Hooks],
    ) -> AsyncLiveMap[K, V]: ...
    @overload
    async def link(
        self,
        lane: List[V],
        /,
        *params: object,
        sync: bool = True,
        rate: float = 0.0,
        prio: float = 0.0,
        **hooks: Unpack[Hooks],
    ) -> AsyncLiveList[V]: ...
    @overload
    async def link(
        self,
        lane: Command[B] | Supply[B],
        /,
        *params: object,
        sync: bool = True,
        rate: float = 0.0,
        prio: float = 0.0,
        **hooks: Unpack[Hooks],
    ) -> AsyncLiveEvents[B]: ...
    @overload
    async def link(
        self,
        lane: Lane[V],
        /,
        *params: object,
        sync: bool = True,
        rate: float = 0.0,
        prio: float = 0.0,
        **hooks: Unpack[Hooks],
    ) -> AsyncLive[V]: ...
    @overload
    async def link(
        self,
        lane: Lane[V] | V,
        /,
        *params: object,
        sync: bool = True,
        rate: float = 0.0,
        prio: float = 0.0,
        **hooks: Unpack[Hooks],
    ) -> AsyncLive[V]: ...
    async def link(
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
        return await live_of(self._session, place_of(lane, params, kind), Terms(sync, rate, prio), hooks)

    # -- questions

    @overload
    async def ask(self, uri: str, lane: str, /, *, body: Any = None, timeout: Seconds = 5) -> Any: ...
    @overload
    async def ask(self, lane: Request[Q, R], /, *params: object, body: Q, timeout: Seconds = 5) -> R: ...
    async def ask(self, lane: Any, /, *params: object, body: Any = None, timeout: Seconds = 5) -> Any:
        """A request's reply. Errors: Reject with the reason, AskTimeout, AskFailed, NoConnection; NotShoal."""
        return await self._ask(request_of(lane, params), lane, body, timeout)

    async def find(self, cls: type[T] | str, /, **equal: object) -> list[str]:
        """URIs of the twins of a class, or below a path: ``find(Bus, speeding=True, speed__gt=20)``.

        Signs: ``__gt __ge __lt __le __ne``. Errors: Refused for what cannot be compared, NotShoal, NoConnection.
        """
        return await self._session.find(cls, equal)

    def __repr__(self) -> str:
        return f"<AsyncClient {self._session}: {self._session.condition}>"

    def __del__(self) -> None:
        session = getattr(self, "_session", None)
        if session is None or session.is_closed or not session.is_open:
            return
        warnings.warn(f"{self!r} was not closed: use `async with`, or await close()", ResourceWarning, 2, self)
        session.forget()

    # -- for `at`

    def _ways(self) -> Ways:
        return Ways(self._start, _no_read, _no_write, self._ask)

    def _start(self, place: Place, body: Any) -> Awaitable[None]:
        """Sends also where nobody awaits it; what fails then, asyncio reports."""
        return self._session.send(place.node, place.lane, place.codec.body(body))

    async def _ask(self, place: Place, lane: Any, body: Any, timeout: Seconds) -> Any:
        return await self._session.ask(place, lane, body, timeout)


def _no_read(place: Place) -> Any:
    raise RemoteRead(f"{place.codec.label} is read by `await client.get(...)`, or by a link to it")


def _no_write(place: Place, value: Any) -> None:
    raise RemoteRead(f"{place.codec.label} is written through a link: await live.set({value!r})")
