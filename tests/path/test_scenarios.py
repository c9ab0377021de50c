"""What the Java server and its clients were seen to do in scenarios of which there is no recording here."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from twins_recorded import make
from wire import Served, Wire, served

MARKS = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(make(lambda: None), tmp_path_factory.mktemp("run")) as server:
        yield server


def told(wire: Wire, *frames: str) -> list[str]:
    """Sends the frames and gives all that comes for them: a refusal comes behind all that was answered before.

    Refusals go before waiting events, so that a second one comes behind the events of whatever the first came behind.
    """
    wire.text(*frames)
    found: list[str] = []
    for _ in range(2):
        address = f'(node:"/barrier",lane:n{next(MARKS)})'
        wire.text(f"@sync{address}")
        while (envelope := wire.envelope()) != f"@unlinked{address}@nodeNotFound":
            found.append(envelope)
    return found


def at(id: str, lane: str) -> str:
    return f'(node:"/unit/{id}",lane:{lane})'


def test_map_burst_ends_with_the_last_value_of_each_key(server: Served) -> None:
    where = at("burst", "shopping")
    with server.open() as wire:
        assert told(wire, f"@sync{where}") == [f"@linked{where}", f"@synced{where}"]
        sent = [f"@command{where}@update(key:k{number % 4}) {number}" for number in range(400)]
        found = told(wire, *sent)
    last = {envelope.partition("key:")[2].partition(")")[0]: envelope for envelope in found}
    assert last == {f"k{key}": f"@event{where}@update(key:k{key}) {396 + key}" for key in range(4)}
    assert all(envelope.startswith(f"@event{where}@update(key:k") for envelope in found)


def test_two_links_on_one_connection_are_one(server: Served) -> None:
    where = at("two", "info")
    with server.open() as wire, server.open() as other:
        assert told(wire, f"@link{where}", f"@link{where}") == [f"@linked{where}", f"@linked{where}"]
        assert told(other, f"@command{where} 5") == []
        assert told(wire) == [f"@event{where} 5"]
        assert told(wire, f"@unlink{where}") == [f"@unlinked{where}"]
        assert told(other, f"@command{where} 6") == []
        assert told(wire) == []
        assert told(wire, f"@unlink{where}") == []


@pytest.mark.parametrize(
    ("asked", "echoed"),
    [
        ("prio:0.5,rate:1.0", "prio:0.5,rate:1"),
        ("rate:2", "rate:2"),
        ("prio:0,rate:0", ""),
        ("prio:-1", "prio:-1"),
        ("prio:7.25", "prio:7.25"),
    ],
)
def test_prio_and_rate_are_echoed_in_linked_alone(server: Served, asked: str, echoed: str) -> None:
    where = at("prio", "info")
    more = f"{where[:-1]},{echoed})" if echoed else where
    with server.open() as wire:
        found = told(wire, f"@sync{where[:-1]},{asked})")
        assert found[0] == f"@linked{more}"
        assert [envelope.partition("(")[0] for envelope in found] == ["@linked", "@event", "@synced"]
        assert all(envelope.startswith((f"@event{where}", f"@synced{where}")) for envelope in found[1:])
        turned = f'@link({asked},lane:info,node:"/unit/prio")'
        assert told(wire, turned) == [f"@linked{more}"]


def test_a_priority_that_is_no_number_ends_the_connection(server: Served) -> None:
    with server.open() as wire:
        wire.text('@link(node:"/unit/prio",lane:info,prio:high)')
        assert wire.closed()[0] == 1002


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        ('@link(node:"/unit/e1",lane:"info")', '@linked(node:"/unit/e1",lane:info)'),
        ('@link( node : "/unit/e1" , lane : info )', '@linked(node:"/unit/e1",lane:info)'),
        ('@link(node:"/unit/e1",lane:info,colour:red)', '@linked(node:"/unit/e1",lane:info)'),
        ('@link(node:"/unit/e1",lane:info)@why{a:1}', '@linked(node:"/unit/e1",lane:info)@why{a:1}'),
        ('@link(node:"warp://any.host:80/unit/e1",lane:info)', '@linked(node:"warp://any.host:80/unit/e1",lane:info)'),
        ('@link(node:"unit/e1",lane:info)', '@linked(node:"unit/e1",lane:info)'),
        ('@link(node:"/unit/e1?a=b",lane:info)', '@linked(node:"/unit/e1?a=b",lane:info)'),
        ('@link(node:"/unit/e1",lane:"info#x")', '@linked(node:"/unit/e1",lane:"info#x")'),
        # as the peer wrote it, where Java writes the digits in lower case
        ('@link(node:"/unit/a%2Fb",lane:info)', '@linked(node:"/unit/a%2Fb",lane:info)'),
    ],
)
def test_variants_of_an_envelope(server: Served, frame: str, answer: str) -> None:
    with server.open() as wire:
        assert told(wire, frame) == [answer]


@pytest.mark.parametrize("node", ["/unit/x", '"/unit/ü"', '"/unit/a b"'])
def test_a_node_that_is_no_quoted_uri_ends_the_connection(server: Served, node: str) -> None:
    with server.open() as wire:
        wire.text(f"@link(node:{node},lane:info)")
        assert wire.closed()[0] == 1002


def test_what_is_unknown_is_refused_each_time(server: Served) -> None:
    where, nowhere = at("u", "nope"), '(node:"/nowhere/1",lane:info)'
    with server.open() as wire:
        for _ in range(3):
            assert told(wire, f"@link{where}") == [f"@unlinked{where}@laneNotFound"]
            assert told(wire, f"@sync{nowhere}") == [f"@unlinked{nowhere}@nodeNotFound"]
        assert told(wire, f"@unlink{where}", f"@command{where} 1", f"@command{nowhere} 1") == []
        assert told(wire, f"@link{at('u', 'info')}") == [f"@linked{at('u', 'info')}"]
        assert told(wire, '@link(node:"/unit/",lane:info)') == ['@unlinked(node:"/unit/",lane:info)@nodeNotFound']


def test_js_map(server: Served) -> None:
    """`@sync` at once, commands with the key first, `@unlink` at the end."""
    where = at("jsm", "shopping")
    with server.open() as wire:
        assert told(wire, f"@sync{where}") == [f"@linked{where}", f"@synced{where}"]
        assert told(wire, f"@command{where}@update(key:a) 1") == [f"@event{where}@update(key:a) 1"]
        assert told(wire, f"@command{where}@update(key:b){{x:1}}") == [f"@event{where}@update(key:b){{x:1}}"]
        assert told(wire, f"@command{where}@remove(key:a)") == [f"@event{where}@remove(key:a)"]
        assert told(wire, f"@command{where}@remove(key:a)") == []
        assert told(wire, f"@command{where}@clear") == [f"@event{where}@clear"]
        assert told(wire, f"@unlink{where}") == [f"@unlinked{where}"]


def test_js_two(server: Served) -> None:
    """Two downlinks of a client are one link; the set of either is the event of both, once."""
    where = at("jst", "info")
    with server.open() as wire:
        assert told(wire, f"@sync{where}") == [f"@linked{where}", f"@event{where}", f"@synced{where}"]
        assert told(wire, f"@command{where} 1") == [f"@event{where} 1"]
        assert told(wire, f"@unlink{where}") == [f"@unlinked{where}"]


def test_py_map(server: Served) -> None:
    """Bodies without a space, and a close where others unlink."""
    where = at("pym", "shopping")
    with server.open() as wire:
        assert told(wire, f"@sync{where}") == [f"@linked{where}", f"@synced{where}"]
        assert told(wire, f"@command{where}@update(key:a)1") == [f"@event{where}@update(key:a) 1"]
        assert told(wire, f'@command{where}@update(key:"b c")"x y"') == [f'@event{where}@update(key:"b c")"x y"']
        assert told(wire, f"@command{where}@remove(key:a)") == [f"@event{where}@remove(key:a)"]
    with server.open() as wire:
        found = told(wire, f"@sync{where}")
        assert found == [f"@linked{where}", f'@event{where}@update(key:"b c")"x y"', f"@synced{where}"]
