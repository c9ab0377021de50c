"""Tables in plain text, written as their rows come."""

import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from shoal.cli.formats import cell, is_number

# Rows that tell how wide a column must be; longer cells after them are cut on a terminal.
FIRST_ROWS = 1_000
NARROWEST = 6
GAP = "  "


class Columns:
    """Writes to standard output. On a terminal no line is longer than it; elsewhere nothing is cut."""

    def __init__(self, names: Sequence[str], header: bool = True) -> None:
        self.names = list(names)
        self._header = header
        self._terminal = sys.stdout.isatty()
        self._most = shutil.get_terminal_size().columns if self._terminal else 0
        self._widths: list[int] = []
        self._right: list[bool] = []

    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        """The first rows that are written tell the widths."""
        rows = list(rows)
        texts = [[cell(value) for value in row] for row in rows]
        if not self._widths:
            self._measure(rows[:FIRST_ROWS], texts[:FIRST_ROWS])
            if self._header:
                line = self._line(self.names)
                print(f"\x1b[2m{line}\x1b[0m" if self._terminal else line)
        for row in texts:
            print(self._line(row))

    def _measure(self, rows: list[Sequence[Any]], texts: list[list[str]]) -> None:
        from rich.cells import cell_len

        for place, name in enumerate(self.names):
            column = [row[place] for row in rows if row[place] is not None and row[place] != ""]
            self._right.append(bool(column) and all(is_number(value) for value in column))
            widest = max((cell_len(row[place]) for row in texts), default=0)
            self._widths.append(max(widest, cell_len(name) if self._header else 0))
        if not self._terminal:
            return
        # the widest give way first; columns that have no room at all are left out
        while self._total() > self._most:
            widest = max(range(1, len(self._widths)), key=self._widths.__getitem__, default=0)
            if self._widths[widest] > NARROWEST or len(self._widths) == 1:
                self._widths[widest] -= 1
                if self._widths[widest] <= 1:
                    break
            else:
                self._widths.pop()

    def _total(self) -> int:
        return sum(self._widths) + len(GAP) * (len(self._widths) - 1)

    def _line(self, texts: Sequence[str]) -> str:
        from rich.cells import cell_len, set_cell_size

        parts = []
        for text, width, right in zip(texts, self._widths, self._right, strict=False):
            length = cell_len(text)
            if length > width and self._terminal:
                text, length = set_cell_size(text, max(width - 1, 0)) + "…", width
            padding = " " * max(width - length, 0)
            parts.append(padding + text if right else text + padding)
        return GAP.join(parts).rstrip()


def write_twins(twins: Sequence[dict[str, Any]], columns: Columns | None) -> Columns | None:
    """Some twins, a line each; the first ones tell which columns there are. None: there was none yet."""
    if not twins:
        return columns
    if columns is None:
        columns = Columns(list(dict.fromkeys(name for twin in twins for name in twin)))
    names = columns.names
    columns.write([[twin.get(name) for name in names] for twin in twins])
    return columns


def write_lanes(lanes: dict[str, Any]) -> None:
    """A twin: a line a lane."""
    Columns(["lane", "value"]).write([[name, value] for name, value in lanes.items()])


def write_entries(entries: Iterable[tuple[Any, Any]]) -> None:
    """A map: a line an entry; records spread over columns of their own."""
    rows = list(entries)
    if rows and all(isinstance(value, dict) for _, value in rows):
        names = list(dict.fromkeys(name for _, value in rows for name in value))
        Columns(["key", *names]).write([[key, *(value.get(name) for name in names)] for key, value in rows])
    elif rows:
        Columns(["key", "value"]).write(rows)


def write_state(value: Any) -> None:
    """A lane's state as JSON has it: a record, a list, or one value."""
    if isinstance(value, dict):
        write_entries(value.items())
    elif isinstance(value, list) and value and all(isinstance(item, list) and len(item) == 2 for item in value):
        write_entries([(key, item) for key, item in value])
    elif isinstance(value, list) and not (len(value) == 2 and all(isinstance(part, float) for part in value)):
        for item in value:
            print(cell(item))
    else:
        print(cell(value))
