"""``shoal get``: a twin, or one of its lanes, as it is now."""

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from shoal.cli.server import add_command, add_format, add_server, address_and_node, faults

if TYPE_CHECKING:
    from shoal.queries import Queries

MORE = """\
examples:
  shoal get /bus/7                 all lanes of a twin
  shoal get /bus/7 speed           one lane
  shoal get /bus/7 | jq .speed     JSON, where the output is no terminal
  shoal get warp://10.0.0.5:9001/bus/7

Reading never makes a twin. A server that is not Shoal is read by WARP; without
LANE it must tell the lanes of its nodes (swim:meta:node)."""


def add(commands: Any) -> None:
    parser, option = add_command(commands, "get", "show a twin, or one of its lanes, as it is now", MORE)
    option("node", metavar="NODE", help="the twin's address: /bus/7")
    option("lane", metavar="LANE", nargs="?", help="a lane; without it, all that have a state")
    add_format(option)
    add_server(option)
    parser.set_defaults(command=command)


def command(chosen: argparse.Namespace) -> int:
    from shoal.cli.formats import form_of
    from shoal.errors import NotShoal
    from shoal.queries import Queries

    where, node = address_and_node(chosen)
    form = form_of(chosen)
    with faults(), Queries(where, chosen.timeout) as queries:
        try:
            if ":" in node.partition("/")[0]:
                raise NotShoal(f"{node} is no path: it is asked for by WARP")
            body = _read(queries, node, chosen.lane)
        except NotShoal:
            from shoal.cli.swim import get

            return get(where, node, chosen.lane, form, chosen.timeout)
    if not body:
        print(f"shoal: {node} {chosen.lane} is unset", file=sys.stderr)
        return 0
    value = json.loads(body)
    if chosen.lane is None and isinstance(value, dict) and isinstance(value.get("twins"), list):
        return _population(value, node, form)
    show(value, form, chosen.lane is None)
    return 0


def _read(queries: "Queries", node: str, lane: str | None) -> bytes:
    from shoal.errors import Refused

    try:
        return queries.read(node, lane)
    except Refused as error:
        if error.status != 404:
            raise
        from shoal.cli.swim import with_patterns

        raise Refused(with_patterns(queries, str(error), node), 404) from None


def show(value: Any, form: str, is_twin: bool) -> None:
    """A twin (its lanes by name) or a lane's state."""
    from shoal.cli.columns import write_lanes, write_state
    from shoal.cli.formats import to_json, to_recon

    if form == "recon":
        print(to_recon(value))
    elif form == "json":
        print(to_json(value, 2 if sys.stdout.isatty() else None))
    elif is_twin and isinstance(value, dict):
        write_lanes(value)
    else:
        write_state(value)


def _population(page: dict[str, Any], node: str, form: str) -> int:
    """A path where no twin stands, but below which some do."""
    from shoal.cli.columns import write_twins
    from shoal.cli.formats import writer

    if form == "table":
        write_twins(page["twins"], None)
    else:
        write = writer(form)
        for twin in page["twins"]:
            print(write(twin))
    if page.get("next"):
        print(f"shoal: these are the first {len(page['twins'])}; all: shoal find {node}", file=sys.stderr)
    return 0
