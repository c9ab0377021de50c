"""The server that a command asks: its options, its address, and its errors in a line or two."""

import argparse
import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from shoal.cli.faults import EXIT_NO_CONNECTION, EXIT_REFUSED, EXIT_USAGE, Fault
from shoal.errors import NoConnection, NotShoal, OverLimit, Refused, Unlinked

if TYPE_CHECKING:
    from shoal.warp import Address

EXITS = (
    f"exit code: 0 done, {EXIT_REFUSED} not found or refused, {EXIT_USAGE} usage, {EXIT_NO_CONNECTION} no connection"
)

Option = Callable[..., argparse.Action]


def add_command(commands: Any, name: str, words: str, more: str) -> tuple[argparse.ArgumentParser, Option]:
    """A command that asks a server, and what adds its arguments; ``more`` follows them in its help: a screen in all."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=words,
        description=words[0].upper() + words[1:] + ".",
        epilog=f"{more}\n{EXITS}",
        formatter_class=_Screen,
        add_help=False,
    )
    return parser, parser.add_argument_group("arguments").add_argument


def add_server(option: Option) -> None:
    """The last options of each of these commands."""
    option("--url", help="the server (else $SHOAL_URL, else http://127.0.0.1:9001)")
    option("--timeout", metavar="S", type=_seconds, default=10.0, help="wait at most so many seconds for an answer")
    option("-h", "--help", action="help", help=argparse.SUPPRESS)


def add_format(option: Option) -> None:
    formats = ("json", "recon", "table")
    option("--format", metavar="F", choices=formats, help="json, recon or table (table on a terminal, else json)")


class _Screen(argparse.RawDescriptionHelpFormatter):
    """Help of at most 24 lines."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=20)

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: Any = None) -> None:
        names = " ".join(
            f"[{action.metavar}]"
            if action.nargs == "?"
            else f"[{action.metavar} …]"
            if action.nargs == "*"
            else str(action.metavar)
            for action in actions
            if not action.option_strings
        )
        super().add_usage(f"{self._prog} {names} [options]".replace("  ", " "), [], [], prefix)


def address(chosen: argparse.Namespace) -> "Address":
    """``--url``, ``$SHOAL_URL``, or this machine's."""
    from shoal.warp.address import DEFAULT

    return _parsed(chosen.url or os.environ.get("SHOAL_URL") or DEFAULT)


def address_and_node(chosen: argparse.Namespace) -> "tuple[Address, str]":
    """Of ``NODE``, which may name the server itself: ``warp://host:9001/bus/7``."""
    from shoal.warp import split_node

    url, node = split_node(chosen.node)
    return (address(chosen) if url is None else _parsed(url)), node


@contextlib.contextmanager
def faults() -> Iterator[None]:
    """What a server or the way to it says, as a ``Fault`` with the exit code."""
    try:
        yield
    except NoConnection as error:
        text = str(error)
        if text.startswith("nobody listens at "):
            text += ": start `shoal run APP` there, or set SHOAL_URL or --url"
        raise Fault(text, EXIT_NO_CONNECTION) from None
    except (Refused, Unlinked, NotShoal, OverLimit) as error:
        raise Fault(str(error), EXIT_REFUSED) from None


def count(text: str) -> int:
    """Of an option."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _parsed(text: str) -> "Address":
    from shoal.warp import Address

    try:
        return Address.parse(text)
    except ValueError as error:
        raise Fault(str(error)) from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds
