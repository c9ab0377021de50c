"""What one of those who look at a link hears: the hooks of the program, and a feed for each iteration."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from typing import Any, TypedDict

from shoal.client.feeds import Feed
from shoal.errors import ShoalError
from shoal.warp import Change

log = logging.getLogger("shoal.client")


class Hooks(TypedDict, total=False):
    """Called in the client's own loop, which waits for them: they must be quick. What they raise is logged."""

    # the server has linked; again after each break
    on_linked: Callable[[], None]
    # the present state is there; again after each break
    on_synced: Callable[[], None]
    # the connection broke (the link comes back with it), or the link has ended; why
    on_unlinked: Callable[[str], None]
    # it is over, by close() or by the server
    on_closed: Callable[[], None]
    # why it is over, before on_closed; not after close()
    on_failed: Callable[[ShoalError], None]


class Watch:
    """In the client's loop. ``label`` names the link in the log."""

    def __init__(self, label: str, hooks: Hooks) -> None:
        self.is_over = False
        self.error: ShoalError | None = None
        self._label = label
        self._hooks = hooks
        # of the iterations in progress: one that is dropped needs no word
        self._feeds: weakref.WeakSet[Feed] = weakref.WeakSet()

    def add(self, feed: Feed) -> Feed:
        self._feeds.add(feed)
        if self.is_over:
            feed.end(self.error)
        return feed

    # -- what the link tells (Viewer)

    def linked(self) -> None:
        self._tell("on_linked")

    def synced(self) -> None:
        for feed in list(self._feeds):
            feed.resynced()
        self._tell("on_synced")

    def changed(self, change: Change) -> None:
        for feed in self._feeds:
            feed.put(change)

    def unlinked(self, reason: str) -> None:
        self._tell("on_unlinked", reason)

    def closed(self, error: ShoalError | None) -> None:
        """For good, whoever has ended it."""
        if self.is_over:
            return
        self.is_over = True
        self.error = error
        for feed in list(self._feeds):
            feed.end(error)
        if error is not None:
            self._tell("on_failed", error)
        self._tell("on_closed")

    def _tell(self, hook: str, *arguments: Any) -> None:
        function: Any = self._hooks.get(hook)
        if function is None:
            return
        try:
            function(*arguments)
        except Exception:
            log.exception("%s of the link to %s failed", hook, self._label)
