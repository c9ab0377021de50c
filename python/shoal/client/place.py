"""Which lane of which twin: ``(Bus.speed, "7")`` or ``("/bus/7", "speed")``."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import quote

from shoal import Request
from shoal.client.codec import Codec, Kind, codec_of, request_codec
from shoal.errors import WrongType
from shoal.lanes.command import Command
from shoal.lanes.lane import Declared
from shoal.place import near
from shoal.schema import Schema
from shoal.warp import split_node

# What may stand in a lane's URI as it is (RFC 3986, 2.2 and 2.3): a lane may have a query and a fragment.
_LANE = "/?#!$&'()*+,;=-._~%@"


class Place(NamedTuple):
    """``typed``: its values are those of a class."""

    node: str
    lane: str
    codec: Codec

    def __str__(self) -> str:
        return f"{self.node} {self.lane}"


def place_of(lane: Any, parameters: tuple[Any, ...], kind: Kind | None = None) -> Place:
    """A lane of a class with its twin's parameters, or a URI with a lane's name. ``kind`` is of untyped lanes.

    Errors: WrongType that says what to give instead.
    """
    if isinstance(lane, str):
        if len(parameters) != 1 or not isinstance(parameters[0], str):
            raise WrongType(f'write the lane\'s name behind the URI: ("{lane}", "speed")')
        return by_name(lane, parameters[0], kind)
    if not isinstance(lane, Declared):
        raise WrongType(
            f'give a lane of a twin class with the twin\'s parameters, (Bus.speed, "7"), or a URI and a name, '
            f'("/bus/7", "speed"); got {lane!r}'
        )
    if lane.owner is None:
        raise WrongType(f"this {type(lane).__name__} belongs to no class: name it through one, as in Bus.speed")
    if lane._private:
        raise WrongType(f"{lane._label} is private: no client can read or link it")
    codec = codec_of(lane)
    if kind is not None and kind != codec.kind:
        raise WrongType(f"{lane._label} is {lane._kind}: it is linked as {codec.kind}, not as {kind}")
    return Place(node_of(lane.owner, parameters), lane.name, codec)


def request_of(lane: Any, parameters: tuple[Any, ...]) -> Place:
    """A request of a class, or a URI and a name. Errors: WrongType."""
    if isinstance(lane, str):
        return place_of(lane, parameters)
    if not isinstance(lane, Request):
        raise WrongType(f'ask() takes a request of a class, (Airport.gate, "x"), or a URI and a name; got {lane!r}')
    return Place(node_of(lane.owner, parameters), lane.name, request_codec(lane))


def by_name(uri: str, name: str, kind: Kind | None = None) -> Place:
    node = node_at(uri)
    if not name:
        raise WrongType(f"{node}: the lane's name is missing")
    return Place(node, quote(name, safe=_LANE), Codec(f"{node} {name}", kind))


def node_at(uri: str) -> str:
    """Errors: WrongType for the address of a server: a client has one already."""
    server, node = split_node(uri)
    if server is not None:
        raise WrongType(f"{uri}: this client speaks to one server; give the path alone, {node}")
    return node


def node_of(cls: Any, parameters: tuple[Any, ...]) -> str:
    """A twin's URI. Errors: WrongType for a class without a pattern, and for parameters that do not fit."""
    schema = schema_of(cls)
    if schema.route is None:
        raise WrongType(
            f'{schema.name} has no pattern here, so that its twins have no address: register it with @app.twin("/...")'
            f' as its server does, or name the twin by its URI, at("/{schema.name.lower()}/7")'
        )
    return schema.route.uri(schema.cls, parameters)


def schema_of(cls: Any) -> Schema:
    schema: Schema | None = getattr(cls, "__shoal__", None)
    if schema is None:
        raise WrongType(f"it is neither a twin class nor a URI: {cls!r}")
    return schema


def command_of(lane: Any, parameters: tuple[Any, ...]) -> Place:
    """A command of a class. Errors: WrongType."""
    if not isinstance(lane, (Command, str)):
        raise WrongType(f'send() takes a command of a class, (Bus.report, "7"), or a URI and a name; got {lane!r}')
    return place_of(lane, parameters)


def lane_named(cls: Any, name: str) -> Declared:
    """Errors: AttributeError that names what there is."""
    schema = schema_of(cls)
    found = schema.lanes.get(name)
    if found is None:
        hint = near(name, [each for each in schema.lanes if not each.startswith("_")])
        raise AttributeError(f"{schema.name} has no lane `{name}`" + (f"; {hint}" if hint else ""))
    return found
