"""Methods that Shoal calls: the marks that decorators leave, and the methods of a final class that they lead to.

A decorator marks the function; the class collects the marks and dispatches by the method's name, so that overriding a
method works as in any Python class.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

from shoal.duration import Seconds, microseconds
from shoal.errors import WrongType
from shoal.lanes.lane import Declared
from shoal.place import Place, here, mistake
from shoal.variables import Done, S

Method = Literal["get", "put", "post", "delete"]
MarkKind = Literal[
    "handler",
    "get",
    "put",
    "post",
    "delete",
    "keys",
    "changed",
    "every",
    "linked",
    "synced",
    "unlinked",
    "closed",
    "failed",
]
F = TypeVar("F", bound=Callable[..., Any])
HOOKS = ("on_create", "on_start", "on_stop")
# of HTTP, as request lanes may have handlers for them; rust/core/src/request.rs has the same order
METHODS: tuple[Method, ...] = ("get", "put", "post", "delete")
LINK_HOOKS: tuple[MarkKind, ...] = ("linked", "synced", "unlinked", "closed", "failed")
_MARKS = "__shoal_marks__"


class Functions(NamedTuple):
    """The Python half of one population: what the declaration's numbers call."""

    # handlers[i] of command i, None where there is none
    handlers: list[Callable[..., Any] | None]
    # (function, number of arguments after self) of changed lane i
    changed: list[tuple[Callable[..., Any], int]]
    timers: list[Callable[..., Any]]
    create: Callable[..., Any] | None
    start: Callable[..., Any] | None
    stop: Callable[..., Any] | None
    # body i of command i: how the core makes the Python object. One of
    #   ("nothing",)                       the handler takes no body
    #   ("scalar",)                        the builtin itself
    #   ("call", cls, names, positional)   cls(*values) or cls(**given); positional: all fields are positional, in order
    #   ("dict", names)                    a dict of the fields that were given (TypedDict)
    #   ("tree", admit, encode)            admit(builtins, lax: bool, source's time field) -> (body, [slot values])
    #                                      validates or raises;
    #                                      encode(body) -> builtins
    bodies: list[tuple[Any, ...]]
    # of command i: what turns a request's reply into builtins (WrongType where it is none); None for commands
    replies: list[Callable[[Any], Any] | None]
    # of command i: a request's handlers of single methods, in the order of METHODS; empty for commands
    methods: list[list[Callable[..., Any] | None]]
    # decode functions of column i
    columns: list[Callable[[Any], Any] | None]
    # encode functions of column i: what a value that is set from outside goes through
    encoders: list[Callable[[Any], Any] | None]
    # (decode_key, decode_value, encode_key, encode_value) of map i
    maps: list[tuple[Any, Any, Any, Any]]
    # hooks of link i, in the order of LINK_HOOKS, each with its number of arguments after self
    links: list[list[tuple[Callable[..., Any], int] | None]]
    # (compute(twin, key, link), keys(twin, link) or None) of demand lane i; both give the lane's builtin form
    demands: list[tuple[Callable[..., Any], Callable[..., Any] | None]]
    observers: list[Callable[..., Any]]


class Mark(NamedTuple):
    """What a decorator says about a function."""

    kind: MarkKind
    # the command or lane; None for "every"
    lane: Declared | None
    # the span of "every", as it was written
    period: Seconds
    place: Place


def mark(fn: F, kind: MarkKind, lane: Declared | None, period: Seconds = 0) -> F:
    """Leaves a mark on a function of a class body and returns the function itself."""
    if not inspect.isfunction(fn):
        raise mistake(
            here(),
            f"@{kind}",
            f"{fn!r} is not a function",
            "decorate a plain method of the class, below any other decorator",
        )
    fn.__dict__.setdefault(_MARKS, []).append(Mark(kind, lane, period, here()))
    return fn


def marks(fn: Any) -> list[Mark]:
    return fn.__dict__.get(_MARKS, []) if inspect.isfunction(fn) else []


def every(period: Seconds, /) -> Callable[[Callable[[S], Done]], Callable[[S], Done]]:
    """Decorates a method that each twin runs at a fixed period: ``@every("1 min")``."""

    def decorate(fn: Callable[[S], Done]) -> Callable[[S], Done]:
        return mark(fn, "every", None, period)

    return decorate


class Found(NamedTuple):
    """A mark's method in a final class."""

    mark: Mark
    # the attribute of the lane; "" for "every"
    lane: str
    method: str


def parameters(fn: Callable[..., Any]) -> tuple[int, float]:
    """(fewest, most) positional arguments after self; (1000, 1000) where a keyword is required: nobody can call it."""
    fewest = most = 0.0
    for parameter in list(inspect.signature(fn).parameters.values())[1:]:
        match parameter.kind:
            case inspect.Parameter.POSITIONAL_ONLY | inspect.Parameter.POSITIONAL_OR_KEYWORD:
                most += 1
                fewest += parameter.default is inspect.Parameter.empty
            case inspect.Parameter.VAR_POSITIONAL:
                most = float("inf")
            case inspect.Parameter.KEYWORD_ONLY if parameter.default is inspect.Parameter.empty:
                return 1000, 1000
    return int(fewest), most


def takes(fn: Callable[..., Any], count: int) -> bool:
    fewest, most = parameters(fn)
    return fewest <= count <= most


def is_async(fn: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(fn)


def place_of(fn: Callable[..., Any]) -> Place:
    code = getattr(inspect.unwrap(fn), "__code__", None)
    return Place() if code is None else Place(code.co_filename, code.co_firstlineno)


def period_of(found: Found, cls: type) -> int:
    """µs of an ``@every``. Errors: DeclarationError for what is no span of time, or none at all."""
    subject = f"{cls.__name__}.{found.method}"
    try:
        span = microseconds(found.mark.period)
    except WrongType as error:
        raise mistake(found.mark.place, subject, f"@every: {error}") from None
    if span == 0:
        raise mistake(found.mark.place, subject, "@every needs a period above 0")
    return span
