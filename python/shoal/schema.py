"""What one twin class declares: its lanes under their numbers, its methods, and both as data for the core.

Every class has its own copies of the lanes that it inherits, and references are resolved by name among them, so that a
fold of a mixin reads the lane of the class that it is mixed into.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from shoal.bodies import BodyPlan, shape_of
from shoal.declaration import (
    Column,
    CommandLane,
    DemandLane,
    Fold,
    Hooks,
    LinkTable,
    MapTable,
    MembersTable,
    Observer,
    Population,
    Segment,
    SupplyLane,
    Timer,
    Watched,
)
from shoal.handlers import (
    HOOKS,
    LINK_HOOKS,
    Found,
    Functions,
    MarkKind,
    is_async,
    marks,
    parameters,
    period_of,
    place_of,
    takes,
)
from shoal.lanes.command import Command
from shoal.lanes.lane import Declared, Lane, Linkable
from shoal.lanes.linked import Linked
from shoal.lanes.list import List
from shoal.lanes.map import Map
from shoal.lanes.members import Members
from shoal.lanes.request import Request
from shoal.lanes.taking import Taking
from shoal.place import mistake

if TYPE_CHECKING:
    from shoal.app import App
    from shoal.route import Route

D = TypeVar("D", bound=Declared)


class Schema:
    """Of one twin class. Errors: DeclarationError while it is made, with the place and the lane's name."""

    def __init__(self, cls: type, inherited: Iterable[Schema], own: dict[str, Declared]) -> None:
        self.cls = cls
        self.name = cls.__name__
        # set when the class is given to an app
        self.app: App[Any] | None = None
        self.route: Route | None = None
        self.population = -1

        self.own_lanes = own
        self.own_marks: list[Found] = []
        self.lanes: dict[str, Declared] = {}
        self.columns: list[Column] = []
        self.maps: list[MapTable] = []
        self.commands: list[CommandLane] = []
        self.folds: list[Fold] = []
        self.changed: list[Watched] = []
        self.timers: list[Timer] = []
        self.members: list[tuple[Members[Any], MembersTable]] = []
        # with the class whose lane each was declared with
        self.links: list[tuple[LinkTable, type | None]] = []
        self.timer_numbers: dict[str, int] = {}
        self.supplies: list[SupplyLane] = []
        self.demands: list[DemandLane] = []
        self.observers: list[Observer] = []

        self._decoders: list[Callable[[Any], Any] | None] = []
        self._encoders: list[Callable[[Any], Any] | None] = []
        self._map_functions: list[tuple[Any, Any, Any, Any]] = []
        self._handlers: list[Callable[..., Any] | None] = []
        self._bodies: list[BodyPlan] = []
        self._replies: list[Callable[[Any], Any] | None] = []
        self._methods: list[list[Callable[..., Any] | None]] = []
        self._changed_functions: list[tuple[Callable[..., Any], int]] = []
        self._timer_functions: list[Callable[..., Any]] = []
        self._link_functions: list[list[tuple[Callable[..., Any], int] | None]] = []
        self._demand_functions: list[tuple[Callable[..., Any], Callable[..., Any] | None]] = []
        self._observer_functions: list[Callable[..., Any]] = []
        self._numbers = [0, 0, 0, 0, 0, 0, 0]
        self._resolved: set[str] = set()
        self._resolving: list[str] = []

        bases = list(inherited)
        self._collect_lanes(bases)
        self._found = self._collect_marks(bases)
        # Twin and what is below it: their methods are Shoal's own
        self.ground = (bases[0].cls if bases else cls).__mro__
        for lane in self.lanes.values():
            lane._check_options()
            lane._enter(self)
        for lane in self.lanes.values():
            self.resolve(lane)
        self._collect_timers()
        for lane in self.lanes.values():
            lane._declare(self)
        self._collect_changed()
        self._collect_observers()
        self._check_hooks()

    # -- growth, while the class is in use

    def grow(self, command: Command[Any], body: Any, lanes: Callable[[], dict[str, Declared]]) -> None:
        """Gives a command's body more fields behind those that it has, and the class more lanes, which ``lanes`` makes
        when the fields are there. Errors: DeclarationError, Misfit.
        """
        command._shape = shape_of(body)
        self.add_lanes(lanes())
        planned = command._plan()
        entry = self.commands[command.number]
        self.commands[command.number] = CommandLane(entry.name, planned.declared, entry.handler, planned.time_slot)
        self._bodies[command.number] = planned

    def add_lanes(self, lanes: dict[str, Declared]) -> None:
        """Adds lanes behind those that it has; they may read one another. Errors: DeclarationError."""
        for attribute, lane in lanes.items():
            wire = {each.name: name for name, each in self.lanes.items()}
            if attribute in self.lanes or (lane.name or attribute) in wire:
                raise lane._mistake(
                    f"{self.name} has a lane {lane.name or attribute!r} already", "give it another name="
                )
            self.enter(attribute, lane)
            setattr(self.cls, attribute, lane)

    def enter(self, attribute: str, lane: Declared) -> None:
        """Adds a lane that the class does not show yet. Errors: DeclarationError; a part of it is there then."""
        lane._adopt(self.cls, attribute)
        self.own_lanes[attribute] = self.lanes[attribute] = lane
        self._check_not_hidden(attribute, lane)
        lane._check_options()
        lane._enter(self)
        self.resolve(lane)
        lane._declare(self)

    def growing(self) -> list[list[Any]]:
        """What a lane adds itself to."""
        rollups: list[list[Any]] = [table.rollups for _, table in self.members]
        functions: list[list[Any]] = [self._decoders, self._encoders, self._map_functions, self._bodies]
        return [self.columns, self.maps, self.folds, self.supplies, self.commands, *functions, *rollups]

    # -- numbers, in the order of declaration

    def next_column(self) -> int:
        return self._next(0)

    def next_map(self) -> int:
        return self._next(1)

    def next_command(self) -> int:
        return self._next(2)

    def next_members(self) -> int:
        return self._next(3)

    def next_supply(self) -> int:
        return self._next(4)

    def next_demand(self) -> int:
        return self._next(5)

    def next_link(self) -> int:
        return self._next(6)

    def _next(self, kind: int) -> int:
        self._numbers[kind] += 1
        return self._numbers[kind] - 1

    # -- what lanes ask for

    def own(self, reference: D, asking: Declared) -> D:
        """This class's lane that ``reference`` names. Errors: DeclarationError where it is not a lane of this class."""
        if not reference.attribute:
            raise asking._mistake(
                f"it reads a {type(reference).__name__} without a name", "give the inner one a line of its own"
            )
        found = self.lanes.get(reference.attribute)
        if reference.owner is None or not issubclass(self.cls, reference.owner) or found is None:
            raise asking._mistake(
                f"{reference._label} belongs to another class",
                "a twin folds its own lanes; those of others are folded over a group: Mean(Bus.speed, over=buses)",
            )
        kinds = (Command, Request, Map, List)
        if any(isinstance(reference, kind) != isinstance(found, kind) for kind in kinds):
            raise asking._mistake(f"{found._label} is {found._kind} here, and {reference._label} was {reference._kind}")
        return found  # type: ignore[return-value]

    def resolve(self, lane: Declared) -> None:
        """Resolves a lane once, its sources first. Errors: DeclarationError for a cycle."""
        if lane.attribute in self._resolved:
            return
        if lane.attribute in self._resolving:
            cycle = [*self._resolving[self._resolving.index(lane.attribute) :], lane.attribute]
            raise lane._mistake(f"folds itself: {' reads '.join(cycle)}", "one of them must fold something else")
        self._resolving.append(lane.attribute)
        lane._resolve(self)
        self._resolving.pop()
        self._resolved.add(lane.attribute)

    def add_column(self, lane: Any, column: Column, decode: Callable[[Any], Any] | None = None) -> None:
        self.columns.append(column)
        self._decoders.append(decode or lane.form.decoder())
        self._encoders.append(lane.form.encoder(lane._label))

    def add_map(self, lane: Map[Any, Any] | List[Any], table: MapTable, functions: tuple[Any, Any, Any, Any]) -> None:
        self.maps.append(table)
        self._map_functions.append(functions)

    def add_command(
        self,
        entry: CommandLane,
        handler: Callable[..., Any] | None,
        body: BodyPlan,
        reply: Callable[[Any], Any] | None = None,
        methods: list[Callable[..., Any] | None] | None = None,
    ) -> None:
        """``reply`` and ``methods`` are a request's: as ``Functions`` has them."""
        self.commands.append(entry)
        self._handlers.append(handler)
        self._bodies.append(body)
        self._replies.append(reply)
        self._methods.append(methods or [])

    def add_fold(self, fold: Fold) -> None:
        self.folds.append(fold)

    def add_members(self, lane: Members[Any], table: MembersTable) -> None:
        self.members.append((lane, table))

    def add_demand(self, lane: DemandLane, compute: Callable[..., Any], keys: Callable[..., Any] | None) -> None:
        self.demands.append(lane)
        self._demand_functions.append((compute, keys))

    def marked(self, kind: str, lane: Declared) -> tuple[str, Callable[..., Any]] | None:
        """The method that a decorator of a lane has marked, and its name."""
        for each in self._found:
            if each.mark.kind == kind and each.lane == lane.attribute:
                return each.method, self._method(each)
        return None

    def add_link(self, lane: Declared, table: LinkTable, typed: type | None) -> None:
        functions: list[tuple[Callable[..., Any], int] | None] = []
        for number, kind in enumerate(LINK_HOOKS):
            function = self._link_hook(lane, kind)
            functions.append(function)
            table.hooks |= (function is not None) << number
        self.links.append((table, typed))
        self._link_functions.append(functions)

    def _link_hook(self, lane: Declared, kind: str) -> tuple[Callable[..., Any], int] | None:
        marked = self.marked(kind, lane)
        if marked is None:
            return None
        method, function = marked
        if is_async(function):
            raise self._misplaced(function, method, f"@{kind} of a link cannot be async", "send a command from it")
        for count in (1, 0) if kind in ("unlinked", "failed") else (0,):
            if takes(function, count):
                return function, count
        shape = "(self) or (self, reason)" if kind in ("unlinked", "failed") else "(self)"
        raise self._misplaced(function, method, f"@{kind} of {lane._label} must take {shape}")

    def handler_of(self, command: Taking, kind: MarkKind = "handler") -> Callable[..., Any] | None:
        marked = self.marked(kind, command)
        if marked is None:
            return None
        method, function = marked
        count = 0 if command._shape.kind == "nothing" else 1
        if count == 0 and isinstance(command, Request) and not takes(function, 0) and takes(function, 1):
            return lambda twin: function(twin, None)
        if not takes(function, count):
            shape = "(self)" if count == 0 else "(self, body)"
            what = "query" if isinstance(command, Request) else "body"
            reason = f"there is no {what}" if count == 0 else f"the {what} is a {command._shape.title}"
            raise self._misplaced(function, method, f"the handler of {command._label} must take {shape}: {reason}")
        return function

    # -- the whole as data

    def declaration(self, numbers: dict[type, int]) -> Population:
        """``numbers`` are those of the app's classes. Errors: DeclarationError for members of a class that has none."""
        assert self.route is not None
        pattern: list[Segment] = self.route.segments
        for lane in self.lanes.values():
            if isinstance(lane, Request):
                lane._check_answered(self)
        return Population(
            name=self.name,
            pattern=pattern,
            columns=self.columns,
            maps=self.maps,
            commands=self.commands,
            folds=self.folds,
            changed=self.changed,
            hooks=Hooks(*(self._hook(name) is not None for name in HOOKS)),
            timers=self.timers,
            members=[self._members_table(members, table, numbers) for members, table in self.members],
            links=[
                msgspec.structs.replace(table, typed=None if typed is None else numbers.get(typed))
                for table, typed in self.links
            ],
            supplies=self.supplies,
            demands=self.demands,
            observers=self.observers,
        )

    def functions(self, zone: tzinfo) -> Functions:
        """``zone`` is the app's."""
        create, start, stop = map(self._hook, HOOKS)
        return Functions(
            handlers=self._handlers,
            changed=self._changed_functions,
            timers=self._timer_functions,
            create=create,
            start=start,
            stop=stop,
            bodies=[body.codec(zone) for body in self._bodies],
            replies=self._replies,
            methods=self._methods,
            columns=self._decoders,
            encoders=self._encoders,
            maps=self._map_functions,
            links=self._link_functions,
            demands=self._demand_functions,
            observers=self._observer_functions,
        )

    def _members_table(self, lane: Members[Any], table: MembersTable, numbers: dict[type, int]) -> MembersTable:
        assert self.route is not None
        number = numbers.get(lane.cls)
        if number is None:
            raise lane._mistake(
                f"{lane.cls.__name__} belongs to no population of this app",
                f'register it: @app.twin("/{lane.cls.__name__.lower()}/{{id}}")',
            )
        wanted = self.route.parameters
        if table.by is not None and len(table.by) != len(wanted):
            raise lane._mistake(
                f"by= has {len(table.by)} lane(s), and {self.route.pattern} has {len(wanted)} parameter(s)",
                "name one lane of the members for each: by=Bus.route, by=(Bus.line, Bus.direction)",
            )
        return MembersTable(table.name, number, table.by, table.rollups)

    # -- collecting

    def _collect_lanes(self, bases: list[Schema]) -> None:
        for base in bases:
            for attribute, lane in base.own_lanes.items():
                self.lanes[attribute] = lane
        for attribute, lane in list(self.lanes.items()):
            if attribute not in self.own_lanes:
                copy = lane._copy()
                copy.owner = self.cls
                self.lanes[attribute] = copy
        self.lanes.update(self.own_lanes)
        for attribute, lane in self.own_lanes.items():
            if lane.attribute:
                raise lane._mistake(f"the same lane has a second name, {attribute}", "declare a lane for each name")
            lane._adopt(self.cls, attribute)
        wire: dict[str, str] = {}
        for attribute, lane in self.lanes.items():
            if wire.setdefault(lane.name, attribute) != attribute:
                raise lane._mistake(
                    f"its name on the wire, {lane.name!r}, is that of {wire[lane.name]}", "give it another name="
                )
            self._check_not_hidden(attribute, lane)
            setattr(self.cls, attribute, lane)

    def _check_not_hidden(self, attribute: str, lane: Declared) -> None:
        for cls in self.cls.__mro__:
            found = vars(cls).get(attribute)
            if found is None:
                continue
            if not isinstance(found, Declared):
                place = place_of(found) if inspect.isfunction(found) else lane.place
                raise mistake(
                    place,
                    f"{self.name}.{attribute}",
                    f"{cls.__name__} has a {type(found).__name__} where {lane._kind} of that name is declared",
                    "give one of them another name",
                )
            return

    def _collect_marks(self, bases: list[Schema]) -> list[Found]:
        for name, value in vars(self.cls).items():
            for mark in marks(value):
                lane = mark.lane
                if lane is not None:
                    own = self.lanes.get(lane.attribute)
                    if own is None or lane.owner is None or not issubclass(self.cls, lane.owner):
                        raise mistake(
                            mark.place,
                            f"{self.name}.{name}",
                            f"@{mark.kind} of {lane._label or 'an unnamed lane'}, which is no lane of {self.name}",
                        )
                self.own_marks.append(Found(mark, "" if lane is None else lane.attribute, name))
        found: dict[tuple[str, str], Found] = {}
        for each in [*(own for base in bases for own in base.own_marks), *self.own_marks]:
            key = (each.mark.kind, each.lane or each.method)
            before = found.get(key)
            if before is not None and each.lane and before.method != each.method:
                raise mistake(
                    each.mark.place,
                    f"{self.name}.{each.method}",
                    f"{each.lane} has its @{each.mark.kind} already: {before.method}",
                    f"do both in {before.method}, or override it under its own name",
                )
            found[key] = each
        return list(found.values())

    def _collect_timers(self) -> None:
        periods = {found.method: period_of(found, self.cls) for found in self._found if found.mark.kind == "every"}
        names: dict[str, None] = {}
        for cls in reversed(self.cls.__mro__):
            if cls in self.ground:
                continue
            for name, value in vars(cls).items():
                if (
                    inspect.isfunction(value)
                    and not (name.startswith("__") and name.endswith("__"))
                    and name not in HOOKS
                ):
                    names[name] = None
        for name in names:
            function = getattr(self.cls, name)
            if not inspect.isfunction(function) or inspect.isgeneratorfunction(function):
                continue
            if parameters(function)[0] > 0:
                if name in periods:
                    raise self._misplaced(function, name, "a timer's method takes nothing besides self")
                continue
            self.timer_numbers[name] = len(self.timers)
            self.timers.append(Timer(name, periods.get(name), is_async(function)))
            self._timer_functions.append(function)

    def _collect_changed(self) -> None:
        order = list(self.lanes)
        found = [each for each in self._found if each.mark.kind == "changed"]
        for each in sorted(found, key=lambda each: order.index(each.lane)):
            lane = self.lanes[each.lane]
            function = self._method(each)
            if is_async(function):
                raise self._misplaced(
                    function,
                    each.method,
                    "a `changed` handler cannot be async",
                    "it is part of the turn that changed the lane",
                )
            if isinstance(lane, Map):
                self._watch({"map": lane.number}, each, function, (3,), "(self, key, new, old)")
            elif isinstance(lane, List):
                self._watch({"map": lane.number}, each, function, (3,), "(self, index, new, old)")
            else:
                assert isinstance(lane, Lane)
                self._watch({"column": lane.column}, each, function, (2, 1), "(self, new) or (self, new, old)")

    def _watch(
        self, watched: Watched, found: Found, function: Callable[..., Any], counts: tuple[int, ...], shape: str
    ) -> None:
        count = next((each for each in counts if takes(function, each)), None)
        if count is None:
            raise self._misplaced(
                function, found.method, f"the `changed` handler of {self.lanes[found.lane]._label} must take {shape}"
            )
        self.changed.append(watched)
        self._changed_functions.append((function, count))

    def _collect_observers(self) -> None:
        for each in self._found:
            kind = each.mark.kind
            if kind != "linked" and kind != "unlinked":
                continue
            lane = self.lanes[each.lane]
            if isinstance(lane, Linked):
                # a hook of the link itself
                continue
            function = self._method(each)
            assert isinstance(lane, Linkable)
            if lane._private:
                raise self._misplaced(
                    function, each.method, f"{lane._label} is private: a leading underscore means that nobody links it"
                )
            if is_async(function):
                raise self._misplaced(
                    function,
                    each.method,
                    f"a `{kind}` observer cannot be async",
                    "start the work by a command or a timer: self.after(0, self.load)",
                )
            if not takes(function, 1):
                raise self._misplaced(
                    function, each.method, f"the `{kind}` observer of {lane._label} must take (self, link)"
                )
            self.observers.append(Observer({lane._place: lane._index}, kind))
            self._observer_functions.append(function)

    def _check_hooks(self) -> None:
        for name in HOOKS:
            hook = getattr(self.cls, name, None)
            if hook is None:
                continue
            if not inspect.isfunction(hook):
                raise mistake(
                    place_of(hook),
                    f"{self.name}.{name}",
                    f"{name} is a hook",
                    f"write it as a method: def {name}(self) -> None",
                )
            if is_async(hook):
                raise self._misplaced(
                    hook,
                    name,
                    "a hook cannot be async",
                    "start the work by a command or a timer: self.after(0, self.load)",
                )
            if not takes(hook, 0):
                raise self._misplaced(hook, name, "a hook takes nothing besides self")

    def _hook(self, name: str) -> Callable[..., Any] | None:
        """None where it does nothing: the core then needs no Python for it."""
        function: Callable[..., Any] = getattr(self.cls, name)
        return None if function is getattr(self.ground[0], name) else function

    def _method(self, found: Found) -> Callable[..., Any]:
        function = getattr(self.cls, found.method, None)
        if not inspect.isfunction(function):
            raise mistake(
                found.mark.place,
                f"{self.name}.{found.method}",
                f"it is no plain method here, and @{found.mark.kind} needs one",
            )
        return function

    def _misplaced(self, function: Callable[..., Any], method: str, what: str, hint: str = "") -> Exception:
        return mistake(place_of(function), f"{self.name}.{method}", what, hint)
