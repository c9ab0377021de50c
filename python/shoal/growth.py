"""Lanes that a class is given while it is in use (``App.add_lane``): what may be added, and all of it or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.bodies import BodyPlan
from shoal.declaration import CommandLane
from shoal.lanes.alarm import Alarm
from shoal.lanes.command import Command
from shoal.lanes.fold import Fold
from shoal.lanes.lane import Declared
from shoal.lanes.map import Map
from shoal.lanes.supply import Supply
from shoal.lanes.value import Value
from shoal.place import Place, mistake

if TYPE_CHECKING:
    from shoal.schema import Schema


def check(schema: Schema, name: str, lane: Any, place: Place) -> None:
    """Errors: DeclarationError for what cannot be added under this name."""
    from shoal.twin import check_name

    subject = f"{schema.name}.{name}"
    if not isinstance(lane, (Value, Fold, Map, Supply)) or isinstance(lane, Alarm):
        raise mistake(
            place,
            subject,
            f"{getattr(lane, '_kind', repr(lane))} cannot be added to a class that is in use",
            "a Value, a fold, a Map or a Supply can; declare others in the class",
        )
    if lane.attribute:
        raise mistake(place, subject, f"the lane is {lane._label} already", "make a new one")
    if not str(name).isidentifier():
        raise mistake(
            place, subject, f"{name!r} is no attribute's name", 'use letters, digits and _; name="..." is for the wire'
        )
    check_name(schema.name, name, place)


def add(schema: Schema, name: str, lane: Declared) -> list[Schema]:
    """Adds a lane to a class and to all below it: their schemas. The classes do not show it yet.

    Errors: DeclarationError, and nothing has been added then.
    """
    schemas = [schema]
    for each in schemas:
        below: list[Any] = type.__subclasses__(each.cls)
        schemas.extend(cls.__shoal__ for cls in below if cls.__shoal__ not in schemas)
    entered: list[_Before] = []
    try:
        for each in schemas:
            wire = lane.name or name
            if name in each.lanes or any(known.name == wire for known in each.lanes.values()):
                raise lane._mistake(f"{each.name} has a lane {wire!r} already", "give it another name=")
            if each.app not in (None, schema.app):
                raise lane._mistake(
                    f"{each.name}, a class below it, has its place in another app", "add it to classes of one app"
                )
            entered.append(_Before(each, name))
            each.enter(name, lane if each is schema else lane._copy())
            _plan_again(each, lane, entered[-1].plans)
    except BaseException:
        for before in entered:
            before.restore()
        lane.attribute, lane.owner = "", None
        raise
    return schemas


class _Before:
    """A schema as it was before a lane was added."""

    def __init__(self, schema: Schema, name: str) -> None:
        self.schema = schema
        self.name = name
        commands = [each for each in schema.lanes.values() if isinstance(each, Command)]
        self.plans = [(command, command._plan()) for command in commands]
        self._paths = [(command, list(command._paths)) for command in commands]
        self._lists = [(kept, list(kept)) for kept in schema.growing()]
        self._numbers = list(schema._numbers)

    def restore(self) -> None:
        schema = self.schema
        schema.lanes.pop(self.name, None)
        schema.own_lanes.pop(self.name, None)
        schema._resolved.discard(self.name)
        schema._resolving.clear()
        schema._numbers = self._numbers
        for kept, before in self._lists:
            kept[:] = before
        for command, paths in self._paths:
            command._paths = paths


def _plan_again(schema: Schema, lane: Declared, before: list[tuple[Command[Any], BodyPlan]]) -> None:
    """A fold may read fields that nobody has read. Errors: DeclarationError where bodies would be laid out anew."""
    for command, old in before:
        new = command._plan()
        if new.slots == old.slots:
            continue
        same = isinstance(old.declared, dict) and isinstance(new.declared, dict) and [*old.declared] == [*new.declared]
        if not same or any(new.slots.get(path) != slot for path, slot in old.slots.items()):
            raise lane._mistake(
                f"{command._label} is decoded without that field while the class is in use",
                "declare the fold in the class, or write a Value in the command's handler",
            )
        entry = schema.commands[command.number]
        schema.commands[command.number] = CommandLane(entry.name, new.declared, entry.handler, new.time_slot)
        schema._bodies[command.number] = new
