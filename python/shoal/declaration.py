"""What an app declares, as data: the core makes a shard from it (``rust/core/src/declaration.rs`` has the same names).

Numbers are indices into the lists beside them. JSON is the form at the boundary, so that a declaration can come from a
class, an inferred source or a file alike.
"""

from typing import Any, Literal

import msgspec

ColumnType = Literal["bool", "int64", "float64", "point", "string", "bytes", "timestamp", "value"]
# "bool" "int" "float" "text" "time" "value" {"text_choice": [...]} {"int_choice": [...]}
Kind = str | dict[str, list[Any]]
# {"literal": "bus"} or {"parameter": "id"}
Segment = dict[Literal["literal", "parameter"], str]
# {"column": 3} or {"map": 0}
Watched = dict[Literal["column", "map"], int]


class Settings(msgspec.Struct, frozen=True):
    """Bounds of a shard; docs/settings.md says what happens at each."""

    max_sends: int = 10_000
    max_hops: int = 64
    max_rounds: int = 16
    busy_bound: int = 1_000
    commit_turns: int = 4_096
    handler_seconds: float = 5.0


class Column(msgspec.Struct):
    name: str
    type: ColumnType
    default: Any = None
    nullable: bool = False
    settable: bool = False


class MapTable(msgspec.Struct):
    name: str
    key: ColumnType
    value: ColumnType
    default: Any = None
    limit: int = 10_000
    settable: bool = False


class BodyField(msgspec.Struct):
    name: str
    kind: Kind
    nullable: bool = False
    required: bool = False


# "nothing", {"scalar": {"kind": Kind, "nullable": bool}}, {"record": {"fields": [BodyField]}}, {"tree": {"slots": int}}
Body = str | dict[str, dict[str, Any]]


class CommandLane(msgspec.Struct):
    name: str
    body: Body
    handler: bool | None = None
    time_slot: int | None = None


class Fold(msgspec.Struct, omit_defaults=True):
    """``input`` is ``{"command": {"command": i, "slots": [..]}}``, ``{"column": i}``, ``{"map": i}`` or ``"members"``.

    ``alpha`` and ``half_life`` (µs) belong to ``ewma``; ``limit`` (``{"constant": x}`` or ``{"column": i}``), ``clear``
    and ``hold`` (µs) to ``above`` and ``below``. ``window`` is ``{"last": µs}`` or ``{"every": µs}``.
    ``last`` (µs) and ``count`` belong to ``history``, ``text`` to ``alarm``.
    """

    out: int
    input: str | dict[str, Any]
    fold: Literal["latest", "count", "sum", "mean", "min", "max", "ewma", "above", "below", "history", "alarm"]
    alpha: float | None = None
    half_life: int | None = None
    limit: dict[str, Any] | None = None
    clear: float | None = None
    hold: int = 0
    window: dict[str, int] | None = None
    last: int | None = None
    count: int | None = None
    text: str = ""


class Hooks(msgspec.Struct):
    create: bool = False
    start: bool = False
    stop: bool = False


class Timer(msgspec.Struct):
    name: str
    every: int | None = None
    is_async: bool = False


class Rollup(msgspec.Struct):
    kind: Literal["sum", "mean", "min", "max", "count"]
    column: int | None
    out: int


class MembersTable(msgspec.Struct):
    name: str
    population: int
    by: list[int] | None
    rollups: list[Rollup]


class Population(msgspec.Struct):
    name: str
    pattern: list[Segment]
    columns: list[Column] = []
    maps: list[MapTable] = []
    commands: list[CommandLane] = []
    folds: list[Fold] = []
    changed: list[Watched] = []
    hooks: Hooks = msgspec.field(default_factory=Hooks)
    timers: list[Timer] = []
    members: list[MembersTable] = []


class Declaration(msgspec.Struct):
    app: str
    zone: str
    populations: list[Population]
    settings: Settings = Settings()
