"""What ``self.at(...)`` gives: another twin by its address. Commands and requests go to it; its lanes are not read from
here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.asking import ASKER, TIMEOUT, Asking, RemoteCall
from shoal.duration import Seconds
from shoal.errors import RemoteRead
from shoal.lanes.command import Command
from shoal.lanes.request import Request
from shoal.lanes.taking import Taking
from shoal.place import near

if TYPE_CHECKING:
    from shoal.schema import Schema
    from shoal.twin import Twin


class Reference:
    """An address within a turn: ``self.at(City).speeder(self.uri)`` sends a command when the turn is kept,
    ``await self.at(City).route(query)`` asks at once.
    """

    __slots__ = ("__class", "__params", "__twin")

    def __init__(self, twin: Twin, cls: Any, params: tuple[str, ...]) -> None:
        self.__twin = twin
        self.__class = cls
        self.__params = params

    @property
    def uri(self) -> str:
        """The node URI that it names."""
        if isinstance(self.__class, str):
            return self.__class
        return self.__twin._shard.uri(self.__class.__shoal__.population, self.__params)

    def __getattr__(self, name: str) -> Any:
        if isinstance(self.__class, str):
            return self.__by_uri(name)
        schema: Schema = self.__class.__shoal__
        lane = schema.lanes.get(name)
        if isinstance(lane, Request):
            return Asking(self.__twin, schema.population, self.__params, lane)
        if isinstance(lane, Command):
            return SendTo(self.__twin, schema.population, self.__params, lane)
        if lane is not None or hasattr(self.__class, name):
            raise RemoteRead(
                f"{schema.name}.{name} of {self.uri} cannot be read from another twin: it belongs to its own turns;"
                " fold it with Members and over=, ask for it with a Request, or have it sent to you by a command"
            )
        names = [each for each in schema.lanes if isinstance(schema.lanes[each], Taking)]
        raise AttributeError(
            f"{schema.name} has no command and no request `{name}`; {near(name, names)}", name=name, obj=self
        )

    def __by_uri(self, name: str) -> Any:
        twin, uri = self.__twin, self.__class
        found = twin._shard.route(uri)
        if found is not None:
            schema: Schema = type(twin).__shoal__.app.classes[found[0]].__shoal__  # type: ignore[union-attr]
            lane = next((each for each in schema.lanes.values() if each.name == name and not each._private), None)
            if isinstance(lane, Request):
                return Asking(twin, found[0], found[1], lane)
        return SendToUri(twin, uri, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_Reference__"):
            object.__setattr__(self, name, value)
        else:
            raise RemoteRead(f"`{name}` of {self.uri} is written in that twin's own turn: send it a command")

    def __repr__(self) -> str:
        return f"<at {self.uri}>"


class SendTo:
    """A command of a twin of a known class."""

    __slots__ = ("command", "params", "population", "twin")

    def __init__(self, twin: Twin, population: int, params: tuple[str, ...], command: Command[Any]) -> None:
        self.twin = twin
        self.population = population
        self.params = params
        self.command = command

    def __call__(self, *body: Any) -> None:
        self.twin._send(self.population, self.params, self.command.number, self.command._body_of(body))


class SendToUri:
    """A command by URI and wire name: looked up when it is delivered. To another server's twin it can be awaited in an
    async handler: it is a request then, or a command that is answered when it was taken.
    """

    __slots__ = ("lane", "twin", "uri")

    def __init__(self, twin: Twin, uri: str, lane: str) -> None:
        self.twin = twin
        self.uri = uri
        self.lane = lane

    def __call__(self, body: Any = None, /, *, timeout: Seconds = TIMEOUT) -> Any:
        if ASKER.get() is not None and self.uri.startswith(("warp://", "warps://")):
            return RemoteCall(self.twin, self.uri, self.lane, body, timeout)
        self.twin._send_uri(self.uri, self.lane, body)
        return None
