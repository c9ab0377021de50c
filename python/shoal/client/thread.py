"""The thread in which a blocking client's loop runs, and calls into it from all others."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from shoal.errors import ShoalError, WrongThread

R = TypeVar("R")

log = logging.getLogger("shoal.client")

# For the loop to come up, and to end.
PATIENCE_SECONDS = 5.0


class LoopThread:
    """A daemon thread with an event loop of its own, so that a caller may have a loop, too, as notebooks do.

    ``call`` is for any other thread. What has ended the loop against its will is raised by every later call.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._process = os.getpid()
        self._failure: BaseException | None = None
        self._ended = False
        # every call in progress: the end of the loop ends them
        self._calls: set[concurrent.futures.Future[Any]] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._main, name="shoal-client", daemon=True)
        self._thread.start()

    @property
    def is_forked(self) -> bool:
        """This is a child of the process that has the thread."""
        return os.getpid() != self._process

    @property
    def is_running(self) -> bool:
        return not self.is_forked and not self._ended and self._thread.is_alive()

    def call(self, main: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Waits for what it gives. Ctrl-C cancels it, and is raised here at once.

        Errors: WrongThread in a hook, which must not wait; ShoalError in a forked child.
        """
        if self.is_forked:
            raise ShoalError(
                "this client was made before the process was forked, and its thread is not here: make a new one in the "
                "child, or start processes by spawn"
            )
        if threading.current_thread() is self._thread:
            raise WrongThread(
                "a hook runs in the client's own thread, which this call would wait for: hand the work to another "
                "thread, for example by a queue"
            )
        with self._lock:
            if self._ended:
                raise ShoalError("the client's thread has ended") from self._failure
            future = asyncio.run_coroutine_threadsafe(main(), self._loop)
            self._calls.add(future)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise ShoalError("the client was closed while this call waited") from self._failure
        except BaseException:
            future.cancel()
            raise
        finally:
            with self._lock:
                self._calls.discard(future)

    def post(self, main: Callable[[], Awaitable[Any]]) -> None:
        """Does not wait, and may be called by the garbage collector, in any thread."""
        if self.is_running:
            self._loop.call_soon_threadsafe(lambda: asyncio.ensure_future(main()))

    def end(self, wait: bool = True) -> None:
        """Ends the loop; calls that wait are cancelled."""
        if not self.is_running:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        if wait:
            self.join()

    def join(self) -> None:
        """Waits for the end, not too long; at once in the thread itself."""
        if self.is_running and threading.current_thread() is not self._thread:
            self._thread.join(PATIENCE_SECONDS)

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        except BaseException as error:
            # told by each later call, and here, as there may be none
            self._failure = error
            log.error("the client's thread has failed", exc_info=error)
        finally:
            with self._lock:
                self._ended = True
                calls = list(self._calls)
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            if tasks and self._failure is None:
                self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            for call in calls:
                call.cancel()
            self._loop.close()
