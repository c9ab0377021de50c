"""``shoal ls``, ``get``, ``find`` and ``command`` against a server that answers as Shoal does by HTTP."""

from __future__ import annotations

import io
import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from warp_server import Call, shoal_http

from shoal.cli import main

APP = {
    "app": "fleet",
    "version": "0.1.0",
    "populations": [
        {
            "class": "Bus",
            "pattern": "/bus/{id}",
            "twins": 2500,
            "all": "/bus",
            "example": "/bus/0",
            "lanes": ["speed", "route", "report"],
        },
        {"class": "City", "pattern": "/city", "twins": 1, "all": None, "example": "/city", "lanes": ["buses"]},
        {"class": "Stop", "pattern": "/bus/{id}/stop/{n}", "twins": 3, "all": None, "example": None, "lanes": ["n"]},
    ],
}
TWIN = {"speed": 31.5, "route": 12, "name": "Zürich \u001b[31m", "at": None, "stops": {"a": 1, "b": 2}}
BUSES = [{"uri": f"/bus/{n}", "speed": n / 2, "route": n % 3} for n in range(2500)]


def problem(status: int, detail: str, **more: Any) -> tuple[int, Any]:
    return status, {"type": "about:blank", "title": "No", "status": status, "detail": detail, **more}


def fleet(call: Call) -> tuple[int, Any]:
    method, target, _, body = call
    url = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    if method == "POST":
        if '"x"' in body.decode():
            return problem(400, "`x`: expected float", offset=6)
        return (202, None) if query["lane"] == "report" else problem(405, f"`{query['lane']}` is a fold")
    match url.path, query.get("lane"):
        case "/", None:
            return 200, APP
        case "/bus/7", None:
            return 200, TWIN
        case "/bus/7", "unset":
            return 204, None
        case "/bus/7", str(lane):
            return (200, TWIN[lane]) if lane in TWIN else problem(404, f"Bus has no lane `{lane}`; it has speed, route")
        case "/bus", None:
            if int(query.get("limit", "100")) > 1000:
                return problem(400, "a page holds at most 1000 twins (max_page); follow `next`")
            if query.get("where") == "spede > 1":
                return problem(400, "`spede > 1`: Bus has no value lane `spede` to compare; it has speed, route")
            if "count" in query:
                return 200, {"count": 2500}
            first = int(query.get("after", "-1")) + 1
            last = first + int(query.get("limit", "100"))
            page: dict[str, Any] = {"twins": BUSES[first:last]}
            if last < len(BUSES):
                page["next"] = f"/bus?limit={query['limit']}&after={last - 1}"
            return 200, page
    if not url.path.startswith("/bus"):
        return problem(404, f"no twin class has a pattern for `{url.path}`")
    return problem(404, f"there is no Bus at {url.path}; reading never makes one, its first command does")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Call]]:
    """The requests that it gets."""
    with shoal_http(fleet) as (url, calls):
        monkeypatch.setenv("SHOAL_URL", url)
        yield calls


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


# -- ls


def test_ls_lists_populations_as_in_the_zero_code_session(server: list[Call], shoal: Shoal) -> None:
    code, out, errors = shoal("ls", "--format", "table")
    assert (code, errors) == (0, "")
    assert out == "/bus                2,500\n/city                   1\n/bus/{id}/stop/{n}      3\n"


def test_ls_long_has_classes_and_lanes(server: list[Call], shoal: Shoal) -> None:
    lines = shoal("ls", "-l", "--format", "table")[1].splitlines()
    assert lines[0].split() == ["class", "pattern", "twins", "lanes"]
    assert lines[1].split() == ["Bus", "/bus/{id}", "2,500", "speed", "route", "report"]


def test_ls_piped_is_json_lines(server: list[Call], shoal: Shoal) -> None:
    first = json.loads(shoal("ls")[1].splitlines()[0])
    assert (first["class"], first["twins"], first["all"]) == ("Bus", 2500, "/bus")


@pytest.mark.parametrize("name", ["Bus", "bus", "/bus", "BUS", "/bus/", "/bus/{id}"])
def test_a_population_is_found_by_class_and_path(server: list[Call], shoal: Shoal, name: str) -> None:
    code, out, _ = shoal("ls", name, "--format", "table")
    assert code == 0
    assert out.splitlines() == [f"/bus/{n}" for n in range(2500)]


