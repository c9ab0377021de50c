"""Links of an app: lanes of its own twins, or of other servers, that its program follows while it runs.

Those of its own twins are told straight from the lanes, after each commit: nothing is encoded and no socket is used.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic

from shoal import recon
from shoal.client.live import AsyncLive, AsyncLiveEvents, AsyncLiveList, AsyncLiveMap
from shoal.client.place import Place, place_of
from shoal.client.shared import Terms
from shoal.client.watch import Hooks
from shoal.errors import ShoalError, Unlinked, Unset, WrongType
from shoal.place import near
from shoal.variables import K, V, V_co
from shoal.warp import Bounds, Change, Clear, Cut, Element, Move, Out, Remove, Set, State, Update

if TYPE_CHECKING:
    from shoal._core import Shard

log = logging.getLogger("shoal.app")

_CHANGES: dict[str, type[Change]] = {
    "set": Set,
    "update": Update,
    "remove": Remove,
    "clear": Clear,
    "element": Element,
    "move": Move,
    "out": Out,
}


class _Here:
    """What a link has of its client, where there is none."""

    bounds = Bounds()

    def __str__(self) -> str:
        return ""


class AppLink(AsyncLive[V_co], Generic[V_co]):
    """Made by ``app.link(...)``, open while the app runs. ``value`` is what has come last, without waiting; an
    ``async for`` in the run's loop gets every change, as with a client's link.
    """

    def __init__(
        self, place: Place, uri: str, terms: Terms, hooks: Hooks, changed: Callable[[Any], None] | None
    ) -> None:
        session: Any = _Here()
        super().__init__(session, place, terms, hooks)
        self._uri = uri
        self._changed = changed
        self._held_state = State(_Here.bounds.entries)
        self._shard: Shard | None = None
        self._wake: Callable[[], None] = lambda: None
        self._number = -1
        self._linked = self._synced = False
        # made in the loop that waits
        self._arrived: asyncio.Event | None = None

    @property
    def is_linked(self) -> bool:
        return self._linked and not self._watch.is_over

    @property
    def is_synced(self) -> bool:
        return self._synced and not self._watch.is_over

    async def synced(self) -> None:
        while not self.is_synced:
            if self._watch.is_over:
                raise self._watch.error or ShoalError(f"the link to {self._place} is closed")
            self._arrived = self._arrived or asyncio.Event()
            self._arrived.clear()
            await self._arrived.wait()

    async def close(self) -> None:
        self.end()

    def end(self) -> None:
        """As ``close``, without waiting."""
        if self._shard is not None:
            self._shard.close_link(self._number)
        self._stop()

    # -- what the run does with it

    def start(self, shard: Shard, wake: Callable[[], None]) -> None:
        """Opens it. ``wake`` has the next batch run."""
        self._shard, self._wake = shard, wake
        kind = self._codec.kind or "value"
        terms = self._terms
        self._number = shard.open_link(self._uri, self.lane, kind, terms.sync, terms.prio, terms.rate)
        wake()

    def leave(self) -> None:
        """The run is over; the next one opens it again."""
        self._shard = None
        self._linked = self._synced = False

    @property
    def number(self) -> int:
        """In the shard that it is open in; -1: in none."""
        return -1 if self._shard is None else self._number

    def hear(self, what: str, *arguments: Any) -> None:
        """What the shard tells."""
        match what:
            case "linked":
                self._linked = True
                self._watch.linked()
            case "begins":
                self._held_state.begin()
            case "synced":
                for gone in self._held_state.end():
                    self._tell(gone)
                self._synced = True
                self._watch.synced()
            case "broken":
                self._linked = self._synced = False
                self._watch.unlinked("the connection broke")
            case "ended":
                self._watch.unlinked(arguments[0])
                self._stop(Unlinked(f"{self._uri} {self.lane}: {arguments[0]}", arguments[0]))
            case "take" | "drop":
                self._apply(Cut(what, arguments[0]))
            case _:
                self._apply(_CHANGES[what](*arguments))
        if self._arrived is not None:
            self._arrived.set()

    def _apply(self, change: Change) -> None:
        # a link that comes back tells what is known already
        known = not self._synced and self._held_state.has(change)
        self._held_state.apply(change)
        if not known:
            self._tell(change)

    def _tell(self, change: Change) -> None:
        self._watch.changed(change)
        if self._changed is None:
            return
        try:
            told = self._codec.value(change.value) if isinstance(change, Set) else change
        except Unset:
            return
        try:
            self._changed(told)
        except Exception:
            log.exception("the function that follows %s %s failed", self._uri, self.lane)

    def _stop(self, error: ShoalError | None = None) -> None:
        self._shard = None
        self._linked = self._synced = False
        self._watch.closed(error)
        if self._arrived is not None:
            self._arrived.set()

    # -- for AsyncLive

    @property
    def _state(self) -> State:
        return self._held_state

    async def _write(self, body: str) -> None:
        if self._shard is None:
            raise self._watch.error or ShoalError(f"the link to {self._place} is open only while the app runs")
        self._shard.post(self._uri, self.lane, recon.loads(body) if body else None)
        self._wake()


class AppLinkMap(AppLink[Any], AsyncLiveMap[K, V], Generic[K, V]):
    """Of a map lane, or a join."""


class AppLinkList(AppLink[Any], AsyncLiveList[V], Generic[V]):
    """Of a list lane."""


class AppLinkEvents(AppLink[V_co], AsyncLiveEvents[V_co], Generic[V_co]):
    """Of a command or supply lane."""


def hooks_of(given: dict[str, Any]) -> Hooks:
    """Errors: WrongType for what is no hook."""
    unknown = next((name for name in given if name not in Hooks.__optional_keys__), None)
    if unknown is not None:
        raise WrongType(f"a link has no hook {unknown}=; {near(unknown, sorted(Hooks.__optional_keys__))}")
    hooks: Any = given
    made: Hooks = hooks
    return made


def app_link(
    lane: Any, parameters: tuple[Any, ...], kind: Any, terms: Terms, hooks: Hooks, changed: Any
) -> AppLink[Any]:
    """Errors: WrongType for what is no lane, or cannot be linked."""
    if isinstance(lane, str) and "://" in lane:
        server, separator, path = lane.partition("://")
        host, _, node = path.partition("/")
        place = place_of(f"/{node}", parameters, kind)
        uri = f"{server}{separator}{host}{place.node}"
    else:
        place = place_of(lane, parameters, kind)
        uri = place.node
    if place.codec.kind is None:
        place = place._replace(codec=place.codec._replace(kind="value"))
    made = {"map": AppLinkMap, "list": AppLinkList, "event": AppLinkEvents}.get(place.codec.kind or "", AppLink)
    return made(place, uri, terms, hooks, changed)
