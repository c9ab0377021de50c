"""Stores that are looked after: what they hold, copied, exported, mended. Only a backup goes along with a run.

All raise ``RunFailed``: what is wrong, where, and how to mend it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from shoal import _core
from shoal.control import ask


class Records(msgspec.Struct, frozen=True):
    """What is held of a shard: from ``first`` to ``last``; none where ``first`` is the greater."""

    shard: int
    epoch: int
    first: int
    last: int
    bytes: int


class Checkpoint(msgspec.Struct, frozen=True):
    number: int
    folder: str
    bytes: int


class Cut(msgspec.Struct, frozen=True):
    """So many bytes of a record that a stop of the machine had left unfinished, behind this one."""

    after: int
    bytes: int


class Report(msgspec.Struct, frozen=True):
    """``problems``: sentences; none: all is as it was written. ``orphans``: folders that belong to no checkpoint."""

    app: str
    shards: list[Records]
    checkpoints: list[Checkpoint]
    orphans: list[str]
    cut: Cut | None
    problems: list[str]


class Compacted(msgspec.Struct, frozen=True):
    """Sizes of the journal's file."""

    bytes_before: int
    bytes_after: int
    orphans: list[str]


class Lost(msgspec.Struct, frozen=True):
    """Records; ``last`` None: how many there were cannot be told. µs since 1970 UTC, where known."""

    first: int
    last: int | None
    since: int | None
    until: int | None


class Kept(msgspec.Struct, frozen=True):
    shard: int
    checkpoint: int | None
    through: int
    lost: Lost | None


class Repaired(msgspec.Struct, frozen=True):
    """``aside``: what the damaged files are called now; none: nothing was damaged, and nothing was changed."""

    aside: list[str]
    shards: list[Kept]
    notes: list[str]


class Exported(msgspec.Struct, frozen=True):
    """The state is that of ``record``."""

    record: int
    twins: int
    files: int
    bytes: int


def check(folder: Path) -> Report:
    """Reads and verifies all of a store."""
    return msgspec.json.decode(_core.store_check(folder), type=Report)


def compact(folder: Path) -> Compacted:
    """Removes what no start needs."""
    return msgspec.json.decode(_core.store_compact(folder), type=Compacted)


def repair(folder: Path, app: str | None = None) -> Repaired:
    """Keeps all that verifies; ``app`` is the app's name, in case the store does not say it any more."""
    return msgspec.json.decode(_core.store_repair(folder, app), type=Repaired)


def export(folder: Path, to: Path, form: Literal["arrow", "jsonl"] = "arrow") -> Exported:
    """Writes the present state into a new folder: an Arrow IPC file or more a class and map, or ``CLASS.jsonl``."""
    return msgspec.json.decode(_core.store_export(folder, to, form), type=Exported)


def backup(folder: Path, to: Path, seconds: float) -> str:
    """Copies a store into a new folder, by the run that has it where there is one; what was copied, as a sentence."""
    done = ask(folder, to, seconds)
    if done is None:
        done = f"{to.absolute()}: all records up to {_core.store_backup(folder, to)}"
    return done
