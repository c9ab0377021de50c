"""``shoal sync``: the present state of a lane, by WARP."""

import argparse
from typing import Any

from shoal.cli.server import add_command, add_format, add_server, address_and_node, faults

MORE = """\
examples:
  shoal sync /bus/7 stops          a map or list lane: its entries
  shoal sync /bus/7 speed          a value lane
  shoal sync warp://swim.example:9001/unit/foo info

Works with every WARP server. A map is a JSON object, or a list of pairs where
its keys are no texts; a list is a list."""


def add(commands: Any) -> None:
    parser, option = add_command(commands, "sync", "show what a lane holds, by WARP, and end", MORE)
    option("node", metavar="NODE", help="the twin's address: /bus/7")
    option("lane", metavar="LANE", help="a value, map or list lane, a fold, or members")
    option("--make", action="store_true", help="also where no twin is: WARP's sync makes it")
    add_format(option)
    add_server(option)
    parser.set_defaults(command=command)


def command(chosen: argparse.Namespace) -> int:
    from shoal.cli.formats import form_of
    from shoal.cli.get import show
    from shoal.cli.swim import check_exists, state_of

    where, node = address_and_node(chosen)
    with faults():
        if not chosen.make:
            check_exists(where, node, chosen.lane, chosen.timeout, has_state=True)
        state = state_of(where, node, chosen.lane, chosen.timeout)
    show(state.plain(), form_of(chosen), False)
    return 0