def test_ls_asks_for_one_lane_and_no_more_than_the_limit(server: list[Call], shoal: Shoal) -> None:
    assert shoal("ls", "bus", "--limit", "3", "--format", "table")[1] == "/bus/0\n/bus/1\n/bus/2\n"
    assert server[-1][1] == "/bus?limit=3&fields=speed"


def test_a_population_of_one_is_its_address(server: list[Call], shoal: Shoal) -> None:
    assert shoal("ls", "city")[1] == '"/city"\n'


def test_unknown_populations_list_what_exists(server: list[Call], shoal: Shoal) -> None:
    code, out, errors = shoal("ls", "buss")
    assert (code, out) == (1, "")
    assert errors == "shoal: there is no population buss; did you mean `Bus`?\n"
    assert "there are `Bus`, `City`, `Stop`" in shoal("find", "zebra")[2]


def test_a_twin_at_the_root_hides_the_populations_and_that_is_said(shoal: Shoal) -> None:
    with shoal_http(lambda call: (200, {"speed": 1})) as (url, _):
        for arguments in (("ls",), ("find", "bus")):
            code, _, errors = shoal(*arguments, "--url", url)
            assert (code, errors) == (
                1,
                "shoal: a twin stands at /, where the server tells its populations otherwise\n",
            )


# -- get


def test_get_shows_a_twin_a_line_a_lane(server: list[Call], shoal: Shoal) -> None:
    code, out, _ = shoal("get", "/bus/7", "--format", "table")
    assert code == 0
    assert out.splitlines() == [
        "lane   value",
        "speed  31.5",
        "route  12",
        "name   Zürich \\x1b[31m",
        "at     –",
        'stops  {"a":1,"b":2}',
    ]


def test_get_piped_is_one_line_of_json(server: list[Call], shoal: Shoal) -> None:
    out = shoal("get", "bus/7")[1]
    assert json.loads(out) == TWIN
    assert out.count("\n") == 1
    assert "\u001b" not in out


def test_get_of_a_lane(server: list[Call], shoal: Shoal) -> None:
    assert shoal("get", "/bus/7", "speed") == (0, "31.5\n", "")
    assert shoal("get", "/bus/7", "stops", "--format", "recon") == (0, "{a:1,b:2}\n", "")
    assert shoal("get", "/bus/7", "stops", "--format", "table") == (0, "key  value\na        1\nb        2\n", "")
    assert shoal("get", "/bus/7", "unset") == (0, "", "shoal: /bus/7 unset is unset\n")


def test_get_of_what_is_not_there_says_what_is(server: list[Call], shoal: Shoal) -> None:
    code, out, errors = shoal("get", "/bus/7", "spede")
    assert (code, out, errors) == (1, "", "shoal: Bus has no lane `spede`; it has speed, route\n")
    code, _, errors = shoal("get", "/bus/99999")
    assert code == 1
    assert "there is no Bus at /bus/99999" in errors
    code, _, errors = shoal("get", "/tram/7")
    assert errors == (
        "shoal: no twin class has a pattern for `/tram/7`; there are `/bus/{id}`, `/city`, `/bus/{id}/stop/{n}`\n"
    )


def test_get_of_a_population_is_its_first_page(server: list[Call], shoal: Shoal) -> None:
    with_next = {"twins": BUSES[:2], "next": "/bus?after=1"}
    with shoal_http(lambda call: (200, with_next)) as (url, _):
        code, out, errors = shoal("get", f"{url}/bus", "--format", "table")
    assert code == 0
    assert out.splitlines() == ["uri     speed  route", "/bus/0      0      0", "/bus/1    0.5      1"]
    assert errors == "shoal: these are the first 2; all: shoal find /bus\n"


def test_a_node_may_be_a_whole_url(server: list[Call], shoal: Shoal, monkeypatch: pytest.MonkeyPatch) -> None:
    place = urlsplit(str(__import__("os").environ["SHOAL_URL"])).netloc
    monkeypatch.setenv("SHOAL_URL", "http://127.0.0.1:1")
    assert shoal("get", f"warp://{place}/bus/7", "speed")[1] == "31.5\n"
    assert shoal("get", "/bus/7", "speed", "--url", f"ws://{place}")[1] == "31.5\n"


