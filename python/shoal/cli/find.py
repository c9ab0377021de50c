"""``shoal find``: the twins of a population that fulfil conditions."""

import argparse
import json
from typing import Any

from shoal.cli.faults import EXIT_REFUSED, Fault
from shoal.cli.server import add_command, add_format, add_server, address, count, faults

MORE = """\
examples:
  shoal find bus 'speed > 20 and route = 12'
  shoal find meter 'volt < 207' --fields volt,feeder --format table

A condition is LANE, one of = != < <= > >=, and a number, true, false, null, a
time (2026-05-01T12:00:00Z) or a text, which may stand in double quotes."""


def add(commands: Any) -> None:
    parser, option = add_command(commands, "find", "find twins of a population by conditions on their lanes", MORE)
    option("population", metavar="POPULATION", help="a class or its path: Bus, bus, /bus")
    option("conditions", metavar="CONDITION", nargs="*", help="'speed > 20'; several must all hold")
    option("--fields", metavar="LANES", default="", help="only these lanes: speed,route")
    option("--limit", metavar="N", type=count, help="at most so many twins")
    option("--count", action="store_true", help="only how many there are")
    add_format(option)
    add_server(option)
    parser.set_defaults(command=command)


def command(chosen: argparse.Namespace) -> int:
    from shoal.cli.columns import write_twins
    from shoal.cli.formats import form_of, writer
    from shoal.cli.populations import named, told
    from shoal.errors import NotShoal
    from shoal.queries import Queries

    where, form = address(chosen), form_of(chosen)
    with faults(), Queries(where, chosen.timeout) as queries:
        try:
            app = told(queries)
        except NotShoal as error:
            raise Fault(f"{error}; find needs one, as WARP has no search", EXIT_REFUSED) from None
        population = named(app, chosen.population)
        if population.all is None:
            hint = f": shoal get {population.pattern}" if "{" not in population.pattern else ""
            raise Fault(f"the twins of {population.pattern} are not listed by the server{hint}", EXIT_REFUSED)
        if chosen.count:
            found = queries.count(population.all, chosen.conditions)
            print(f"{found:,}" if form == "table" else found)
            return 0
        fields = [name for name in chosen.fields.replace(",", " ").split() if name != "uri"]
        columns = None
        write = writer(form)
        for page in queries.pages(population.all, chosen.conditions, fields, chosen.limit):
            twins = [json.loads(bytes(twin)) for twin in page]
            if form == "table":
                columns = write_twins(twins, columns)
            else:
                for twin in twins:
                    print(write(twin))
    return 0
