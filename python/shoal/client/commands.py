"""What a client sends, and whether the server has read it. WARP answers no command: the answer to a question behind it
tells.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from shoal.errors import NoConnection, ShoalError, Unlinked
from shoal.warp import Connection

log = logging.getLogger("shoal.client")

# The pause before the server is asked whether it has read what was sent: one question serves all commands till then.
PAUSE_SECONDS = 0.05
# No lane is called so: the question changes nothing.
NO_LANE = "~"


class Commands:
    """Of one connection. ``flush`` says whether all has been read; else that is found out soon after."""

    def __init__(self) -> None:
        self._sent = 0
        self._read = 0
        # the node of the newest command: its connection's commands are read in order
        self._node = ""
        # why some that were sent may not have been carried out; told once
        self._doubt: ShoalError | None = None
        self._asking: asyncio.Task[None] | None = None
        self._question = asyncio.Lock()

    @property
    def unread(self) -> int:
        """Sent, and not yet known to be read."""
        return self._sent - self._read

    async def send(self, connection: Connection, node: str, lane: str, body: str) -> None:
        """Errors: as ``Connection.post``."""
        await connection.post(node, lane, body, connection.bounds.answer_seconds)
        self._sent += 1
        self._node = node
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_soon(connection))

    async def flush(self, connection: Connection | None) -> None:
        """Until the server has read all that was sent. Raises ``NoConnection`` where that is not certain, ``Unlinked``
        where the last command's node is none.
        """
        if connection is not None:
            await self._ask(connection)
        doubt, self._doubt = self._doubt, None
        if doubt is not None:
            raise doubt

    def broke(self, where: str, reason: str) -> None:
        """What was under way may be lost."""
        if not self.unread:
            return
        count, self._read = self.unread, self._sent
        words = "the last command" if count == 1 else f"the last {count:,} commands"
        self._doubt = NoConnection(f"{where}: {reason}; {words} may not have been carried out")
        log.warning("%s", self._doubt)

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._asking

    async def _ask_soon(self, connection: Connection) -> None:
        while self.unread:
            await asyncio.sleep(PAUSE_SECONDS)
            await self._ask(connection)

    async def _ask(self, connection: Connection) -> None:
        """Keeps what was found in ``_doubt``."""
        async with self._question:
            sent, node = self._sent, self._node
            if sent == self._read:
                return
            try:
                there = await connection.answers(node, NO_LANE)
            except NoConnection as error:
                # a break has been told by `broke`
                if self._read < sent:
                    self.broke(str(connection.address), str(error).removeprefix(f"{connection.address}: "))
                return
            self._read = max(self._read, sent)
            if not there:
                self._doubt = Unlinked(f"{node}: there is no such node; what was sent to it is lost", "nodeNotFound")
                log.warning("%s: %s", connection.address, self._doubt)
