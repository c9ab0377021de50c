"""What a reader can try against the demo while it runs: its addresses, for a terminal beside it."""

import dataclasses
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from airspace.snapshot import AircraftReading, Snapshot
from shoal.errors import RunFailed
from shoal.run import Run

PORT = 9001  # where `shoal link` looks by itself


def listen(run: Run) -> str:
    """Serves at the port of the options, or at a free one where that is taken; what to say of it, "" for nothing."""
    try:
        run.listen()
    except RunFailed:
        wanted = run.options.port
        run.options = dataclasses.replace(run.options, port=0)
        run.listen()
        return f"port {wanted} is taken, so the demo serves {run.address}"
    return ""


class Hints:
    """Commands to type, about an aircraft that is in the air."""

    def __init__(self, address: str) -> None:
        """``address`` "": nothing is served, and there are none."""
        self.address = address
        self.shown = ""
        self.shoal = program()

    def of(self, now: Snapshot) -> list[str]:
        if not self.address:
            return []
        self.shown = choose(now.aircraft, self.shown)
        curl = f"curl {self.address}/airspace"
        if not self.shown:
            return [curl]
        node = f"/aircraft/{self.shown}"
        if not self.address.endswith(f":{PORT}"):
            node = self.address.replace("http://", "warp://") + node
        return [f"{self.shoal} link {node} altitude", curl]


def choose(aircraft: Sequence[AircraftReading], shown: str) -> str:
    """The same as before while it flies; else the one whose altitude changes fastest; "" where none flies."""
    flying = {one.icao24: abs(one.climb) for one in aircraft if one.airborne}
    return shown if shown in flying else max(flying, key=flying.__getitem__, default="")


def program() -> str:
    """``shoal`` where the shell finds this one, else its path from here."""
    ours = Path(sys.executable).with_name("shoal")
    found = shutil.which("shoal")
    if found is not None and Path(found).resolve() == ours.resolve():
        return "shoal"
    return os.path.relpath(ours)
