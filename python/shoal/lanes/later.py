"""Lanes that this version does not carry out yet: typed, and refused where they are declared."""

from __future__ import annotations

from typing import Any, Literal

from shoal.duration import Seconds
from shoal.lanes.command import Command
from shoal.lanes.fold import Fold
from shoal.lanes.lane import Lane
from shoal.place import not_yet
from shoal.variables import Save

WINDOWS = "windows and histories"


class Idle(Fold[bool]):
    """True when its source was silent for that long."""

    def __init__(
        self,
        src: Command[Any] | Lane[Any],
        after: Seconds,
        /,
        *,
        name: str = "",
        unit: str = "",
        doc: str = "",
        save: Save = "async",
        readonly: Literal[True] = True,
    ) -> None:
        raise not_yet("Idle", WINDOWS)
