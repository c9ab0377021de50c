"""One link: a lane's state as the server tells it, and each of its changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Literal, Protocol

from shoal.errors import NoConnection, ShoalError, Unlinked
from shoal.warp.change import Change, Cut, change_of, value_of
from shoal.warp.envelope import attribute, write
from shoal.warp.state import State

if TYPE_CHECKING:
    from shoal.warp.connection import Connection

# What a server says of an address where it has nothing.
UNKNOWN = {
    "nodeNotFound": "there is no such node",
    "laneNotFound": "the node has no such lane",
    "hostNotFound": "there is no such host",
    "partNotFound": "there is no such part",
    "meshNotFound": "there is no such mesh",
    "unsupported": "the lane cannot be linked",
}


class Listener(Protocol):
    """Hears what happens to a link, in its connection's loop: each change in order, none waits for it."""

    @property
    def holds(self) -> Literal["", "value", "map", "list"]:
        """What the lane holds, if that is known before it tells: a value may look like the change of a map."""

    def linked(self) -> None: ...
    def changed(self, change: Change) -> None:
        """The link's state has it already. What a sync after a break tells again is not heard."""

    def synced(self) -> None: ...
    def broke(self, reason: str) -> None:
        """The connection is gone; the link comes back with it."""

    def ended(self, error: ShoalError | None) -> None:
        """For good. None: it was closed here."""


class Link:
    """Made by ``Connection.link``; used in the connection's loop.

    ``state`` always holds what has come last. Who iterates ``changes`` sees each change, in order; at most
    ``Bounds.changes`` wait for it, then the connection is not read until it goes on, and the server conflates.
    """

    def __init__(
        self,
        connection: Connection,
        node: str,
        lane: str,
        sync: bool,
        pace: tuple[float, float],
        follow: Listener | bool,
    ) -> None:
        """``pace``: rate and prio."""
        self.node = node
        self.lane = lane
        self.state = State(connection.bounds.entries)
        # The server has told the present state: what came since is newer.
        self.is_synced = False
        # Something came with the sync: the lane has a value, or a map or list has entries.
        self.has_state = False
        self._connection = connection
        self._wants_state = sync
        self._rate, self._prio = pace
        self._bounds = connection.bounds
        self._linked = asyncio.Event()
        self._synced = asyncio.Event()
        self._was_linked = False
        self._was_synced = False
        self._ended = False
        self._error: ShoalError | None = None
        self._listener = None if isinstance(follow, bool) else follow
        if self._listener is not None:
            self.state.kind = self._listener.holds
        # None: nobody iterates. Its bound is checked by `put`; None in it is the end.
        self._waiting: asyncio.Queue[Change | None] | None = (
            asyncio.Queue(self._bounds.changes) if follow is True else None
        )

    # -- what a program does with it

    async def opened(self) -> None:
        """Waits for the server's word. Raises ``Unlinked`` where it refuses, ``NoConnection`` where it is silent."""
        await self._until(self._linked, "no answer to the link")
        if self._error is not None and not self._was_linked:
            raise self._error

    async def synced(self) -> None:
        """Waits until ``state`` is the lane's. Raises as ``opened``."""
        await self._until(self._synced, "the present state did not come")
        if self._error is not None and not self.is_synced:
            raise self._error

    async def changes(self) -> AsyncIterator[Change]:
        """Every change: from the first one where the link was made to ``follow``, else from now on.

        Ends when the link is closed; raises what ended it otherwise. One iteration at a time.
        """
        queue = self._waiting = self._waiting or asyncio.Queue(self._bounds.changes)
        try:
            while not (self._ended and queue.empty()):
                change = await queue.get()
                if change is None:
                    break
                yield change
        finally:
            self._waiting = None
        if self._error is not None:
            raise self._error

    async def close(self) -> None:
        """Unlinks; the server's answer is waited for, but not longer than ``Bounds.close_seconds``."""
        await self._connection.unlink(self)

    # -- what the connection does with it

    def request(self) -> str:
        """The frame that opens it, also after a break."""
        self._linked.clear()
        self._synced.clear()
        self.is_synced = False
        self.state.begin()
        tag = "sync" if self._wants_state else "link"
        return write(tag, self.node, self.lane, rate=self._rate, prio=self._prio)

    def want_state(self) -> str:
        """The frame that asks for the state of a link that was opened without."""
        self._wants_state = True
        return self.request()

    def broke(self, reason: str) -> None:
        """The connection is gone: what it holds may be old."""
        self.is_synced = False
        self._linked.clear()
        self._synced.clear()
        if self._listener is not None:
            self._listener.broke(reason)

    async def hear(self, tag: str, body: str) -> str | None:
        """An envelope of the server; the frame to answer it with, if any."""
        if tag == "linked":
            self._now_linked()
        elif tag == "event":
            self._now_linked()
            change = change_of(body, self.state.kind != "value")
            if isinstance(change, Cut) and self.state.kind != "list":
                self.state.begin()
                return write("sync", self.node, self.lane)
            told_before = self._was_synced and not self.is_synced and self.state.has(change)
            self.state.apply(change)
            await self._put(change, told_before)
        elif tag == "synced":
            self._now_linked()
            if self._wants_state:
                for gone in self.state.end():
                    await self._put(gone)
            self.has_state = self.has_state or self.state.is_told
            self.is_synced = self._was_synced = True
            self._synced.set()
            if self._listener is not None:
                self._listener.synced()
        return None

    def _now_linked(self) -> None:
        first = not self._linked.is_set()
        self._was_linked = True
        self._linked.set()
        if first and self._listener is not None:
            self._listener.linked()

    def may_come_back(self, reason: str) -> bool:
        """It was linked before a break, and the server that is there now does not know the node yet."""
        return self._was_linked and reason == "nodeNotFound" and not self._linked.is_set()

    def end(self, error: ShoalError | None) -> None:
        """Wakes all that wait. None: it was closed here."""
        self._ended = True
        self._error = self._error or error
        self._linked.set()
        self._synced.set()
        if self._listener is not None:
            self._listener.ended(self._error)
        if self._waiting is not None:
            if self._waiting.full():
                return  # `changes` sees that it has ended when it has emptied the queue
            self._waiting.put_nowait(None)

    async def _put(self, change: Change, told_before: bool = False) -> None:
        if self._listener is not None and not told_before:
            self._listener.changed(change)
        if self._waiting is not None:
            await self._waiting.put(change)

    async def _until(self, event: asyncio.Event, silence: str) -> None:
        try:
            async with asyncio.timeout(self._bounds.answer_seconds):
                await event.wait()
        except TimeoutError:
            raise NoConnection(
                f"{self._connection.address}: {silence} of {self.node} {self.lane} "
                f"within {self._bounds.answer_seconds:g} s"
            ) from None


def reason_of(body: str) -> str:
    """``nodeNotFound`` of ``@nodeNotFound``; a text as it is; "" where there is none."""
    head = attribute(body)
    if head is not None and not head[2]:
        return head[0]
    value = value_of(body)
    return "" if value is None else str(value)


def unlinked(link: Link, reason: str) -> Unlinked:
    words = UNKNOWN.get(reason, reason or "the server has ended the link and gives no reason")
    return Unlinked(f"{link.node} {link.lane}: {words}", reason)
