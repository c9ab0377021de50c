"""List lanes over real sockets: links that follow them, HTTP, slow readers, a store."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from wire import Served, served

from shoal import App, Command, List, Settings, Twin
from shoal.warp import Address, Bounds, Connection, Link

QUICK = Bounds(open_seconds=5, answer_seconds=10, close_seconds=0.2, first_pause=0.01, longest_pause=0.05)


def make() -> App[None]:
    app = App("shopping", settings=Settings(link_queue=50))

    @app.twin("/list/{id}")
    class Shopping(Twin):
        items = List(str)
        sort = Command()
        fill = Command(int)

        @sort.handler
        def on_sort(self) -> None:
            for to, item in enumerate(sorted(self.items)):
                self.items.move(self.items.index(item, to), to)

        @fill.handler
        def on_fill(self, count: int) -> None:
            self.items.extend(f"{at} " + "x" * 1_000 for at in range(count))
            self.items.drop(count // 2)
            self.items.reverse()

    return app


async def until(link: Link, told: Callable[[], bool]) -> None:
    # closed at once, before another iteration begins
    async with asyncio.timeout(20), aclosing(link.changes()) as changes:
        async for _ in changes:
            if told():
                return


def state(server: Served) -> Any:
    return server.get("/list/1?lane=items").json


@pytest.mark.slow
def test_a_link_s_copy_is_the_list_over_a_restart_from_a_store(tmp_path: Path) -> None:
    draw = random.Random(3)
    store = tmp_path / "store"

    def operation() -> str:
        index, text = draw.randrange(30), f"item{draw.randrange(100)}"
        return draw.choice(
            [
                f"@update(index:{index}){text}",
                f"@update(index:{index // 3},key:k{index}){text}",
                f"@update(key:k{index}){text}",
                f"@move(from:{index},to:{draw.randrange(20)})",
                f"@remove(index:{index})",
                f"@remove(index:{index},key:k{index})",
                "@drop(1)" if draw.random() < 0.2 else f"@move(from:0,to:{index},key:k{index})",
            ]
        )

    async def write(connection: Connection, count: int) -> None:
        for _ in range(count):
            await connection.command("/list/1", "items", operation())
        await connection.command("/list/1", "sort", "")

    async def main() -> None:
        with served(make(), tmp_path, store=store) as server:
            port = server.port
            reader = await Connection(Address.parse(f"http://127.0.0.1:{port}"), QUICK).__aenter__()
            link = await reader.link("/list/1", "items", follow=True)
            await link.synced()
            async with Connection(Address.parse(f"http://127.0.0.1:{port}"), QUICK) as writer:
                await write(writer, 1_500)
                await writer.command("/list/1", "items", "@update(key:last)last")
            await until(link, lambda: "last" in link.state.plain())
            before = state(server)
            assert link.state.plain() == before
            assert len(before) > 5
        with served(make(), tmp_path, store=store, port=port) as server:
            assert state(server) == before
            server.post("/list/1?lane=items", {"value": "after"})
            server.post("/list/1?lane=items", {"key": "last", "removed": True})
            await until(link, lambda: "after" in link.state.plain())
            async with asyncio.timeout(20):
                while link.state.plain() != state(server):
                    await asyncio.sleep(0)
            assert len({str(key) for key, _ in link.state.items()}) == len(link.state.plain())
            await reader.__aexit__(None, None, None)

    asyncio.run(main())


def test_a_reader_that_is_too_slow_ends_at_the_list(tmp_path: Path) -> None:
    at = 'node:"/list/1",lane:items'
    with served(make(), tmp_path) as server:
        wire = server.open()
        wire.text(f"@sync({at})")
        assert [wire.envelope() for _ in range(2)] == [f"@linked({at})", f"@synced({at})"]
        # several sockets' buffers full, and many times the queue
        for _ in range(8):
            assert server.post("/list/1?lane=fill", 900).status == 202
        server.post("/list/1?lane=items", {"index": 0, "value": "last"})
        elements: list[list[str]] = []
        clears = 0
        while not elements or elements[0][1] != "last":
            body = wire.envelope().removeprefix(f"@event({at})")
            head, _, value = body.partition(")")
            slots = dict(slot.split(":") for slot in head.partition("(")[2].split(",") if slot)
            match head.partition("(")[0]:
                case "@clear":
                    elements.clear()
                    clears += 1
                case "@update":
                    index = int(slots["index"])
                    if index < len(elements) and elements[index][0] == slots["key"]:
                        elements[index][1] = value.strip().strip('"')
                    else:
                        elements.insert(index, [slots["key"], value.strip().strip('"')])
                case "@move":
                    elements.insert(int(slots["to"]), elements.pop(int(slots["from"])))
                case "@remove":
                    assert elements.pop(int(slots["index"]))[0] == slots["key"]
        assert clears > 0, "the queue has never been full: this shows nothing"
        assert [value for _, value in elements] == state(server)


def test_http_reads_replaces_and_streams_a_list(tmp_path: Path) -> None:
    with served(make(), tmp_path) as server:
        assert server.post("/list/1?lane=items", ["milk", "bread"]).status == 202
        assert server.get("/list/1").json == {"items": ["milk", "bread"]}
        assert server.post("/list/1?lane=items", {"from": 1, "to": 0}).status == 202
        assert state(server) == ["bread", "milk"]
        refused = server.post("/list/1?lane=items", {"index": 5, "removed": True})
        assert (refused.status, refused.json["detail"]) == (400, "`items` has 2 elements, and 5 is no index of it")
        refused = server.post("/list/1?lane=items", ["a", 5])
        assert refused.status == 400
        stream = server.connect()
        stream.send(b"GET /list/1?lane=items HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
        first = stream.until(b"event: synced").decode()
        data = [json.loads(line.removeprefix("data: ")) for line in first.splitlines() if line.startswith("data: ")]
        assert [(each["index"], each["value"]) for each in data] == [(0, "bread"), (1, "milk")]
        keys = [each["key"] for each in data]
        server.post("/list/1?lane=items", {"from": 1, "to": 0})
        told = stream.until(b'"key":%d}' % keys[1]).decode()
        assert told.endswith(f'data: {{"from":1,"to":0,"key":{keys[1]}}}')
        server.post("/list/1?lane=items", {"key": keys[0], "removed": True})
        told = stream.until(b"true}").decode()
        assert told.endswith(f'data: {{"index":1,"key":{keys[0]},"removed":true}}')


def test_operations_may_be_recon_over_http(tmp_path: Path) -> None:
    with served(make(), tmp_path) as server:
        for body, expected in [
            (b"@update(index:0,key:a) tea", ["tea"]),
            (b"@update(index:1) milk", ["tea", "milk"]),
            (b"@move(from:0,to:1,key:a)", ["milk", "tea"]),
            (b"@drop(1)", ["tea"]),
        ]:
            reply = server.post("/list/1?lane=items", body, "application/x-recon")
            assert (reply.status, state(server)) == (202, expected), body
