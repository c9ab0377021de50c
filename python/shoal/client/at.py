"""What ``client.at(...)`` gives: a twin of a server, whose commands are sent and whose lanes are read from here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from shoal import Request
from shoal.client.codec import codec_of, request_codec
from shoal.client.place import Place, by_name, lane_named
from shoal.errors import WrongType
from shoal.lanes.command import Command
from shoal.lanes.lane import Declared


class Ways(NamedTuple):
    """How a client does what is asked of a twin: at once, or as something to await."""

    send: Callable[[Place, Any], Any]
    read: Callable[[Place], Any]
    write: Callable[[Place, Any], None]
    ask: Callable[[Place, Request[Any, Any], Any, Any], Any]


class At:
    """A twin by its address; it need not exist yet. ``uri`` is its node URI."""

    __slots__ = ("__class", "__ways", "uri")

    def __init__(self, uri: str, cls: Any, ways: Ways) -> None:
        """``cls`` None: whatever is named is a command, by its name on the wire."""
        object.__setattr__(self, "uri", uri)
        object.__setattr__(self, "_At__class", cls)
        object.__setattr__(self, "_At__ways", ways)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{self!r} has no `{name}`")
        ways: Ways = self.__ways
        if self.__class is None:
            return Sending(by_name(self.uri, name, "event"), ways, None)
        lane = lane_named(self.__class, name)
        if isinstance(lane, Request):
            return Asking(Place(self.uri, lane.name, request_codec(lane)), ways, lane)
        if isinstance(lane, Command):
            return Sending(_place(self.uri, lane), ways, lane)
        return ways.read(_place(self.uri, lane))

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__class is None:
            place = by_name(self.uri, name)
        else:
            place = _place(self.uri, lane_named(self.__class, name))
        if place.codec.kind not in ("value", None):
            raise WrongType(f"{place.codec.label} is no value: change its entries through a link to it")
        self.__ways.write(place, value)

    def __repr__(self) -> str:
        return f"<at {self.uri}>"


class Sending:
    """A command of a twin, ready to be sent."""

    __slots__ = ("_command", "_place", "_ways")

    def __init__(self, place: Place, ways: Ways, command: Command[Any] | None) -> None:
        self._place = place
        self._ways = ways
        # Any: to a checker a lane is a descriptor
        self._command: Any = command

    def __call__(self, *body: Any) -> Any:
        if self._command is not None:
            return self._ways.send(self._place, self._command._body_of(body))
        if len(body) > 1:
            raise WrongType(f"{self._place} takes one body, got {len(body)}")
        return self._ways.send(self._place, body[0] if body else None)


class Asking:
    """A request of a twin, ready to be asked."""

    __slots__ = ("_place", "_request", "_ways")

    def __init__(self, place: Place, ways: Ways, request: Request[Any, Any]) -> None:
        self._place = place
        self._ways = ways
        self._request: Any = request

    def __call__(self, body: Any = None, /, *, timeout: Any = 5) -> Any:
        return self._ways.ask(self._place, self._request, body, timeout)


def _place(uri: str, lane: Declared) -> Place:
    return Place(uri, lane.name, codec_of(lane))
