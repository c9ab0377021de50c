"""From a lane's declared type to its column: the column's own type, and what turns values into its form and back.

bool, int, float, str, bytes, datetime and Point, each optionally ``| None``, are columns of their own; a ``Literal`` of
texts or of whole numbers is one with a check. All other immutable types live in ``value`` columns, as builtins; so does
``Any``: whatever JSON and Recon carry, read back as tuples and read-only mappings.
"""

from __future__ import annotations

import functools
import math
import types
import typing
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, NamedTuple, Union

import msgspec
from msgspec import inspect as shape

from shoal._core import frozen
from shoal.conversion import convert
from shoal.declaration import ColumnType
from shoal.errors import WrongType
from shoal.shapes import SCALARS, Misfit, allows_none, alternatives, check_immutable, information, literal_kind, title

# What a `value` column keeps as it is; everything else becomes the builtins that JSON knows.
NATIVE = (bytes, datetime)


class Point(NamedTuple):
    """A place on the earth, in degrees (WGS 84)."""

    lat: float
    lon: float


class Form(NamedTuple):
    """How values of one declared type are kept in a column."""

    type: Any
    column: ColumnType
    nullable: bool
    # the values allowed beyond the column's own type, or None where the column's check is enough
    choices: frozenset[Any] | None
    # beyond the column's type, msgspec's constraints hold
    constrained: bool
    # classes that a value of a `value` column may have
    classes: tuple[type, ...]

    @property
    def number(self) -> bool:
        return self.column in ("int64", "float64")

    def required(self) -> Form:
        """The same without None."""
        if self.type is Any:
            return self._replace(nullable=False)
        if not self.nullable:
            return self
        return form_of(_without_none(self.type))

    def decoder(self) -> Callable[[Any], Any] | None:
        """From the column's builtin form to the declared type; None where they are the same."""
        if self.column != "value":
            return None
        if self.type is Any:
            return frozen
        return functools.partial(convert, declared=self.type)

    def encoder(self, label: str) -> Callable[[Any], Any] | None:
        """The way back, which also checks what the column cannot; None where there is nothing to do.

        The function raises WrongType, which names ``label``, the lane.
        """
        if self.type is Any:
            return None
        if self.column == "value":
            return functools.partial(_encode_value, self, label)
        if self.choices is not None:
            return functools.partial(_check_choice, self, label)
        if self.constrained:
            return functools.partial(_check_constraints, self, label)
        return None

    def initial(self, default: Any) -> Any:
        """A default as the declaration has it (JSON). Errors: Misfit where it is of another type."""
        try:
            plain = _native(self, default)
            encode = self.encoder("the default")
            if encode is not None:
                plain = encode(plain)
        except WrongType as error:
            raise Misfit(f"the default {default!r} is no {title(self.type)}", str(error)) from None
        if self.column == "bytes" and plain is not None:
            return list(plain)
        return msgspec.json.decode(msgspec.json.encode(plain))


def form_of(declared: Any) -> Form:
    """Errors: Misfit for what cannot be a lane's type, naming the way out."""
    info = information(declared)
    if isinstance(info, shape.AnyType):
        # what JSON and Recon carry, kept as it is and read back frozen
        return Form(Any, "value", True, None, False, ())
    check_immutable(info, declared)
    nullable = allows_none(info)
    kinds = [each for each in alternatives(info) if not isinstance(each, shape.NoneType)]
    if not kinds:
        raise Misfit("None is the only value that its type allows", "declare what else it may hold: `float | None`")
    column: ColumnType = "value"
    choices: frozenset[Any] | None = None
    constrained = False
    if len(kinds) == 1:
        column, choices, constrained = _column(kinds[0])
    return Form(
        declared, column, nullable, choices, constrained, tuple({each for kind in kinds for each in classes_of(kind)})
    )


_COLUMNS: list[tuple[shape.Type, ColumnType]] = [
    (shape.BoolType(), "bool"),
    (shape.IntType(), "int64"),
    (shape.FloatType(), "float64"),
    (shape.StrType(), "string"),
    (shape.BytesType(), "bytes"),
    (shape.DateTimeType(), "timestamp"),
]