# -- find


def test_find_follows_the_pages(server: list[Call], shoal: Shoal) -> None:
    code, out, _ = shoal("find", "bus", "speed > 20 and route = 12", 'name = "a b"', "--fields", "speed, route")
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == BUSES
    asked = parse_qs(urlsplit(server[1][1]).query)
    assert asked == {
        "where": ["speed > 20 and route = 12", 'name = "a b"'],
        "limit": ["1000"],
        "fields": ["speed,route"],
    }
    assert [call[1] for call in server[2:]] == ["/bus?limit=1000&after=999", "/bus?limit=1000&after=1999"]


def test_find_as_a_table_keeps_its_columns_over_pages(server: list[Call], shoal: Shoal) -> None:
    lines = shoal("find", "bus", "--format", "table")[1].splitlines()
    assert lines[0] == "uri       speed  route"
    assert lines[1] == "/bus/0        0      0"
    assert lines[2500] == "/bus/2499  1,249.5      0"
    assert len(lines) == 2501


def test_find_counts_limits_and_writes_recon(server: list[Call], shoal: Shoal) -> None:
    assert shoal("find", "Bus", "speed > 1", "--count") == (0, "2500\n", "")
    assert shoal("find", "Bus", "--limit", "1", "--format", "recon") == (0, '{uri:"/bus/0",speed:0,route:0}\n', "")


def test_find_says_what_is_wrong_with_a_condition(server: list[Call], shoal: Shoal) -> None:
    code, out, errors = shoal("find", "bus", "spede > 1")
    assert (code, out) == (1, "")
    assert errors == "shoal: `spede > 1`: Bus has no value lane `spede` to compare; it has speed, route\n"


def test_find_where_nothing_is_listed_points_to_get(server: list[Call], shoal: Shoal) -> None:
    code, _, errors = shoal("find", "city")
    assert code == 1
    assert errors.endswith("are not listed by the server: shoal get /city\n")


def test_a_server_with_smaller_pages_is_asked_for_them(shoal: Shoal) -> None:
    def small(call: Call) -> tuple[int, Any]:
        if call[1] == "/":
            return 200, APP
        if "limit" in call[1]:
            return problem(400, "limit=1000: a page holds at most 50 twins (max_page); follow `next`")
        if "after" in call[1]:
            return 200, {"twins": BUSES[2:3]}
        return 200, {"twins": BUSES[:2], "next": "/bus?after=1"}

    with shoal_http(small) as (url, _):
        out = shoal("find", "bus", "--url", url)[1]
    assert [json.loads(line)["uri"] for line in out.splitlines()] == ["/bus/0", "/bus/1", "/bus/2"]


# -- command


@pytest.mark.parametrize(
    ("body", "kind", "sent"),
    [
        ('{"speed": 31.5}', "application/json", b'{"speed": 31.5}'),
        ("{speed: 31.5}", "application/x-recon", b"{speed: 31.5}"),
        ("-5", "application/json", b"-5"),
        ("@fix{speed:1}", "application/x-recon", b"@fix{speed:1}"),
        ("late", "application/x-recon", b"late"),
    ],
)
def test_a_command_goes_as_json_or_recon(server: list[Call], shoal: Shoal, body: str, kind: str, sent: bytes) -> None:
    assert shoal("command", "/bus/7", "report", body) == (0, "", "")
    assert server[-1] == ("POST", "/bus/7?lane=report", kind, sent)


def test_a_commands_body_comes_from_a_file_or_the_input(
    server: list[Call], shoal: Shoal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fix.json").write_text('{"speed": 1}\n')
    monkeypatch.chdir(tmp_path)
    assert shoal("command", "/bus/7", "report", "@fix.json")[0] == 0
    assert server[-1][3] == b'{"speed": 1}'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"{speed:2}\n")))
    assert shoal("command", "/bus/7", "report", "-")[0] == 0
    assert server[-1][2:] == ("application/x-recon", b"{speed:2}")
    assert shoal("command", "/bus/7", "report", "@none.json") == (2, "", "shoal: none.json: no such file\n")


