"""One WebSocket to a server, with its links. It is opened again when it breaks, and its links are synced anew."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from shoal.errors import NoConnection, OverLimit, ShoalError, Unlinked
from shoal.warp.address import Address
from shoal.warp.envelope import read, write
from shoal.warp.link import Link, Listener, reason_of, unlinked

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

# What this end closes a connection for; it would come again (RFC 6455, 7.4.1).
_FAULTS = {
    1002: "breaks the WebSocket protocol",
    1007: "sent a message that is no UTF-8",
    1009: "sent a message of over {most:,} bytes",
}
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of a client's connection. Times are in seconds."""

    # a connection is open within this time, TLS and handshake included
    open_seconds: float = 10.0
    # the answer to a link or a command, and the whole present state after a sync
    answer_seconds: float = 10.0
    # the closing handshake, and the answer to an unlink
    close_seconds: float = 1.0
    # an idle connection shows this often that it lives
    ping_seconds: float = 20.0
    # the pause before the first attempt after a break, and the longest one; each is shortened at random by up to half
    first_pause: float = 0.25
    longest_pause: float = 15.0
    # the pause before a node is asked for again that is not there yet after a break
    absent_pause: float = 1.0
    # bytes of one message
    message_bytes: int = 64 << 20
    # changes of a link that wait for its reader
    changes: int = 1_000
    # entries of a map
    entries: int = 1_000_000
    # events of a command or supply lane that wait for one who iterates them
    events: int = 100_000
    # commands that wait for a connection that is down
    commands: int = 1_024


