"""``shoal store``: what ``shoal run --store DIR`` has kept, looked after."""

import argparse
import contextlib
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shoal.cli.faults import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, Fault
from shoal.cli.screen import add_parser
from shoal.cli.server import seconds
from shoal.errors import RunFailed

EXIT_DAMAGED = 1
EXITS = (
    f"exit code: {EXIT_DONE} done, {EXIT_DAMAGED} damaged or lost, {EXIT_USAGE} no store there, {EXIT_FAILED} failed"
)

MORE = f"""\
what to do:
  check    read and verify everything; say what is wrong
  backup   copy it, also while a run has it
  export   write the state for other programs: Arrow or JSON Lines
  compact  remove what no start needs
  repair   keep what is whole of a damaged one, and say what is lost

examples:
  shoal store check state
  shoal store backup state /backup/state-monday
  shoal store export state out --format jsonl

shoal store backup --help says more of one.
{EXITS}"""


def add(commands: Any) -> None:
    words = "look after a store: check, backup, export, compact, repair"
    parser, _ = add_parser(commands, "store", words, MORE)
    parser.set_defaults(command=lambda chosen: _help(parser))
    parts = parser.add_subparsers(prog="shoal store", metavar="WHAT", help=argparse.SUPPRESS)
    for part in (_add_check, _add_backup, _add_export, _add_compact, _add_repair):
        part(parts)


def _help(parser: argparse.ArgumentParser) -> int:
    parser.print_help(sys.stderr)
    return EXIT_USAGE


# -- check


def _add_check(parts: Any) -> None:
    words = "read and verify all of a store; nothing is changed"
    more = f"""\
example:
  shoal store check state

A record that a power cut left unfinished is cut off, as a run does it.
{EXITS}"""
    parser, option = add_parser(parts, "check", words, more)
    option("store", metavar="DIR", type=Path, help="the folder of shoal run --store")
    parser.set_defaults(command=_check)


def _check(chosen: argparse.Namespace) -> int:
    from shoal.stores import check
    from shoal.totals import count, size

    with _faults(chosen.store):
        report = check(chosen.store)
    if report.app:
        print(f"app {report.app}")
    for shard in report.shards:
        held = f"records {shard.first:,} to {shard.last:,}, {size(shard.bytes)}"
        print(held if shard.first <= shard.last else f"no records behind {shard.last:,}")
    for checkpoint in report.checkpoints:
        print(f"checkpoint {checkpoint.number:,}, {size(checkpoint.bytes)}")
    if report.cut is not None:
        cut = f"{count(report.cut.bytes, 'byte')} behind record {report.cut.after:,}"
        print(f"cut off: {cut}, which a stop of the machine had left unfinished; nobody was told that they were saved")
    for orphan in report.orphans:
        print(f"of no checkpoint: checkpoints/{orphan}; shoal store compact removes it")
    for problem in report.problems:
        print(f"shoal: {problem}", file=sys.stderr)
    if report.problems:
        return EXIT_DAMAGED
    print("whole: all is as it was written")
    return EXIT_DONE


# -- backup


def _add_backup(parts: Any) -> None:
    words = "copy a store into a new folder, also while a run has it"
    more = f"""\
examples:
  shoal store backup state /backup/state-monday
  shoal run transit.py --store /backup/state-monday

While a run has the store, that run makes the copy: TO is a path of its machine.
On one file system the copy shares the files of checkpoints: put it elsewhere.
{EXITS}"""
    parser, option = add_parser(parts, "backup", words, more)
    option("store", metavar="DIR", type=Path, help="the folder of shoal run --store")
    option("to", metavar="TO", type=Path, help="a folder that is not there yet, or empty")
    option("--timeout", metavar="S", type=seconds, default=600.0, help="wait at most so many seconds for a run (600)")
    parser.set_defaults(command=_backup)


def _backup(chosen: argparse.Namespace) -> int:
    from shoal.stores import backup

    with _faults(chosen.store, chosen.to):
        print(backup(chosen.store, chosen.to, chosen.timeout))
    print(f"restore it with: shoal run APP.PY --store {shlex.quote(str(chosen.to))}")
    return EXIT_DONE


# -- export


