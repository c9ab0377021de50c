"""Every record can be read back from its line, whatever its bytes are."""

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal._core import DeadLetter
from shoal.dead_letters import LONGEST_RECORD, line_of

pytestmark = pytest.mark.slow

texts = st.text(max_size=40)


@given(
    record=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)),
    texts=st.tuples(texts, texts, texts, texts),
    sequence=st.integers(0, 2**64 - 1),
    time=st.integers(-(2**63), 2**63 - 1),
)
def test_a_letter_is_one_line_that_holds_all_of_it(
    record: bytes, texts: tuple[str, str, str, str], sequence: int, time: int
) -> None:
    origin, node, lane, reason = texts
    line = line_of(DeadLetter(origin, sequence, time, node, lane, "failed", reason, record))
    assert line.endswith(b"\n")
    assert b"\n" not in line[:-1]
    read = json.loads(line)
    assert (read["origin"], read["position"], read["node"], read["lane"]) == (origin, sequence, node, lane)
    assert read["reason"] == reason
    kept = base64.b64decode(read["record_base64"]) if "record_base64" in read else read["record"].encode()
    assert kept == record


@given(tail=st.binary(max_size=8), unit=st.sampled_from([b"x", "µ".encode(), "€".encode(), "🚌".encode(), b"\xff"]))
def test_a_long_record_can_be_recognised(tail: bytes, unit: bytes) -> None:
    record = unit * (LONGEST_RECORD // len(unit) + 1) + tail
    read = json.loads(line_of(DeadLetter("x", 1, 0, "", "", "invalid", "", record)))
    assert (read["record_bytes"], read["record_sha256"]) == (len(record), hashlib.sha256(record).hexdigest())
    kept = base64.b64decode(read["record_base64"]) if "record_base64" in read else read["record"].encode()
    assert record.startswith(kept)
