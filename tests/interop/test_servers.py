"""Shoal's client and commands against servers: Swim's own for Rust, and Shoal's."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from peers import SECONDS, SERVERS, Server

from shoal import recon
from shoal.errors import Unlinked
from shoal.warp import Address, Bounds, Connection
from shoal.warp.change import Set
from shoal.warp.link import Link

pytestmark = pytest.mark.slow

R = TypeVar("R")

QUICK = Bounds(first_pause=0.05, longest_pause=0.1, absent_pause=0.05)
KINDS = ["shoal", pytest.param("rust", marks=pytest.mark.long)]
VALUES: list[Any] = [
    5,
    -2.5,
    0,
    True,
    False,
    "word",
    "two words",
    "",
    "true",
    "12",
    'quotes " and \\ and\nlines',
    "Grüße, 北京 🚌",
    {"a": 1, "b": {"c": [1, 2, "d"]}},
    [1, 2, 3],
    1.5e-9,
    9007199254740991,
]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = SERVERS[kind](tmp_path_factory.mktemp("units"))
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def node(request: pytest.FixtureRequest) -> str:
    return "/unit/" + "".join(c for c in request.node.name if c.isalnum())


def run(main: Coroutine[Any, Any, R]) -> R:
    async def bounded() -> R:
        async with asyncio.timeout(SECONDS):
            return await main

    return asyncio.run(bounded())


def connect(server: Server) -> Connection:
    return Connection(Address.parse(server.url), QUICK)


async def until(link: Link, is_true: Callable[[Any], bool]) -> None:
    """Follows the link until its state is as wanted."""
    if is_true(link.state.plain()):
        return
    async for _ in link.changes():
        if is_true(link.state.plain()):
            return


async def present(server: Server, node: str, lane: str) -> Any:
    """The lane's state as a connection of its own is told it."""
    async with connect(server) as connection:
        link = await connection.link(node, lane)
        await link.synced()
        return link.state.plain()


def shoal(server: Server, *arguments: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "shoal.cli", *arguments, "--url", server.url],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done
    return done.stdout


def test_a_value_is_the_same_at_both_ends(server: Server, node: str) -> None:
    async def main() -> None:
        async with connect(server) as connection, connect(server) as other:
            link = await connection.link(node, "info", follow=True)
            await link.synced()
            assert link.state.plain() is None
            for value in VALUES:
                await other.command(node, "info", recon.dumps(value))
                await until(link, lambda found, value=value: repr(found) == repr(value))
            assert await present(server, node, "info") == VALUES[-1]

    run(main())


def test_a_map_is_the_same_at_both_ends(server: Server, kind: str, node: str) -> None:
    async def main() -> None:
        async with connect(server) as connection, connect(server) as other:
            link = await connection.link(node, "shopping", follow=True)
            await link.synced()
            assert link.state.plain() == {}
            expected: dict[str, Any] = {}
            for number, value in enumerate(VALUES):
                expected[f"key {number}"] = value
                await other.command(node, "shopping", f'@update(key:"key {number}")' + spaced(recon.dumps(value)))
            for number in (0, 3, 7):
                del expected[f"key {number}"]
                await other.command(node, "shopping", f'@remove(key:"key {number}")')
            await until(link, lambda found: found == expected)
            assert await present(server, node, "shopping") == expected
            if kind == "shoal":  # Swim's server for Rust never comes back from these
                await other.command(node, "shopping", "@drop(2)")
                await until(link, lambda found: len(found) == len(expected) - 2)
                await other.command(node, "shopping", "@take(3)")
                await until(link, lambda found: len(found) == 3)
                assert await present(server, node, "shopping") == link.state.plain()
            await other.command(node, "shopping", "@clear")
            await until(link, lambda found: found == {})
            assert await present(server, node, "shopping") == {}

    run(main())


def spaced(body: str) -> str:
    return body if body[:1] in ("", *'@{%"') else " " + body


