"""``shoal recon`` and ``shoal warp`` as a shell runs them."""

import base64
import json
import signal
import subprocess
import sys
from typing import Any

import pytest
from recon_vectors import comparable, has_expression, is_optional, plain, structure, vectors

pytestmark = pytest.mark.slow

SHOAL = [sys.executable, "-m", "shoal.cli"]


def answers(*command: str, lines: bytes) -> list[Any]:
    done = subprocess.run([*SHOAL, *command], input=lines, capture_output=True, timeout=60, check=True)
    assert not done.stderr
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def quoted(texts: list[str]) -> bytes:
    return "".join(json.dumps(text) + "\n" for text in texts).encode()


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def is_error(answer: Any, text: str) -> bool:
    if not (isinstance(answer, dict) and answer.keys() == {"error", "offset"}):
        return False
    assert answer["error"]
    assert 0 <= answer["offset"] <= len(text.encode())
    return True


@pytest.mark.parametrize("form", ["tagged", "canonical", "json"])
def test_every_recon_vector(form: str) -> None:
    cases = vectors("recon")
    given = answers("recon", f"--{form}", lines=quoted([case["recon"] for case in cases]))
    assert len(given) == len(cases)
    for case, answer in zip(cases, given, strict=True):
        text, tagged = case["recon"], structure(case)
        if tagged is None or (form == "json" and (has_expression(tagged) or "Infinity" in str(tagged))):
            assert is_error(answer, text), text
        elif form == "json" and is_optional(case) and is_error(answer, text):
            assert "expressions are not supported" in answer["error"], text
        elif form == "tagged":
            assert comparable(answer) == comparable(tagged), text
        elif form == "json":
            assert answer == json.loads(json.dumps(plain(tagged), default=base64_text)), text
        elif not case.get("liberal"):
            assert answer == case["canonical"], text


def test_every_warp_vector() -> None:
    cases = vectors("warp")
    given = answers("warp", lines=quoted([case["frame"] for case in cases]))
    assert len(given) == len(cases)
    for case, answer in zip(cases, given, strict=True):
        frame = case["frame"]
        if case.get("error"):
            assert is_error(answer, frame), frame
            continue
        assert comparable(answer.pop("body_json")) == comparable(case["body_json"]), frame
        assert answer == {field: case[field] for field in answer}, frame
        assert answer.keys() == {"kind", "node", "lane", "prio", "rate", "body", "canonical"}


def test_lines_that_are_no_json_strings_are_answered_too() -> None:
    lines = b'"%AAEC"\n7\n\nx\n"\\ud83d"\n"\\u2028"\n\xff\n' + b"[" * 100_000 + b'\n"last"'
    given = answers("recon", "--json", lines=lines)
    assert [given[0], given[4], given[8]] == ["AAEC", "\ufffd", "last"]
    assert all(is_error(given[at], "") for at in (1, 2, 3, 6, 7))
    assert is_error(given[5], "\u2028")
    assert len(given) == 9


def test_big_inputs() -> None:
    texts = [f'{{n:{n},x:"{"x" * (n % 300)}"}}' for n in range(20_000)] + ["x" * 1_000_000]
    given = answers("recon", "--json", lines=quoted(texts))
    assert given[123]["n"] == 123
    assert given[-1] == texts[-1]


def test_an_answer_comes_before_the_next_question() -> None:
    with subprocess.Popen([*SHOAL, "recon", "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as filter_:
        assert filter_.stdin
        assert filter_.stdout
        for n in range(3):
            filter_.stdin.write(b'"{n:%d}"\n' % n)
            filter_.stdin.flush()
            assert json.loads(filter_.stdout.readline()) == {"n": n}
        filter_.stdin.close()
        assert filter_.wait(10) == 0


def test_nobody_reads_on() -> None:
    command = [*SHOAL, "recon", "--tagged"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as filter_:
        filter_.stdout.close()  # type: ignore[union-attr]
        filter_.stdout = None
        assert filter_.communicate(quoted(["{a:1}"] * 10_000), timeout=10)[1] == b""
        assert filter_.returncode == 0


def test_ctrl_c_ends_it_without_a_word() -> None:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*SHOAL, "warp"], **pipes) as filter_:
        filter_.stdin.write(b'"@ping"\n')  # type: ignore[union-attr]
        filter_.stdin.flush()  # type: ignore[union-attr]
        assert is_error(json.loads(filter_.stdout.readline()), "@ping")  # type: ignore[union-attr]
        filter_.send_signal(signal.SIGINT)
        assert filter_.wait(10) == 130
        assert filter_.stderr.read() == b""  # type: ignore[union-attr]


def test_a_form_must_be_chosen() -> None:
    done = subprocess.run([*SHOAL, "recon"], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert "--tagged --canonical --json" in done.stderr