def _column(info: shape.Type) -> tuple[ColumnType, frozenset[Any] | None, bool]:
    """(column, choices, constrained)"""
    if isinstance(info, shape.NamedTupleType) and info.cls is Point:
        return "point", None, False
    if isinstance(info, shape.LiteralType):
        kind = literal_kind(info)
        if kind == "mixed":
            return "value", None, False
        return ("string" if kind == "text" else "int64"), frozenset(info.values) - {None}, False
    if isinstance(info, shape.DateTimeType) and info.tz is False:
        raise Misfit("it asks for times without a zone", "a lane holds an instant: leave tz=False out")
    for plain, column in _COLUMNS:
        if type(info) is type(plain):
            return column, None, info != plain and not isinstance(info, shape.DateTimeType)
    return "value", None, False


def classes_of(info: shape.Type) -> tuple[type, ...]:
    """What a value of this type is an instance of, at its top."""
    match info:
        case shape.VarTupleType() | shape.TupleType():
            return (tuple,)
        case shape.FrozenSetType():
            return (frozenset,)
        case shape.ListType():
            return (list, tuple)
        case shape.DictType() | shape.TypedDictType():
            return (dict,)
        case shape.NoneType():
            return (type(None),)
        case shape.FloatType():
            return (float, int)
        case shape.LiteralType():
            return tuple({type(each) for each in info.values if each is not None})
    cls = getattr(info, "cls", None)
    if cls is not None:
        return (cls,)
    known = SCALARS.get(type(info))
    return (known,) if known is not None else ()


def _without_none(declared: Any) -> Any:
    origin = typing.get_origin(declared)
    if origin is Literal:
        return Literal[tuple(each for each in typing.get_args(declared) if each is not None)]
    if origin is typing.Annotated:
        return _without_none(typing.get_args(declared)[0])
    if origin not in (Union, types.UnionType):
        return declared
    kept = [_without_none(each) for each in typing.get_args(declared) if each is not type(None)]
    return Union[tuple(kept)]  # noqa: UP007


def _native(form: Form, value: Any) -> Any:
    """What the core's column would take; a default meets it long before a column does."""
    if value is None:
        if form.nullable:
            return None
        raise WrongType(f"None is not allowed: write `{title(form.type)} | None`, or leave the default out")
    match form.column:
        case "bool":
            fits = type(value) is bool
        case "int64":
            fits = (type(value) is int or (type(value) is float and value.is_integer())) and -(2**63) <= value < 2**63
            value = int(value) if fits else value
        case "float64":
            fits = isinstance(value, (int, float)) and type(value) is not bool and abs(value) < float("inf")
            value = float(value) if fits else value
        case "string":
            fits = isinstance(value, str)
        case "bytes":
            fits = type(value) is bytes
        case "timestamp":
            if isinstance(value, datetime) and value.tzinfo is None:
                raise WrongType(f"{value!r} has no time zone: add one, such as tzinfo=timezone.utc")
            fits = isinstance(value, datetime)
        case "point":
            fits = isinstance(value, Point) and all(type(x) in (int, float) and abs(x) < float("inf") for x in value)
        case "value":
            return value
    if not fits:
        raise WrongType(f"it is {type(value).__name__}, not {title(form.type)}")
    return value


def _encode_value(form: Form, label: str, value: Any) -> Any:
    if value is None and form.nullable:
        return None
    if not isinstance(value, form.classes):
        raise WrongType(f"{label} takes {title(form.type)}, got {type(value).__name__} {value!r}")
    try:
        plain = msgspec.to_builtins(value, builtin_types=NATIVE)
        # Structs and dataclasses do not check their fields when they are made
        msgspec.convert(plain, type=form.type)
        check_finite(plain)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise WrongType(f"{label} takes {title(form.type)}: {error}") from None
    return plain


def check_finite(plain: Any) -> None:
    if isinstance(plain, float) and not math.isfinite(plain):
        raise ValueError(f"{plain} is no number that a lane holds")
    if isinstance(plain, (tuple, list)):
        for each in plain:
            check_finite(each)
    elif isinstance(plain, dict):
        check_finite(list(plain.values()))


def _check_choice(form: Form, label: str, value: Any) -> Any:
    assert form.choices is not None
    if value is None and form.nullable:
        return None
    if type(value) not in (str, int) or value not in form.choices:
        raise WrongType(f"{label} takes {title(form.type)}, got {value!r}")
    return value


def _check_constraints(form: Form, label: str, value: Any) -> Any:
    try:
        return msgspec.convert(_native(form, value), type=form.type)
    except msgspec.ValidationError as error:
        raise WrongType(f"{label} takes {title(form.type)}: {error}") from None