def test_each_command_is_carried_out(server: Server, node: str) -> None:
    async def main() -> list[Any]:
        async with connect(server) as connection, connect(server) as other:
            link = await connection.link(node, "publish", sync=False, follow=True)
            await link.opened()
            for number in range(50):
                await other.command(node, "publish", str(number))
            seen = []
            async for change in link.changes():
                assert isinstance(change, Set)
                seen.append(change.value)
                if change.value == 49:
                    return seen
            return []

    seen = run(main())
    assert seen == sorted(set(seen))
    assert run(present(server, node, "count")) == 50
    assert run(present(server, node, "shopping")) == {f"k{number % 16}": number - 1 for number in range(35, 51)}


def test_a_lane_and_a_node_that_are_not_there_are_said(server: Server, node: str) -> None:
    async def main() -> list[str]:
        reasons = []
        async with connect(server) as connection:
            for where, lane in ((node, "nothing"), ("/nowhere/1", "info")):
                link = await connection.link(where, lane)
                with pytest.raises(Unlinked) as caught:
                    await link.synced()
                reasons.append(caught.value.reason)
            link = await connection.link(node, "info")
            await link.synced()
        return reasons

    assert run(main()) == ["laneNotFound", "nodeNotFound"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_links_come_back_after_a_restart(kind: str, node: str, how: signal.Signals, tmp_path: Path) -> None:
    server = SERVERS[kind](tmp_path)
    # Swim's server for Rust keeps nothing
    keeps = kind == "shoal"

    async def main() -> None:
        back = asyncio.Event()
        async with Connection(Address.parse(server.url), QUICK, on_return=back.set) as connection:
            value = await connection.link(node, "info", follow=True)
            entries = await connection.link(node, "shopping", follow=True)
            events = await connection.link(node, "publish", sync=False, follow=True)
            async with connect(server) as other:
                for number in range(20):
                    await other.command(node, "publish", str(number))
            await until(value, lambda found: found == 19)
            await until(entries, lambda found: len(found) == 16)
            held = entries.state.plain()
            await asyncio.to_thread(server.restart, how)
            await back.wait()
            for link in (value, entries):
                await link.synced()
            async with connect(server) as other:
                await until(value, lambda found: found == (19 if keeps else None))
                await until(entries, lambda found: found == (held if keeps else {}))
                assert await present(server, node, "shopping") == entries.state.plain()
                await events.opened()
                await other.command(node, "publish", '"after"')
                await until(value, lambda found: found == "after")
                await until(entries, lambda found: "after" in found.values())
                await until(events, lambda found: found == "after")
            assert await present(server, node, "shopping") == entries.state.plain()
            assert len(entries.state) == (16 if keeps else 1)

    try:
        run(main())
    finally:
        server.end()


def test_the_commands_of_the_command_line(server: Server, node: str) -> None:
    shoal(server, "command", node, "info", '{"speed": 31.5}')
    assert json.loads(shoal(server, "get", node, "info")) == {"speed": 31.5}
    assert json.loads(shoal(server, "sync", node, "info")) == {"speed": 31.5}
    assert json.loads(shoal(server, "link", node, "info", "--count", "1")) == {"speed": 31.5}


def skip_map_of_rust(kind: str) -> None:
    if kind == "rust":
        pytest.skip("Swim's server for Rust spins when a map is commanded after other connections have come and gone")


def test_the_commands_of_the_command_line_on_a_map(server: Server, kind: str, node: str) -> None:
    skip_map_of_rust(kind)
    shoal(server, "command", node, "shopping", "@update(key:a) 1")
    shoal(server, "command", node, "shopping", '@update(key:"b c"){x:2}')
    assert json.loads(shoal(server, "sync", node, "shopping")) == {"a": 1, "b c": {"x": 2}}
    shoal(server, "command", node, "shopping", '@remove(key:"b c")')
    assert json.loads(shoal(server, "sync", node, "shopping")) == {"a": 1}


def test_all_lanes_of_a_node_and_all_nodes_are_told(server: Server, kind: str, node: str) -> None:
    skip_map_of_rust(kind)
    shoal(server, "command", node, "publish", "5")
    shown = json.loads(shoal(server, "get", node))
    # pairs, where keys may be of several types
    shown["shopping"] = dict(shown["shopping"])
    expected = {"info": 5, "count": 1, "shopping": {"k1": 5}}
    assert {name: shown[name] for name in expected} == expected
    assert json.dumps(node) in shoal(server, "ls", "/unit").splitlines()
