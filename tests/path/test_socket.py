"""WARP over a real socket, byte by byte, against a whole app: the handshake, frames, faults, limits, the end."""

import time
from collections.abc import Iterator
from pathlib import Path

import city
import pytest
from wire import Served, Wire, frame, served

LINK = '@link(node:"/bus/7",lane:speed)'
SYNC = '@sync(node:"/bus/7",lane:speed)'


def report(speed: float) -> str:
    return f'@command(node:"/bus/7",lane:report){{speed:{speed}}}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(city.make(connection_pings=20, max_message_bytes=100_000), tmp_path_factory.mktemp("run")) as server:
        assert server.post("/bus/7?lane=report", {"speed": 1}).status == 202
        yield server


def alive(wire: Wire) -> bool:
    """The connection answers."""
    wire.text('@sync(node:"/bus/7",lane:fixed)')
    found = [wire.envelope() for _ in range(3)]
    wire.text('@unlink(node:"/bus/7",lane:fixed)')
    found.append(wire.envelope())
    return [envelope[1 : envelope.index("(")] for envelope in found] == ["linked", "event", "synced", "unlinked"]


@pytest.mark.parametrize("path", ["/", "/foo/bar?token=x", "/bus/7", "/%zz"])
def test_any_path_upgrades(server: Served, path: str) -> None:
    with server.open(path) as wire:
        assert alive(wire)


@pytest.mark.parametrize(
    ("offer", "chosen"), [("warp0", "warp0"), ("foo, warp0", "warp0"), ("mqtt", None), ("warp00", None), (None, None)]
)
def test_warp0_is_chosen_where_it_is_offered(server: Served, offer: str | None, chosen: str | None) -> None:
    with server.connect() as wire:
        reply = wire.upgrade("/", *([f"Sec-WebSocket-Protocol: {offer}"] if offer else []))
        assert (reply.status, reply.headers.get("sec-websocket-protocol")) == (101, chosen)
        assert alive(wire)


