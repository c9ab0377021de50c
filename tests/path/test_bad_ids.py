"""Ids that make an address, in every shape that a file may hold."""

import json
from pathlib import Path

import msgspec
import pytest
from runs import run_text

from shoal import App, Command, Count, Twin


class Strict(msgspec.Struct):
    id: str


class Open(msgspec.Struct):
    x: float = 0.0


def records(*ids: object) -> str:
    return "".join(json.dumps({"id": each}) + "\n" for each in ids)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("", "key field `id` is empty; give it at least one character"),
        (".", "key field `id` is `.`, which paths reserve; use another name"),
        ("..", "key field `id` is `..`, which paths reserve; use another name"),
        ("a\0b", "key field `id` holds the character NUL"),
        ("x" * 10_240, "key field `id` has 10240 bytes; at most 1024 are allowed"),
        ("é" * 513, "key field `id` has 1026 bytes; at most 1024 are allowed"),
        (None, "Expected `str`, got `null` - at `$.id`"),
        (7, "Expected `str`, got `int` - at `$.id`"),
        (7.0, "Expected `str`, got `float` - at `$.id`"),
        (True, "Expected `str`, got `bool` - at `$.id`"),
        ({}, "Expected `str`, got `object` - at `$.id`"),
    ],
)
def test_an_id_that_is_no_address_is_dead(bad: object, reason: str, tmp_path: Path) -> None:
    done = run_text(records("7", bad, "8"), Strict, tmp_path)
    assert (done.positions, done.reasons) == ([2], [reason])
    assert list(done.twins) == ["/thing/7", "/thing/8"]


@pytest.mark.parametrize(
    ("id", "uri"),
    [
        ("a/b", "/thing/a%2Fb"),
        ("100%", "/thing/100%25"),
        ("what?", "/thing/what%3F"),
        ("#1", "/thing/%231"),
        ("a b", "/thing/a%20b"),
        (" ", "/thing/%20"),
        ("...", "/thing/..."),
        ("%2e%2e", "/thing/%252e%252e"),
        ("ü", "/thing/%C3%BC"),
        ("\n", "/thing/%0A"),
        ("-._~", "/thing/-._~"),
    ],
)
def test_every_other_character_is_encoded_and_read_back(id: str, uri: str, tmp_path: Path) -> None:
    done = run_text(records(id, id), Strict, tmp_path)
    assert done.letters == []
    assert done.twins == {uri: {"seen": 2}}
    app = App("back")

    @app.twin("/thing/{id}")
    class Thing(Twin):
        touch = Command()
        touches = Count(touch)

    with app.test() as t:
        t.post(uri, "touch")
        assert t.at(Thing, id).touches == 1
        assert t.at(uri).params.id == id


def test_a_key_beside_the_body_may_be_a_text_or_a_whole_number(tmp_path: Path) -> None:
    done = run_text(records(7, "7", 7.5, True, None, [7]) + '{"x": 1}\n', Open, tmp_path)
    assert done.twins["/thing/7"]["seen"] == 2
    assert done.positions == [3, 4, 5, 6, 7]
    assert done.reasons == [
        "key field `id` is neither text nor a whole number",
        "Expected `str | int | float`, got `bool` - at `$.id`",
        "key field `id` is missing or null",
        "Expected `str | int | float`, got `array` - at `$.id`",
        "key field `id` is missing or null",
    ]


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "thing/7",
        "/thing",
        "/thing/7/8",
        "/thing/",
        "/thing/..",
        "/thing/a%00",
        "/thing/%zz",
        "/thing/7?x=1",
        "/other/7",
    ],
)
def test_an_address_without_a_twin_class_is_unrouted(uri: str) -> None:
    app = App("unrouted")

    @app.twin("/thing/{id}")
    class Thing(Twin):
        touch = Command()

    with app.test() as t:
        t.post(uri, "touch")
        (letter,) = t.dead_letters
        assert (letter.kind, letter.node, letter.lane) == ("unrouted", uri, "touch")
        assert len(t.all(Thing)) == 0


def test_7_and_text_7_are_one_route_and_7_0_is_another_or_none(tmp_path: Path) -> None:
    done = run_text(records(7, "7", 7.0), Open, tmp_path)
    assert done.twins["/thing/7"]["seen"] == 2
    assert done.reasons == ["key field `id` is neither text nor a whole number"]
