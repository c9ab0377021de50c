"""What the commands do by WARP alone, with any of Swim's servers."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar
from urllib.parse import quote

from shoal.cli.faults import EXIT_REFUSED, Fault
from shoal.errors import NotShoal, Refused, Unlinked
from shoal.place import near
from shoal.queries import Queries
from shoal.warp import Address, Bounds, Connection, State

R = TypeVar("R")

# Lanes of a node that are shown together.
MOST_LANES = 200


def bounds(seconds: float) -> Bounds:
    return Bounds(open_seconds=seconds, answer_seconds=seconds)


def run(main: Coroutine[Any, Any, R]) -> R:
    return asyncio.run(main)


def check_exists(where: Address, node: str, lane: str, seconds: float, has_state: bool = False) -> None:
    """``Refused`` where a Shoal server has no such twin or lane: to link it by WARP would make it.

    ``has_state``: also where it has the lane, and that has no state.
    """
    if ":" in node.partition("/")[0]:
        return
    with Queries(where, seconds) as queries:
        try:
            queries.read(node, lane)
        except Refused as error:
            if error.status == 404:
                raise Refused(with_patterns(queries, str(error), node), 404) from None
            if error.status == 405 and has_state:
                words = f"{node} {lane} is a command lane and has no state: shoal link {node} {lane}"
                raise Refused(words, 405) from None
        except NotShoal:
            pass


def with_patterns(queries: Queries, reason: str, node: str) -> str:
    """Why there is no such node or lane, and which populations there are where it belongs to none."""
    if "pattern" not in reason:
        return reason
    app = queries.app()
    patterns = [population.pattern for population in app.populations] if app is not None else []
    hint = near(node, patterns)
    return f"{reason}; {hint}" if hint else reason


def state_of(where: Address, node: str, lane: str, seconds: float) -> State:
    return run(_state(where, node, lane, seconds))


async def _state(where: Address, node: str, lane: str, seconds: float) -> State:
    async with Connection(where, bounds(seconds)) as connection:
        return await synced(connection, node, lane)


async def synced(connection: Connection, node: str, lane: str) -> State:
    link = await connection.link(node, lane)
    await link.synced()
    await link.close()
    return link.state


def send(where: Address, node: str, lane: str, body: str, seconds: float) -> None:
    """A command; ``body`` is Recon."""

    async def main() -> None:
        async with Connection(where, bounds(seconds)) as connection:
            await connection.command(node, lane, body)

    run(main())


def get(where: Address, node: str, lane: str | None, form: str, seconds: float) -> int:
    """A lane's state, or that of all lanes of a node that Swim's introspection names."""
    from shoal.cli.get import show

    if lane is not None:
        show(state_of(where, node, lane, seconds).plain(), form, False)
    else:
        show(run(_lanes(where, node, seconds)), form, True)
    return 0


async def _lanes(where: Address, node: str, seconds: float) -> dict[str, Any]:
    meta = f"swim:meta:node/{quote(node, safe='')}"
    async with Connection(where, bounds(seconds)) as connection:
        try:
            lanes = await synced(connection, meta, "lanes")
        except Unlinked as error:
            raise Unlinked(
                f"{where} does not tell the lanes of {node} ({error.reason or 'refused'}): name one", error.reason
            ) from None
        names = [
            str(name)
            for name, about in lanes.items()
            # others have no state to sync
            if isinstance(about, dict) and str(about.get("laneType")).lower() in ("value", "map", "list")
        ]
        return {name: (await synced(connection, node, name)).plain() for name in sorted(names)[:MOST_LANES]}


def list_nodes(where: Address, under: str | None, form: str, seconds: float) -> int:
    """Nodes by Swim's introspection: those of the first path segment, or those under a path."""
    from shoal.cli.columns import Columns
    from shoal.cli.formats import writer

    path = (under or "").strip("/")
    lane = f"nodes#/{path}/" if path else "nodes#/"
    try:
        nodes = state_of(where, "swim:meta:host", lane, seconds)
    except Unlinked as error:
        raise Fault(
            f"{where} is no Shoal server and does not tell its nodes ({error.reason or 'refused'})", EXIT_REFUSED
        ) from None
    found = {str(key): about for key, about in nodes.items()}
    if path and not found:
        raise Fault(f"{where} has no nodes under /{path}", EXIT_REFUSED)
    if form == "table":
        rows = [[uri, _children(about)] for uri, about in sorted(found.items())]
        Columns(["", ""], header=False).write(rows)
    else:
        write = writer(form)
        for uri in sorted(found):
            print(write(found[uri] if isinstance(found[uri], dict) else uri))
    return 0


def _children(about: Any) -> Any:
    """How many nodes are below it; "" for a node that has none."""
    count = about.get("childCount") if isinstance(about, dict) else None
    return "" if count is None else count
