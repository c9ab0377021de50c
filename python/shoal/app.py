"""App: what a program declares. A run, or a test, holds the state."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, overload

import msgspec

from shoal import growth
from shoal.declaration import Declaration
from shoal.errors import DeclarationError, ShoalError
from shoal.handlers import Functions
from shoal.lanes.command import Command
from shoal.lanes.lane import MISSING, Lane
from shoal.lanes.map import Map
from shoal.place import Place, here, mistake, near, not_yet
from shoal.route import parse
from shoal.schema import Schema
from shoal.settings import Settings, check_settings
from shoal.sources import Ingest
from shoal.twin import TwinMeta, forget_randoms
from shoal.undeclared import check_assignments
from shoal.variables import Addable, C, T

if TYPE_CHECKING:
    from shoal._core import Shard
    from shoal.app_link import AppLink
    from shoal.client.live import AsyncLive
    from shoal.duration import Seconds
    from shoal.testing import Kit


class Source(Protocol):
    """Where records come from, other than a file's name or an iterable."""


class Growing(Protocol):
    """A run or a test that takes up lanes which are added while it lasts."""

    shard: Shard
    # ``App._added``, as it has taken them up
    added: int

    def _lanes_added(self) -> None: ...


class Sink(Protocol):
    """Where changes go, other than a name."""


