"""What an app declares, as data: the core makes a shard from it (``rust/core/src/declaration.rs`` has the same names).

Numbers are indices into the lists beside them. JSON is the form at the boundary, so that a declaration can come from a
class, an inferred source or a file alike.
"""

from typing import Any, Literal

import msgspec

from shoal.variables import Save

ColumnType = Literal["bool", "int64", "float64", "point", "string", "bytes", "timestamp", "value"]
# "bool" "int" "float" "text" "time" "value" {"text_choice": [...]} {"int_choice": [...]}
Kind = str | dict[str, list[Any]]
# {"literal": "bus"} or {"parameter": "id"}
Segment = dict[Literal["literal", "parameter"], str]
# {"column": 3} or {"map": 0}
Watched = dict[Literal["column", "map"], int]


class Settings(msgspec.Struct, frozen=True):
    """Bounds of a shard and of its server; docs/settings.md says what happens at each."""

    max_sends: int = 10_000
    max_hops: int = 64
    max_rounds: int = 16
    busy_bound: int = 1_000
    commit_turns: int = 4_096
    handler_seconds: float = 5.0
    # of the journal: rust/core/src/journal.rs
    journal_seconds: float = 0.05
    max_loss_seconds: float = 2.0
    journal_queue_bytes: int = 67_108_864
    journal_max_bytes: int = 1_073_741_824
    checkpoint_bytes: int = 67_108_864
    checkpoint_seconds: float = 300.0
    slow_sinks: Literal["wait", "cut"] = "wait"
    # of the server: rust/core/src/limits.rs
    io_threads: int = 1
    max_connections: int = 16_384
    max_header_bytes: int = 16_384
    max_headers: int = 100
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    max_body_bytes: int = 1_048_576
    answer_seconds: float = 10.0
    idle_seconds: float = 120.0
    ping_seconds: float = 30.0
    pong_seconds: float = 60.0
    close_seconds: float = 2.0
    max_frame_bytes: int = 16_777_216
    max_message_bytes: int = 16_777_216
    connection_pings: int = 10
    connection_commands: int = 2_000_000
    connection_intake: int = 1_048_576
    connection_queue: int = 33_554_432
    link_queue: int = 100_000
    connection_links: int = 100_000
    connection_twins: int = 1_000_000
    max_page: int = 1_000
    page_bytes: int = 4_194_304
    max_members: int = 10_000
    compression: int = 0
    origins: str = ""
    # of links and commands to other servers: rust/core/src/remote.rs
    remote_queue: int = 100_000
    remote_seconds: float = 60.0
    remote_hosts: int = 1_000
    remote_open_seconds: float = 10.0
    remote_idle_seconds: float = 10.0
    remote_first_pause: float = 0.5
    remote_longest_pause: float = 30.0
    remote_absent: int = 6
    remote_ca: str = ""


class Column(msgspec.Struct):
    name: str
    type: ColumnType
    default: Any = None
    nullable: bool = False
    settable: bool = False
    save: Save = "async"


class MapTable(msgspec.Struct):
    name: str
    key: ColumnType
    value: ColumnType
    default: Any = None
    limit: int = 10_000
    settable: bool = False
    save: Save = "async"


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
