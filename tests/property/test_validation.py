"""msgspec's strict decoder and the core's take the same JSON for valid, and read the same values out of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal import App, Command, Twin

pytestmark = pytest.mark.slow

TYPES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "bool": (bool, st.booleans()),
    "int": (int, st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9)),
    "float": (float, st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9)),
    "str": (str, st.text(max_size=20)),
    "datetime": (
        datetime,
        st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.none() | st.just(UTC)),
    ),
    "words": (Literal["a", "bee"], st.sampled_from(["a", "bee"])),
    "numbers": (Literal[1, 25], st.sampled_from([1, 25])),
}
DEFAULTS = {
    "bool": True,
    "int": 7,
    "float": 0.5,
    "str": "none",
    "datetime": datetime(2000, 1, 1, tzinfo=UTC),
    "words": "a",
    "numbers": 1,
}
# just beside what each kind takes
CLOSE: dict[str, list[bytes]] = {
    "bool": [b"0", b"1", b'"true"', b"True", b"tru"],
    "int": [b"3.0", b"3.5", b"-0", b"-0.0", b"1e3", b"1e-3", b'"3"', b"9223372036854775808", b"1" * 40, b"true"],
    "float": [b'"3.5"', b"NaN", b"-Infinity", b"1e999", b"1e-999", b"1" * 40, b"0.1e1", b"-0.0", b"false", b"1e308"],
    "str": [b"7", b'"\\u00e9\\ud83d\\ude8c"', b'"\\ud83d"', b'"\\/\\b"', b'"\t"', b'"\xff"', b'"\\x"', b'["a"]'],
    "datetime": [
        b'"2020-02-30T00:00:00Z"',
        b'"2020-02-29T23:59:59.123456789+01:30"',
        b'"2020-02-29 23:59:59"',
        b'"2020-02-29t23:59:59z"',
        b'"2020-02-29T24:00:00"',
        b'"2020-02-29T23:59:60Z"',
        b'"2020-02-29"',
        b'"0000-01-01T00:00:00Z"',
        b"1600000000",
        b'"1600000000"',
    ],
    "words": [b'"A"', b'"be"', b'"bee "', b'"b\\u0065e"', b"1"],
    "numbers": [b"1.0", b"2", b'"1"', b"true", b"25e0", b"9223372036854775808"],
}
# what some field does not take, and what hardly any does
STRANGE = [
    None,
    True,
    0,
    1,
    -1,
    3.5,
    2.0,
    "",
    "a",
    "1",
    "true",
    "3.5",
    "2020-01-01",
    "2020-01-01T00:00:00Z",
    [],
    {},
    [1],
]
SNIPPETS = [
    b"",
    b" ",
    b"\n",
    b"\t",
    b",",
    b"{",
    b"}",
    b"[",
    b'"',
    b"\\",
    b"0",
    b"-",
    b".",
    b"e",
    b"1e3",
    b"null",
    b"\x00",
    b"\xff",
    b"\\u12",
    b"\\ud800",
    b"\xef\xbb\xbf",
    b"//",
    b"'",
    b"+1",
    b"01",
    b"1.",
    b".5",
    b"True",
]


class Case(NamedTuple):
    # (name, kind, may be None, has a default)
    fields: tuple[tuple[str, str, bool, bool], ...]
    text: bytes


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kinds = draw(
        st.lists(st.tuples(st.sampled_from(list(TYPES)), st.booleans(), st.booleans()), min_size=1, max_size=5)
    )
    fields = tuple((f"f{number}", *kind) for number, kind in enumerate(kinds))
    members: dict[str, Any] = {}
    for name, kind, optional, default in fields:
        chosen = draw(st.sampled_from(["valid"] * 8 + ["close", "strange", "other", "missing"] + ["missing"] * default))
        values = TYPES[kind][1]
        if chosen == "valid":
            members[name] = draw(values | st.none() if optional else values)
        elif chosen == "close":
            members[name] = msgspec.Raw(draw(st.sampled_from(CLOSE[kind])))
        elif chosen == "strange":
            members[name] = draw(st.sampled_from(STRANGE))
        elif chosen == "other":
            members[name] = draw(TYPES[draw(st.sampled_from(list(TYPES)))][1])
    if draw(st.booleans()):
        members["extra"] = draw(st.sampled_from([*STRANGE, {"deep": [1, {"deeper": None}]}]))
    names = draw(st.permutations(list(members)))
    if names and draw(st.sampled_from([False] * 9 + [True])):
        names.append(draw(st.sampled_from(names)))
    space = draw(st.sampled_from([b"", b" ", b"\r\n\t "]))
    pairs = [b'"' + name.encode() + b'":' + space + msgspec.json.encode(members[name]) for name in names]
    text = b"{" + space + (b"," + space).join(pairs) + space + b"}" + space
    if draw(st.sampled_from([False, False, True])):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(SNIPPETS)) + text[at + draw(st.integers(0, 3)) :]
    return Case(fields, text)


def struct_of(case: Case) -> type[msgspec.Struct]:
    made: list[Any] = []
    for name, kind, optional, default in case.fields:
        declared = TYPES[kind][0] | None if optional else TYPES[kind][0]
        first = None if optional else DEFAULTS[kind]
        made.append((name, declared, first) if default else (name, declared))
    return msgspec.defstruct("Body", made, kw_only=True)


def by_msgspec(case: Case, cls: Any) -> Any:
    """The body, or the reason why it is refused."""
    try:
        return zoned(msgspec.json.decode(case.text, type=cls))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return str(error)


def by_core(case: Case, cls: Any) -> Any:
    taken: list[Any] = []
    app = App("validation")

    @app.twin("/only")
    class Only(Twin):
        take = Command(cls)

        @take.handler
        def on_take(self, body: Any) -> None:
            taken.append(body)

    with app.test() as t:
        t.feed(Only.take, [msgspec.Raw(case.text)])
        if taken:
            return taken[0]
        (letter,) = t.dead_letters
        assert letter.kind == "invalid"
        assert letter.record == case.text
        return letter.reason


def zoned(body: Any) -> Any:
    """A time without a zone is in the app's, which is UTC here."""
    for name in body.__struct_fields__:
        value = getattr(body, name)
        if isinstance(value, datetime) and value.tzinfo is None:
            setattr(body, name, value.replace(tzinfo=UTC))
    return body


