"""What a command takes: how the core decodes it, and how the Python object is made of what was decoded.

A builtin, or a Struct, dataclass or TypedDict of builtins and of `Any`, is decoded by the core into slots, a slot a
field. Every other type (constraints, hooks, unions, nested records) is read to a tree, which msgspec validates: slots
are then the paths that folds read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import inspect as shape

from shoal.conversion import convert
from shoal.declaration import Body, BodyField, Kind
from shoal.shapes import Misfit, allows_none, alternatives, information, literal_kind, rebuild, title
from shoal.types import NATIVE, Form, form_of

# Of `Body.given`, a 64-bit number.
_MOST_FIELDS = 64

Path = tuple[str, ...]


class BodyShape(NamedTuple):
    """A command's body type, looked at once."""

    type: Any
    kind: Literal["nothing", "scalar", "record", "tree"]
    info: shape.Type | None
    fields: tuple[shape.Field, ...]

    @property
    def title(self) -> str:
        return title(self.type)


NOTHING = BodyShape(None, "nothing", None, ())


def shape_of(declared: Any) -> BodyShape:
    """Errors: Misfit for a type that msgspec cannot decode."""
    info = information(declared)
    if isinstance(info, shape.CustomType):
        raise Misfit(
            f"{title(declared)} cannot be decoded from JSON",
            "use a Struct, a dataclass, a TypedDict or builtins as the body",
        )
    scalar = scalar_kind(info)
    if scalar is not None and scalar[0] != "value":
        return BodyShape(declared, "scalar", info, ())
    fields = fields_of(info)
    if isinstance(declared, type) and _plain(info, fields):
        return BodyShape(declared, "record", info, fields)
    return BodyShape(declared, "tree", info, fields)


def scalar_kind(info: shape.Type) -> tuple[Kind, bool] | None:
    """(kind, whether None is allowed) of what the core decodes by itself; None for everything else."""
    kinds = [each for each in alternatives(info) if not isinstance(each, shape.NoneType)]
    if len(kinds) != 1:
        return None
    if isinstance(kinds[0], shape.LiteralType):
        literal = literal_kind(kinds[0])
        if literal == "mixed":
            return None
        return {f"{literal}_choice": [each for each in kinds[0].values if each is not None]}, allows_none(info)
    for plain, kind in _KINDS:
        if kinds[0] == plain:
            return kind, allows_none(info)
    return None


_KINDS: list[tuple[shape.Type, Kind]] = [
    (shape.BoolType(), "bool"),
    (shape.IntType(), "int"),
    (shape.FloatType(), "float"),
    (shape.StrType(), "text"),
    (shape.DateTimeType(), "time"),
    (shape.AnyType(), "value"),
]


def fields_of(info: shape.Type) -> tuple[shape.Field, ...]:
    """Fields of a record type; of a ``| None`` of one, too. Empty for everything else."""
    kinds = [each for each in alternatives(info) if not isinstance(each, shape.NoneType)]
    if len(kinds) == 1 and isinstance(
        kinds[0], (shape.StructType, shape.DataclassType, shape.TypedDictType, shape.NamedTupleType)
    ):
        return tuple(kinds[0].fields)
    return ()


def _plain(info: shape.Type, fields: tuple[shape.Field, ...]) -> bool:
    """Whether the core can decode it and the class adds nothing of its own."""
    if not 0 < len(fields) <= _MOST_FIELDS:
        return False
    if any(scalar_kind(field.type) is None for field in fields):
        return False
    match info:
        case shape.StructType():
            cls = info.cls
            return (
                info.tag is None
                and not info.array_like
                and not info.forbid_unknown_fields
                and not hasattr(cls, "__post_init__")
                and cls.__init__ is msgspec.Struct.__init__
            )
        case shape.DataclassType():
            made: Any = info.cls
            parameters = getattr(made, "__dataclass_params__", None)
            return (
                parameters is not None
                and parameters.init
                and not hasattr(made, "__post_init__")
                and len(made.__dataclass_fields__) == len(fields)
                and all(field.init for field in made.__dataclass_fields__.values())
            )
    return isinstance(info, shape.TypedDictType)


class BodyPlan(NamedTuple):
    """One command of one class: its body type for the core, and the slot of each path that is read."""

    body: BodyShape
    declared: Body
    slots: dict[Path, int]
    # the field that holds the event's time, or ""
    time: str

    @property
    def time_slot(self) -> int | None:
        return self.slots.get((self.time,))

    def codec(self, zone: tzinfo) -> tuple[Any, ...]:
        """As in ``Functions.bodies``. ``zone`` is the app's: times without a zone are in it."""
        if self.body.kind == "nothing":
            return ("nothing",)
        if self.body.kind == "scalar":
            return ("scalar",)
        if isinstance(self.declared, dict) and "record" in self.declared:
            return _codec(self.body, [field.name for field in self.body.fields])
        return _tree_codec(self.body, list(self.slots), self.time, zone)


