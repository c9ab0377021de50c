"""Supply, demand and demand-map lanes, observers and lane parameters, over real sockets."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from wire import Served, Wire, served

from shoal import App, Command, Demand, DemandMap, LinkInfo, Map, Supply, Twin, Value

COMPUTED: list[str] = []
SEEN: list[tuple[str, LinkInfo]] = []


class Watched(Twin):
    """A mixin: its lanes and observers belong to the classes that mix it in."""

    alerts = Supply(str)
    nearest = Demand(float | None)
    watchers = Value(int, 0)

    @nearest.handler
    def compute_nearest(self) -> float | None:
        COMPUTED.append("nearest")
        return 2

    @alerts.linked
    def on_listener(self, link: LinkInfo) -> None:
        self.watchers = Watched.alerts.links(self)
        SEEN.append(("linked", link))

    @alerts.unlinked
    def on_leaver(self, link: LinkInfo) -> None:
        self.watchers = Watched.alerts.links(self)
        SEEN.append(("unlinked", link))


def make() -> App[None]:
    app = App("demanded")

    @app.twin("/bus/{id}")
    class Bus(Watched):
        push = Command(str)
        cue = Command(str)
        gone = Command(str)
        fail = Command()
        stock = Map(str, int, 0)
        rows = DemandMap(str, int)
        found = Demand(str)
        part = DemandMap(int, str)
        broken = Demand(int)

        @push.handler
        def on_push(self, text: str) -> None:
            self.alerts.push(text)
            self.alerts.push(text + "!")
            if text == "bad":
                raise RuntimeError("bad")

        @cue.handler
        def on_cue(self, key: str) -> None:
            self.stock[key] += 1
            self.rows.cue(key)
            self.nearest.cue()
            self.found.cue()
            self.part.cue(1)
            self.broken.cue()

        @gone.handler
        def on_gone(self, key: str) -> None:
            del self.stock[key]
            self.rows.remove(key)

        @rows.handler
        def row(self, key: str) -> int | None:
            COMPUTED.append(f"rows {key}")
            return self.stock.get(key)

        @rows.keys
        def all_rows(self) -> Iterable[str]:
            return list(self.stock)

        @found.handler
        def search(self, link: LinkInfo) -> str:
            COMPUTED.append(f"found {link.query}")
            return f"{link.query}|{link.fragment}|{len(self.stock)}"

        @part.handler
        def of_part(self, key: int, link: LinkInfo) -> str | None:
            return None if key > 2 else f"{link.query}{key}"

        @part.keys
        def parts(self) -> Iterable[int]:
            return range(5)

        @broken.handler
        def break_it(self) -> int:
            raise RuntimeError("broken")

    @app.twin("/tram/{id}")
    class Tram(Watched):
        pass

    return app


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    COMPUTED.clear()
    SEEN.clear()
    with served(make(), tmp_path) as server:
        yield server


def at(lane: str, node: str = "/bus/7") -> str:
    quoted = lane if lane.isalpha() else f'"{lane}"'
    return f'(node:"{node}",lane:{quoted})'


def synced(wire: Wire, address: str) -> list[str]:
    """The events of a sync."""
    wire.text(f"@sync{address}")
    events = []
    while (envelope := wire.envelope()) != f"@synced{address}":
        events.append(envelope.removeprefix(f"@event{address}"))
    assert events.pop(0) == f"@linked{address}"
    return events


def event(wire: Wire, address: str) -> str:
    envelope = wire.envelope()
    assert envelope.startswith(f"@event{address}"), envelope
    return envelope.removeprefix(f"@event{address}")


def test_a_supply_lane_tells_every_item_to_those_who_are_there(server: Served) -> None:
    early, late = server.open(), server.open()
    assert synced(early, at("alerts")) == []
    early.text(f"@command{at('push')} one", f"@command{at('push')} bad", f"@command{at('push')} two")
    assert [event(early, at("alerts")) for _ in range(4)] == [" one", '"one!"', " two", '"two!"']
    assert synced(late, at("alerts")) == []
    late.text(f"@command{at('push')} three")
    for wire in (early, late):
        assert [event(wire, at("alerts")) for _ in range(2)] == [" three", '"three!"']


def test_nobody_commands_a_supply_or_a_demand_lane(server: Served) -> None:
    wire = server.open()
    assert synced(wire, at("alerts")) == []
    wire.text(f"@command{at('alerts')} x", f"@command{at('nearest')} 1", f"@command{at('push')} y")
    assert event(wire, at("alerts")) == " y"
    for lane in ("alerts", "nearest", "rows"):
        reply = server.post(f"/bus/7?lane={lane}", 1)
        assert reply.status == 405
        assert "takes no commands" in reply.json["detail"]
    assert server.get("/bus/7?lane=alerts").status == 405


def test_a_demand_lane_is_computed_for_a_link_and_again_when_cued(server: Served) -> None:
    wire = server.open()
    wire.text(f"@command{at('cue')} a")
    assert synced(wire, at("watchers")) == [" 0"]
    assert COMPUTED == []
    assert synced(wire, at("nearest")) == [" 2"]
    assert COMPUTED == ["nearest"]
    wire.text(f"@command{at('cue')} a")
    assert event(wire, at("nearest")) == " 2"
    assert COMPUTED == ["nearest"] * 2


def test_a_demand_map_lane_tells_its_keys_and_what_is_gone(server: Served) -> None:
    wire = server.open()
    wire.text(f"@command{at('cue')} a", f"@command{at('cue')} b")
    assert synced(wire, at("rows")) == ["@update(key:a) 1", "@update(key:b) 1"]
    wire.text(f"@command{at('cue')} b")
    assert event(wire, at("rows")) == "@update(key:b) 2"
    wire.text(f"@command{at('gone')} b", f"@command{at('cue')} c")
    assert event(wire, at("rows")) == "@remove(key:b)"
    assert event(wire, at("rows")) == "@update(key:c) 1"


def test_a_lane_is_computed_for_each_spelling(server: Served) -> None:
    wire, other = server.open(), server.open()
    texts = ("found?q=1", "found?q=%20x#t%C3%B6p", "found")
    assert [synced(wire, at(text)) for text in texts] == [['"q=1||0"'], ['"q= x|töp|0"'], ['"||0"']]
    assert synced(other, at("found?q=1")) == ['"q=1||0"']
    COMPUTED.clear()
    wire.text(f"@command{at('cue')} a")
    assert {wire.envelope() for _ in range(3)} == {
        f'@event{at("found?q=1")}"q=1||1"',
        f'@event{at("found?q=%20x#t%C3%B6p")}"q= x|töp|1"',
        f'@event{at("found")}"||1"',
    }
    assert event(other, at("found?q=1")) == '"q=1||1"'
    assert sorted(COMPUTED) == ["found ", "found q= x", "found q=1"]
    wire.text(f"@unlink{at('found?q=1')}")
    assert wire.envelope() == f"@unlinked{at('found?q=1')}"
    assert synced(wire, at("part?p")) == ["@update(key:0) p0", "@update(key:1) p1", "@update(key:2) p2"]


def test_a_lane_that_cannot_be_computed_stays_linked(server: Served) -> None:
    wire = server.open()
    assert synced(wire, at("broken")) == []
    wire.text(f"@command{at('cue')} a", f"@unlink{at('broken')}")
    assert wire.envelope() == f"@unlinked{at('broken')}"
    reply = server.get("/bus/7?lane=broken")
    assert reply.status == 500
    assert "broken" in reply.json["detail"]


def test_http_computes_too(server: Served) -> None:
    server.post("/bus/7?lane=cue", "a")
    assert server.get("/bus/7?lane=rows").json == {"a": 1}
    assert server.get("/bus/7?lane=nearest").json == 2.0
    assert server.get("/bus/7?lane=part%3Fp").json == [[0, "p0"], [1, "p1"], [2, "p2"]]
    assert server.get("/bus/7?lane=found%3Fq%3D2").json == "q=2||1"
    assert server.get("/bus/8?lane=nearest").status == 404
    assert sorted(server.get("/bus/7").json) == ["stock", "watchers"]
    assert server.get("/bus?fields=nearest").status == 400


def test_events_carry_what_is_pushed_and_computed(server: Served) -> None:
    server.post("/bus/7?lane=cue", "a")
    stream = server.connect()
    stream.send(b"GET /bus/7?lane=found%3Fq%3D2 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
    assert stream.head()[0] == 200
    assert b'data: {"value":"q=2||1"}' in stream.chunk()
    items = server.connect()
    items.send(b"GET /bus/7?lane=alerts HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
    assert items.head()[0] == 200
    assert b"event: synced" in items.chunk()
    server.post("/bus/7?lane=push", "x")
    assert b'data: {"item":"x"}' in items.chunk()


def test_observers_are_told_of_every_link(server: Served) -> None:
    wire, other = server.open(), server.open()
    assert synced(wire, at("watchers")) == [" 0"]
    other.text('@link(node:"/bus/7",lane:alerts,prio:0.5,rate:2)')
    assert event(wire, at("watchers")) == " 1"
    wire.text(f"@link{at('alerts?q=%C3%BC#f')}")
    assert wire.envelope() == f"@linked{at('alerts?q=%C3%BC#f')}"
    assert event(wire, at("watchers")) == " 2"
    other.socket.close()
    assert event(wire, at("watchers")) == " 1"
    wire.text(f"@unlink{at('alerts')}")
    assert {wire.envelope(), wire.envelope()} == {
        f"@unlinked{at('alerts?q=%C3%BC#f')}",
        f"@event{at('watchers')} 0",
    }
    kinds = [(kind, link.lane, link.query, link.fragment, link.prio, link.rate) for kind, link in SEEN]
    assert kinds == [
        ("linked", "alerts", "", "", 0.5, 2.0),
        ("linked", "alerts?q=%C3%BC#f", "q=ü", "f", 0.0, 0.0),
        ("unlinked", "alerts", "", "", 0.5, 2.0),
        ("unlinked", "alerts?q=%C3%BC#f", "q=ü", "f", 0.0, 0.0),
    ]
    assert all(link.remote.startswith("127.0.0.1:") for _, link in SEEN)


def test_lanes_of_a_mixin_work_in_every_class(server: Served) -> None:
    wire = server.open()
    tram: Any = at("nearest", "/tram/1")
    assert synced(wire, tram) == [" 2"]
    assert synced(wire, at("watchers", "/tram/1")) == [" 0"]
    wire.text(f"@link{at('alerts', '/tram/1')}")
    assert wire.envelope() == f"@linked{at('alerts', '/tram/1')}"
    assert event(wire, at("watchers", "/tram/1")) == " 1"
