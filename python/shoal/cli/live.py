"""A link on a terminal: the lane's state, drawn again as it changes."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.table import Table
from rich.text import Text

from shoal.cli.formats import cell, is_number

if TYPE_CHECKING:
    from shoal.warp import Change, Link

# s between two drawings, while events come and while none does
FRAME_SECONDS = 0.1
IDLE_SECONDS = 1.0
# Events of a lane without a state that are kept for the view.
KEPT = 200


class Live:
    """Draws in the loop of the link, at most ten times a second and at least once; what others print goes above it."""

    def __init__(self, link: Link, console: Console | None = None) -> None:
        self._link = link
        self._console = console or Console()
        self._live = RichLive(console=self._console, auto_refresh=False, redirect_stderr=sys.stderr.isatty())
        self._events = 0
        self._start = time.monotonic()
        self._last: deque[Any] = deque(maxlen=KEPT)
        # entries that the last events have changed, by their key's text
        self._fresh: set[str] = set()
        self._changed = False
        self._live.start()
        self._draw()

    def show(self, change: Change) -> None:
        from shoal.cli.link import plain
        from shoal.warp import Element, Move, Update

        self._events += 1
        self._last.append(plain(change))
        if isinstance(change, Update | Element | Move):
            self._fresh.add(cell(change.key))
        if not self._changed:
            self._changed = True
            self._draw_after(FRAME_SECONDS)

    def close(self) -> None:
        """The last state stays on the terminal."""
        self._drawing.cancel()
        self._fresh.clear()
        self._live.update(self.frame(), refresh=True)
        self._live.stop()

    def _draw(self) -> None:
        self._changed = False
        self._live.update(self.frame(), refresh=True)
        self._fresh.clear()
        self._drawing = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._draw)

    def _draw_after(self, seconds: float) -> None:
        self._drawing.cancel()
        self._drawing = asyncio.get_running_loop().call_later(seconds, self._draw)

    def frame(self) -> RenderableType:
        rows = max(1, self._console.height - 4)
        head = Table.grid(expand=True)
        head.add_column(no_wrap=True, overflow="ellipsis")
        head.add_column(justify="right", no_wrap=True)
        events = "1 event" if self._events == 1 else f"{self._events:,} events"
        name = Text(f"{cell(self._link.node)}  ").append(cell(self._link.lane), style="bold")
        head.add_row(name, Text(events, style="dim"))
        return Group(head, self._body(rows))

    def _body(self, rows: int) -> RenderableType:
        state = self._link.state
        if state.kind in ("map", "list"):
            return self._map(rows)
        if not self._link.is_synced and not self._events:
            return Text("…", style="dim")
        if state.kind == "value" and not self._is_stream:
            if isinstance(state.value, dict):
                return _grid([(cell(name), value) for name, value in islice(state.value.items(), rows)], set())
            return Text(cell(state.value), style="bold green", overflow="ellipsis", no_wrap=True)
        if not self._last:
            return Text("nothing yet", style="dim")
        lines = list(self._last)[-rows:]
        return Group(*(Text(cell(value), no_wrap=True, overflow="ellipsis") for value in lines))

    @property
    def _is_stream(self) -> bool:
        """Nothing came with the sync: a lane whose events have no state behind them, such as a command lane."""
        return not self._link.has_state

    def _map(self, rows: int) -> RenderableType:
        state = self._link.state
        if not len(state):
            return Text("empty", style="dim")
        rest = len(state) - rows
        if rest > 0:
            rows -= 1
            rest += 1
        entries = [(cell(key), value) for key, value in islice(state.items(), rows)]
        if state.kind == "list":
            # by their places: keys are for machines
            fresh = {str(index) for index, (key, _) in enumerate(entries) if key in self._fresh}
            grid = _grid([(str(index), value) for index, (_, value) in enumerate(entries)], fresh)
        else:
            grid = _grid(entries, self._fresh)
        return Group(grid, Text(f"… and {rest:,} more", style="dim")) if rest > 0 else grid


def _grid(entries: list[tuple[str, Any]], fresh: set[str]) -> Table:
    """A line a key; records spread over columns of their own."""
    grid = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    records = all(isinstance(value, dict) for _, value in entries)
    names = list(dict.fromkeys(name for _, value in entries for name in value)) if records else []
    if records:
        grid.show_header = True
        grid.add_column("key", header_style="dim", no_wrap=True, overflow="ellipsis")
        for name in names:
            right = all(is_number(value.get(name)) or value.get(name) is None for _, value in entries)
            justify: Any = "right" if right else "left"
            grid.add_column(cell(name), header_style="dim", no_wrap=True, overflow="ellipsis", justify=justify)
    else:
        right = all(is_number(value) for _, value in entries)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        grid.add_column(no_wrap=True, overflow="ellipsis", justify="right" if right else "left")
    for key, value in entries:
        style = "bold yellow" if key in fresh else ""
        cells = [value.get(name) for name in names] if records else [value]
        grid.add_row(Text(key), *(Text("" if each is None and records else cell(each), style=style) for each in cells))
    return grid
