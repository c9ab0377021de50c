"""Twin: what a user's classes inherit from, and the metaclass that finds their mistakes when they are defined."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, overload

from shoal import _core
from shoal.duration import Seconds, microseconds
from shoal.errors import WrongType
from shoal.handlers import HOOKS, marks
from shoal.lanes.lane import Declared
from shoal.place import Place, here, mistake, near
from shoal.schema import Schema
from shoal.variables import Done, T

if TYPE_CHECKING:
    from logging import LoggerAdapter

    from shoal.route import Route

RESERVED = frozenset(
    ["uri", "params", "now", "random", "log", "at", "after", "cancel", "delete", "on_create", "on_start", "on_stop"]
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Names(dict[str, Any]):
    """The names of a class body in the making: refuses a name that would silently replace a lane or a handler."""

    def __init__(self, cls: str) -> None:
        super().__init__()
        self.cls = cls

    def __setitem__(self, name: str, value: Any) -> None:
        old = self.get(name)
        if isinstance(value, Declared) or isinstance(old, Declared):
            self._check(name, old, value)
        elif old is not None and marks(old) and not (isinstance(value, property) or value is old):
            raise self._wrong(
                name, "this method is defined twice, and the first one handles a lane", "give each its own name"
            )
        super().__setitem__(name, value)

    def _check(self, name: str, old: Any, value: Any) -> None:
        if isinstance(value, Declared) and name in RESERVED:
            hint = (
                f"write it as a method: def {name}(self) -> None"
                if name in HOOKS
                else f'use another one, such as `{name}_`, and name="{name}" for the wire'
            )
            raise self._wrong(name, "the name is reserved: every twin has it", hint)
        if isinstance(value, Declared) and name in _OWN:
            raise self._wrong(name, "the name is Shoal's own", "use another one")
        if old is not None and old is not value:
            if isinstance(old, Declared) and isinstance(value, Declared):
                raise self._wrong(
                    name, f"the lane is declared twice, first in line {old.place.line}", "give one of them another name"
                )
            lane, other = (old, value) if isinstance(old, Declared) else (value, old)
            raise self._wrong(
                name, f"{lane._kind} and a {type(other).__name__} have the same name", "give one of them another name"
            )

    def _wrong(self, name: str, what: str, hint: str) -> Exception:
        return mistake(here(), f"{self.cls}.{name}", what, hint)


class TwinMeta(type):
    """Makes a twin class: without instance attributes, with its own numbered copies of all its lanes."""

    __shoal__: Schema

    @classmethod
    def __prepare__(cls, name: str, bases: tuple[type, ...], /, **options: Any) -> Names:
        return Names(name)

    def __new__(metacls, name: str, bases: tuple[type, ...], names: dict[str, Any], /, **options: Any) -> TwinMeta:
        place = here()
        _check_names(name, names, place)
        names = {**names, "__slots__": ()}
        own = {attribute: value for attribute, value in names.items() if isinstance(value, Declared)}
        cls = super().__new__(metacls, name, bases, names, **options)
        _check_bases(cls, place)
        schemas = [vars(base)["__shoal__"] for base in reversed(cls.__mro__[1:]) if "__shoal__" in vars(base)]
        cls.__shoal__ = Schema(cls, schemas, own)
        return cls


def _check_names(cls: str, names: dict[str, Any], place: Place) -> None:
    if cls == "Twin" and names.get("__module__") == __name__:
        return
    for name, hint in (
        ("__init__", "a twin is made by its first event: set lanes up in on_create, Local objects in Local(make)"),
        ("__new__", "a twin is made by the core: use on_create"),
        ("__del__", "a twin's end is delete(); use on_stop"),
        ("__getattribute__", "lanes are read by the core: use a property"),
        ("__setattr__", "lanes are written by the core: use a `changed` handler"),
    ):
        if name in names:
            raise mistake(_place(names[name], place), f"{cls}.{name}", "a twin class cannot have it", hint)
    if names.get("__slots__", ()) not in ((), []):
        raise mistake(
            place,
            f"{cls}.__slots__",
            "a twin has no attributes besides its lanes",
            "declare a lane, or a Local for a Python object",
        )
    for name, value in names.items():
        if name not in HOOKS:
            check_name(cls, name, _place(value, place))


def check_name(cls: str, name: str, place: Place) -> None:
    """Errors: DeclarationError for a name that no lane and no method may have."""
    if name in RESERVED:
        raise mistake(place, f"{cls}.{name}", "the name is reserved: every twin has it", "use another one")
    if name in _OWN:
        raise mistake(place, f"{cls}.{name}", "the name is Shoal's own", "use another one")


def _place(value: Any, otherwise: Place) -> Place:
    code = getattr(value, "__code__", None)
    return otherwise if code is None else Place(code.co_filename, code.co_firstlineno)


def _check_bases(cls: type, place: Place) -> None:
    if cls.__dictoffset__ == 0:
        for base in cls.__mro__[1:]:
            lane = next((value for value in vars(base).values() if isinstance(value, Declared)), None)
            if lane is not None and not isinstance(base, TwinMeta):
                raise mistake(
                    lane.place,
                    f"{base.__name__}",
                    "it has lanes and is no twin class",
                    f"write class {base.__name__}(Twin): a mixin needs no pattern",
                )
        return
    guilty = next((base for base in reversed(cls.__mro__) if base.__dictoffset__ != 0), cls)
    raise mistake(
        place,
        cls.__name__,
        f"its base {guilty.__name__} gives every instance a __dict__, which no column holds and no rollback undoes",
        f"add __slots__ = () to {guilty.__name__}, or make it a twin class: class {guilty.__name__}(Twin)",
    )


class Params:
    """The parameters of a twin's URI, decoded: ``self.params.id`` of ``/bus/{id}``."""

    __slots__ = ("__route", "__values")

    def __init__(self, route: Route, values: tuple[str, ...]) -> None:
        self.__route = route
        self.__values = values

    def __getattr__(self, name: str) -> str:
        names = self.__route.parameters
        try:
            return self.__values[names.index(name)]
        except ValueError:
            hint = near(name, names)
            raise AttributeError(
                f"{self.__route.pattern} has no parameter `{name}`" + (f"; {hint}" if hint else ""), name=name, obj=self
            ) from None

    def __repr__(self) -> str:
        pairs = zip(self.__route.parameters, self.__values, strict=True)
        return f"Params({', '.join(f'{name}={value!r}' for name, value in pairs)})"


