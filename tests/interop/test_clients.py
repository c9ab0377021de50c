"""Swim's own clients against a served app: what they hold is what the server says, over its end and start, too."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from peers import CLIENTS, Client, Server, shoal

pytestmark = pytest.mark.slow

# What each client reads and writes as it is.
VALUES: list[Any] = [
    5,
    -2.5,
    0,
    True,
    False,
    "word",
    "two words",
    "",
    "12",
    "Grüße, 北京 🚌",
    {"a": 1, "b": "two words"},
    9007199254740991,
]
# Swim's Python client knows no escapes in texts, no lists, and no record in a record.
MORE: dict[str, list[Any]] = {
    "JavaScript": ['quotes " and \\ and\nlines', {"a": {"b": {"c": [1, 2, "d"]}}}, [1, 2, 3], 1.5e-9],
    "Python": [],
    "Rust": ['quotes " and \\ and\nlines', {"a": {"b": {"c": [1, 2, "d"]}}}, [1, 2, 3], 1.5e-9],
}
# Clients write this text without quotes, as they write a truth; they read it right.
FROM_SERVER: list[Any] = ["true", "false"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = shoal(tmp_path_factory.mktemp("units"))
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """One that may be ended."""
    made = shoal(tmp_path)
    try:
        yield made
    finally:
        made.end()


Start = Callable[[Server], Client]


@pytest.fixture(params=["javascript", "python", pytest.param("rust", marks=pytest.mark.long)])
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    with ExitStack() as stack:

        def one(server: Server) -> Client:
            client = CLIENTS[request.param](server.url)
            stack.callback(client.end)
            return client

        yield one


@pytest.fixture
def node(request: pytest.FixtureRequest) -> str:
    """A twin of this test alone."""
    return "/unit/" + "".join(c for c in request.node.name if c.isalnum())


def test_a_value_is_the_same_at_both_ends(server: Server, start: Start, node: str) -> None:
    client = start(server)
    client.open("a", "value", node, "info")
    assert client.state("a") is None
    values = VALUES + MORE[client.name]
    for value in values:
        client.do("set", on="a", value=value)
        server.until(node, "info", value)
    for value in reversed(values + FROM_SERVER):
        server.post(node, "info", value)
        client.until_state("a", value)


def test_two_links_to_a_lane_see_each_change(server: Server, start: Start, node: str) -> None:
    first, second = start(server), start(server)
    first.open("a", "value", node, "info")
    second.open("a", "value", node, "info")
    second.open("b", "value", node, "info")
    first.do("set", on="a", value="new")
    for on in ("a", "b"):
        second.until_state(on, "new")
    if second.name != "Rust":  # its links end with their program
        second.do("close", on="b")
    first.do("set", on="a", value="newer")
    second.until_state("a", "newer")
    assert second.name == "Rust" or second.state("b") == "new"


def test_a_map_is_the_same_at_both_ends(server: Server, start: Start, node: str) -> None:
    client, watcher = start(server), start(server)
    client.open("m", "map", node, "shopping")
    watcher.open("m", "map", node, "shopping")
    expected: dict[str, Any] = {}
    values = VALUES + MORE[client.name]
    if client.name == "Python":  # it puts no records into maps
        values = [value for value in values if not isinstance(value, dict)]
    for number, value in enumerate(values):
        client.do("put", on="m", key=f"key {number}", value=value)
        expected[f"key {number}"] = value
    server.until_entries(node, "shopping", expected)
    watcher.until_entries("m", expected)
    for number in (0, 3, 7):
        client.do("remove", on="m", key=f"key {number}")
        del expected[f"key {number}"]
    client.do("put", on="m", key="key 1", value="other")
    expected["key 1"] = "other"
    server.until_entries(node, "shopping", expected)
    for one in (client, watcher):
        one.until_entries("m", expected)
    late = start(server)
    late.open("m", "map", node, "shopping")
    late.until_entries("m", expected)


def test_keys_of_a_map_keep_their_type(server: Server, start: Start, node: str) -> None:
    client, watcher = start(server), start(server)
    client.open("m", "map", node, "shopping")
    watcher.open("m", "map", node, "shopping")
    expected = {key: type(key).__name__ for key in ("1", 1, "two words", 2)}
    for key, value in expected.items():
        client.do("put", on="m", key=key, value=value)
    watcher.until_entries("m", expected)
    server.until_entries(node, "shopping", expected)


def test_each_command_arrives_once_and_in_order(server: Server, start: Start, node: str) -> None:
    client, watcher = start(server), start(server)
    watcher.open("e", "event", node, "publish")
    for number in range(200):
        client.do("command", node=node, lane="publish", body={"number": number})
    expected = [{"number": number} for number in range(200)]
    watcher.until(lambda: len(watcher.events("e")) >= 200, "200 events")
    assert watcher.events("e") == expected
    assert server.get(node, "count") == 200
    assert server.get(node, "info") == expected[-1]


def test_an_event_link_sees_a_value_lane(server: Server, start: Start, node: str) -> None:
    client = start(server)
    client.open("e", "event", node, "info")
    for value in VALUES:
        server.post(node, "info", value)
    client.until(lambda: client.events("e")[-1:] == VALUES[-1:], "last value")
    # the Rust client syncs event links, too: what the lane holds comes first
    seen = [repr(value) for value in client.events("e") if value is not None]
    assert seen == [value for value in map(repr, VALUES) if value in seen]


def test_a_lane_that_is_not_there_is_refused_and_the_rest_goes_on(server: Server, start: Start, node: str) -> None:
    client = start(server)
    client.open("a", "value", node, "info")
    client.open("none", "value", node, "nothing", is_synced=False)
    client.do("set", on="a", value="here")
    server.until(node, "info", "here")
    client.until_state("a", "here")
    assert "synced" not in client.said("none")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_links_come_back_after_a_restart(own_server: Server, start: Start, node: str, how: signal.Signals) -> None:
    client = start(own_server)
    client.open("a", "value", node, "info")
    client.open("m", "map", node, "shopping")
    client.open("e", "event", node, "publish")
    entries = {}
    for number in range(20):
        client.do("put", on="m", key=f"key {number}", value=number)
        entries[f"key {number}"] = number
    client.do("set", on="a", value="before")
    own_server.until(node, "info", "before")
    own_server.until_entries(node, "shopping", entries)
    for turn in range(2):
        before = {on: client.said(on).count("linked") for on in ("a", "m", "e")}
        own_server.restart(how)
        for on, count in before.items():
            client.until_back(on, count, "linked")
        assert own_server.get(node, "info") == client.state("a")
        assert own_server.entries(node, "shopping") == client.entries("m") == entries
        # both directions, all three links
        client.do("set", on="a", value=f"after {turn}")
        own_server.until(node, "info", f"after {turn}")
        own_server.post(node, "publish", turn)
        client.until(lambda turn=turn: client.events("e")[-1:] == [turn], "event")
        client.until_state("a", turn)
        entries[f"k{turn + 1}"] = turn
        client.until_entries("m", entries)
        assert own_server.entries(node, "shopping") == entries
    assert client.events("e") == [0, 1]
    assert own_server.get(node, "count") == 2


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_list_loses_and_doubles_nothing_over_a_restart(own_server: Server, node: str, how: signal.Signals) -> None:
    """JavaScript alone has lists."""
    with ExitStack() as stack:
        writer, watcher = (CLIENTS["javascript"](own_server.url) for _ in range(2))
        for one in (writer, watcher):
            stack.callback(one.end)
            one.open("l", "list", node, "items")
        for value in ("c", "b", "a"):
            writer.do("insert", on="l", index=0, value=value)
        expected: list[Any] = ["a", "b", "c"]
        own_server.until(node, "items", expected)
        for body in ({"value": "d"}, {"index": 1, "value": "B"}, {"value": {"x": 1}}, {"value": "f"}):
            own_server.post(node, "items", body)
        own_server.post(node, "items", {"from": 5, "to": 0})
        own_server.post(node, "items", {"index": 3, "removed": True})
        expected = ["f", "a", "B", "d", {"x": 1}]
        assert own_server.get(node, "items") == expected
        watcher.until_elements("l", expected)
        keys = [key for key, _ in watcher.state("l")]
        for turn in range(2):
            before = [one.said("l").count("synced") for one in (writer, watcher)]
            own_server.restart(how)
            for one, count in zip((writer, watcher), before, strict=True):
                one.until_back("l", count)
            assert own_server.get(node, "items") == expected
            watcher.until_elements("l", expected)
            assert [key for key, _ in watcher.state("l")][:5] == keys
            # both directions
            own_server.post(node, "items", {"value": turn})
            expected.append(turn)
            watcher.until_elements("l", expected)
            late = CLIENTS["javascript"](own_server.url)
            stack.callback(late.end)
            late.open("l", "list", node, "items")
            late.until_elements("l", expected)
            late.do("delete", on="l", index=len(expected) - 1)
            expected.pop()
            own_server.until(node, "items", expected)
            late.do("replace", on="l", index=4, value=f"turn {turn}")
            expected[4] = f"turn {turn}"
            own_server.until(node, "items", expected)
            late.do("move", on="l", **{"from": 0, "to": 2})
            expected.insert(2, expected.pop(0))
            own_server.until(node, "items", expected)
            watcher.until_elements("l", expected)
            keys = [key for key, _ in watcher.state("l")]
