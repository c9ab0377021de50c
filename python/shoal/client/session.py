"""One server, as a client knows it: one WebSocket for links and commands, opened with the first of them, and HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from shoal import Request
from shoal.client.codec import reply_of, value_text
from shoal.client.commands import Commands
from shoal.client.entries import Entries
from shoal.client.http import Http
from shoal.client.http import ask as ask_by_http
from shoal.client.http import find as find_by_http
from shoal.client.http import read as read_by_http
from shoal.client.place import Place
from shoal.client.shared import Shared, Terms, Viewer
from shoal.client.watch import Watch
from shoal.duration import Seconds, microseconds
from shoal.errors import NoConnection, NotShoal, ShoalError, Unset, WrongType
from shoal.queries import Queries
from shoal.warp import Address, Bounds, Connection

R = TypeVar("R")

log = logging.getLogger("shoal.client")


class Session:
    """Used in one event loop, which is that of its first use. Errors: WrongType for what is no address."""

    def __init__(self, url: str, token: str = "", bounds: Bounds | None = None) -> None:
        try:
            address = Address.parse(url)
        except ValueError as error:
            raise WrongType(str(error)) from None
        if token:
            query = f"{address.query}&" if address.query else ""
            address = replace(address, query=f"{query}token={quote(token, safe='')}")
        self.address = address
        self.bounds = bounds = bounds or Bounds()
        self.is_closed = False
        # closed, and nothing more is sent of what waits
        self._is_abandoned = False
        self._claims = value_text({"token": token}) if token else ""
        self._links: dict[tuple[str, str], Shared] = {}
        self._commands = Commands()
        # not yet handed over; each waits in the order of its making
        self._sending: set[asyncio.Task[None]] = set()
        self._http = Http(address, bounds.answer_seconds)
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        # None: nobody has asked yet
        self._is_shoal: bool | None = None

    def __str__(self) -> str:
        return str(self.address)

    @property
    def links(self) -> int:
        """On the wire."""
        return len(self._links)

    @property
    def is_open(self) -> bool:
        """It holds a connection."""
        return self._connection is not None

    @property
    def condition(self) -> str:
        """In words."""
        if self.is_closed:
            return "closed"
        if self._connection is None:
            return "not connected yet"
        count = "1 link" if self.links == 1 else f"{self.links:,} links"
        return f"{'connected' if self._connection.is_up else 'broken, trying again'}, {count}"

    async def connection(self) -> Connection:
        """Opened with the first link or command. Errors: NoConnection, and what has ended it for good."""
        async with self._connecting:
            if self._is_abandoned:
                self.check_open()
            if self._connection is None:
                made = Connection(self.address, self.bounds, self._broke, self._returned, self._claims)
                self._connection = await made.__aenter__()
                self._loop = asyncio.get_running_loop()
            return self._connection

    def check_open(self) -> None:
        if self.is_closed:
            raise NoConnection(f"{self.address}: this client is closed; make another one")

    # -- links

    async def look(self, viewer: Viewer, place: Place, terms: Terms) -> Shared:
        """The link to a lane, which several viewers share; open when it gives it, and synced where ``terms`` ask so.

        Errors: Unlinked, NoConnection; WrongType for another rate than the link has.
        """
        self.check_open()
        if place.codec.kind == "event":
            # a command lane has no state; Swim's Rust server never answers a sync of one
            terms = terms._replace(sync=False)
        key = (place.node, place.lane)
        shared = self._links.get(key)
        if shared is None:
            shared = self._links[key] = Shared(place, terms, lambda: self._forget(key, shared))
        elif (shared.terms.rate, shared.terms.prio) != (terms.rate, terms.prio):
            raise WrongType(
                f"{place} is linked already with rate={shared.terms.rate:g}, prio={shared.terms.prio:g}, "
                "and the links of a client share it: ask for the same, or close that one first"
            )
        shared.viewers.append(viewer)
        try:
            await shared.open(await self.connection(), terms)
            await shared.wait(terms.sync)
        except BaseException:
            await self.leave(viewer, shared)
            raise
        return shared

    async def leave(self, viewer: Viewer, shared: Shared) -> None:
        """Behind the last viewer the lane is unlinked."""
        with contextlib.suppress(ValueError):
            shared.viewers.remove(viewer)
        if not shared.viewers:
            await shared.close()

    def _forget(self, key: tuple[str, str], shared: Shared | None) -> None:
        if self._links.get(key) is shared:
            del self._links[key]

    # -- what is sent

    def send(self, node: str, lane: str, body: str) -> asyncio.Task[None]:
        """Hands a command to the connection, behind all that were sent before; awaited or not. Errors: as
        ``Connection.post``.
        """
        self.check_open()
        task = asyncio.get_running_loop().create_task(self._send(node, lane, body))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return task

    async def _send(self, node: str, lane: str, body: str) -> None:
        await self._commands.send(await self.connection(), node, lane, body)

    async def flush(self) -> None:
        """Until all that was sent has been read. Errors: as ``Commands.flush``."""
        if self._sending:
            # what fails is told to whoever awaits it
            await asyncio.wait(self._sending)
        await self._commands.flush(self._connection)

    # -- what is asked

    async def get(self, place: Place) -> Any:
        """What a lane holds. Errors: Unset, NoSuchTwin, NoConnection; Unlinked of a server that is no Shoal."""
        await self._before_question()
        if ":" not in place.node.partition("/")[0] and await self._speaks_shoal():
            return await self._http.run(lambda queries: read_by_http(queries, place))
        # a viewer that hears nothing
        watch = Watch(str(place), {})
        shared = await self.look(watch, place, Terms())
        try:
            state = shared.link.state
            if state.kind == "map":
                return Entries(place.codec, state).copy()
            if state.kind == "list":
                return [place.codec.value(value) for _, value in state.pairs()]
            if not state.is_told:
                raise Unset(f"{place.codec.label} of {place.node} is unset: nothing has written it yet")
            return place.codec.value(state.value)
        finally:
            await self.leave(watch, shared)

    async def find(self, cls: Any, conditions: dict[str, Any]) -> list[str]:
        """Errors: NotShoal, NoConnection, Refused for what the server cannot compare."""
        await self._before_question()
        return await self._shoal("find", lambda queries: find_by_http(queries, cls, conditions))

    async def ask(self, place: Place, lane: Request[Any, Any] | str, body: Any, timeout: Seconds) -> Any:
        """Errors: Reject, AskTimeout, AskFailed, NotShoal, NoConnection; WrongType for the query or the reply."""
        seconds = microseconds(timeout) / 1e6
        text = msgspec.json.encode(place.codec.plain(body))
        await self._before_question()
        answer = await self._shoal("ask", lambda queries: ask_by_http(queries, place, text, seconds))
        plain = msgspec.json.decode(answer) if answer else None
        return plain if isinstance(lane, str) else reply_of(lane, plain)

    async def _before_question(self) -> None:
        """A question by HTTP comes behind what was sent before by WARP."""
        self.check_open()
        await self.flush()

    async def _shoal(self, what: str, question: Callable[[Queries], R]) -> R:
        try:
            return await self._http.run(question)
        except NotShoal as error:
            raise NotShoal(f"{what} needs a Shoal server: {error}") from None

    async def _speaks_shoal(self) -> bool:
        """Asked once. Errors: NoConnection."""
        if self._is_shoal is None:
            try:
                await self._http.run(lambda queries: queries.app())
                self._is_shoal = True
            except NotShoal:
                self._is_shoal = False
        return self._is_shoal

    # -- its end

    async def close(self) -> None:
        """Unlinks, waits until what was sent has been read, and closes. Errors: as ``flush``, behind the closing."""
        if self.is_closed:
            return
        self.is_closed = True
        failure: ShoalError | None = None
        try:
            await self.flush()
        except ShoalError as error:
            failure = error
        await self.abandon()
        if failure is not None:
            raise failure

    async def abandon(self) -> None:
        """Closes at once."""
        self.is_closed = self._is_abandoned = True
        for task in self._sending:
            task.cancel()
        await self._commands.close()
        for shared in list(self._links.values()):
            shared.ended(None)
        self._http.close()
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.__aexit__(None, None, None)

    def forget(self) -> None:
        """Closes later, in its loop; from any thread."""
        self.is_closed = True
        if self._loop is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(lambda: asyncio.ensure_future(self.abandon()))

    def _broke(self, reason: str, pause: float) -> None:
        log.info("%s: %s; trying again in %.1f s", self.address, reason, pause)
        self._commands.broke(str(self.address), reason)

    def _returned(self) -> None:
        log.info("%s: connected again", self.address)
