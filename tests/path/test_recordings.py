"""The recordings of the Java server replay; what differs is in ``tests/differences.py`` with its reason."""

import functools
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from differences import ASIDES, BEFORE, CONFLATED, DIFFERENCES, Difference
from recording import FOLDER, Aside, Hunk, Replay, compare, conflate, load, recorded
from twins_recorded import make
from wire import frame, served

RECORDINGS = sorted(path.stem for path in FOLDER.glob("*.jsonl"))
PAGE = Path(__file__).parents[2] / "docs/protocol.md"


def like(pattern: str, text: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text, re.DOTALL) is not None


def explains(entry: Difference, recording: str, hunk: Hunk) -> bool:
    return all(map(like, entry[:4], (recording, *hunk)))


@functools.cache
def replayed(recording: str) -> tuple[list[Hunk], dict[str, str]]:
    """Where a recording differs, and the close frames that its asides got."""
    lines = load(recording)
    asides = [aside for aside in ASIDES if aside.recording == recording]
    with TemporaryDirectory() as folder, served(make(lambda: server.stop()), Path(folder)) as server:
        replay = Replay(server, asides)
        if before := BEFORE.get(recording):
            with server.open() as wire:
                wire.text(*before)
                wire.send(frame(0x88, b""))
                wire.rest()
        shoal = replay.run(lines)
    java = recorded(lines)
    for _, where in (burst for burst in CONFLATED if burst[0] == recording):
        java[where], shoal[where] = (conflate(lines, where, streams[where]) for streams in (java, shoal))
    return compare(java, shoal), replay.aside


@pytest.mark.slow
@pytest.mark.parametrize("recording", RECORDINGS)
def test_a_recording_replays(recording: str) -> None:
    hunks, _ = replayed(recording)
    assert [hunk for hunk in hunks if not any(explains(entry, recording, hunk) for entry in DIFFERENCES)] == []


@pytest.mark.slow
def test_every_difference_is_still_one() -> None:
    found = [(recording, hunk) for recording in RECORDINGS for hunk in replayed(recording)[0]]
    assert [entry for entry in DIFFERENCES if not any(explains(entry, *each) for each in found)] == []
    assert [aside for aside in ASIDES if not like(aside.close, replayed(aside.recording)[1].get(aside.frame, ""))] == []


def row(entry: Difference | Aside) -> str:
    if isinstance(entry, Aside):
        cells = [entry.recording, entry.frame, "", entry.close, entry.reason]
    else:
        cells = list(entry)
    return "| " + " | ".join([*(f"`{cell}`" if cell else "–" for cell in cells[:4]), cells[4]]) + " |"


def test_the_page_lists_the_differences() -> None:
    rows = "\n".join(map(row, [*DIFFERENCES, *ASIDES]))
    page = PAGE.read_text("utf-8")
    section = page.partition("## Where Shoal differs from the Java server\n")[2].partition("\n## ")[0]
    listed = "\n".join(line for line in section.splitlines() if line.startswith("| `"))
    assert listed == rows
