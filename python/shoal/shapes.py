"""What a type is made of, in msgspec's description; and whether its values can change in place."""

from __future__ import annotations

import typing
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ForwardRef, Literal, Union
from uuid import UUID

from msgspec import inspect as shape


class Misfit(Exception):
    """A type or a default that cannot be declared. The lane that finds it adds its place and name."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.what = what
        self.hint = hint


def information(declared: Any) -> shape.Type:
    """msgspec's description of a type. Errors: Misfit for texts and for what msgspec does not know."""
    text = _text_in(declared)
    if text is not None:
        raise Misfit(
            f"its type is the text {text!r}",
            f"types are values: write {text} without quotes, after the class is defined",
        )
    try:
        info = shape.type_info(declared)
    except (TypeError, NameError, AttributeError) as error:
        raise Misfit(
            f"{title(declared)} is no type that Shoal can hold ({error})",
            "use builtins, msgspec Structs or dataclasses",
        ) from None
    while isinstance(info, shape.Metadata):
        info = info.type
    return info


def alternatives(info: shape.Type) -> tuple[shape.Type, ...]:
    return info.types if isinstance(info, shape.UnionType) else (info,)


def allows_none(info: shape.Type) -> bool:
    return any(
        isinstance(each, shape.NoneType) or (isinstance(each, shape.LiteralType) and None in each.values)
        for each in alternatives(info)
    )


def literal_kind(info: shape.LiteralType) -> Literal["text", "int", "mixed"]:
    values = [each for each in info.values if each is not None]
    if any(isinstance(each, bool) for each in values):
        raise Misfit("Literal[True] and Literal[False] are not supported", "use bool")
    if all(isinstance(each, str) for each in values):
        return "text"
    return "int" if all(isinstance(each, int) for each in values) else "mixed"


def title(declared: Any) -> str:
    """A type as a user would write it."""
    if isinstance(declared, type) and not typing.get_args(declared):
        return declared.__qualname__.rpartition("<locals>.")[2]
    return str(declared).replace("typing.", "")


def rebuild(info: shape.Type) -> Any:
    """The type that ``info`` describes, without constraints: values of a body have been checked already."""
    match info:
        case shape.Metadata():
            return rebuild(info.type)
        case shape.UnionType():
            return Union[tuple(rebuild(each) for each in info.types)]  # noqa: UP007
        case shape.LiteralType():
            return Literal[tuple(info.values)]
        case shape.VarTupleType():
            return tuple[rebuild(info.item_type), ...]  # type: ignore[misc]
        case shape.TupleType():
            return tuple[tuple(rebuild(each) for each in info.item_types)]  # type: ignore[misc]
        case shape.FrozenSetType():
            return frozenset[rebuild(info.item_type)]  # type: ignore[misc]
        case shape.ListType():
            return list[rebuild(info.item_type)]  # type: ignore[misc]
        case shape.SetType():
            return set[rebuild(info.item_type)]  # type: ignore[misc]
        case shape.DictType():
            return dict[rebuild(info.key_type), rebuild(info.value_type)]  # type: ignore[misc]
        case shape.AnyType():
            return Any
        case shape.NoneType():
            return None
    cls = getattr(info, "cls", None)
    return cls if cls is not None else SCALARS.get(type(info), Any)


SCALARS: dict[type, Any] = {
    shape.BoolType: bool,
    shape.IntType: int,
    shape.FloatType: float,
    shape.StrType: str,
    shape.BytesType: bytes,
    shape.DateTimeType: datetime,
    shape.DateType: date,
    shape.TimeType: time,
    shape.TimeDeltaType: timedelta,
    shape.DecimalType: Decimal,
    shape.UUIDType: UUID,
}


def check_immutable(info: shape.Type, declared: Any, seen: frozenset[type] = frozenset()) -> None:
    """Errors: Misfit for a type whose values can change in place, or that holds one."""
    inside: list[shape.Type] = []
    match info:
        case shape.ListType():
            raise _mutable(declared, "a list", f"tuple[{title(rebuild(info.item_type))}, ...]")
        case shape.SetType():
            raise _mutable(declared, "a set", f"frozenset[{title(rebuild(info.item_type))}]")
        case shape.DictType():
            raise _mutable(declared, "a dict", "a Map lane, or a frozen Struct")
        case shape.TypedDictType():
            raise _mutable(declared, f"{info.cls.__name__}, a dict,", "a frozen Struct")
        case shape.ByteArrayType() | shape.MemoryViewType():
            raise _mutable(declared, "a buffer", "bytes")
        case shape.AnyType() | shape.CustomType() | shape.RawType() | shape.ExtType():
            raise Misfit(
                f"values of {title(declared)} cannot be kept in a column",
                "name an immutable type (builtins, tuple, frozen Struct or dataclass), or keep it in a Local(...)",
            )
        case shape.StructType():
            if not info.cls.__struct_config__.frozen:
                raise _mutable(
                    declared, f"Struct {info.cls.__name__}", f"class {info.cls.__name__}(msgspec.Struct, frozen=True)"
                )
            inside = [field.type for field in info.fields]
        case shape.DataclassType():
            if not _frozen(info.cls):
                raise _mutable(declared, f"dataclass {info.cls.__name__}", "@dataclass(frozen=True)")
            inside = [field.type for field in info.fields]
        case shape.NamedTupleType():
            inside = [field.type for field in info.fields]
        case shape.UnionType():
            inside = list(info.types)
        case shape.TupleType():
            inside = list(info.item_types)
        case shape.VarTupleType() | shape.FrozenSetType():
            inside = [info.item_type]
        case shape.Metadata():
            inside = [info.type]
    cls = getattr(info, "cls", None)
    if cls in seen:
        return
    for each in inside:
        check_immutable(each, declared, seen | {cls} if cls is not None else seen)


def _mutable(declared: Any, part: str, way_out: str) -> Misfit:
    return Misfit(f"{title(declared)} is mutable: {part} could change without the lane's notice", f"use {way_out}")


def _frozen(cls: type) -> bool:
    parameters = getattr(cls, "__dataclass_params__", None)
    if parameters is not None:
        return bool(parameters.frozen)
    # attrs keeps no flag; a frozen class has this __setattr__
    return getattr(cls.__setattr__, "__name__", "") == "_frozen_setattrs"


def _text_in(declared: Any) -> str | None:
    """A type written as text, anywhere inside."""
    if isinstance(declared, str):
        return declared
    if isinstance(declared, ForwardRef):
        return declared.__forward_arg__
    origin = typing.get_origin(declared)
    if origin is None or origin is Literal:
        return None
    arguments = typing.get_args(declared)
    if origin is typing.Annotated:
        arguments = arguments[:1]
    return next((text for text in map(_text_in, arguments) if text is not None), None)