def test_what_is_neither_json_nor_recon_is_not_sent(server: list[Call], shoal: Shoal) -> None:
    code, _, errors = shoal("command", "/bus/7", "report", '{"speed: 1}')
    assert code == 2
    assert errors.startswith("shoal: the body is neither JSON (")
    assert "nor Recon (" in errors
    assert not server


def test_who_may_command_need_not_be_allowed_to_look(shoal: Shoal) -> None:
    def answer(call: Call) -> tuple[int, Any]:
        return (202, None) if call[0] == "POST" else problem(403, "not for you")

    with shoal_http(answer) as (url, _):
        assert shoal("command", "/bus/7", "report", "1", "--url", url) == (0, "", "")
        assert shoal("get", "/bus/7", "--url", url) == (1, "", "shoal: not for you\n")


def test_a_refused_command_says_what_and_where(server: list[Call], shoal: Shoal) -> None:
    assert shoal("command", "/bus/7", "report", '{"speed": "x"}') == (
        1,
        "",
        "shoal: `x`: expected float (byte 6 of the body)\n",
    )
    assert shoal("command", "/bus/7", "top", "1") == (1, "", "shoal: `top` is a fold\n")


# -- errors


def test_nobody_there_says_what_to_do(shoal: Shoal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for arguments in (("ls",), ("get", "/a"), ("find", "a"), ("command", "/a", "b", "1"), ("link", "/a", "b")):
        code, out, errors = shoal(*arguments, "--url", f"http://127.0.0.1:{port}")
        assert (code, out) == (3, "")
        assert errors == (
            f"shoal: nobody listens at http://127.0.0.1:{port}: "
            "start `shoal run APP` there, or set SHOAL_URL or --url\n"
        )


def test_a_silent_server_is_left_after_the_timeout(shoal: Shoal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        code, _, errors = shoal("ls", "--url", url, "--timeout", "0.05")
    assert (code, errors) == (3, f"shoal: {url}: no answer within 0.05 s\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("ls", "--url", "ftp://h"), "a server is at http://"),
        (("get",), "NODE"),
        (("find", "bus", "--limit", "0"), "'0' is no whole number above 0"),
        (("ls", "--timeout", "x"), "'x' is no number of seconds above 0"),
        (("ls", "--format", "xml"), "invalid choice: 'xml'"),
    ],
)
def test_wrong_usage_is_told_apart(shoal: Shoal, arguments: tuple[str, ...], words: str) -> None:
    code, _, errors = shoal(*arguments)
    assert code == 2
    assert words in errors
    assert "Traceback" not in errors


def test_a_command_whose_connection_breaks_says_that_it_may_have_been_carried_out(shoal: Shoal) -> None:
    def answer(call: Call) -> tuple[int, Any]:
        if call[0] == "POST":
            raise ConnectionResetError
        return 200, APP

    with shoal_http(answer) as (url, calls):
        code, _, errors = shoal("command", "/bus/7", "report", "1", "--url", url)
    assert code == 3
    assert errors.endswith("; the command may have been carried out\n")
    assert [call[0] for call in calls] == ["GET", "POST"]


# -- help


def names() -> list[str]:
    from shoal.cli import COMMANDS

    return [module.__name__.rpartition(".")[2] for group in COMMANDS.values() for module in group]


@pytest.mark.parametrize("name", names())
def test_help_has_an_example_and_fits_a_screen(shoal: Shoal, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = shoal(name, "--help")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    example = lines.index("examples:" if "examples:" in lines else "example:")
    assert f"shoal {name}" in lines[example + 1]


@pytest.mark.parametrize("name", ["ls", "get", "find", "sync", "link", "command"])
def test_help_of_what_asks_a_server_has_the_exit_codes(shoal: Shoal, name: str) -> None:
    out = shoal(name, "--help")[1]
    assert "exit code: 0 done, 1 not found or refused, 2 usage, 3 no connection" in out


def test_the_main_help_lists_every_command_in_its_group(shoal: Shoal, monkeypatch: pytest.MonkeyPatch) -> None:
    from shoal.cli import COMMANDS

    monkeypatch.setenv("COLUMNS", "80")
    lines = shoal("--help")[1].splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    assert all(f"{title}:" in lines for title in COMMANDS)
    for name in names():
        assert any(line.startswith(f"  {name} ") for line in lines), name
