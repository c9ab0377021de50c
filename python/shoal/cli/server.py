"""The server that a command asks: its options, its address, and its errors in a line or two."""

import argparse
import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from shoal.cli.faults import EXIT_NO_CONNECTION, EXIT_REFUSED, EXIT_USAGE, Fault
from shoal.cli.screen import Option, add_parser
from shoal.errors import NoConnection, NotShoal, OverLimit, Refused, Unlinked

if TYPE_CHECKING:
    from shoal.warp import Address

EXITS = (
    f"exit code: 0 done, {EXIT_REFUSED} not found or refused, {EXIT_USAGE} usage, {EXIT_NO_CONNECTION} no connection"
)


def add_command(commands: Any, name: str, words: str, more: str) -> tuple[argparse.ArgumentParser, Option]:
    """A command that asks a server, and what adds its arguments; ``more`` follows them in its help."""
    return add_parser(commands, name, words, f"{more}\n{EXITS}")


def add_server(option: Option) -> None:
    """The last options of each of these commands."""
    option("--url", help="the server (else $SHOAL_URL, else http://127.0.0.1:9001)")
    option("--timeout", metavar="S", type=seconds, default=10.0, help="wait at most so many seconds for an answer")


def add_format(option: Option) -> None:
    formats = ("json", "recon", "table")
    option("--format", metavar="F", choices=formats, help="json, recon or table (table on a terminal, else json)")


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


def seconds(text: str) -> float:
    """Of an option."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return number
