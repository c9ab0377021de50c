"""A twin as a test sees it: commands are sent, committed lanes are read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from shoal.asking import TIMEOUT, Question
from shoal.duration import Seconds, microseconds
from shoal.errors import NotInTurn, Unset, WrongType
from shoal.lanes.alarm import QUIET, Alarm, AlarmState
from shoal.lanes.command import Command
from shoal.lanes.demand import Demand, DemandMap
from shoal.lanes.event_link import EventLink
from shoal.lanes.join import Joined
from shoal.lanes.lane import Declared, Lane
from shoal.lanes.link import Link
from shoal.lanes.linked import Linked
from shoal.lanes.list import List
from shoal.lanes.list_link import ListLink
from shoal.lanes.map import Map
from shoal.lanes.map_link import MapLink
from shoal.lanes.members import Group, Members
from shoal.lanes.request import Request
from shoal.lanes.supply import Supply
from shoal.place import near
from shoal.twin import Params

if TYPE_CHECKING:
    from shoal.schema import Schema
    from shoal.testing import Kit


class Entries(dict[Any, Any]):
    """A map lane's entries at one moment; a missing key reads as the lane's default, if it has one."""

    def __init__(self, lane: Map[Any, Any], entries: list[tuple[Any, Any]]) -> None:
        super().__init__(entries)
        self._lane = lane

    def __missing__(self, key: Any) -> Any:
        if type(self._lane.default).__name__ == "Missing":
            raise KeyError(key)
        return self._lane.default


class Reader:
    """One twin from outside. It need not exist to be sent a command; reading it then raises ``NoSuchTwin``."""

    __slots__ = ("_class", "_kit", "_params")

    def __init__(self, kit: Kit, cls: Any, params: tuple[str, ...]) -> None:
        object.__setattr__(self, "_kit", kit)
        object.__setattr__(self, "_class", cls)
        object.__setattr__(self, "_params", params)

    @property
    def uri(self) -> str:
        uri: str = self._kit.shard.uri(self._schema.population, self._params)
        return uri

    @property
    def params(self) -> Params:
        route = self._schema.route
        assert route is not None
        return Params(route, self._params)

    @property
    def _schema(self) -> Schema:
        schema: Schema = self._class.__shoal__
        return schema

    def __getattr__(self, name: str) -> Any:
        lane = self._schema.lanes.get(name)
        match lane:
            case EventLink():
                return ReadEventLink(self, lane)
            case Command():
                return Post(self, lane)
            case Request():
                return Inquiry(self, lane)
            case Alarm():
                return AlarmState(
                    lane._label, lambda: self._cell(lane) or QUIET, lambda by: self._acknowledge(lane, by)
                )
            case Link():
                return ReadLink(self, lane)
            case MapLink():
                return ReadMapLink(self, lane)
            case ListLink():
                return ReadListLink(self, lane)
            case Joined():
                return ReadJoin(self, lane)
            case Lane():
                return self._value(lane)
            case Map():
                return self._entries(lane)
            case List():
                return self._elements(lane)
            case Members():
                return Group(self, lane)
            case Supply():
                raise NotInTurn(f"{lane._label} keeps nothing: t.pushed({lane._label}, ...) gives what it has pushed")
            case Demand() | DemandMap():
                raise NotInTurn(f"{lane._label} is computed for those who have linked it, and holds no value")
            case Declared():
                raise NotInTurn(f"{lane._label} is a Python object of the twin's own; a test reads lanes")
        found = getattr(self._class, name, None)
        if isinstance(found, property) and found.fget is not None:
            return found.fget(self)
        if callable(found):
            raise NotInTurn(
                f"{self._schema.name}.{name} is a method of the twin's own turns; a test sends commands and reads lanes"
            )
        raise AttributeError(
            f"{self._schema.name} has no lane `{name}`; {near(name, self._schema.lanes)}", name=name, obj=self
        )

    def __setattr__(self, name: str, value: Any) -> None:
        lane = self._schema.lanes.get(name)
        if isinstance(lane, Linked):
            raise NotInTurn(f"{lane._label} is opened and written through in the twin's own turns; a test reads it")
        if not isinstance(lane, Lane | Map | List):
            raise AttributeError(
                f"{self._schema.name} has no lane `{name}` that could be set; {near(name, self._schema.lanes)}"
            )
        if isinstance(lane, Map):
            raise WrongType(f"{lane._label}: set one entry: t.post(uri, {lane.name!r}, [key, value])")
        before = len(self._kit.dead_letters)
        if isinstance(lane, List):
            encode = lane.value_form.encoder("an element")
            self._kit.post(self.uri, lane.name, [each if encode is None else encode(each) for each in value])
        else:
            encode = lane.form.encoder(lane._label)
            self._kit.post(self.uri, lane.name, value if encode is None else encode(value))
        for letter in self._kit.dead_letters[before:]:
            if letter.lane == lane.name and letter.origin == "outside":
                raise WrongType(f"{self.uri}: {letter.reason}")

    def __repr__(self) -> str:
        return f"<{self._schema.name} {self.uri}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reader) and (self._class, self._params) == (other._class, other._params)

    def __hash__(self) -> int:
        return hash((self._class, self._params))

    # -- cells

    def _cell(self, lane: Lane[Any]) -> Any:
        return self._kit.shard.read(self._schema.population, self._params, lane.column)

    def _value(self, lane: Lane[Any]) -> Any:
        cell = self._cell(lane)
        if cell is None:
            if lane.form.nullable:
                return None
            raise Unset(f"{self.uri}: `{lane._label}` has no value yet")
        decode = lane._decoder()
        return cell if decode is None else decode(cell)

    def _entries(self, lane: Map[Any, Any]) -> Entries:
        key, value = lane.key_form.decoder() or _same, lane.value_form.decoder() or _same
        entries = self._kit.shard.read_map(self._schema.population, self._params, lane.number)
        return Entries(lane, [(key(k), value(v)) for k, v in entries])

    def _elements(self, lane: List[Any]) -> list[Any]:
        value = lane.value_form.decoder() or _same
        elements = self._kit.shard.read_map(self._schema.population, self._params, lane.number)
        return [value(v) for _, v in elements]

    def _acknowledge(self, lane: Alarm, by: str) -> None:
        self._kit.post(self.uri, f"{lane.name}.ack", by)

    # -- what Group asks of a twin

    def _members(self, members: int) -> list[str]:
        uris: list[str] = self._kit.shard.read_members(self._schema.population, self._params, members)
        return uris

    def _member_count(self, members: int) -> int:
        return len(self._members(members))

    def _has_member(self, members: int, uri: str) -> bool:
        return uri in self._members(members)

    def _send_each(self, members: int, command: int, body: Any) -> None:
        raise NotInTurn("`each` is for the group's own turns; a test sends commands to the members it names")


class ReadOpened:
    """A link at one moment: where it leads, and how it stands."""

    target: str | None
    is_linked: bool
    is_synced: bool

    def _look(self, reader: Reader, lane: Any) -> None:
        shard, population = reader._kit.shard, reader._schema.population
        self.target = shard.read(population, reader._params, lane.target_column)
        self.is_linked, self.is_synced = shard.link_state(population, reader._params, lane.link_number)


class ReadEventLink(ReadOpened):
    """An event link, as a test sees it."""

    def __init__(self, reader: Reader, lane: EventLink[Any]) -> None:
        self._look(reader, lane)


class ReadLink(ReadOpened):
    """A value link, as a test sees it."""

    def __init__(self, reader: Reader, lane: Link[Any]) -> None:
        self._look(reader, lane)
        self._reader = reader
        self._lane = lane

    @property
    def value(self) -> Any:
        return self._reader._value(self._lane)

    def __repr__(self) -> str:
        return f"<link to {self.target}>"


class ReadMapLink(ReadOpened, Entries):
    """A map link, as a test sees it: its copy's entries."""

    def __init__(self, reader: Reader, lane: MapLink[Any, Any]) -> None:
        Entries.__init__(self, lane, list(reader._entries(lane).items()))
        self._look(reader, lane)


