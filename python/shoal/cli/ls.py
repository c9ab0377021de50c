"""``shoal ls``: what is on a server."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from shoal.cli.server import add_command, add_format, add_server, address, count, faults

if TYPE_CHECKING:
    from shoal.queries import PopulationSummary, Queries

MORE = """\
examples:
  shoal ls              the populations, and how many twins each has
  shoal ls bus          the addresses of all twins of /bus/{id}, one a line
  shoal ls -l           also their classes, patterns and lanes

Of a server that is not Shoal: its nodes, where it tells them (swim:meta:host)."""


def add(commands: Any) -> None:
    parser, option = add_command(commands, "ls", "list the populations of a server, or the twins of one", MORE)
    option("population", metavar="POPULATION", nargs="?", help="a class or its path: Bus, bus, /bus")
    option("-l", "--long", action="store_true", help="with classes, patterns and lanes")
    option("--limit", metavar="N", type=count, help="at most so many twins")
    add_format(option)
    add_server(option)
    parser.set_defaults(command=command)


def command(chosen: argparse.Namespace) -> int:
    import msgspec

    from shoal.cli.columns import Columns
    from shoal.cli.formats import form_of, to_json, to_recon
    from shoal.cli.populations import named, told
    from shoal.errors import NotShoal
    from shoal.queries import Queries

    where, form = address(chosen), form_of(chosen)
    with faults(), Queries(where, chosen.timeout) as queries:
        try:
            app = told(queries)
        except NotShoal:
            from shoal.cli.swim import list_nodes

            return list_nodes(where, chosen.population, form, chosen.timeout)
        if chosen.population is not None:
            return _twins(queries, named(app, chosen.population), chosen.limit, form)
        if form == "table":
            rows: list[list[Any]] = [[one.path, one.twins] for one in app.populations]
            if chosen.long:
                rows = [[one.cls, one.pattern, one.twins, " ".join(one.lanes)] for one in app.populations]
            Columns(["class", "pattern", "twins", "lanes"] if chosen.long else ["", ""], chosen.long).write(rows)
        else:
            for one in app.populations:
                plain = msgspec.to_builtins(one)
                print(to_recon(plain) if form == "recon" else to_json(plain))
    return 0


def _twins(queries: "Queries", population: "PopulationSummary", limit: int | None, form: str) -> int:
    """Their addresses, as they come."""
    from shoal.cli.formats import writer

    write = writer(form)
    for page in _addresses(queries, population, limit):
        for uri in page:
            print(uri if form == "table" else write(uri))
    return 0


def _addresses(queries: "Queries", population: "PopulationSummary", limit: int | None) -> Iterator[list[str]]:
    import msgspec

    from shoal.errors import Refused

    class Twin(msgspec.Struct):
        uri: str

    if population.all is None:
        # one address, without parameters
        yield [population.example] if population.example else []
        return
    first = population.lanes[:1]
    for fields in (first, []):
        try:
            # one lane keeps the answers small; it has state, if any has
            for page in queries.pages(population.all, fields=fields, limit=limit):
                yield [msgspec.json.decode(twin, type=Twin).uri for twin in page]
            return
        except Refused:
            if not fields:
                raise