class Twin(_core.Handle, metaclass=TwinMeta):
    """The live counterpart of one entity. Its lanes are declared in the class, its behaviour is its methods.

    A twin exists from its first event until ``delete()``. What a method sees and changes is this turn's: kept as a
    whole when the turn ends, or undone as a whole when it fails.
    """

    __slots__ = ()

    @property
    def params(self) -> Params:
        """The parameters of its URI, decoded."""
        return Params(_route(type(self)), self._parameters())

    @property
    def now(self) -> datetime:
        """The time of the event in progress, in the app's time zone; the same during a whole turn."""
        zone = _app(type(self)).zone
        now = _EPOCH + timedelta(microseconds=self._now())
        return now if zone is UTC else now.astimezone(zone)

    @property
    def random(self) -> Random:
        """Random numbers of this turn: the same in every replay of it."""
        key = (id(self._shard), self._id, self._sequence())
        made = _randoms.get(key)
        if made is None:
            made = _randoms[key] = Random(f"{self._id}:{self._sequence()}")
            if len(_randoms) > _MOST_RANDOMS:
                _randoms.popitem(last=False)
        return made

    @property
    def log(self) -> LoggerAdapter[Any]:
        """Logs with the twin's URI, to the logger ``shoal.APP``. A turn that is undone keeps its log lines."""
        from shoal.log import twin_log

        return twin_log(_app(type(self)).name, self.uri)

    def on_create(self) -> None:
        """Runs once in a twin's life, before its first event."""

    def on_start(self) -> None:
        """Runs when the twin comes to memory."""

    def on_stop(self) -> None:
        """Runs when the twin leaves memory."""

    @overload
    def at(self, cls: type[T], /, *params: object) -> T: ...
    @overload
    def at(self, uri: str, /) -> Any: ...
    def at(self, cls: type[Any] | str, /, *params: object) -> Any:
        """Another twin, to send commands to: ``self.at(City).speeder(self.uri)``. It need not exist yet.

        ``params`` are the parameters of its pattern, texts or whole numbers. Errors: WrongType for too few or many.
        """
        from shoal.reference import Reference

        if isinstance(cls, str):
            if params:
                raise WrongType(f"at({cls!r}) is a whole URI and takes no parameters")
            return Reference(self, cls, ())
        return Reference(self, cls, address(_app(type(self)), cls, params))

    def after(self, delay: Seconds, method: Callable[[], Done], /) -> None:
        """Runs a method of this twin later: ``self.after("30 s", self.offline)``. Again moves it."""
        self._after(_timer(self, method), microseconds(delay))

    def cancel(self, method: Callable[[], Done], /) -> None:
        """Takes back what ``after`` has set, or stops an ``@every``; nothing happens when there is none."""
        self._cancel(_timer(self, method))

    def delete(self) -> None:
        """Ends the twin's life with this turn: its state goes, groups forget it, its next event makes a new one."""
        self._delete()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.uri}>"


