"""``shoal link``, ``sync``, and what the other commands do by WARP where the server is not Shoal."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable

import pytest
from rich.console import Console
from warp_server import Answer, WarpServer, lane, replay

from shoal.cli import main
from shoal.warp.envelope import Envelope

Shoal = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shoal(capsys: pytest.CaptureFixture[str]) -> Shoal:
    """Runs a command line: its exit code, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments)
        except SystemExit as left:
            code = int(str(left.code))
        out, errors = capsys.readouterr()
        return code, out, errors

    return run


MAP = ("@update(key:milk) 2", '@update(key:"rye bread"){n:1,of:"a b"}')


# -- sync


def test_sync_of_a_value_and_a_map(shoal: Shoal) -> None:
    with WarpServer(lane("/a", "b", "31.5")) as server:
        assert shoal("sync", "/a", "b", "--url", server.url) == (0, "31.5\n", "")
        assert [one.tag for one in server.heard] == ["sync", "unlink"]
    with WarpServer(lane("/a", "b", *MAP)) as server:
        out = shoal("sync", "a", "b", "--url", server.url)[1]
        assert json.loads(out) == {"milk": 2, "rye bread": {"n": 1, "of": "a b"}}
        out = shoal("sync", "a", "b", "--url", server.url, "--format", "recon")[1]
        assert out == '{milk:2,"rye bread":{n:1,of:"a b"}}\n'
        out = shoal("sync", "a", "b", "--url", server.url, "--format", "table")[1]
        assert out == 'key        value\nmilk       2\nrye bread  {"n":1,"of":"a b"}\n'


def test_sync_of_records_has_a_column_for_each_field(shoal: Shoal) -> None:
    with WarpServer(lane("/a", "b", "@update(key:1){n:1,s:x}", "@update(key:2){n:2.5}")) as server:
        assert json.loads(shoal("sync", "/a", "b", "--url", server.url)[1]) == [
            [1, {"n": 1, "s": "x"}],
            [2, {"n": 2.5}],
        ]
        out = shoal("sync", "/a", "b", "--url", server.url, "--format", "table")[1]
        assert out == "key    n  s\n  1    1  x\n  2  2.5  –\n"


def test_sync_of_nothing_is_an_empty_map(shoal: Shoal) -> None:
    with WarpServer(lane("/a", "b")) as server:
        assert shoal("sync", "/a", "b", "--url", server.url) == (0, "{}\n", "")


def test_unknown_nodes_and_lanes_are_exit_code_1(shoal: Shoal) -> None:
    with WarpServer(lane("/a", "b")) as server:
        url = server.url
        assert shoal("sync", "/x", "b", "--url", url) == (1, "", "shoal: /x b: there is no such node\n")
        assert shoal("link", "/a", "x", "--url", url) == (1, "", "shoal: /a x: the node has no such lane\n")
        assert shoal("get", "/a", "x", "--url", url) == (1, "", "shoal: /a x: the node has no such lane\n")
        assert shoal("command", "/a", "x", "1", "--url", url)[0] == 1


def test_a_twin_that_is_not_there_is_not_made_by_a_link(shoal: Shoal) -> None:
    gone = {"status": 404, "title": "Not Found", "detail": "there is no Bus at /a; reading never makes one"}
    pages = {"/a?lane=b": gone}
    with WarpServer(lane("/a", "b", "5"), pages) as server:
        for name in ("link", "sync"):
            code, _, errors = shoal(name, "/a", "b", "--url", server.url)
            assert (code, errors) == (1, "shoal: there is no Bus at /a; reading never makes one\n")
        assert server.heard == []
        assert shoal("sync", "/a", "b", "--make", "--url", server.url) == (0, "5\n", "")


def test_a_command_lane_has_no_state_and_is_linked_all_the_same(shoal: Shoal) -> None:
    pages = {"/a?lane=b": {"status": 405, "title": "Method Not Allowed", "detail": "`b` is a command"}}
    with WarpServer(lane("/a", "b", "5"), pages) as server:
        assert shoal("link", "/a", "b", "--count", "1", "--url", server.url) == (0, "5\n", "")
        code, _, errors = shoal("sync", "/a", "b", "--url", server.url)
        assert (code, errors) == (1, "shoal: /a b is a command lane and has no state: shoal link /a b\n")


