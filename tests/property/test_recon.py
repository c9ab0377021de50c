"""JSON that is written as Recon comes back, but for what the page on the protocol names."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal import recon

pytestmark = pytest.mark.slow

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.binary(max_size=5)
)
NAMES = st.text(max_size=5) | st.sampled_from(["@a", "@", "$0", "$1", "$2", "true", "a"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, min_size=1, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
def test_json_comes_back(value: Any) -> None:
    assert recon.loads(recon.dumps(value)) == value


@given(VALUES)
def test_sorted_keys_change_only_the_order(value: Any) -> None:
    assert recon.loads(recon.dumps(value, sort_keys=True)) == value


@given(st.text(alphabet="{}[]()@,;:\"'`\\#%-+.0x19eEtrue \n\tab$é", max_size=30) | st.binary(max_size=30))
def test_any_text_is_read_or_refused_with_a_position(text: str | bytes) -> None:
    if (position := refused_at(text)) is not None:
        assert 0 <= position <= len(text)


def refused_at(text: str | bytes) -> int | None:
    try:
        recon.loads(text)
    except recon.ReconDecodeError as error:
        return error.pos
    return None