def test_compression_is_declined(server: Served) -> None:
    with server.connect() as wire:
        reply = wire.upgrade("/", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
        assert reply.status == 101
        assert "sec-websocket-extensions" not in reply.headers
        assert alive(wire)


@pytest.mark.parametrize(
    ("lines", "status", "part"),
    [
        (["Upgrade: websocket", "Connection: close", "Sec-WebSocket-Version: 13"], 400, "Connection"),
        (["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 8"], 426, "version 13"),
        (["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"], 400, "Sec-WebSocket-Key"),
    ],
)
def test_a_broken_handshake_is_refused_in_words(server: Served, lines: list[str], status: int, part: str) -> None:
    reply = server.ask("GET", "/", None, *lines)
    assert reply.status == status
    assert part in reply.json["detail"]


def test_pages_of_other_sites_are_refused(server: Served) -> None:
    with server.connect() as wire:
        assert wire.upgrade("/", "Origin: https://elsewhere.example").status == 403
    with server.open("/", "Origin: http://localhost:5173") as wire:
        assert alive(wire)


def test_text_binary_and_fragments_are_one(server: Served) -> None:
    with server.open() as wire:
        wire.text(LINK)
        assert wire.envelope().startswith("@linked")
        for number, (first, rest) in enumerate([(0x81, b""), (0x82, b"")], 10):
            wire.send(frame(first, report(number).encode()) + rest)
            assert wire.envelope() == f'@event(node:"/bus/7",lane:speed) {number}'
        text = report(12).encode()
        wire.send(frame(0x01, text[:5]) + frame(0x89, b"between") + frame(0x00, text[5:9]) + frame(0x80, text[9:]))
        found = sorted([wire.next(), wire.next()])
        assert found == [(0x81, b'@event(node:"/bus/7",lane:speed) 12'), (0x8A, b"between")]
        for byte in frame(0x81, report(14).encode()):
            wire.send(bytes([byte]))
        assert wire.envelope() == '@event(node:"/bus/7",lane:speed) 14'


@pytest.mark.parametrize(
    ("data", "code", "part"),
    [
        (frame(0x81, b""), 1002, "envelope"),
        (frame(0x81, b"hello"), 1002, "envelope"),
        (frame(0x81, b'@unknown(node:"/bus/7",lane:speed)'), 1002, "envelope"),
        (frame(0x81, b'@link(node:"/bus/7")'), 1002, "envelope"),
        (frame(0x81, b'@link(node:"/bus/7",lane:speed'), 1002, "envelope"),
        (frame(0x81, b'@link(node:"/bus/7",lane:speed,prio:high)'), 1002, "envelope"),
        (frame(0x81, b'@link(node:"/bus/\xff",lane:speed)'), 1007, "UTF-8"),
        (frame(0x81, b"x" * 100_001), 1009, "max_message_bytes"),
        (frame(0x01, b"x" * 60_000) + frame(0x80, b"x" * 60_000), 1009, "max_message_bytes"),
        (frame(0x83, b""), 1002, "opcode"),
        (frame(0xF1, b""), 1002, "reserved"),
        (frame(0x80, b"x"), 1002, "no message"),
        (frame(0x89, b"x" * 126), 1002, "125"),
        (b"\x81\x05hello", 1002, "mask"),
        (frame(0x88, b"x"), 1002, "one byte"),
    ],
)
def test_faults_are_said_in_the_close_frame(server: Served, data: bytes, code: int, part: str) -> None:
    with server.open() as wire:
        wire.send(data)
        found, reason = wire.closed()
        assert (found, part in reason) == (code, True), reason
        assert len(reason.encode()) <= 123
    with server.open() as other:
        assert alive(other)


@pytest.mark.parametrize("tag", ["link", "sync", "command"])
def test_deep_nesting_ends_one_connection_only(server: Served, tag: str) -> None:
    with server.open() as wire, server.open() as other:
        wire.text(f'@{tag}(node:"/bus/7",lane:visit)' + "{" * 50_000)
        code, reason = wire.closed()
        assert (code, "512 levels" in reason) == (1002, True)
        assert alive(other)


@pytest.mark.parametrize(("payload", "code"), [(b"\x03\xe8", 1000), (b"\x0f\xa1done", 4001), (b"", 1000)])
def test_a_close_is_answered_and_tcp_ended(server: Served, payload: bytes, code: int) -> None:
    with server.open() as wire:
        wire.text(SYNC)
        wire.send(frame(0x88, payload))
        assert wire.closed() == (code, "")


def test_a_flood_of_pings_ends_it(server: Served) -> None:
    with server.open() as wire:
        wire.send(frame(0x89, b"1"))
        assert wire.next() == (0x8A, b"1")
        wire.send(frame(0x89, b"!") * 200)
        first, payload = wire.next()
        while first == 0x8A:
            first, payload = wire.next()
        assert (first, int.from_bytes(payload[:2], "big")) == (0x88, 1008)


def test_a_reset_connection_harms_nobody(server: Served) -> None:
    import socket
    import struct

    with server.open() as other:
        for _ in range(20):
            wire = server.open()
            wire.text(SYNC, report(2))
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.socket.close()
        assert alive(other)


def test_half_a_frame_and_the_end(server: Served) -> None:
    with server.open() as wire:
        wire.send(frame(0x81, report(3).encode())[:9])
        wire.socket.shutdown(1)
        assert wire.rest() == b""


@pytest.mark.slow
def test_idle_and_dead_connections_are_ended(tmp_path: Path) -> None:
    app = city.make(idle_seconds=0.4, ping_seconds=0.1, pong_seconds=0.3)
    with served(app, tmp_path) as server, server.open() as silent, server.open() as idle, server.open() as linked:
        linked.text(LINK)
        assert linked.envelope().startswith("@linked")
        begun = time.monotonic()
        while time.monotonic() < begun + 0.8:
            assert linked.next() == (0x89, b"")
            linked.send(frame(0x8A, b""))
        # pongs alone keep nobody who has no link
        assert idle.next() == (0x89, b"")
        code, reason = idle.closed()
        assert (code, "no link" in reason) in ((1000, True), (1011, False))
        assert silent.next() == (0x89, b"")
        assert silent.closed()[0] in (1000, 1011)
        assert linked.next() == (0x89, b"")
        assert linked.closed() == (1011, "no answer to a ping")


@pytest.mark.slow
def test_who_does_not_read_delays_nobody_and_ends_at_the_last_value(tmp_path: Path) -> None:
    app = city.make(connection_queue=500_000)
    with served(app, tmp_path) as server, server.open() as stalled, server.open() as reader, server.open() as writer:
        for wire in (stalled, reader):
            wire.text('@sync(node:"/city",lane:name)')
            assert [wire.envelope().split("(")[0] for _ in range(3)] == ["@linked", "@event", "@synced"]
        # far more than the kernel and the queue hold
        for number in range(400):
            writer.text(f'@command(node:"/city",lane:name)"{number} {"x" * 50_000}"')
            last = reader.envelope()
            assert f'"{number} ' in last
        seen = 1
        while stalled.envelope() != last:
            seen += 1
        assert seen < 399


@pytest.mark.slow
def test_a_slow_request_is_408(tmp_path: Path) -> None:
    with served(city.make(header_seconds=0.2), tmp_path) as server, server.connect() as wire:
        wire.send(b"GET /city HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert wire.head()[0] == 408
        assert wire.rest() == b""


def test_headers_are_bounded(server: Served) -> None:
    for lines in (b"X: y\r\n" * 101, b"X: " + b"y" * 20_000 + b"\r\n"):
        with server.connect() as wire:
            wire.send(b"GET /city HTTP/1.1\r\n" + lines + b"\r\n")
            assert wire.head()[0] == 431


def test_connections_are_bounded(tmp_path: Path) -> None:
    with served(city.make(max_connections=2), tmp_path) as server, server.open() as first, server.open():
        with server.connect() as third:
            status, headers = third.head()
            assert (status, headers["retry-after"]) == (503, "1")
        assert alive_on_city(first)


def alive_on_city(wire: Wire) -> bool:
    wire.text('@sync(node:"/city",lane:name)')
    return [wire.envelope().split("(")[0] for _ in range(3)] == ["@linked", "@event", "@synced"]


def test_compression_goes_both_ways_where_it_is_set(tmp_path: Path) -> None:
    import zlib

    with served(city.make(compression=6), tmp_path) as server, server.connect() as wire:
        reply = wire.upgrade("/", "Sec-WebSocket-Extensions: permessage-deflate")
        assert reply.headers["sec-websocket-extensions"].startswith("permessage-deflate;")
        name = "x" * 1000
        squeezer = zlib.compressobj(wbits=-15)
        text = f'@command(node:"/city",lane:name){name}'.encode()
        squeezed = squeezer.compress(text) + squeezer.flush(zlib.Z_SYNC_FLUSH)
        wire.send(frame(0xC1, squeezed[:-4]))
        wire.text('@sync(node:"/city",lane:name)')
        assert wire.envelope().startswith("@linked")
        first, payload = wire.next()
        assert first == 0xC1
        assert zlib.decompressobj(wbits=-15).decompress(payload + b"\0\0\xff\xff").decode().endswith(name)


def test_stopping_closes_with_1001_and_says_nothing_to_links(tmp_path: Path) -> None:
    with served(city.make(), tmp_path) as server:
        wires = [server.open() for _ in range(5)]
        for wire in wires:
            wire.text('@sync(node:"/city",lane:name)', '@link(node:"/city",lane:count)')
            for _ in range(4):
                wire.envelope()
        quiet = server.open()
        idle = server.connect()
        begun = time.monotonic()
        server.stop()
        for wire in wires:
            # Swim's clients would take `@unlinked` as the end of the link, and not ask for it again
            assert wire.ended() == (1001, "the server stops")
        assert quiet.closed() == (1001, "the server stops")
        assert idle.rest() == b""
        for wire in (*wires, quiet, idle):
            wire.socket.close()
        server.end()
        assert time.monotonic() - begun < 5