# -- link


def test_link_writes_a_json_line_an_event(shoal: Shoal) -> None:
    bodies = ("@update(key:a) 1", "@update(key:{x:1})@loaf", "@remove(key:a)", "@clear")
    with WarpServer(lane("/a", "b", *bodies)) as server:
        code, out, errors = shoal("link", "/a", "b", "--count", "4", "--url", server.url)
    assert (code, errors) == (0, "")
    assert out.splitlines() == [
        '{"key":"a","value":1}',
        '{"key":{"x":1},"value":{"@loaf":null}}',
        '{"key":"a","removed":true}',
        '{"cleared":true}',
    ]
    assert [one.tag for one in server.heard] == ["sync", "unlink"]


def test_link_as_recon_and_as_plain_text(shoal: Shoal) -> None:
    with WarpServer(lane("/a", "b", '{name:"a b",n:1.5}')) as server:
        arguments = ("link", "/a", "b", "--count", "1", "--url", server.url, "--format")
        assert shoal(*arguments, "recon")[1] == '{name:"a b",n:1.5}\n'
        assert shoal(*arguments, "table")[1] == '{"name":"a b","n":1.5}\n'


def test_link_may_leave_out_the_present_state_and_ask_for_a_rate(shoal: Shoal) -> None:
    frames: list[str] = []

    def answer(envelope: Envelope) -> list[str]:
        told = lane("/a", "b", "1")(envelope)
        if envelope.tag == "link":
            told.append('@event(node:"/a",lane:b) 2')
        return told

    with WarpServer(answer) as server:
        out = shoal("link", "/a", "b", "--changes", "--rate", "2.5", "--count", "1", "--url", server.url)[1]
        frames = [one.tag for one in server.heard]
    assert out == "2\n"
    assert frames == ["link", "unlink"]


def test_a_link_that_is_ended_with_a_reason_is_exit_code_1(shoal: Shoal) -> None:
    def answer(envelope: Envelope) -> list[str]:
        told = lane("/a", "b", "1")(envelope)
        return [*told, '@unlinked(node:"/a",lane:b)"1000 events wait already"'] if envelope.tag == "sync" else told

    with WarpServer(answer) as server:
        code, out, errors = shoal("link", "/a", "b", "--url", server.url)
    assert (code, out, errors) == (1, "1\n", "shoal: /a b: 1000 events wait already\n")


def test_link_says_that_it_reconnects_and_goes_on(shoal: Shoal) -> None:
    state = ["1"]
    with WarpServer(lambda envelope: lane("/a", "b", *state)(envelope)) as server:

        def break_it() -> None:
            server.wait("sync")
            state[:] = ["2"]
            server.drop()

        breaker = threading.Thread(target=break_it)
        breaker.start()
        code, out, errors = shoal("link", "/a", "b", "--count", "2", "--url", server.url)
        breaker.join(10)
    assert code == 0
    assert out.splitlines()[-1] == "2"
    assert errors.startswith(f"shoal: {server.url}: the connection broke; trying again until it is back\n")
    assert errors.endswith(": linked again\n")


# -- a server that is not Shoal


def test_ls_asks_swims_introspection(shoal: Shoal) -> None:
    with WarpServer(replay("meta")) as server:
        code, out, errors = shoal("ls", "--url", server.url, "--format", "table")
        assert (code, errors) == (0, "")
        assert out == "/agg     1\n/auto\n/kinds   5\n/unit   31\n"
        assert json.loads(shoal("ls", "--url", server.url)[1].splitlines()[0])["childCount"] == 1


def test_ls_says_where_nothing_is_told(shoal: Shoal) -> None:
    with WarpServer(lane("/a", "b")) as server:
        code, _, errors = shoal("ls", "--url", server.url)
    assert (code, errors) == (
        1,
        f"shoal: {server.url} is no Shoal server and does not tell its nodes (nodeNotFound)\n",
    )


