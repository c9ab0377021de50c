"""Links and commands over real sockets, where Python has a say: hooks, coroutines, refusals, types, `changed`."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from wire import Served, Wire, served

from shoal import App, Command, Count, Latest, Map, Reject, Twin, Value


class Place(msgspec.Struct, frozen=True):
    name: str
    floor: int = 0


def make() -> App[None]:
    app = App("links")

    @app.twin("/door/{id}")
    class Door(Twin):
        push = Command(str)
        opened = Count(push)
        by = Latest(push.body)
        place = Value(Place | None, None)
        size = Value(float, 2.0)
        tags = Map(str, int, 0)
        wait = Command(float)
        story = Value(str, "new")
        wide = Value(bool, False)

        def on_create(self) -> None:
            if self.params.id == "cursed":
                raise RuntimeError("it cannot be made")
            self.story = "made"

        @push.handler
        def on_push(self, who: str) -> None:
            if who == "thief":
                raise Reject("thieves are not let in")
            self.tags[who] += 1

        @wait.handler
        async def on_wait(self, seconds: float) -> None:
            self.story = "waits"
            await asyncio.sleep(seconds)
            self.story = "has waited"

        @size.changed
        def on_size(self, new: float) -> None:
            self.wide = new > 3

    return app


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with served(make(), tmp_path) as server:
        yield server


def link(server: Served, *addresses: str) -> Wire:
    wire = server.open()
    for address in addresses:
        wire.text(f"@sync({address})")
        assert wire.envelope() == f"@linked({address})"
        while wire.envelope() != f"@synced({address})":
            pass
    return wire


def test_a_link_makes_its_twin_with_its_hooks(server: Served) -> None:
    wire = server.open()
    wire.text('@sync(node:"/door/1",lane:story)')
    assert [wire.envelope() for _ in range(3)] == [
        '@linked(node:"/door/1",lane:story)',
        '@event(node:"/door/1",lane:story) made',
        '@synced(node:"/door/1",lane:story)',
    ]


def test_a_twin_that_cannot_be_made_is_not_found(server: Served) -> None:
    wire = server.open()
    for _ in range(2):
        wire.text('@link(node:"/door/cursed",lane:story)')
        assert wire.envelope() == '@unlinked(node:"/door/cursed",lane:story)@nodeNotFound'
    assert server.get("/door/cursed").status == 404


def test_a_rejected_command_changes_and_tells_nothing(server: Served) -> None:
    wire = link(server, 'node:"/door/2",lane:opened', 'node:"/door/2",lane:push')
    wire.text('@command(node:"/door/2",lane:push) thief', '@command(node:"/door/2",lane:push) owner')
    assert {wire.envelope(), wire.envelope()} == {
        '@event(node:"/door/2",lane:opened) 1',
        '@event(node:"/door/2",lane:push) owner',
    }
    answer = server.post("/door/2?lane=push", "thief")
    assert (answer.status, answer.json["detail"]) == (409, "thieves are not let in")


def test_a_map_that_a_handler_writes_is_told_by_key(server: Served) -> None:
    wire = link(server, 'node:"/door/3",lane:tags')
    wire.text(*['@command(node:"/door/3",lane:push) "a b"'] * 2, '@command(node:"/door/3",lane:tags)@clear')
    assert [wire.envelope() for _ in range(3)] == [
        '@event(node:"/door/3",lane:tags)@update(key:"a b") 1',
        '@event(node:"/door/3",lane:tags)@update(key:"a b") 2',
        '@event(node:"/door/3",lane:tags)@clear',
    ]


def test_lanes_are_set_through_their_types_and_their_handlers(server: Served) -> None:
    wire = link(server, 'node:"/door/4",lane:size', 'node:"/door/4",lane:wide', 'node:"/door/4",lane:place')
    wire.text(
        '@command(node:"/door/4",lane:size) tall',
        '@command(node:"/door/4",lane:size) 4',
        '@command(node:"/door/4",lane:place){name:hall,floor:2}',
        '@command(node:"/door/4",lane:place){floor:2}',
        '@command(node:"/door/4",lane:opened) 7',
        '@command(node:"/door/4",lane:place)',
    )
    assert sorted([wire.envelope() for _ in range(4)]) == [
        '@event(node:"/door/4",lane:place)',
        '@event(node:"/door/4",lane:place){name:hall,floor:2}',
        '@event(node:"/door/4",lane:size) 4',
        '@event(node:"/door/4",lane:wide) true',
    ]


def test_a_waiting_twin_takes_its_commands_one_after_the_other(server: Served) -> None:
    wire = link(server, 'node:"/door/5",lane:story', 'node:"/door/5",lane:opened')
    wire.text('@command(node:"/door/5",lane:wait) 0.05', '@command(node:"/door/5",lane:push) late')
    late = link(server, 'node:"/door/5",lane:size')
    late.socket.close()
    assert [wire.envelope() for _ in range(2)] == [
        '@event(node:"/door/5",lane:story)"has waited"',
        '@event(node:"/door/5",lane:opened) 1',
    ]


def test_what_cannot_be_applied_is_kept_and_counted(server: Served, tmp_path: Path) -> None:
    with server.open() as wire:
        wire.text(
            '@command(node:"/door/6",lane:push){a:1}',
            '@command(node:"/door/6",lane:size) tall',
            '@command(node:"/nobody",lane:push) me',
            '@sync(node:"/nobody",lane:push)',
        )
        assert wire.envelope() == '@unlinked(node:"/nobody",lane:push)@nodeNotFound'
    server.end()
    letters: list[dict[str, Any]] = [json.loads(line) for line in (tmp_path / "dead.jsonl").read_text().splitlines()]
    assert [(letter["kind"], letter["lane"]) for letter in letters] == [
        ("invalid", "push"),
        ("invalid", "size"),
        ("unrouted", "push"),
    ]
    assert all(letter["reason"] and letter["node"] for letter in letters)


def test_the_end_is_said_to_the_connection_and_not_to_its_links(server: Served) -> None:
    wire = link(server, 'node:"/door/7",lane:size', 'node:"/door/7",lane:tags')
    server.stop()
    code, reason = wire.ended()
    assert (code, bool(reason)) == (1001, True)
