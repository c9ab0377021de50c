"""``shoal run``: an app's file becomes a running app."""

import argparse
import contextlib
import dataclasses
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from shoal.cli.faults import EXIT_DONE, EXIT_FAILED, EXIT_STRICT, EXIT_USAGE, Failures, Fault, drop_output, explain
from shoal.cli.screen import Option, add_parser

if TYPE_CHECKING:
    from shoal.app import App
    from shoal.progress import Progress
    from shoal.run import Run, RunOptions
    from shoal.totals import Totals

HOST = "127.0.0.1"
PORT = 9001

EXITS = f"""\
exit code: {EXIT_DONE} done, {EXIT_STRICT} dead letter (--strict), {EXIT_USAGE} nothing has run, \
{EXIT_FAILED} source failed"""

MORE = f"""\
example:
  shoal run transit.py --store state --set limit=25 --watch "/bus/*"

A config field: --set, $APPNAME_FIELD, [config] in transit.toml, its default.
{EXITS}"""


def add(commands: Any) -> None:
    words = "run an app: read its sources, keep and serve its twins until Ctrl-C"
    parser, option = add_parser(commands, "run", words, MORE)
    option("app", metavar="APP.PY[:APP]", help="the file, and the app where it makes several")
    option("--set", metavar="FIELD=VALUE", action="append", default=[], dest="sets", help="set a config field")
    option("--reload", action="store_true", help="start anew whenever the app's files change")
    option("--store", metavar="DIR", type=Path, help="keep the state in this folder, and go on from it")
    option("--forget", metavar="NAME", action="append", default=[], help="a class or CLASS.LANE of DIR that may go")
    add_options(option)
    parser.set_defaults(command=command)


def add_options(option: Option) -> None:
    """Options of every command that runs an app."""
    option("--host", metavar="ADDRESS", default=HOST, help=f"where to serve ({HOST}; 0.0.0.0: all networks)")
    option("--port", metavar="PORT", type=_port, help=f"where to serve ({PORT}; 0: any that is free)")
    option("--once", action="store_true", help="end with the sources; serves only with --port")
    option("--strict", action="store_true", help="stop at the first dead letter and show it")
    option("--watch", metavar="URI", action="append", default=[], help='show these twins live: /city, "/bus/*"')
    option("--speed", metavar="N", type=_speed, help="replay files with a time at N times its pace, or max")
    option("--dead-letters", metavar="FILE", type=Path, help="in place of dead-letters/APP.jsonl")


def options_of(chosen: argparse.Namespace) -> "RunOptions":
    """What ``add_options`` has been told."""
    from shoal.run import RunOptions

    return RunOptions(
        once=chosen.once,
        strict=chosen.strict,
        dead_letters=chosen.dead_letters,
        speed=chosen.speed,
        host=chosen.host,
        port=chosen.port if chosen.port is not None or chosen.once else PORT,
        signals=True,
    )


def command(chosen: argparse.Namespace) -> int:
    """Loads the app's file and runs it; gives the exit code."""
    from shoal.cli.app_file import load_app

    if chosen.reload:
        from shoal.cli.reload import keep_running

        return keep_running(chosen.app)
    if chosen.forget and chosen.store is None:
        raise Fault("--forget says what of a store may go: give its folder, too, with --store DIR")
    app, path = load_app(chosen.app)
    options = dataclasses.replace(options_of(chosen), store=chosen.store, forget=tuple(chosen.forget))
    return run_app(app, path, options, chosen.sets, chosen.watch)


def run_app(
    app: "App[Any]",
    path: Path,
    options: "RunOptions | None" = None,
    sets: Sequence[str] = (),
    watched: Sequence[str] = (),
    hint: str = "",
) -> int:
    """Runs the app of the file ``path``, prints what happens, gives the exit code. ``Fault`` where it cannot start.

    ``hint`` stands behind where it serves, or runs.
    """
    from shoal.config import beside, load, table_of
    from shoal.errors import ConfigError, DeclarationError, RunFailed
    from shoal.progress import choose
    from shoal.run import Run, RunOptions, with_loop
    from shoal.settings import settings_from

    logging.basicConfig(format="%(asctime)s %(levelname)-7s %(message)s", level=logging.INFO, handlers=[_ToStderr()])
    failures = Failures()
    options = dataclasses.replace(options or RunOptions(port=PORT, signals=True), on_error=failures)
    toml = beside(path)
    try:
        config = load(app.config_type, app.name, sets=sets, environ=os.environ, toml=toml)
        if bounds := table_of(toml, "settings"):
            found = settings_from(bounds, f"[settings] of {toml}")
            app.settings = msgspec.structs.replace(app.settings, **{name: getattr(found, name) for name in bounds})
        run = Run(app, config, options)
    except (ConfigError, DeclarationError, RunFailed) as error:
        raise Fault(explain(error)) from error
    try:
        try:
            progress = choose(run, list(watched))
            notes = run.listen()
        except (DeclarationError, RunFailed) as error:
            raise Fault(explain(error)) from error
        for note in notes:
            print(f"shoal: {note}", file=sys.stderr)
        if run.address:
            print(f"serving {run.address}{hint}", flush=True)
        elif hint:
            print(f"running {app.name}{hint}", flush=True)
        _tell_store(run, hint)
        return with_loop(_drive(run, progress, failures))
    finally:
        run.close()


