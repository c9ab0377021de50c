"""A command's help: arguments, an example, exit codes, on a screen of 80 × 24."""

import argparse
from collections.abc import Callable
from typing import Any

Option = Callable[..., argparse.Action]


def add_parser(commands: Any, name: str, words: str, more: str) -> tuple[argparse.ArgumentParser, Option]:
    """A command and what adds its arguments; ``more`` follows them in its help."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=words,
        description=words[0].upper() + words[1:] + ".",
        epilog=more,
        formatter_class=_Screen,
        add_help=False,
    )
    option = parser.add_argument_group("arguments").add_argument
    option("-h", "--help", action="help", help=argparse.SUPPRESS)
    return parser, option


class _Screen(argparse.RawDescriptionHelpFormatter):
    """The usage is a line: the arguments stand below."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=24)

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: Any = None) -> None:
        names = " ".join(_shown(action) for action in actions if not action.option_strings)
        super().add_usage(f"{self._prog} {names} [options]".replace("  ", " "), [], [], prefix)


def _shown(action: argparse.Action) -> str:
    match action.nargs:
        case "?":
            return f"[{action.metavar}]"
        case "*":
            return f"[{action.metavar} …]"
    return str(action.metavar)
