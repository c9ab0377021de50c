"""GET over a real socket: twins, lanes, what is not there, and addresses that try to be clever."""

import json
from collections.abc import Iterator
from pathlib import Path

import city
import pytest
from wire import Served, served

FIX = {"speed": 12.5, "lat": 56.1, "lon": 10.2, "at": "2024-01-02T03:04:05Z", "line": 3, "driver": "Ann"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(city.make(), tmp_path_factory.mktemp("run")) as server:
        assert server.post("/bus/7?lane=report", FIX).status == 202
        assert server.post("/bus/7?lane=visit", "Nørreport").status == 202
        assert server.post("/bus/a%2Fb%20c?lane=report", {"speed": 1}).status == 202
        yield server


def test_a_twin_is_all_of_its_public_lanes(server: Served) -> None:
    reply = server.get("/bus/7")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json == {
        "speed": 12.5,
        "position": [56.1, 10.2],
        "seen": "2024-01-02T03:04:05Z",
        "line": 3,
        "driver": "Ann",
        "reports": 1,
        "note": None,
        "limit": 50.0,
        "moving": True,
        "fixed": 7,
        "raw": "AP8=",
        "stops": {"Nørreport": 1},
        "hours": [[1, 0.5]],
    }
    # unset lanes are left out
    assert "position" not in server.get("/bus/a%2fb%20c").json


@pytest.mark.parametrize(
    ("lane", "body"),
    [("speed", b"12.5"), ("driver", b'"Ann"'), ("note", b"null"), ("stops", '{"Nørreport":1}'.encode())],
)
def test_a_lane_is_its_value(server: Served, lane: str, body: bytes) -> None:
    assert server.get(f"/bus/7?lane={lane}").body == body


def test_an_unset_lane_has_no_content(server: Served) -> None:
    reply = server.get("/bus/a%2Fb%20c?lane=position")
    assert (reply.status, reply.body) == (204, b"")


def test_members_are_a_list_of_addresses(server: Served) -> None:
    server.post("/city?lane=name", "Odense")
    assert server.get("/city").json == {
        "count": 2,
        "fastest": 12.5,
        "name": "Odense",
        "buses": ["/bus/7", "/bus/a%2Fb%20c"],
    }


@pytest.mark.parametrize(
    ("path", "status", "part"),
    [
        ("/bus/8", 404, "there is no Bus at /bus/8"),
        ("/tram/7", 404, "no twin class"),
        ("/bus/7/", 404, "no twin class"),
        ("/bus/7?lane=spede", 404, "Bus has no lane `spede`"),
        ("/bus/7?lane=_secret", 404, "Bus has no lane `_secret`"),
        ("/bus/7?lane=cache", 404, "Bus has no lane `cache`"),
        ("/bus/7?lane=report", 405, "`report` is a command"),
        ("/bus/a%00b", 400, "NUL"),
        ("/bus/%zz", 400, "hexadecimal"),
        ("/bus/%", 400, "%-escape"),
        ("/bus/%ff", 400, "UTF-8"),
        ("/bus/" + "x" * 1025, 400, "at most 1024"),
        ("/bus/7?lane=%zz", 400, "hexadecimal"),
        ("/bus/7?lane=a&lane=b", 400, "given twice"),
        ("/../../etc/passwd", 404, "no twin class"),
    ],
)
def test_what_is_not_there_says_why(server: Served, path: str, status: int, part: str) -> None:
    reply = server.get(path)
    assert reply.status == status
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json
    assert problem["status"] == status
    assert part in problem["detail"]
    assert problem["node"] == path.partition("?")[0]


@pytest.mark.parametrize("path", ["/bus/%37", "/%62us/7", "/bus/../bus/7", "/./bus/7", "http://anybody:80/bus/7"])
def test_one_twin_has_many_spellings(server: Served, path: str) -> None:
    assert server.get(path).json == server.get("/bus/7").json


@pytest.mark.parametrize("path", ["/bus/..", "/bus/%2e%2e", "/bus/7/../../.", "/..", "//"])
def test_dots_lead_no_further_than_the_root(server: Served, path: str) -> None:
    # RFC 3986, 5.2.4
    assert server.get(path).json["app"] == "transit"


def test_reading_makes_no_twin(server: Served) -> None:
    for path in ("/bus/9", "/bus/9?lane=speed"):
        assert server.get(path).status == 404
    with server.connect() as wire:
        assert wire.ask("GET", "/bus/9", None, "Accept: text/event-stream").status == 404
    assert server.get("/bus?count").json == {"count": 2}


def test_head_is_get_without_its_body(server: Served) -> None:
    with server.connect() as wire:
        whole = wire.ask("GET", "/bus/7")
        head = wire.ask("HEAD", "/bus/7")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(whole.body))
        assert head.headers["etag"] == whole.headers["etag"]
        missing = wire.ask("HEAD", "/bus/8")
        assert (missing.status, missing.body) == (404, b"")
        # the connection goes on
        assert wire.ask("GET", "/bus/7?lane=speed").body == b"12.5"