def test_get_reads_all_lanes_of_a_node_that_introspection_names(shoal: Shoal) -> None:
    recorded = replay("meta")

    def answer(envelope: Envelope) -> list[str]:
        states = {"count": "16", "info": '"hello"', "shopping": "@update(key:k0) 1"}
        if envelope.node == "/unit/meta1":
            return lane("/unit/meta1", envelope.lane, states[envelope.lane])(envelope)
        return recorded(envelope)

    with WarpServer(answer) as server:
        code, out, errors = shoal("get", "/unit/meta1", "--url", server.url)
        assert (code, errors) == (0, "")
        assert json.loads(out) == {"count": 16, "info": "hello", "shopping": {"k0": 1}}
        assert shoal("get", "unit/meta1", "count", "--url", server.url) == (0, "16\n", "")


def test_get_without_introspection_asks_for_a_lane(shoal: Shoal) -> None:
    with WarpServer(lane("/a", "b", "5")) as server:
        code, _, errors = shoal("get", "/a", "--url", server.url)
    assert (code, errors) == (
        1,
        f"shoal: {server.url} does not tell the lanes of /a (nodeNotFound): name one\n",
    )


def test_find_says_that_it_needs_shoal(shoal: Shoal) -> None:
    with WarpServer(lane("/a", "b")) as server:
        code, _, errors = shoal("find", "bus", "--url", server.url)
    assert code == 1
    assert "is no Shoal server" in errors
    assert errors.endswith("; find needs one, as WARP has no search\n")


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ('{"speed": 1.5, "@t": null}', "@t{speed:1.5}"),
        ("@update(key:a) 1", "@update(key:a) 1"),
        ('"two words"', '"two words"'),
        ("true", "true"),
        ("", ""),
    ],
)
def test_a_command_goes_as_recon(shoal: Shoal, body: str, sent: str) -> None:
    with WarpServer(lane("/a", "b")) as server:
        assert shoal("command", "/a", "b", body, "--url", server.url) == (0, "", "")
        assert [(one.tag, one.body) for one in server.heard] == [("link", ""), ("command", sent), ("unlink", "")]


def test_a_connection_that_is_refused_says_how(shoal: Shoal) -> None:
    pages: dict[str, object] = {}
    with WarpServer(lane("/a", "b"), pages) as server:
        url = server.url
    code, _, errors = shoal("sync", "/a", "b", "--make", "--url", url)
    assert (code, errors) == (
        3,
        f"shoal: nobody listens at {url}: start `shoal run APP` there, or set SHOAL_URL or --url\n",
    )


# -- the live view


def frame(answer: Answer, height: int = 12, events: int = 0) -> str:
    """What the view shows after so many events that came with the sync."""
    import asyncio

    from shoal.cli.live import Live
    from shoal.warp import Address, Connection

    async def main() -> str:
        with WarpServer(answer) as server:
            async with Connection(Address.parse(server.url)) as connection:
                link = await connection.link("/a", "b", follow=True)
                console = Console(width=60, height=height, file=io.StringIO(), force_terminal=False)
                live = Live(link, console)
                try:
                    changes = link.changes()
                    for _ in range(events):
                        live.show(await anext(changes))
                    await link.synced()
                    shown = Console(width=60, height=height, record=True, file=console.file)
                    shown.print(live.frame())
                    return shown.export_text()
                finally:
                    live.close()

    return asyncio.run(main())


def test_the_view_of_a_value_a_record_and_nothing() -> None:
    assert frame(lane("/a", "b", "1234.5"), events=1).splitlines() == [
        "/a  b" + " " * 48 + "1 event",
        "1,234.5",
    ]
    assert "speed  31.5" in frame(lane("/a", "b", "{speed:31.5,name:x}"), events=1)
    assert "nothing yet" in frame(lane("/a", "b"))


def test_the_view_of_a_map_fits_the_terminal_and_counts_the_rest() -> None:
    bodies = [f"@update(key:k{n}) {n}" for n in range(50)]
    text = frame(lane("/a", "b", *bodies), height=12, events=50)
    lines = text.splitlines()
    assert len(lines) <= 12
    assert lines[0].endswith("50 events")
    assert lines[1].split() == ["k0", "0"]
    assert lines[-1].strip() == "… and 43 more"


def test_what_would_steer_the_terminal_is_shown_instead() -> None:
    text = frame(lane("/a", "b", '"\\u001b[2Jx"'), events=1)
    assert "\\x1b[2Jx" in text
    assert "\x1b" not in text
