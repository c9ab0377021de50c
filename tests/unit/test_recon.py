import enum
import io
import math
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from recon_vectors import has_expression, is_optional, plain, structure, vectors

import shoal
from shoal import recon
from shoal.errors import WrongType

MIXED = {"@fix": {"unit": 7}, "lat": 52.5, "tags": ["a", "b"], "ok": True, "none": None, "raw": b"foob"}


def test_every_vector_is_read_as_its_structure_says() -> None:
    read = 0
    for vector in vectors("recon"):
        text, tagged = vector["recon"], structure(vector)
        if tagged is None or has_expression(tagged):
            with pytest.raises(recon.ReconDecodeError):
                recon.loads(text)
            continue
        if is_optional(vector) and refused(text):
            continue
        assert recon.loads(text) == plain(tagged), text
        assert recon.loads(text.encode()) == plain(tagged), text
        read += 1
    assert read > 400


def refused(text: str) -> bool:
    try:
        recon.loads(text)
    except recon.ReconDecodeError as error:
        return "expressions are not supported" in error.msg
    return False


def test_what_is_read_is_written_so_that_it_is_read_again() -> None:
    for vector in vectors("recon"):
        tagged = structure(vector)
        if tagged is None or has_expression(tagged):
            continue
        value = plain(tagged)
        if isinstance(value, float) and math.isinf(value):
            continue
        assert recon.loads(recon.dumps(value)) == value, vector["recon"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (MIXED, "@fix(unit:7){lat:52.5,tags:{a,b},ok:true,none:,raw:%Zm9vYg==}"),
        ({"b": 1, "@a": 2}, "@a(2){b:1}"),
        ({"@a": None, "$1": "b c"}, '@a"b c"'),
        ({"$0": 1}, '{"$0":1}'),
        ([1, [2.5], (None,), {}], "{1,{2.5},{,},{}}"),
        ({1: 2, False: 3, 1.5: 4}, "{1:2,false:3,1.5:4}"),
        ("true", '"true"'),
        ("é", '"é"'),
        (1e21, "1.0E21"),
        (2.0, "2"),
        (-0.0, "-0.0"),
        (2**64, "18446744073709551616"),
        ({"big": -(2**64)}, "{big:-18446744073709551616}"),
        (bytearray(b"\0"), "%AA=="),
        (datetime(2021, 10, 7, 10, tzinfo=UTC), '"2021-10-07T10:00:00Z"'),
        ({"@at": datetime(2021, 10, 7, 10, tzinfo=UTC)}, '@at("2021-10-07T10:00:00Z")'),
        (shoal.Point(52.5, 13.0), "{52.5,13}"),
        (None, ""),
    ],
)
def test_objects_and_their_text(value: Any, text: str) -> None:
    assert recon.dumps(value) == text


def test_an_enum_is_its_value() -> None:
    class Color(enum.IntEnum):
        RED = 1
        HUGE = 2**70

    class Word(enum.StrEnum):
        UP = "up"

    assert recon.dumps([Color.RED, Color.HUGE, Word.UP]) == f"{{1,{2**70},up}}"


def test_keys_are_sorted_on_request() -> None:
    assert recon.dumps({"b": 1, "a": {"d": 1, "c": 2}}, sort_keys=True) == "{a:{c:2,d:1},b:1}"
    assert recon.dumps({"b": 1, "@z": 0, "@a": 2}, sort_keys=True) == "@a(2)@z(0){b:1}"
    with pytest.raises(TypeError):
        recon.dumps({"b": 1, 2: 1}, sort_keys=True)


def test_default_gives_what_has_a_form() -> None:
    assert recon.dumps({"x": {1, 2}, "@y": {3}}, default=sorted) == "@y({3}){x:{1,2}}"
    with pytest.raises(WrongType, match="a set has no Recon form"):
        recon.dumps([{1}])
    with pytest.raises(recon.ReconError, match="512 levels"):
        recon.dumps(object(), default=lambda thing: thing)
    with pytest.raises(ZeroDivisionError):
        recon.dumps(object(), default=lambda _: 1 / 0)


def test_a_dict_that_changes_while_it_is_written_is_an_error() -> None:
    members: dict[str, Any] = {"a": object(), "b": 1}

    def default(_: object) -> None:
        members["c"] = 1

    with pytest.raises(RuntimeError, match="changed size"):
        recon.dumps(members, default=default)


@pytest.mark.parametrize("x", [math.nan, math.inf, -math.inf, [math.inf], {"@a": math.nan}])
def test_what_is_no_number_is_refused(x: Any) -> None:
    with pytest.raises(recon.ReconError, match="no Recon form"):
        recon.dumps(x)


def test_depth_is_bounded_both_ways() -> None:
    nested: list[Any] = []
    for _ in range(511):
        nested = [nested]
    assert recon.dumps(nested) == "{" * 512 + "}" * 512
    with pytest.raises(recon.ReconError, match="512 levels"):
        recon.dumps([nested])
    circle: dict[str, Any] = {}
    circle["@self"] = [circle]
    with pytest.raises(recon.ReconError, match="circle"):
        recon.dumps(circle)
    with pytest.raises(recon.ReconDecodeError, match="512 levels"):
        recon.loads("{" * 513)


def test_keys_of_other_types_are_refused() -> None:
    for key in [None, (1, 2), b"a", math.nan]:
        with pytest.raises(WrongType, match="keys must be"):
            recon.dumps({key: 1})


def test_an_error_says_where() -> None:
    with pytest.raises(recon.ReconDecodeError) as caught:
        recon.loads("{é:1\n x y}")
    error = caught.value
    assert (error.pos, error.lineno, error.colno) == (8, 2, 4)
    assert error.doc == "{é:1\n x y}"
    assert str(error) == "expected a separator or `}`, found `y`: line 2 column 4 (char 8)"
    assert isinstance(error, ValueError)
    assert isinstance(error, shoal.ShoalError)
    assert vars(pickle.loads(pickle.dumps(error))) == vars(error)
    with pytest.raises(recon.ReconDecodeError) as caught:
        recon.loads("{é:1\n x y}".encode())
    assert caught.value.pos == 9


def test_only_text_is_read() -> None:
    with pytest.raises(TypeError, match="must be str, bytes or bytearray, not int"):
        recon.loads(7)  # type: ignore[arg-type]
    with pytest.raises(recon.ReconDecodeError, match="invalid UTF-8"):
        recon.loads(b'{a:"\xff"}')
    assert recon.loads(bytearray(b"{a:1}")) == {"a": 1}


def test_the_last_of_two_keys_counts_as_in_json() -> None:
    assert recon.loads("{a:1,a:2}") == {"a": 2}


def test_files() -> None:
    out = io.StringIO()
    recon.dump({"b": 1, "a": 2}, out, sort_keys=True)
    assert recon.load(io.StringIO(out.getvalue())) == {"a": 2, "b": 1}
    assert recon.load(io.BytesIO(b"@a b")) == {"@a": None, "$1": "b"}