def test_an_answer_that_is_known_is_not_sent_again(server: Served) -> None:
    first = server.get("/bus/7")
    again = server.get("/bus/7", f"If-None-Match: {first.headers['etag']}")
    assert (again.status, again.body) == (304, b"")
    assert server.post("/bus/a%2Fb%20c?lane=limit", 51).status == 202
    assert server.get("/bus/7", f"If-None-Match: {first.headers['etag']}").status == 200


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/bus/7", "GET, HEAD, OPTIONS"),
        ("/bus", "GET, HEAD, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS"),
        ("/bus/new?lane=report", "GET, HEAD, POST, PUT, OPTIONS"),
        ("/bus/7?lane=limit", "GET, HEAD, POST, PUT, OPTIONS"),
        ("/bus/7?lane=speed", "GET, HEAD, OPTIONS"),
        ("*", "GET, HEAD, POST, PUT, DELETE, OPTIONS"),
    ],
)
def test_options_say_what_is_answered(server: Served, path: str, allowed: str) -> None:
    reply = server.ask("OPTIONS", path)
    assert (reply.status, reply.headers["allow"]) == (204, allowed)


def test_options_of_nothing_are_404(server: Served) -> None:
    assert server.ask("OPTIONS", "/tram/7").status == 404
    assert server.ask("OPTIONS", "/bus/7?lane=no").status == 404


def test_other_methods_are_405(server: Served) -> None:
    for method in ("PATCH", "TRACE", "BREW"):
        reply = server.ask(method, "/bus/7")
        assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD, POST, PUT, DELETE, OPTIONS")
    # DELETE is for request lanes
    reply = server.ask("DELETE", "/bus/7")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_the_root_is_the_app(server: Served) -> None:
    bus, its_city = server.get("/").json["populations"]
    assert (bus["class"], bus["pattern"], bus["twins"], bus["all"], bus["example"]) == (
        "Bus",
        "/bus/{id}",
        2,
        "/bus",
        "/bus/7",
    )
    assert (its_city["pattern"], its_city["all"]) == ("/city", None)
    assert server.get(bus["example"]).status == server.get(bus["all"]).status == 200


def test_members_and_pages_are_bounded(tmp_path: Path) -> None:
    with served(city.make(max_members=3, max_page=5, page_bytes=300), tmp_path) as server:
        with server.connect() as wire:
            for number in range(10):
                body = json.dumps({"speed": number}).encode()
                assert (
                    wire.ask("POST", f"/bus/{number}?lane=report", body, "Content-Type: application/json").status == 202
                )
        assert server.post("/city?lane=name", "x").status == 202
        found = server.get("/city").json
        assert (found["count"], found["buses"]) == (10, ["/bus/0", "/bus/1", "/bus/2"])
        assert server.get("/bus?limit=6").status == 400
        # 300 bytes are less than five of them
        page = server.get("/bus?limit=5").json
        assert 1 <= len(page["twins"]) < 5
        assert "next" in page
