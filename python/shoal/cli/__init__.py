"""The command line: ``shoal COMMAND …``, one command a file."""

import argparse
import sys
from collections.abc import Sequence

from shoal.cli import recon, run, warp
from shoal.cli.faults import EXIT_USAGE, Fault

COMMANDS = (run, recon, warp)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; its exit code (``shoal run --help`` lists them)."""
    parser = argparse.ArgumentParser(
        prog="shoal",
        description="Live digital twins: every entity of a stream as an object with state, behaviour and an address.",
        epilog="example: shoal run transit.py --once",
    )
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    commands = parser.add_subparsers(metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    chosen = parser.parse_args(argv)
    if chosen.version:
        from shoal._core import __version__

        print(f"shoal {__version__}")
        return 0
    if "command" not in chosen:
        parser.print_help(sys.stderr)
        return EXIT_USAGE
    try:
        return int(chosen.command(chosen))
    except Fault as fault:
        print(f"shoal: {fault}", file=sys.stderr)
        return fault.code
