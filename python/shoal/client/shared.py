"""One link on the wire, shared by all in this program that look at the same lane."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from shoal.client.place import Place
from shoal.errors import NoConnection, ShoalError
from shoal.warp import Change, Connection, Link


class Terms(NamedTuple):
    """How a lane is linked. ``rate``: events a second at most, 0 for all. ``prio``: higher ones may go first."""

    sync: bool = True
    rate: float = 0.0
    prio: float = 0.0


class Viewer(Protocol):
    """What one of those who look hears, in the client's loop; hooks of the program are called in it."""

    def linked(self) -> None: ...
    def synced(self) -> None: ...
    def changed(self, change: Change) -> None: ...
    def unlinked(self, reason: str) -> None: ...
    def closed(self, error: ShoalError | None) -> None: ...


class Shared:
    """Opened by the first who looks, unlinked behind the last one."""

    def __init__(self, place: Place, terms: Terms, forget: Callable[[], None]) -> None:
        self.place = place
        self.terms = terms
        self.viewers: list[Viewer] = []
        self.is_linked = False
        self.is_ended = False
        self.error: ShoalError | None = None
        self._forget = forget
        self._connection: Connection | None = None
        self._link: Link | None = None
        self._opening = asyncio.Lock()
        # what has been heard so far: who waits for an answer waits on while something comes
        self._heard = 0
        self._linked = asyncio.Event()
        self._synced = asyncio.Event()

    @property
    def link(self) -> Link:
        assert self._link is not None
        return self._link

    @property
    def is_synced(self) -> bool:
        return self._link is not None and self._link.is_synced and not self.is_ended

    async def open(self, connection: Connection, terms: Terms) -> None:
        """Again by each further viewer: the state is asked for when one of them wants it."""
        async with self._opening:
            if self.is_ended:
                raise self._end()
            if self._link is None:
                self._connection = connection
                place = self.place
                try:
                    self._link = await connection.link(
                        place.node, place.lane, sync=terms.sync, rate=terms.rate, prio=terms.prio, follow=self
                    )
                except ShoalError as error:
                    self.ended(error)
                    raise
            elif terms.sync and not self.terms.sync:
                self._synced.clear()
                await connection.sync(self._link)
            self.terms = self.terms._replace(sync=self.terms.sync or terms.sync)

    async def wait(self, synced: bool) -> None:
        """For the server's word. Raises what ended the link, ``NoConnection`` where nothing comes for too long."""
        event = self._synced if synced else self._linked
        seconds = 10.0 if self._connection is None else self._connection.bounds.answer_seconds
        while not event.is_set():
            heard = self._heard
            try:
                async with asyncio.timeout(seconds):
                    await event.wait()
            except TimeoutError:
                if self._heard == heard:
                    where = "" if self._connection is None else f"{self._connection.address}: "
                    what = "the present state did not come" if self.is_linked else "no answer to the link"
                    raise NoConnection(f"{where}{what} of {self.place} within {seconds:g} s") from None
        if self.is_ended:
            raise self._end()

    async def close(self) -> None:
        """The last viewer has gone."""
        self._forget()
        if self._link is not None and self._connection is not None and not self.is_ended:
            await self._connection.unlink(self._link)
        if not self.is_ended:
            self.ended(None)

    def _end(self) -> ShoalError:
        return self.error or ShoalError(f"the link to {self.place} is closed")

    # -- what the link tells (Listener)

    @property
    def holds(self) -> Literal["", "value", "map", "list"]:
        kind = self.place.codec.kind
        return "value" if kind == "event" else kind or ""

    def linked(self) -> None:
        self.is_linked = True
        self._heard += 1
        self._linked.set()
        for viewer in list(self.viewers):
            viewer.linked()

    def changed(self, change: Change) -> None:
        self._heard += 1
        for viewer in list(self.viewers):
            viewer.changed(change)

    def synced(self) -> None:
        self._heard += 1
        self._synced.set()
        for viewer in list(self.viewers):
            viewer.synced()

    def broke(self, reason: str) -> None:
        was_linked, self.is_linked = self.is_linked, False
        self._linked.clear()
        self._synced.clear()
        if was_linked:
            for viewer in list(self.viewers):
                viewer.unlinked(reason)

    def ended(self, error: ShoalError | None) -> None:
        if self.is_ended:
            return
        was_linked, self.is_linked = self.is_linked, False
        self.is_ended = True
        self.error = error
        self._linked.set()
        self._synced.set()
        self._forget()
        for viewer in list(self.viewers):
            if was_linked and error is not None:
                viewer.unlinked(str(error))
            viewer.closed(error)