class App(Generic[C]):
    """An application: its twin classes and where their events come from.

    ``config`` is the class of its configuration; ``tz`` is the time zone, by its IANA name, of times without one.
    """

    if TYPE_CHECKING:

        @overload
        def __init__(self: App[None], name: str, /, *, tz: str = "UTC", settings: Settings = ...) -> None: ...
        @overload
        def __init__(self, name: str, /, *, config: type[C], tz: str = "UTC", settings: Settings = ...) -> None: ...

    def __init__(self, name: str, /, *, config: Any = None, tz: str = "UTC", settings: Settings = MISSING) -> None:
        self._place = here()
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", str(name)):
            raise self._mistake(
                f"its name {name!r}",
                "a name has letters, digits, - and _, and starts with a letter: it names files and variables",
            )
        self.name = name
        self.config_type: type[Any] | None = config
        self.tz = tz
        self.zone: tzinfo = self._zone(tz)
        self.settings = Settings() if settings is MISSING else settings
        # in the order of their populations
        self.classes: list[Any] = []
        self.ingests: list[Ingest] = []
        # of the runs and tests in progress, the newest last
        self._configs: list[Any] = []
        # what grows with ``add_lane``: runs and tests in progress, which take it up at a commit
        self._growing: list[Growing] = []
        # counts lanes that ``add_lane`` has added
        self._added = 0
        # lanes that the schemas have and the classes do not show yet
        self._unshown: list[tuple[Schema, str]] = []
        # links of the program, opened by each run and test
        self._links: list[AppLink[Any]] = []
        # of runs and tests in progress: what opens one more link
        self._linking: list[Callable[[AppLink[Any]], None]] = []
        if config is not None:
            self._check_config(config)
        try:
            check_settings(self.settings, f"settings of {name!r}")
        except DeclarationError as error:
            raise mistake(self._place, "", str(error)) from None

    @property
    def config(self) -> C:
        """The configuration of the run or test in progress. Errors: ShoalError while there is none."""
        if not self._configs:
            raise ShoalError(
                f"{self.name}.config exists only while the app runs: "
                "read it in a handler or in on_create, not in a class body"
            )
        config: C = self._configs[-1]
        return config

    @overload
    def twin(self, pattern: str, /) -> Callable[[type[T]], type[T]]: ...
    @overload
    def twin(self, pattern: str, cls: type[T], /) -> type[T]: ...
    def twin(self, pattern: str, cls: Any = None, /) -> Any:
        """Gives a class its place: ``@app.twin("/bus/{id}")``, or ``app.twin("/bus/{id}", Bus)``.

        Errors: DeclarationError for a pattern that another class has, or a class that has its place.
        """
        place = here()
        if cls is None:
            return lambda cls: self._register(pattern, cls, place)
        return self._register(pattern, cls, place)

    def add_lane(self, cls: type[Any], name: str, lane: Addable) -> Addable:
        """Gives a twin class one more lane: ``app.add_lane(Bus, "load", Value(float, 0.0))``; returns the lane.

        A value, a fold, a map or a supply, before a run or while one lasts, from a handler or from asyncio code of its
        loop. Then it is there from the next commit on, where no async handler is under way, also as ``Bus.load``;
        twins that exist have it at its default. A fold may read the lane that was returned before it is there.
        Errors: DeclarationError.
        """
        place = here()
        schema: Schema | None = getattr(cls, "__shoal__", None)
        subject = f"{getattr(cls, '__name__', cls)}.{name}"
        if schema is None or schema.app is not self:
            raise mistake(
                place, subject, f"{cls!r} has no place in the app {self.name!r}", 'register it first: @app.twin("/...")'
            )
        growth.check(schema, name, lane, place)
        for growing in self._growing:
            # in the thread of each
            growing.shard.at()
        self._unshown += [(each, name) for each in growth.add(schema, name, lane)]
        self._added += 1
        for growing in self._growing:
            growing._lanes_added()
        self._show_lanes()
        return lane

    def _show_lanes(self) -> None:
        """The classes show the lanes that were added, once all runs and tests in progress have them."""
        if all(growing.added == self._added for growing in self._growing):
            for schema, name in self._unshown:
                setattr(schema.cls, name, schema.lanes[name])
            self._unshown.clear()

    @contextmanager
    def _while_growing(self, growing: Growing) -> Iterator[None]:
        """While a run or a test takes up lanes that are added."""
        self._growing.append(growing)
        try:
            yield
        finally:
            self._growing.remove(growing)
            self._show_lanes()

    def link(
        self,
        lane: Any,
        /,
        *parameters: object,
        changed: Callable[[Any], None] | None = None,
        kind: Literal["value", "map", "list", "event"] | None = None,
        sync: bool = True,
        prio: float = 0.0,
        rate: float = 0.0,
        **hooks: Any,
    ) -> AsyncLive[Any]:
        """Follows a lane while the app runs: ``app.link(City.speed)``, ``app.link(Bus.stops, "7")``,
        ``app.link("/bus/7", "speed")``; of another server, ``app.link("warp://host:9001/bus/7", "stops", kind="map")``.

        ``changed`` is called in the run's loop with each value that is set; of a map, a list with each change
        (``shoal.warp.Update`` and so on). The link has the newest ``value`` at hand. Hooks: ``on_linked``,
        ``on_synced``, ``on_unlinked``, ``on_closed``, ``on_failed``. Errors: WrongType.
        """
        from shoal.app_link import app_link, hooks_of
        from shoal.client.shared import Terms

        made = app_link(lane, parameters, kind, Terms(sync, rate, prio), hooks_of(hooks), changed)
        self._links.append(made)
        for start in self._linking[-1:]:
            start(made)
        return made

    @contextmanager
    def _while_linking(self, shard: Shard, wake: Callable[[], None]) -> Iterator[None]:
        """While a run or a test has the app's links open."""

        def start(link: AppLink[Any]) -> None:
            link.start(shard, wake)

        for link in self._links:
            start(link)
        self._linking.append(start)
        try:
            yield
        finally:
            self._linking.remove(start)
            for link in self._links:
                link.leave()

    def _hear_links(self, shard: Shard) -> None:
        """Tells the app's links what has come for them."""
        if not self._links:
            return
        for number, what, *arguments in shard.link_news():
            for link in self._links:
                if link.number == number:
                    link.hear(what, *arguments)

    def ingest(
        self,
        source: str | Source | Iterable[Any],
        to: Command[Any] | Callable[[Any], str],
        /,
        *,
        lane: str = "",
        key: str | Mapping[str, str] = "",
        where: Callable[[Any], bool] | None = None,
        time: str = "",
        speed: float | Literal["max"] = "max",
    ) -> None:
        """Declares that the records of a source become commands: ``app.ingest("fixes.jsonl", Bus.report)``.

        ``to`` is the command, or gives each record's node URI, and then ``lane`` names the command. ``key`` is the
        field that holds the URI's parameter, or a mapping, parameter to field; by default the field has the parameter's
        name. ``where`` gets the decoded body and keeps those for which it is true. ``time`` is the field that moves the
        clock; ``speed`` plays by it, so many seconds a second. A source starts with a run, never in a test.
        """
        place = here()
        subject = f"ingest({source!r})"
        if isinstance(to, Command):
            self._check_key(to, lane, key, place, subject)
        elif not callable(to):
            raise mistake(
                place, subject, f"it goes to {to!r}", "give a command, Bus.report, or what returns a record's node URI"
            )
        elif not lane:
            raise mistake(place, subject, "a function gives the node URI", 'lane= names the command: lane="report"')
        elif key:
            raise mistake(place, subject, "a function gives the node URI, so that key= has no use", "leave it out")
        if where is not None and not callable(where):
            raise mistake(
                place,
                subject,
                f"where={where!r} is not callable",
                "it gets the decoded body: where=lambda fix: fix.speed > 0",
            )
        if not isinstance(time, str):
            raise mistake(place, subject, f"time={time!r}", "it names a field of the record")
        if speed != "max" and (type(speed) not in (int, float) or not 0 < speed < float("inf")):
            raise mistake(
                place,
                subject,
                f"speed={speed!r}",
                'it is a number above 0 (60: a minute of records in a second), or "max"',
            )
        self.ingests.append(Ingest(source, to, lane, key, where, time, speed, place))

    def emit(
        self, lane: Lane[Any] | Map[Any, Any] | object, to: Sink | str, /, *, every: Seconds | None = None
    ) -> None:
        """Sends the changes of a lane to a sink."""
        raise not_yet("app.emit", "sinks")

    def run(self, *, host: str = "127.0.0.1", port: int = 9001, store: str | os.PathLike[str] | None = None) -> None:
        """Runs and serves the app until Ctrl-C or SIGTERM, as ``shoal run`` does; port 0 is any that is free.

        ``store`` is the folder that keeps the state across runs; None: nothing is saved.
        """
        from shoal.run import serve

        serve(self, host=host, port=port, store=store)

    def test(self, *, strict: bool = True, config: C = MISSING) -> AbstractContextManager[Kit]:
        """A run in memory, on a clock that the test moves: ``with app.test() as t:``.

        Errors of handlers are raised at its end; ``strict=False`` keeps them in ``t.errors``.
        """
        from shoal.testing import Kit

        return Kit(self, strict=strict, config=None if config is MISSING else config)

    # -- for runs and tests

    def declaration(self) -> tuple[bytes, list[type], list[Functions]]:
        """What ``_core.Shard`` takes. Errors: DeclarationError for members of a class that has no place in this app."""
        numbers: dict[type, int] = {cls: number for number, cls in enumerate(self.classes)}
        schemas: list[Schema] = [cls.__shoal__ for cls in self.classes]
        populations = [schema.declaration(numbers) for schema in schemas]
        data = msgspec.json.encode(Declaration(self.name, self.tz, populations, self.settings))
        return data, list(self.classes), [schema.functions(self.zone) for schema in schemas]

    @contextmanager
    def running(self, config: Any) -> Iterator[None]:
        """While a run or a test lasts: ``config`` is what its handlers read.

        None stands for the defaults. Errors: DeclarationError for a field without one.
        """
        forget_randoms()
        self._configs.append(self._default_config() if config is None else config)
        try:
            yield
        finally:
            self._configs.pop()

    def _default_config(self) -> Any:
        """Errors: DeclarationError for a configuration with fields that have no default."""
        if self.config_type is None:
            return None
        try:
            return self.config_type()
        except TypeError as error:
            raise self._mistake(
                f"its config {self.config_type.__name__} has fields without a default ({error})",
                "give the test one: app.test(config=...)",
            ) from None

    def _register(self, pattern: Any, cls: Any, place: Place) -> Any:
        if not isinstance(cls, TwinMeta):
            raise mistake(place, f"{self.name}.twin", f"{cls!r} is no twin class", "write class Bus(Twin)")
        schema = cls.__shoal__
        route = parse(pattern, place, schema.name)
        if not route.segments:
            raise mistake(place, schema.name, f"the pattern {pattern!r} is empty", 'write it as "/bus/{id}"')
        if schema.route is not None:
            raise mistake(
                place, schema.name, f"it is at {schema.route.pattern} already", "make a subclass for a second place"
            )
        if cls.__name__ == "Twin" and cls.__module__ == "shoal.twin":
            raise mistake(place, "Twin", "it has no lanes of its own", "write class Bus(Twin)")
        for other in self.classes:
            taken: Schema = other.__shoal__
            if taken.route is not None and taken.route.shape == route.shape:
                raise mistake(
                    place,
                    schema.name,
                    f"{pattern} and {taken.route.pattern} of {taken.name} are one route",
                    "give one of them another path",
                )
        check_assignments(cls, schema.ground)
        schema.app, schema.route, schema.population = self, route, len(self.classes)
        self.classes.append(cls)
        return cls

    def _check_key(self, to: Command[Any], lane: str, key: Any, place: Place, subject: str) -> None:
        schema: Schema | None = getattr(to.owner, "__shoal__", None)
        if schema is None or schema.app is not self or schema.route is None:
            raise mistake(
                place, subject, f"{to._label} is of no twin of this app", "register its class first: @app.twin(...)"
            )
        if lane:
            raise mistake(
                place,
                subject,
                "lane= is for a function that gives the node URI",
                "the command says its lane itself: leave it out",
            )
        names = schema.route.parameters
        if isinstance(key, str):
            if key and len(names) != 1:
                shown = ", ".join(f'"{name}": "FIELD"' for name in names)
                raise mistake(
                    place,
                    subject,
                    f"key={key!r}: {schema.route.pattern} has {len(names)} parameters",
                    f"name the field of each: key={{{shown}}}",
                )
        elif isinstance(key, Mapping) and all(isinstance(each, str) for pair in key.items() for each in pair):
            unknown = next((name for name in key if name not in names), None)
            if unknown is not None:
                raise mistake(
                    place,
                    subject,
                    f"key= names `{unknown}`, which is no parameter of {schema.route.pattern}",
                    near(unknown, names),
                )
        else:
            raise mistake(
                place, subject, f"key={key!r}", "it is a field's name, or a mapping from parameters to fields"
            )

    def _zone(self, name: Any) -> tzinfo:
        if name == "UTC":
            return UTC
        import zoneinfo

        try:
            return zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, TypeError, OSError):
            raise self._mistake(
                f"tz={name!r} is no known time zone", 'it is an IANA name, such as "Europe/Berlin"'
            ) from None

    def _check_config(self, config: Any) -> None:
        if not isinstance(config, type) or not (
            issubclass(config, msgspec.Struct) or hasattr(config, "__dataclass_fields__")
        ):
            raise self._mistake(
                f"config={config!r}", "it is a class of settings: class Settings(msgspec.Struct, frozen=True)"
            )

    def _mistake(self, what: str, hint: str) -> DeclarationError:
        return mistake(
            self._place, f"app {getattr(self, 'name', '')!r}" if hasattr(self, "name") else "App", what, hint
        )