class ReadListLink(ReadOpened, list[Any]):
    """A list link, as a test sees it: its copy's elements."""

    def __init__(self, reader: Reader, lane: ListLink[Any]) -> None:
        list.__init__(self, reader._elements(lane))
        self._look(reader, lane)


class ReadJoin(Entries):
    """A join, as a test sees it."""

    def __init__(self, reader: Reader, lane: Joined[Any, Any]) -> None:
        super().__init__(lane, list(reader._entries(lane).items()))
        read: Any = reader._kit.shard.read_map
        population, params = reader._schema.population, reader._params
        if lane.over is None:
            self.targets = dict(read(population, params, lane.target_map))
        else:
            self.targets = {uri: uri for uri in reader._members(lane.over.number)}
        self._owners = dict(read(population, params, lane.owner_map)) if lane.owner_map >= 0 else None

    def owner(self, key: Any) -> str:
        if key not in self:
            raise KeyError(key)
        target: str = self.targets[key if self._owners is None else self._owners[key]]
        return target


class Post:
    """A command to a twin, from a test: it and all that follows from it has run when the call returns."""

    __slots__ = ("command", "reader")

    def __init__(self, reader: Reader, command: Command[Any]) -> None:
        self.reader = reader
        self.command = command

    def __call__(self, *body: Any) -> None:
        kit, schema = self.reader._kit, self.reader._schema
        kit.shard.post_to(schema.population, self.reader._params, self.command.number, self.command._body_of(body))
        kit._settle()


class Inquiry:
    """A question to a twin, from a test: ``t.run(t.at(Airport, "x").gate(query))``."""

    __slots__ = ("reader", "request")

    def __init__(self, reader: Reader, request: Request[Any, Any]) -> None:
        self.reader = reader
        self.request = request

    def __call__(self, *query: Any, timeout: Seconds = TIMEOUT) -> asyncio.Future[Any]:
        kit, reader, request = self.reader._kit, self.reader, self.request
        shard, seconds = kit.shard, microseconds(timeout) / 1e6
        question = Question(f"{request.name} of {reader.uri}", request._decode)
        number = shard.ask(reader._schema.population, reader._params, request.number, request._body_of(query), question)
        return question.wait(kit._loop, seconds, lambda: shard.forget_ask(number))


def _same(value: Any) -> Any:
    return value
