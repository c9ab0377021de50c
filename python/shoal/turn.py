"""The middle of an event's way: take a batch, run each turn, commit.

The core brings an event to its twin, steps the folds, opens the turn and calls the user's function. A turn whose
function gives back nothing is kept at once, and the next one runs. The others come here: ``fail`` undoes a turn whose
function raised, ``park`` sets one aside while its coroutine runs in the loop. When the iterator goes on, a turn that is
still open is kept.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import traceback
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from shoal._core import Shard, Turns
from shoal.asking import ASKER, Asker
from shoal.errors import HandlerDeadline, OverLimit, Reject

if TYPE_CHECKING:
    from shoal.servers import Servers

# Shoal's own files
_OWN = __file__.removesuffix("turn.py")
# An exception of a handler, the kind of its dead letter, the twin's URI.
OnError = Callable[[BaseException, str, str], None]


class Runner:
    """Runs a shard's turns. ``loop`` runs its coroutines; ``wake`` is called when one of them has ended."""

    def __init__(
        self,
        shard: Shard,
        *,
        on_error: OnError,
        loop: asyncio.AbstractEventLoop,
        wake: Callable[[], None] = lambda: None,
        seconds: float = 5.0,
        servers: Servers | None = None,
    ) -> None:
        self.shard = shard
        self.on_error = on_error
        self.loop = loop
        self.wake = wake
        self.seconds = seconds
        # whom twins of this run may ask besides one another
        self.servers = servers
        self.tasks: set[asyncio.Task[None]] = set()

    def batch(self, budget: int = 2_000) -> bool:
        """Runs turns for at most ``budget`` µs, then commits; true: more waits already.

        Raises what no handler may swallow (KeyboardInterrupt, SystemExit); the turn is undone before.
        """
        turns = self.shard.turns(budget)
        while not self._run(turns):
            pass
        self.shard.commit()
        self.shard.settle_asks()
        return self.shard.waiting()

    def _run(self, turns: Turns) -> bool:
        try:
            for result, error in turns:
                if error is not None:
                    self._fail(error)
                else:
                    self._go_on(result)
                # the core hands the same twin object out again when nobody holds it
                del result, error
        except HandlerDeadline as error:
            # it came between the handler's last bytecode and the loop's next
            self._fail(error)
            return False
        return True

    def _fail(self, error: BaseException) -> None:
        kind, reason = explain(error)
        uri = self.shard.at()
        self.shard.fail(kind, reason)
        if kind == "failed":
            self.on_error(error, kind, uri)
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise error

    # -- async turns

    def _go_on(self, result: Any) -> None:
        if not inspect.iscoroutine(result):
            if inspect.isgenerator(result) or inspect.isasyncgen(result):
                self._fail(TypeError("the handler is a generator: it has a `yield`, and nobody to yield to"))
            return
        uri = self.shard.at()
        number = self.shard.park()
        context = contextvars.copy_context()
        context.run(self.shard.context.set, number)
        context.run(ASKER.set, Asker(self.wake, self.loop.time() + self.seconds, self.servers))
        task = self.loop.create_task(self._finish(number, uri, result), context=context)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _finish(self, number: int, uri: str, coroutine: Coroutine[Any, Any, Any]) -> None:
        kind, reason = "", ""
        limit = asyncio.timeout(self.seconds)
        try:
            async with limit:
                self.shard.reply(number, await coroutine)
        except BaseException as error:
            if limit.expired() and isinstance(error, TimeoutError):
                kind, reason = "limit", f"the handler ran over {self.seconds:g} s (handler_seconds)"
            else:
                kind, reason = explain(error)
                if kind == "failed":
                    self.on_error(error, kind, uri)
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
        finally:
            self.shard.finish(number, kind, reason)
            self.wake()


def explain(error: BaseException) -> tuple[str, str]:
    """The kind of a failed turn's dead letter, and its reason."""
    if isinstance(error, Reject):
        return "rejected", str(error)
    if isinstance(error, HandlerDeadline):
        return "limit", f"the handler ran over its deadline (handler_seconds){_where(error)}"
    if isinstance(error, OverLimit):
        return "limit", f"{error}{_where(error)}"
    text = str(error)
    return "failed", f"{type(error).__name__}{': ' if text else ''}{text}{_where(error)}"


def _where(error: BaseException) -> str:
    """The innermost line of the user's code."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_OWN)]
    return f" ({frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
