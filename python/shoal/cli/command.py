"""``shoal command``: sends a command to a lane, or sets a value, map or list lane."""

import argparse
import contextlib
import json
import os
import sys
from typing import Any

from shoal.cli.faults import Fault
from shoal.cli.server import add_command, add_server, address_and_node, faults

MORE = """\
examples:
  shoal command /bus/7 report '{"speed": 31.5}'
  shoal command /bus/7 report '{speed: 31.5}'       the same in Recon
  shoal command /bus/7 report @fix.json             from a file
  shoal command /stock items '@remove(key:apples)'  an entry of a map lane

BODY is JSON if it parses as JSON, else Recon. A Shoal server answers when the
command is done, or says why not; WARP tells only of nodes and lanes that miss."""

# Bytes of a body from a file or the input.
LONGEST_BODY = 64 << 20


def add(commands: Any) -> None:
    parser, option = add_command(
        commands, "command", "send a command to a lane, or set a value, map or list lane", MORE
    )
    option("node", metavar="NODE", help="the twin's address: /bus/7")
    option("lane", metavar="LANE", help="a command lane, or a value, map or list lane that may be set")
    option("body", metavar="BODY", nargs="?", default="", help="JSON or Recon, @FILE, - for the input, or none")
    add_server(option)
    parser.set_defaults(command=command)


def command(chosen: argparse.Namespace) -> int:
    from shoal import recon
    from shoal.errors import NotShoal, Refused
    from shoal.queries import Queries

    where, node = address_and_node(chosen)
    text = _text(chosen.body)
    is_json, value = read_body(text)
    with faults(), Queries(where, chosen.timeout) as queries:
        try:
            if ":" in node.partition("/")[0]:
                raise NotShoal(f"{node} is no path: it is commanded by WARP")
            # a question that changes nothing: a command is sent once only
            with contextlib.suppress(Refused):
                queries.app()
        except NotShoal:
            from shoal.cli.swim import send

            send(where, node, chosen.lane, recon.dumps(value) if is_json else text, chosen.timeout)
            if sys.stderr.isatty():
                print("shoal: sent; whether it was taken, WARP does not tell", file=sys.stderr)
            return 0
        kind = "application/json" if is_json else "application/x-recon"
        queries.command(node, chosen.lane, text.encode(), kind)
    return 0


def read_body(text: str) -> tuple[bool, Any]:
    """Whether it is JSON, and its value. ``Fault`` where it is neither JSON nor Recon."""
    from shoal import recon

    if not text:
        return False, None
    try:
        return True, json.loads(text)
    except ValueError as error:
        no_json = error
    try:
        return False, recon.loads(text)
    except ValueError as error:
        raise Fault(f"the body is neither JSON ({no_json}) nor Recon ({error})") from None


def _text(given: str) -> str:
    if given == "-":
        return _decoded(sys.stdin.buffer.read(LONGEST_BODY + 1), "the input")
    name = given[1:]
    if given.startswith("@") and name:
        try:
            with open(name, "rb") as file:
                return _decoded(file.read(LONGEST_BODY + 1), name)
        except FileNotFoundError:
            # `@update(key:a)` is Recon; what looks like a path is meant as one
            if os.sep in name or os.path.splitext(name)[1] in (".json", ".recon", ".txt"):
                raise Fault(f"{name}: no such file") from None
        except (OSError, ValueError) as error:
            raise Fault(f"{name}: {getattr(error, 'strerror', None) or error}") from None
    return given.strip()


def _decoded(read: bytes, name: str) -> str:
    if len(read) > LONGEST_BODY:
        raise Fault(f"{name}: a body of over {LONGEST_BODY >> 20} MiB")
    try:
        return read.decode().strip()
    except UnicodeDecodeError as error:
        raise Fault(f"{name}: byte {error.start} is no UTF-8") from None
