"""Twins that link to lanes of another server: Swim's own for Rust, and Shoal's."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from peers import SERVERS, Server, shoal

from shoal.warp import Address, Bounds, Connection

pytestmark = pytest.mark.slow

KINDS = ["shoal", pytest.param("rust", marks=pytest.mark.long)]


@pytest.fixture(params=KINDS)
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Server, Server]]:
    """The kind of the first, a server of units, and the one whose twins link to them."""
    with ExitStack() as stack:
        started = []
        for name, start in (("units", SERVERS[request.param]), ("mirror", lambda folder: shoal(folder, "mirror.py"))):
            folder = tmp_path / name
            folder.mkdir()
            started.append(start(folder))
            stack.callback(started[-1].end)
        yield request.param, *started


def held(server: Server, node: str, lane: str) -> Any:
    """What the server tells of a lane by WARP."""

    async def main() -> Any:
        async with asyncio.timeout(15), Connection(Address.parse(server.url), Bounds()) as connection:
            link = await connection.link(node, lane)
            await link.synced()
            return link.state.plain()

    return asyncio.run(main())


def follow(mirror: Server, units: Server) -> None:
    """Returns when it is on the disk where the links lead."""
    unit = units.url.replace("http", "warp") + "/unit/1"
    assert mirror.ask("POST", "/mirror/1", "follow", unit, "wait=durable") == (200, None)


def test_writes_go_through_and_come_back(servers: tuple[str, Server, Server]) -> None:
    _, units, mirror = servers
    follow(mirror, units)
    values: list[Any] = [5, -2.5, "two words", "", True, {"a": {"b": "c"}}, [1, 2], "true"]
    for number, value in enumerate(values):
        mirror.post("/mirror/1", "tell", value)
        mirror.until("/mirror/1", "info", value)
        mirror.post("/mirror/1", "put", {"key": f"key {number}", "value": value})
    expected = {f"key {number}": value for number, value in enumerate(values)}
    mirror.until_entries("/mirror/1", "shopping", expected)
    assert held(units, "/unit/1", "info") == values[-1]
    assert held(units, "/unit/1", "shopping") == expected
    mirror.post("/mirror/1", "publish", "said")
    mirror.until("/mirror/1", "count", 1)
    mirror.until("/mirror/1", "info", "said")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_links_come_back_after_a_restart_of_either(servers: tuple[str, Server, Server], how: signal.Signals) -> None:
    kind, units, mirror = servers
    follow(mirror, units)
    expected: dict[str, Any] = {}
    for number in range(20):
        mirror.post("/mirror/1", "put", {"key": f"key {number}", "value": number})
        expected[f"key {number}"] = number
    mirror.post("/mirror/1", "tell", "before")
    mirror.until("/mirror/1", "info", "before")
    mirror.until_entries("/mirror/1", "shopping", expected)
    for turn in range(2):
        mirror.restart(how)
        mirror.post("/mirror/1", "put", {"key": "mirror", "value": turn})
        expected["mirror"] = turn
        mirror.until_entries("/mirror/1", "shopping", expected)
        assert held(units, "/unit/1", "shopping") == expected
        units.restart(how)
        if kind == "rust":  # it keeps nothing
            expected = {}
            mirror.until_entries("/mirror/1", "shopping", expected)
        mirror.post("/mirror/1", "put", {"key": "units", "value": turn})
        expected["units"] = turn
        mirror.until_entries("/mirror/1", "shopping", expected)
        mirror.post("/mirror/1", "tell", turn)
        mirror.until("/mirror/1", "info", turn)
        assert held(units, "/unit/1", "shopping") == expected