class Differs(Exception):
    """A duplicate key, NaN, an infinity, an integer beyond int64."""


def differs(case: Case) -> bool:
    """Whether the text holds what the two are meant to take differently; 3.0 for an int and a BOM, too."""

    kinds = {name: kind for name, kind, *_ in case.fields}

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(members)) < len(members):
            raise Differs
        return dict(members)

    def whole(text: str) -> int:
        if not -(2**63) <= int(text) < 2**63:
            raise Differs
        return int(text)

    def constant(text: str) -> float:
        raise Differs

    def real(text: str) -> float:
        if abs(float(text)) == float("inf"):
            raise Differs
        return float(text)

    if case.text.startswith(b"\xef\xbb\xbf"):
        return True
    try:
        # bytes that are no UTF-8 may stand in undeclared fields, where msgspec passes over them
        text = case.text.decode("utf-8", "surrogateescape")
        tree = json.loads(text, object_pairs_hook=pairs, parse_int=whole, parse_float=real, parse_constant=constant)
    except Differs:
        return True
    except ValueError:
        return False
    return isinstance(tree, dict) and any(
        isinstance(value, float) and value.is_integer() and kinds.get(name) in ("int", "numbers")
        for name, value in tree.items()
    )


def check(case: Case) -> None:
    cls = struct_of(case)
    core, reference = by_core(case, cls), by_msgspec(case, cls)
    if differs(case):
        return
    if isinstance(reference, cls):
        assert core == reference
    else:
        assert isinstance(core, str), f"msgspec says {reference}"


@settings(max_examples=150)
@given(case=cases())
def test_the_core_and_msgspec_agree_on_what_is_valid(case: Case) -> None:
    check(case)


@pytest.mark.long
@settings(max_examples=20_000)
@given(case=cases())
def test_the_core_and_msgspec_agree_on_what_is_valid_in_many_cases(case: Case) -> None:
    check(case)
