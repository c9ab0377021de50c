"""The command line: ``shoal COMMAND …``, one command a file."""

import argparse
import sys
from collections.abc import Sequence

from shoal.cli import command, find, get, link, ls, recon, run, store, sync, twin, warp
from shoal.cli.faults import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, EXIT_USAGE, Fault, drop_output

# As the help lists them.
COMMANDS = {
    "run an app": (run, twin, store),
    "ask a server": (ls, get, find, sync, link, command),
    "filter lines": (recon, warp),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; its exit code (``shoal COMMAND --help`` lists them)."""
    chosen = _parser().parse_args(argv)
    if chosen.version:
        from shoal._core import __version__

        print(f"shoal {__version__}")
        return 0
    if "command" not in chosen:
        _parser().print_help(sys.stderr)
        return EXIT_USAGE
    try:
        code = int(chosen.command(chosen))
        sys.stdout.flush()
        return code
    except Fault as fault:
        print(f"shoal: {fault}", file=sys.stderr)
        return fault.code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # as a shell's own tools: without a word
        drop_output()
        return EXIT_BROKEN_PIPE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="shoal",
        usage="shoal [-h] [--version] COMMAND …",
        description="Live digital twins: every entity of a stream as an object with state,\nbehaviour and an address.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    # both stand in the usage: a screen has 24 lines
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)
    parser.add_argument("--version", action="store_true", help=argparse.SUPPRESS)
    commands = parser.add_subparsers(prog="shoal", metavar="COMMAND", help=argparse.SUPPRESS)
    lines = []
    for title, group in COMMANDS.items():
        before = set(commands.choices)
        for each in group:
            each.add(commands)
        lines.append(f"{title}:")
        names = [name for name in commands.choices if name not in before]
        words = {action.dest: action.help for action in commands._choices_actions}
        lines.extend(f"  {name:<10}{words[name]}" for name in names)
    lines += ["", "example: shoal run transit.py, and beside it shoal ls, shoal get /bus/7"]
    parser.epilog = "\n".join([*lines, "", "shoal COMMAND --help says more."])
    return parser
