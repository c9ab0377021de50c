"""Asking a twin: a request leaves at once, its answer comes back as what is awaited (docs/requests.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from shoal.duration import Seconds, microseconds
from shoal.errors import AskFailed, AskTimeout, NotInTurn, Reject

if TYPE_CHECKING:
    from shoal.lanes.request import Request
    from shoal.servers import Servers
    from shoal.twin import Twin

# Seconds that an asker waits where it says nothing else.
TIMEOUT = 5.0
# An answer is given up so many seconds before its asker's own deadline, so that the asker can still act on it.
MARGIN = 0.05


class Asker(NamedTuple):
    """The async turn in whose task something is asked."""

    # has the shard go on
    wake: Callable[[], None]
    # the loop's time at which its handler is cancelled
    until: float
    # None: other servers cannot be asked, in a test
    servers: Servers | None = None


# Set in the task of an async turn; tasks that it starts inherit it.
ASKER: ContextVar[Asker | None] = ContextVar("shoal_asker", default=None)


class Question:
    """One request on its way. The core calls ``settle`` once, after ``wait`` and not within it."""

    __slots__ = ("answer", "decode", "label")

    answer: asyncio.Future[Any]

    def __init__(self, label: str, decode: Callable[[Any], Any]) -> None:
        self.label = label
        self.decode = decode

    def wait(self, loop: asyncio.AbstractEventLoop, seconds: float, forget: Callable[[], None]) -> asyncio.Future[Any]:
        """What is awaited; ``forget`` is called when it is done, also where it has been cancelled or was too late."""
        answer = self.answer = loop.create_future()
        timer = loop.call_later(max(0.0, seconds), self._late, max(0.0, seconds))

        def done(_: asyncio.Future[Any]) -> None:
            timer.cancel()
            forget()

        answer.add_done_callback(done)
        return answer

    def settle(self, reply: Any, kind: str, reason: str) -> None:
        """A reply as builtins, or the kind and the reason of a dead letter."""
        if self.answer.done():
            return
        if not kind:
            self.answer.set_result(self.decode(reply))
        elif kind == "rejected":
            self.answer.set_exception(Reject(reason))
        else:
            self.answer.set_exception(AskFailed(f"{self.label}: {reason}"))

    def _late(self, seconds: float) -> None:
        if not self.answer.done():
            self.answer.set_exception(AskTimeout(f"{self.label} has not answered within {seconds:g} s"))


class Asking:
    """A request of a twin of this app, from the turn of another."""

    __slots__ = ("params", "population", "request", "twin")

    def __init__(self, twin: Twin, population: int, params: tuple[str, ...], request: Request[Any, Any]) -> None:
        self.twin = twin
        self.population = population
        self.params = params
        self.request = request

    def __call__(self, *query: Any, timeout: Seconds = TIMEOUT) -> asyncio.Future[Any]:
        """Asks now, and gives what is awaited for the reply.

        Errors: WrongType for another query; AskFailed in a plain handler and at a bound; WouldDeadlock.
        """
        twin, request, shard = self.twin, self.request, self.twin._shard
        body = request._body_of(query)
        seconds = microseconds(timeout) / 1e6
        question = Question(f"{request.name} of {shard.uri(self.population, self.params)}", request._decode)
        number = twin._ask(self.population, self.params, request.number, body, question)
        asker, loop = asker_here(), asyncio.get_running_loop()
        seconds = min(seconds, asker.until - MARGIN - loop.time())
        answer = question.wait(loop, seconds, lambda: shard.forget_ask(number))
        asker.wake()
        return answer


class RemoteCall:
    """Something sent to a twin of another server: a command, which leaves when the turn is kept, unless it is awaited;
    then it is asked at once, and is not sent.
    """

    __slots__ = ("body", "lane", "number", "seconds", "twin", "uri")

    def __init__(self, twin: Twin, uri: str, lane: str, body: Any, timeout: Seconds) -> None:
        self.twin = twin
        self.uri = uri
        self.lane = lane
        self.body = body
        self.seconds = microseconds(timeout) / 1e6
        self.number = twin._send_uri(uri, lane, body)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._ask().__await__()

    async def _ask(self) -> Any:
        asker = asker_here()
        self.twin._unsend(self.number)
        label = f"{self.lane} of {self.uri}"
        if asker.servers is None:
            raise AskFailed(f"{label}: a test asks no other servers")
        left = asker.until - MARGIN - asyncio.get_running_loop().time()
        return await asker.servers.ask(self.uri, self.lane, self.body, min(self.seconds, left))


def asker_here() -> Asker:
    """Errors: NotInTurn where no async handler runs."""
    asker = ASKER.get()
    if asker is None:
        raise NotInTurn("only an async handler waits for an answer, in its own turn")
    return asker
