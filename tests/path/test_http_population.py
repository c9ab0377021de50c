"""Pages of a population, and conditions on its lanes."""

import json
from collections.abc import Iterator
from typing import Any

import city
import pytest
from wire import Served, served

DRIVERS = ["Ann", "Bo and Co", "Çağ", None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(city.make(), tmp_path_factory.mktemp("run")) as server, server.connect() as wire:
        for number in range(20):
            fix: dict[str, Any] = {"speed": number / 2, "line": number % 3, "driver": DRIVERS[number % 4]}
            if number % 2:
                fix |= {"at": f"2024-01-01T00:{number:02}:00Z", "lat": 1, "lon": 2}
            body = json.dumps(fix).encode()
            assert wire.ask("POST", f"/bus/{number}?lane=report", body, "Content-Type: application/json").status == 202
        yield server


def escaped(query: str) -> str:
    """As a browser would: what no URI holds (RFC 3986, 2)."""
    for character in ' "<>':
        query = query.replace(character, f"%{ord(character):02X}")
    return query


def numbers(page: Any) -> list[int]:
    return [int(twin["uri"].removeprefix("/bus/")) for twin in page["twins"]]


def test_all_of_them_in_the_order_of_creation(server: Served) -> None:
    page = server.get("/bus").json
    assert numbers(page) == list(range(20))
    assert "next" not in page
    assert page["twins"][5] == {"uri": "/bus/5"} | server.get("/bus/5").json
    assert server.get("/bus/*").json == page


@pytest.mark.parametrize("limit", [1, 3, 19, 20, 21])
def test_pages_follow_each_other_to_the_end(server: Served, limit: int) -> None:
    seen, path, pages = [], f"/bus?limit={limit}&fields=line&line!=1", 0
    while path:
        page = server.get(path).json
        assert len(page["twins"]) <= limit
        assert all(set(twin) == {"uri", "line"} for twin in page["twins"])
        seen += numbers(page)
        path, pages = page.get("next"), pages + 1
    assert seen == [number for number in range(20) if number % 3 != 1]
    assert pages == max(1, -(-len(seen) // limit))


def test_a_page_may_begin_after_an_address(server: Served) -> None:
    assert numbers(server.get("/bus?after=/bus/16").json) == [17, 18, 19]
    assert numbers(server.get("/bus?after=%2Fbus%2F16&limit=1").json) == [17]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("speed>8", lambda n: n / 2 > 8),
        ("speed%3E=8", lambda n: n / 2 >= 8),
        ("speed<1&line=1", lambda n: n / 2 < 1 and n % 3 == 1),
        ("speed<=1", lambda n: n / 2 <= 1),
        ("line=2", lambda n: n % 3 == 2),
        ("line==2", lambda n: n % 3 == 2),
        ("line!=2", lambda n: n % 3 != 2),
        ("line>0.5", lambda n: n % 3 > 0.5),
        ("moving=false", lambda n: n == 0),
        ("moving!=false", lambda n: n != 0),
        ("driver=Ann", lambda n: n % 4 == 0),
        ("driver=%22Bo+and+Co%22", lambda n: n % 4 == 1),
        ("driver=%C3%87a%C4%9F", lambda n: n % 4 == 2),
        ("driver<B", lambda n: n % 4 == 0),
        ("driver=null", lambda n: n % 4 == 3),
        ("driver!=null", lambda n: n % 4 != 3),
        ("driver!=Ann", lambda n: n % 4 in (1, 2)),
        ("position=null", lambda n: n % 2 == 0),
        ("seen>2024-01-01T00:15:00Z", lambda n: n % 2 and n > 15),
        ("seen<=2024-01-01T01:05:00%2B01:00", lambda n: n % 2 and n <= 5),
        ("where=speed > 3 and line = 0", lambda n: n / 2 > 3 and n % 3 == 0),
        ('where=driver = "Bo and Co" and line = 1', lambda n: n % 4 == 1 and n % 3 == 1),
        ("where=speed>3&where=line=0", lambda n: n / 2 > 3 and n % 3 == 0),
    ],
)
def test_conditions_choose(server: Served, query: str, wanted: Any) -> None:
    query = escaped(query)
    found = [number for number in range(20) if wanted(number)]
    assert found
    assert numbers(server.get(f"/bus?{query}").json) == found
    assert server.get(f"/bus?count=true&{query}").json == {"count": len(found)}


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("speed>fast", "`speed` holds numbers, and `fast` is none"),
        ("speed>nan", "holds numbers"),
        ("line=one", "holds numbers"),
        ("moving=yes", "true or false"),
        ("moving>true", "has no order"),
        ("speed>null", "has no order"),
        ("seen>yesterday", "holds times"),
        ("position=1", "points, which compare with `null` only"),
        ("raw=1", "bytes, which"),
        ("driver=%22open", "texts"),
        ("stops=1", "no value lane `stops`"),
        ("report=1", "no value lane `report`"),
        ("_secret=hidden", "no value lane `_secret`"),
        ("speeed>1", "no value lane `speeed` to compare; it has speed, position"),
        ("speed", "is no condition"),
        ("where=", "is no condition"),
        ("where=speed>1 and ", "is no condition"),
        (">1", "is no condition"),
        ("fields=speed,no", "fields: Bus has no lane `no`"),
        ("fields=report", "`report` has no state"),
        ("limit=0", "limit="),
        ("limit=1001", "max_page"),
        ("count=maybe", "count="),
        ("after=/bus/99", "after: there is no Bus"),
        ("after=/city", "after:"),
        ("after=nonsense", "after:"),
    ],
)
def test_what_makes_no_sense_is_400_with_the_reason(server: Served, query: str, part: str) -> None:
    reply = server.get("/bus?" + escaped(query))
    assert reply.status == 400
    assert part in reply.json["detail"]


def test_a_population_has_no_lane_and_takes_no_command(server: Served) -> None:
    assert server.get("/bus?lane=speed").status == 404
    assert server.post("/bus?lane=report", {"speed": 1}).status == 404
    assert server.get("/bus", "Accept: text/event-stream").status == 404