def plan(body: BodyShape, paths: Sequence[Path], time: str) -> BodyPlan:
    """``paths`` are those that folds read; ``time`` is the field that holds the event's time, or ""."""
    if body.info is None:
        return BodyPlan(body, "nothing", {}, "")
    scalar = scalar_kind(body.info)
    if scalar is not None and body.kind == "scalar":
        return BodyPlan(body, {"scalar": {"kind": scalar[0], "nullable": scalar[1]}}, {(): 0}, "")
    if body.kind == "record" and all(len(path) == 1 for path in paths):
        fields = [_field(field) for field in body.fields]
        slots: dict[Path, int] = {(field.name,): i for i, field in enumerate(body.fields)}
        return BodyPlan(body, {"record": {"fields": fields}}, slots, time)
    wanted = dict.fromkeys([*paths, (time,)] if time else paths)
    return BodyPlan(body, {"tree": {"slots": len(wanted)}}, {path: i for i, path in enumerate(wanted)}, time)


def _field(field: shape.Field) -> BodyField:
    scalar = scalar_kind(field.type)
    assert scalar is not None
    return BodyField(field.encode_name, scalar[0], scalar[1], bool(field.required))


def _codec(body: BodyShape, names: list[str]) -> tuple[Any, ...]:
    if isinstance(body.info, shape.TypedDictType):
        return ("dict", tuple(names))
    positional = tuple(getattr(body.type, "__match_args__", ())) == tuple(names)
    return ("call", body.type, tuple(names), positional)


def _tree_codec(body: BodyShape, paths: Sequence[Path], time: str, zone: tzinfo) -> tuple[Any, ...]:
    assert body.info is not None
    declared = body.type
    readers = [(path, _slot_form(body.info, path)) for path in paths if path != (time,)]
    clock = [number for number, path in enumerate(paths) if path == (time,)]
    instants = {field.encode_name for field in body.fields if _is_time(field.type)}
    own_time = next((field.encode_name for field in body.fields if field.name == time), "")

    def admit(tree: Any, lax: bool, source_time: str = "") -> tuple[Any, list[Any]]:
        """Validates: msgspec.ValidationError says what is wrong and where. ``source_time`` is the field that ``ingest``
        names as the time.
        """
        key = source_time or own_time
        if key in instants and isinstance(tree, dict) and key in tree:
            tree = {**tree, key: _instant(tree[key], zone)}
        made = convert(tree, declared, lax)
        slots = [_slot(made, path, encode, zone) for path, encode in readers]
        for number in clock:
            slots.insert(number, _instant(_slot(made, (time,), None, zone), zone))
        return made, slots

    def encode(value: Any) -> Any:
        return msgspec.to_builtins(value, builtin_types=NATIVE, str_keys=True)

    return ("tree", admit, encode)


def _is_time(info: shape.Type) -> bool:
    return any(isinstance(each, shape.DateTimeType) for each in alternatives(info))


def _slot_form(info: shape.Type, path: Path) -> Callable[[Any], Any] | None:
    """What turns the value at ``path`` into a column's builtin form."""
    for name in path:
        info = next(field.type for field in fields_of(info) if field.name == name)
    try:
        return _form(info).encoder(".".join(path) or "the body")
    except Misfit:
        # a mutable value can only be counted or be the time, which need no form
        return lambda value: None if value is None else True


def _slot(value: Any, path: Path, encode: Callable[[Any], Any] | None, zone: tzinfo) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
        if value is None or value is msgspec.UNSET:
            return None
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=zone)
    return value if encode is None else encode(value)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _instant(value: Any, zone: tzinfo) -> Any:
    """A time field's number is s, ms or µs since 1970 by its magnitude; a text without a zone is in the app's."""
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            scale = 1_000_000 if abs(value) < 1e11 else 1_000 if abs(value) < 1e14 else 1
            return _EPOCH + timedelta(microseconds=round(value * scale))
        if isinstance(value, str):
            made = msgspec.convert(value, datetime)
            return made if made.tzinfo is not None else made.replace(tzinfo=zone)
    except (msgspec.ValidationError, OverflowError, ValueError):
        # left to the body's own validation, which says what is wrong with it
        return value
    return value


def path_type(info: shape.Type, path: Path) -> shape.Type:
    """The type at a path. A None on the way makes it optional. Errors: KeyError with the name that is not there."""
    optional = False
    for name in path:
        optional = optional or allows_none(info)
        found = next((field.type for field in fields_of(info) if field.name == name), None)
        if found is None:
            raise KeyError(name)
        info = found
    return shape.UnionType((*alternatives(info), shape.NoneType())) if optional and not allows_none(info) else info


def path_form(info: shape.Type, path: Path) -> Form:
    """The column form of the values at a path. Errors: KeyError, Misfit."""
    return _form(path_type(info, path))


def _form(info: shape.Type) -> Form:
    """Errors: Misfit."""
    # `Any | None` is no type of msgspec's own
    anything = any(isinstance(each, shape.AnyType) for each in alternatives(info))
    return form_of(Any if anything else rebuild(info))
