"""``shoal link``: every change of a lane, as it comes."""

import argparse
import contextlib
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from shoal.cli.server import add_command, add_format, add_server, address_and_node, count, faults

if TYPE_CHECKING:
    from shoal.warp import Address, Change, Link

MORE = """\
examples:
  shoal link /bus/7 speed               live on a terminal
  shoal link /bus/7 speed | head -3     a JSON line an event
  shoal link /bus/7 report --changes    what happens, not what is

Lines of a map: {"key":…,"value":…}, {"key":…,"removed":true}, {"cleared":true};
of a list with "index", or {"from":…,"to":…}. A link that breaks comes back."""


def add(commands: Any) -> None:
    parser, option = add_command(commands, "link", "follow a lane until Ctrl-C: every change as it comes", MORE)
    option("node", metavar="NODE", help="the twin's address: /bus/7")
    option("lane", metavar="LANE", help="any lane: value, map, list, fold, members, command")
    option("--changes", action="store_true", help="without the present state")
    option("--count", metavar="N", type=count, help="end after so many events")
    option("--rate", metavar="HZ", type=_rate, default=0.0, help="at most so many events a second")
    option("--make", action="store_true", help="also where no twin is: WARP's link makes it")
    add_format(option)
    add_server(option)
    parser.set_defaults(command=command)


class View(Protocol):
    """Shows a link's events until it is closed."""

    def show(self, change: "Change") -> None: ...
    def close(self) -> None: ...


def command(chosen: argparse.Namespace) -> int:
    from shoal.cli.formats import form_of
    from shoal.cli.swim import check_exists, run

    where, node = address_and_node(chosen)
    with faults():
        if not chosen.make:
            check_exists(where, node, chosen.lane, chosen.timeout)
        # Ctrl-C is how it ends
        with contextlib.suppress(KeyboardInterrupt):
            run(_follow(where, node, form_of(chosen), chosen))
    return 0


async def _follow(where: "Address", node: str, form: str, chosen: argparse.Namespace) -> None:
    import asyncio

    from shoal.cli.swim import bounds
    from shoal.warp import Connection

    task = asyncio.current_task()
    assert task is not None
    # the terminal is left as it was, also when the process is told to end
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    tell = Breaks(where)
    with contextlib.suppress(asyncio.CancelledError):
        async with Connection(where, bounds(chosen.timeout), tell.broke, tell.returned) as connection:
            link = await connection.link(node, chosen.lane, sync=not chosen.changes, rate=chosen.rate, follow=True)
            view = _view(link, form)
            try:
                await _show(link, view, chosen.count)
            finally:
                view.close()
            await link.close()


async def _show(link: "Link", view: View, count: int | None) -> None:
    await link.opened()
    shown = 0
    async for change in link.changes():
        view.show(change)
        shown += 1
        if shown == count:
            return


def _view(link: "Link", form: str) -> View:
    if form == "table" and sys.stdout.isatty():
        from shoal.cli.live import Live

        return Live(link)
    from shoal.cli.formats import cell, to_json, to_recon

    return Lines({"json": to_json, "recon": to_recon, "table": cell}[form])


class Lines:
    """One line an event, written at once."""

    def __init__(self, write: Callable[[Any], str]) -> None:
        self._write = write

    def show(self, change: "Change") -> None:
        print(self._write(plain(change)), flush=True)

    def close(self) -> None:
        pass


def plain(change: "Change") -> Any:
    """As the server's HTTP streams have it."""
    from shoal.warp import Clear, Cut, Element, Move, Out, Remove, Set, Update

    match change:
        case Set(value):
            return value
        case Update(key, value):
            return {"key": key, "value": value}
        case Remove(key):
            return {"key": key, "removed": True}
        case Clear():
            return {"cleared": True}
        case Element(index, key, value):
            return {"index": index, "key": key, "value": value}
        case Move(from_, to, key):
            return {"from": from_, "to": to, "key": key}
        case Out(index, key):
            return {"index": index, "key": key, "removed": True}
        case Cut(what, number):
            return {what: number}


class Breaks:
    """Says on standard error that a connection broke and that it is back; attempts between are not told."""

    def __init__(self, where: "Address") -> None:
        self._where = where
        self._broken = False

    def broke(self, reason: str, pause: float) -> None:
        if not self._broken:
            print(f"shoal: {self._where}: {reason}; trying again until it is back", file=sys.stderr, flush=True)
        self._broken = True

    def returned(self) -> None:
        self._broken = False
        print(f"shoal: {self._where}: linked again", file=sys.stderr, flush=True)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of events a second above 0")
    return rate