class Connection:
    """Used in one event loop: ``async with Connection(address) as connection``.

    Entering it raises ``NoConnection``; a later break does not: ``on_break`` is called with the reason and the pause
    before the next attempt, ``on_return`` when it is open again. Links that the new server does not know yet are asked
    for again, as long as the connection lives.
    """

    def __init__(
        self,
        address: Address,
        bounds: Bounds = Bounds(),
        on_break: Callable[[str, float], None] = lambda reason, pause: None,
        on_return: Callable[[], None] = lambda: None,
        claims: str = "",
    ) -> None:
        """``claims``: Recon, the body of ``@auth``, which is sent first; a server that refuses them ends all."""
        self.address = address
        self.bounds = bounds
        self._claims = claims
        self._on_break = on_break
        self._on_return = on_return
        self._links: dict[tuple[str, str], Link] = {}
        # links that are closed here and not yet on the other side
        self._leaving: dict[tuple[str, str], asyncio.Event] = {}
        self._again: set[asyncio.Task[None]] = set()
        self._socket: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._failed: ShoalError | None = None
        # breaks so far
        self._breaks = 0
        # set while the connection is open and its links are asked for; also when it has failed for good
        self._up = asyncio.Event()
        # one command at a time waits and is written, so that they keep their order
        self._turnstile = asyncio.Lock()
        self._commands_waiting = 0

    async def __aenter__(self) -> Self:
        self._socket = await self._open()
        self._reading = asyncio.create_task(self._read_on())
        self._up.set()
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._again:
            task.cancel()
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        if self._socket is not None:
            await self._socket.close()
        self._failed = self._failed or NoConnection(f"{self.address}: the connection is closed")
        self._up.set()
        self._end_all(None)

    @property
    def is_up(self) -> bool:
        return self._up.is_set() and self._failed is None

    async def link(
        self,
        node: str,
        lane: str,
        *,
        sync: bool = True,
        rate: float = 0.0,
        prio: float = 0.0,
        follow: Listener | bool = False,
    ) -> Link:
        """Asks for a link; its ``opened`` waits for the answer.

        ``sync`` False: no present state, changes only. ``rate``: events a second at most, 0 for all. ``prio``: a server
        may send higher ones first. ``follow`` True: each change is kept for ``Link.changes`` from the first one on,
        which must then be iterated; a ``Listener`` hears each at once. A lane can be linked once on a connection:
        ``ValueError``. Raises ``NoConnection`` after the connection has failed for good.
        """
        place = _place(node, lane)
        if place in self._links:
            raise ValueError(f"{node} {lane} is linked already on this connection")
        if self._failed is not None:
            raise self._failed
        link = self._links[place] = Link(self, node, lane, sync, (rate, prio), follow)
        await self._send(link.request())
        return link

    async def sync(self, link: Link) -> None:
        """Asks for the present state of a link that was opened without, now and after each break."""
        await self._send(link.want_state())

    async def unlink(self, link: Link, seconds: float | None = None) -> bool:
        """As ``Link.close``. False: the server has not answered within ``seconds``, or else ``close_seconds``."""
        place = _place(link.node, link.lane)
        if self._links.get(place) is not link:
            return True
        del self._links[place]
        link.end(None)
        left = self._leaving[place] = asyncio.Event()
        try:
            await self._send(write("unlink", link.node, link.lane))
            async with asyncio.timeout(self.bounds.close_seconds if seconds is None else seconds):
                await left.wait()
            return True
        except TimeoutError:
            return False
        finally:
            if self._leaving.get(place) is left:
                del self._leaving[place]

    async def post(self, node: str, lane: str, body: str, seconds: float) -> None:
        """Hands a command to the open connection, after those that wait already; ``body`` is Recon.

        Raises ``NoConnection`` where none is open within ``seconds``: the command is not sent then, unless the message
        says that it may have been. ``OverLimit`` where ``Bounds.commands`` wait already for one that is down.
        """
        if not self._up.is_set() and self._commands_waiting >= self.bounds.commands:
            raise OverLimit(
                f"{self.address}: the connection is down and {self._commands_waiting:,} commands wait for it, "
                f"which is the client's bound; {node} {lane} is not sent"
            )
        self._commands_waiting += 1
        try:
            async with asyncio.timeout(seconds), self._turnstile:
                while not await self._hand_over(node, lane, body):
                    pass
        except TimeoutError:
            raise NoConnection(
                f"{self.address}: no connection within {seconds:g} s; the command to {node} {lane} is not sent"
            ) from None
        finally:
            self._commands_waiting -= 1

    async def _hand_over(self, node: str, lane: str, body: str) -> bool:
        """False: the connection has broken before."""
        from websockets.exceptions import ConnectionClosed
        from websockets.protocol import State

        await self._up.wait()
        if self._failed is not None:
            raise self._failed
        made = self._socket
        assert made is not None
        if made.state is not State.OPEN:
            # its end is being read
            self._up.clear()
            return False
        try:
            await made.send(write("command", node, lane, body))
        except ConnectionClosed:
            raise NoConnection(
                f"{self.address}: the connection broke; the command to {node} {lane} may have been carried out"
            ) from None
        return True

    async def answers(self, node: str, lane: str) -> bool:
        """Whether the node is there; whoever gets the answer knows that all that was sent before has been read.

        ``lane`` must be none of its lanes: the question changes nothing then. Raises ``NoConnection`` where no answer
        comes, or the connection breaks.
        """
        breaks = self._breaks
        link = await self.link(node, lane, sync=False)
        try:
            await link.opened()
            there = True
        except Unlinked as error:
            there = error.reason != "nodeNotFound"
        finally:
            await self._end(link)
        if self._breaks != breaks:
            raise NoConnection(f"{self.address}: the connection broke")
        return there

    async def _end(self, link: Link) -> None:
        """Without waiting for the answer. Swim's Java server answers no second link to a lane that it has refused,
        before it is unlinked.
        """
        if self._links.get(_place(link.node, link.lane)) is link:
            del self._links[_place(link.node, link.lane)]
        link.end(None)
        await self._send(write("unlink", link.node, link.lane))

    async def command(self, node: str, lane: str, body: str = "") -> None:
        """Sends a command; ``body`` is Recon. WARP has no answer to it.

        That the node and the lane exist is asked first by a link, and the link's end shows that the command was read.
        Raises ``Unlinked`` where they do not, ``NoConnection`` where nobody answers.
        """
        link = await self.link(node, lane, sync=False)
        await link.opened()
        breaks = self._breaks
        await self._send(write("command", node, lane, body))
        answered = await self.unlink(link, self.bounds.answer_seconds)
        if self._breaks != breaks:
            raise NoConnection(f"{self.address}: the connection broke; the command may have been carried out")
        if not answered:
            raise NoConnection(
                f"{self.address}: no answer within {self.bounds.answer_seconds:g} s; "
                "the command may have been carried out"
            )

    # -- the socket

    async def _open(self) -> ClientConnection:
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

        from shoal._core import __version__

        bounds = self.bounds
        try:
            made = await connect(
                self.address.socket,
                subprotocols=["warp0"],  # type: ignore[list-item]
                compression=None,
                proxy=None,
                user_agent_header=f"shoal/{__version__}",
                open_timeout=bounds.open_seconds,
                close_timeout=bounds.close_seconds,
                ping_interval=bounds.ping_seconds,
                # A reader that stalls must not look like a dead server: TCP finds out about that.
                ping_timeout=None,
                max_size=bounds.message_bytes,
            )
            if self._claims:
                await made.send(f"@auth{self._claims}")
        except ConnectionRefusedError:
            raise NoConnection(f"nobody listens at {self.address}") from None
        except TimeoutError:
            raise NoConnection(f"{self.address}: no answer within {bounds.open_seconds:g} s") from None
        except socket.gaierror as error:
            raise NoConnection(f"{self.address}: there is no host {self.address.host} ({error.strerror})") from None
        except InvalidStatus as error:
            raise NoConnection(
                f"{self.address} refuses a WebSocket: HTTP status {error.response.status_code}"
            ) from None
        except ConnectionClosed as closed:
            raise NoConnection(f"{self.address}: {_closing(closed)}") from None
        except (InvalidHandshake, InvalidURI, EOFError) as error:
            raise NoConnection(f"{self.address} does not speak WebSocket: {_words(error)}") from None
        except OSError as error:
            raise NoConnection(f"{self.address}: {_words(error)}") from None
        _keep_alive(made.transport.get_extra_info("socket"), bounds.ping_seconds)
        return made

    async def _read_on(self) -> None:
        """Until the connection is closed here or fails for good: that ends all links with the error."""
        try:
            await self._read_and_reopen()
        except ShoalError as error:
            self._failed = error
        except Exception as error:
            # nobody awaits this task: whoever waits for a link must hear of it
            self._failed = NoConnection(f"{self.address}: {type(error).__name__}: {error}")
            self._failed.__cause__ = error
        self._end_all(self._failed)
        # whoever waits for a connection hears of the failure
        self._up.set()

    async def _read_and_reopen(self) -> None:
        while True:
            reason = await self._read()
            self._breaks += 1
            self._up.clear()
            for left in self._leaving.values():
                left.set()
            for link in list(self._links.values()):
                link.broke(reason)
            pause = self.bounds.first_pause
            while True:
                shortened = pause * random.uniform(0.5, 1.0)
                self._on_break(reason, shortened)
                await asyncio.sleep(shortened)
                pause = min(pause * 1.8, self.bounds.longest_pause)
                try:
                    self._socket = await self._open()
                    break
                except NoConnection as error:
                    reason = str(error)
            for link in list(self._links.values()):
                await self._send(link.request())
            self._up.set()
            self._on_return()

    async def _read(self) -> str:
        """Reads one socket to its end, and gives the reason. Raises ``NoConnection`` where the peer speaks no WARP."""
        from websockets.exceptions import ConnectionClosed

        made = self._socket
        assert made is not None
        while True:
            try:
                frame = await made.recv(decode=True)
            except ConnectionClosed as closed:
                if closed.sent is not None and not closed.rcvd_then_sent and closed.sent.code in _FAULTS:
                    words = _FAULTS[closed.sent.code].format(most=self.bounds.message_bytes)
                    raise NoConnection(f"{self.address} {words}") from None
                return _closing(closed)
            if str(frame).startswith(("@authed", "@deauthed")):
                if frame[1] == "d":
                    await made.close(1000)
                    raise NoConnection(f"{self.address} does not accept the token")
                continue
            try:
                envelope = read(str(frame))
            except ValueError as error:
                await made.close(1002, "no WARP envelope")
                shown = str(frame)[:80]
                raise NoConnection(f"{self.address} does not speak WARP: {error}: {shown!r}") from None
            place = _place(envelope.node, envelope.lane)
            if envelope.tag == "unlinked":
                await self._unlinked(place, reason_of(envelope.body))
            elif (link := self._links.get(place)) is not None:
                try:
                    answer = await link.hear(envelope.tag, envelope.body)
                except OverLimit as error:
                    del self._links[place]
                    link.end(error)
                    await self._send(write("unlink", link.node, link.lane))
                    continue
                if answer is not None:
                    await self._send(answer)

    async def _unlinked(self, place: tuple[str, str], reason: str) -> None:
        if (left := self._leaving.pop(place, None)) is not None:
            left.set()
            return
        link = self._links.get(place)
        if link is None:
            return
        if link.may_come_back(reason):
            task = asyncio.create_task(self._ask_again(place, link))
            self._again.add(task)
            task.add_done_callback(self._again.discard)
        elif reason or not await self._is_stopping():
            del self._links[place]
            link.end(unlinked(link, reason))

    async def _is_stopping(self) -> bool:
        """A server that stops unlinks all links and closes the connection: they come back with it."""
        made = self._socket
        assert made is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.bounds.close_seconds):
                await made.wait_closed()
        return made.close_code is not None

    async def _ask_again(self, place: tuple[str, str], link: Link) -> None:
        """After a pause: the twin may be made again by what the server reads."""
        await asyncio.sleep(self.bounds.absent_pause)
        if self._links.get(place) is link:
            await self._send(link.request())

    async def _send(self, frame: str) -> None:
        """To nobody while the connection is broken: its links are asked for again when it is back."""
        from websockets.exceptions import ConnectionClosed

        if self._socket is not None:
            with contextlib.suppress(ConnectionClosed):
                await self._socket.send(frame)

    def _end_all(self, error: ShoalError | None) -> None:
        for link in self._links.values():
            link.end(error)
        self._links.clear()


def _place(node: str, lane: str) -> tuple[str, str]:
    """Servers may write the digits of percent escapes in the other case."""
    return _ESCAPE.sub(_lower, node), _ESCAPE.sub(_lower, lane)


def _lower(match: re.Match[str]) -> str:
    return match.group().lower()


def _closing(closed: Any) -> str:
    """Why a connection ended, in words."""
    if closed.rcvd is None:
        return "the connection broke"
    if closed.rcvd.code == 1001:
        return closed.rcvd.reason or "the server stops"
    reason = f": {closed.rcvd.reason}" if closed.rcvd.reason else ""
    return f"the server closed the connection ({closed.rcvd.code}{reason})"


def _words(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _keep_alive(connected: socket.socket | None, seconds: float) -> None:
    """A peer that is gone without a word is found within about three times ``seconds``."""
    if connected is None:
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", seconds), ("TCP_KEEPINTVL", seconds / 2), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            with contextlib.suppress(OSError):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), max(1, int(value)))
