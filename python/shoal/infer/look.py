"""A look at a source's first records."""

from __future__ import annotations

import os
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec

from shoal._core import Preview
from shoal.sources import FileDecl

# What a live pipe is given to bring the records that are asked for (s).
PATIENCE = 3.0
# To see whether keys repeat, so many times the look at most.
FURTHER = 10
# A larger text is not read to count its lines (bytes).
COUNTED = 1 << 28


class Look:
    """The first records of a source: ``columns`` has the values of each field, without nulls and empty ones, and
    ``places`` in which records they were.

    ``count`` is how many records were looked at, ``rows`` whether they are rows of delimited text, where every value is
    a text. The source is open until ``preview`` is closed or handed over. Errors: RunFailed.
    """

    def __init__(self, path: str, count: int = 10_000) -> None:
        self.path = path
        self.wanted = count
        self.preview = Preview(msgspec.json.encode(FileDecl(path)))
        # standard input or a named pipe
        self.live = path == "-" or not os.path.isfile(path)
        if self.live:
            self._await_first()
        texts = self.preview.look(0, count, PATIENCE)
        header = self.preview.header()
        self.rows = header is not None
        self.columns: dict[str, list[Any]] = {name: [] for name in header or ()}
        self.places: dict[str, list[int]] = {name: [] for name in header or ()}
        self.count = 0
        # texts that are no objects, or no JSON
        self.others = 0
        decode = msgspec.json.Decoder().decode
        for text in texts:
            try:
                record = decode(text)
            except (msgspec.DecodeError, ValueError):
                self.others += 1
                continue
            if isinstance(record, dict):
                self._add(record)
            else:
                self.others += 1

    def _await_first(self) -> None:
        """A pipe's first record may take as long as it likes; Ctrl-C is heard meanwhile."""
        wanted = 1
        while not self.preview.look(0, wanted, 0.2) and self.preview.total() is None:
            wanted += 1

    def _add(self, record: dict[str, Any]) -> None:
        columns, at = self.columns, self.count
        for name, value in record.items():
            if name not in columns:
                columns[name] = []
                self.places[name] = []
            if value is not None:
                columns[name].append(value)
                self.places[name].append(at)
        self.count += 1

    def further(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """The values of some fields in more records, None where there is none; not of a pipe, which may be slow."""
        texts = [] if self.live else self.preview.look(0, self.wanted * FURTHER, PATIENCE)
        # of each record no more than the fields that are asked for
        fields = [(f"f{at}", Any, msgspec.field(default=None, name=name)) for at, name in enumerate(names)]
        decode = msgspec.json.Decoder(msgspec.defstruct("Further", fields, gc=False)).decode
        records = []
        for text in texts:
            try:
                records.append(decode(text))
            except (msgspec.DecodeError, ValueError):
                continue
        return {name: list(map(attrgetter(f"f{at}"), records)) for at, name in enumerate(names)}

    def total(self) -> tuple[int, bool] | None:
        """(records of the whole source, whether that is exact); None where nobody can tell without reading it."""
        known = self.preview.total()
        if known is not None:
            return known, True
        name = self.path.lower()
        if self.live or not name.endswith((".jsonl", ".ndjson", ".csv", ".tsv")):
            return None
        size, lines = os.path.getsize(self.path), 0
        with open(self.path, "rb") as file:
            last = b"\n"
            while file.tell() < COUNTED and (block := file.read(1 << 20)):
                lines += block.count(b"\n")
                last = block
            read = file.tell()
        lines += not last.endswith(b"\n")
        if read < size:
            return int(round(lines * size / read, -3)), False
        return lines - self.rows, True

    def close(self) -> None:
        self.preview.close()