def address(app: Any, cls: Any, params: tuple[object, ...]) -> tuple[str, ...]:
    """The URI parameters of a twin of this app. Errors: WrongType for another class, or parameters that do not fit."""
    schema: Schema | None = getattr(cls, "__shoal__", None)
    if schema is None:
        raise WrongType(f"at() takes a twin class with its parameters, or a URI; got {cls!r}")
    if schema.route is None or schema.app is not app:
        raise WrongType(f'{schema.name} has no place in the app {app.name!r}: register it with @app.twin("/...")')
    return schema.route.texts(cls, params)


def _app(cls: TwinMeta) -> Any:
    return cls.__shoal__.app


def _route(cls: TwinMeta) -> Route:
    route = cls.__shoal__.route
    assert route is not None
    return route


def _timer(twin: Twin, method: Any) -> int:
    """The number of a method that may be a timer. Errors: WrongType that says what to give instead."""
    function = getattr(method, "__func__", None)
    if function is None:
        raise WrongType(f"a timer is a method of the twin, such as self.offline; got {method!r}")
    owner = method.__self__
    if owner is not twin and not (isinstance(owner, Twin) and owner._id == twin._id and owner._shard is twin._shard):
        raise WrongType(f"a timer is a method of the twin itself, not of {owner!r}; send that twin a command instead")
    schema = type(twin).__shoal__
    name = function.__name__
    number = schema.timer_numbers.get(name)
    if number is None:
        raise WrongType(
            f"{schema.name}.{name} cannot be a timer: it takes arguments, or is a hook; keep what it needs in a lane"
        )
    if getattr(type(twin), name) is not function:
        raise WrongType(f"{schema.name} overrides {name}: a timer runs self.{name}")
    return number


# The generators of turns in progress; several only where async turns are in flight.
_MOST_RANDOMS = 1_024
_randoms: OrderedDict[tuple[int, int, int], Random] = OrderedDict()


def forget_randoms() -> None:
    """At the start of a run: another shard may get the identity of one that is gone."""
    _randoms.clear()


# Names of the native handle and of this class that no twin class may take.
_OWN = frozenset(name for name in (*dir(_core.Handle), *vars(Twin)) if not name.startswith("__")) - RESERVED
