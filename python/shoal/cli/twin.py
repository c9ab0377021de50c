"""``shoal twin``: a file becomes live twins, without a program."""

import argparse
import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.cli.faults import EXIT_DONE, Fault
from shoal.cli.run import EXITS, add_options, options_of
from shoal.cli.screen import add_parser

if TYPE_CHECKING:
    from shoal.infer import Choices, Look, Model

MORE = f"""\
examples:
  shoal twin readings.csv
  shoal twin readings.csv --key meter --set phase=text --eject grid.py

A TYPE is text, number, whole, bool, time, choice, value (as it comes), ignore.
As of shoal run: --host --port --once --strict --watch --speed --dead-letters
{EXITS}"""

HINT = "   (--key, --time, --group, --set change the above; --eject app.py writes it down)"


def add(commands: Any) -> None:
    words = "twin a file without a program: infer key, time, groups and types"
    parser, option = add_parser(commands, "twin", words, MORE)
    option("file", metavar="FILE", help=".jsonl .json .csv .tsv (.gz .zst) .parquet; - is JSON Lines")
    option("--key", metavar="FIELD", default="", help="the field that names the twin")
    option("--time", metavar="FIELD", default="", help="the field with the event's time, or none")
    option("--group", metavar="FIELD", action="append", default=[], help="a field that makes groups, or none")
    option("--set", metavar="FIELD=TYPE", action="append", default=[], dest="sets", help="what a field is")
    option("--tz", metavar="ZONE", default="UTC", help="of times without one: Europe/Berlin (UTC)")
    option("--look", metavar="N", type=_count, default=10_000, help="records to look at (10,000)")
    option("--eject", metavar="APP.PY", type=Path, help="write the program and end")
    option("--force", action="store_true", help="let --eject replace a file")
    option("--store", metavar="DIR", type=Path, help=argparse.SUPPRESS)
    add_options(lambda *names, **settings: option(*names, **{**settings, "help": argparse.SUPPRESS}))
    parser.set_defaults(command=command)


def command(chosen: argparse.Namespace) -> int:
    """Looks at the file, then ejects its program or runs it; gives the exit code."""
    from shoal.errors import RunFailed
    from shoal.infer import Look, infer
    from shoal.infer.model import Unclear
    from shoal.infer.report import lines

    if chosen.store is not None:
        file, store = shlex.quote(chosen.file), shlex.quote(str(chosen.store))
        raise Fault(
            "a store keeps the state of a program, and shoal twin infers its own anew each time: write it down with\n"
            f"  shoal twin {file} --eject app.py\nand run that with\n  shoal run app.py --store {store}"
        )
    choices = _choices(chosen)
    try:
        look = Look(chosen.file, chosen.look)
        model = infer(look, choices)
    except (RunFailed, Unclear) as error:
        raise Fault(str(error)) from None
    except KeyboardInterrupt:
        return EXIT_DONE
    for line in lines(look, model):
        print(line, flush=True)
    if chosen.eject is not None:
        look.close()
        return _eject(model, chosen)
    return _run(look, model, choices, chosen)


def _run(look: "Look", model: "Model", choices: "Choices", chosen: argparse.Namespace) -> int:
    from shoal.cli.run import run_app
    from shoal.infer.late import Late
    from shoal.infer.program import load, write
    from shoal.sources import Inferred

    module = load(model, write(model, _line(chosen)))
    late = Late(model, module, choices)
    inferred = Inferred(look.preview, tuple(model.ignored), late.on_news, late.on_letter)
    options = dataclasses.replace(options_of(chosen), inferred=inferred)
    return run_app(module.__dict__["app"], Path(chosen.file), options, watched=chosen.watch, hint=HINT)


def _eject(model: "Model", chosen: argparse.Namespace) -> int:
    from shoal.infer.program import write

    file: Path = chosen.eject
    if file.exists() and not chosen.force:
        raise Fault(f"{file} exists; --force replaces it")
    try:
        file.write_text(write(model, _line(chosen)), "utf-8")
    except OSError as error:
        raise Fault(f"{file} cannot be written: {error.strerror}") from None
    print(f"wrote {file}: shoal run {shlex.quote(str(file))}")
    return EXIT_DONE


def _line(chosen: argparse.Namespace) -> str:
    """The command as it could be typed again."""
    words = ["shoal", "twin", chosen.file]
    for name, value in (("--key", chosen.key), ("--time", chosen.time)):
        words += [name, value] if value else []
    for name, values in (("--group", chosen.group), ("--set", chosen.sets)):
        for value in values:
            words += [name, value]
    words += ["--tz", chosen.tz] if chosen.tz != "UTC" else []
    words += ["--look", str(chosen.look)] if chosen.look != 10_000 else []
    words += ["--eject", str(chosen.eject)] if chosen.eject is not None else []
    return shlex.join(words)


def _choices(chosen: argparse.Namespace) -> "Choices":
    from shoal.infer import Choices

    sets = {}
    for each in chosen.sets:
        # a field's name may have an = in it, a type has not
        name, equals, kind = each.rpartition("=")
        if not equals or not name:
            raise Fault(f"--set {each}: write FIELD=TYPE, such as --set phase=text")
        sets[name] = kind
    if "none" in chosen.group and len(chosen.group) > 1:
        raise Fault("--group none goes with no other --group")
    if chosen.tz != "UTC":
        import zoneinfo

        try:
            zoneinfo.ZoneInfo(chosen.tz)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise Fault(f"--tz {chosen.tz}: no such time zone; it is an IANA name, such as Europe/Berlin") from None
    return Choices(chosen.key, chosen.time, tuple(chosen.group), sets, chosen.tz)


def _count(text: str) -> int:
    try:
        count = int(text.replace(",", "").replace("_", ""))
    except ValueError:
        count = 0
    if not 0 < count <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 1,000,000")
    return count