def _add_export(parts: Any) -> None:
    words = "write the state of a store for other programs, without its app"
    more = f"""\
examples:
  shoal store export state out
  shoal store export state out --format jsonl && jq .uri out/Bus.jsonl

arrow: Arrow IPC files of each class and map, for polars, pandas and duckdb;
jsonl: CLASS.jsonl with a twin a line: its uri, lanes and maps.
{EXITS}"""
    parser, option = add_parser(parts, "export", words, more)
    option("store", metavar="DIR", type=Path, help="the folder of shoal run --store")
    option("to", metavar="TO", type=Path, help="a folder that is not there yet, or empty")
    option("--format", metavar="F", choices=("arrow", "jsonl"), default="arrow", help="arrow (default) or jsonl")
    parser.set_defaults(command=_export)


def _export(chosen: argparse.Namespace) -> int:
    from shoal.stores import export
    from shoal.totals import count, size

    with _faults(chosen.store, chosen.to):
        made = export(chosen.store, chosen.to, chosen.format)
    what = f"{count(made.twins, 'twin')} in {count(made.files, 'file')}, {size(made.bytes)}"
    print(f"{chosen.to}: {what}; the state at record {made.record:,}")
    return EXIT_DONE


# -- compact


def _add_compact(parts: Any) -> None:
    words = "remove what no start of a store needs, and make its file small"
    parser, option = add_parser(parts, "compact", words, f"example:\n  shoal store compact state\n\n{EXITS}")
    option("store", metavar="DIR", type=Path, help="the folder of shoal run --store")
    parser.set_defaults(command=_compact)


def _compact(chosen: argparse.Namespace) -> int:
    from shoal.stores import compact
    from shoal.totals import size

    with _faults(chosen.store):
        won = compact(chosen.store)
    for orphan in won.orphans:
        print(f"removed checkpoints/{orphan}, which no checkpoint had")
    print(f"journal.sqlite: {size(won.bytes_after)}, before {size(won.bytes_before)}")
    return EXIT_DONE


# -- repair


def _add_repair(parts: Any) -> None:
    words = "keep what is whole of a damaged store, and say what is lost"
    more = f"""\
example:
  shoal store repair state

The damaged files stay beside the new ones under other names. A store that is
whole is left as it is. Copy the folder first, if there is room.
{EXITS}"""
    parser, option = add_parser(parts, "repair", words, more)
    option("store", metavar="DIR", type=Path, help="the folder of shoal run --store")
    option("--app", metavar="NAME", help="the app's name, where the store does not say it any more")
    parser.set_defaults(command=_repair)


def _repair(chosen: argparse.Namespace) -> int:
    from shoal.stores import repair

    with _faults(chosen.store):
        repaired = repair(chosen.store, chosen.app)
    if not repaired.aside:
        print("nothing is damaged, and nothing was changed")
        return EXIT_DONE
    code = EXIT_DONE
    for kept in repaired.shards:
        behind = f", from checkpoint {kept.checkpoint:,} on" if kept.checkpoint is not None else ""
        print(f"kept: all up to record {kept.through:,}{behind}")
        if kept.lost is not None:
            code = EXIT_DAMAGED
            lost = kept.lost
            if lost.last is None:
                which = f"records from {lost.first:,} on, how many cannot be told"
            elif lost.last == lost.first:
                which = f"record {lost.first:,}"
            else:
                which = f"records {lost.first:,} to {lost.last:,}"
            times = [f"{word} {_time(time)}" for word, time in (("after", lost.since), ("until", lost.until)) if time]
            print(f"lost: {which}" + (f" (written {', '.join(times)})" if times else ""))
    for note in repaired.notes:
        print(f"note: {note}")
    for path in repaired.aside:
        print(f"the damaged file is kept: {path}")
    return code


def _time(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


# -- all of them


@contextlib.contextmanager
def _faults(store: Path, to: Path | None = None) -> Iterator[None]:
    """What is wrong as a ``Fault`` with the exit code. Ctrl-C ends the process at once: stores bear that."""
    if not store.is_dir():
        raise Fault(f"{store}: there is no such folder")
    if not any((store / name).exists() for name in ("journal.sqlite", "journal.sqlite.repaired")):
        raise Fault(f"{store} is no store: it has no journal.sqlite; name the folder of shoal run --store")
    if to is not None and to.exists() and not (to.is_dir() and not any(to.iterdir())):
        raise Fault(f"{to} is there already: name a new folder, or an empty one")
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_DFL) if in_main else None
    try:
        yield
    except RunFailed as error:
        raise Fault(str(error), EXIT_FAILED) from None
    finally:
        if in_main:
            signal.signal(signal.SIGINT, before)