def _tell_store(run: "Run", hint: str) -> None:
    """Whether the state is kept, and what of it was found."""
    from shoal.totals import count

    store, found = run.options.store, run.recovered
    if found is None:
        if run.address and not hint:
            print("shoal: nothing is saved: give --store DIR to keep the state", file=sys.stderr)
        return
    for note in found.notes:
        print(f"shoal: {note}", file=sys.stderr)
    if found.is_new:
        print(f"shoal: store {store}: new", file=sys.stderr)
        return
    where = f"{count(found.records, 'record')}, no checkpoint"
    if found.checkpoint:
        where = f"checkpoint {found.checkpoint:,}, {count(found.records, 'record')} behind it"
    seconds = f"{found.seconds:.1f}" if found.seconds >= 0.1 else f"{found.seconds:.3f}"
    print(f"shoal: store {store}: {count(found.twins, 'twin')} in {seconds} s ({where})", file=sys.stderr)


async def _drive(run: "Run", progress: "Progress", failures: Failures) -> int:
    import asyncio

    progress.begin()
    if run.dead_letters.start:
        print(f"shoal: dead letters are appended to {run.dead_letters.path}", file=sys.stderr)
    follower = asyncio.create_task(progress.follow())
    failure: BaseException | None = None
    try:
        await run.until_done()
    except Exception as error:  # RunFailed, or a bug of the core
        failure = error
    finally:
        follower.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await follower
        progress.close()
    return _closing(run, run.totals(), failures, failure)


def _closing(run: "Run", totals: "Totals", failures: Failures, failure: BaseException | None) -> int:
    """Prints what has happened; the exit code."""
    from shoal.totals import count, size

    for line in failures.lines():
        print(f"shoal: {line}", file=sys.stderr)
    sys.stderr.flush()
    lines = list(totals.lines())
    letters = run.dead_letters
    if letters.written:
        after = f" (after the {letters.start:,} bytes of earlier runs)" if letters.start else ""
        lines.append(f"{count(letters.written, 'dead letter')} in {letters.path}{after}")
    if totals.journal is not None:
        journal = totals.journal
        checkpoint = f"checkpoint {journal.checkpoint:,}" if journal.checkpoint else "no checkpoint yet"
        written = f"{count(journal.records, 'record')}, {size(journal.bytes)}"
        lines.append(f"store {run.options.store}: {written}, {checkpoint}")
    try:
        print(*lines, sep="\n", flush=True)
    except BrokenPipeError:
        # how the run has ended is told all the same: below, and by the exit code
        drop_output()
    if failure is not None:
        print(f"shoal: {explain(failure)}", file=sys.stderr)
        return EXIT_FAILED
    if run.stopped_by is not None:
        letter = run.stopped_by
        node = f" for {letter.node}" if letter.node else ""
        record = letter.record[:2_000].decode("utf-8", "backslashreplace")
        print(
            f"shoal: stopped at the first dead letter, {letter.origin}:{letter.sequence}{node}\n"
            f"  {letter.kind}: {letter.reason}\n  {record}",
            file=sys.stderr,
        )
        return EXIT_STRICT
    for name, reason in totals.failed.items():
        print(f"shoal: {name}: {reason}", file=sys.stderr)
    return EXIT_FAILED if totals.failed else EXIT_DONE


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number of 0 to 65535")
    return int(text)


def _speed(text: str) -> Any:
    if text == "max":
        return text
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number over 0 nor max")
    return factor


class _ToStderr(logging.Handler):
    """To what ``sys.stderr`` is at that moment: the live view redirects it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=sys.stderr)
        except Exception:
            self.handleError(record)
