"""The pages tell the truth: files that they name exist, their code runs, their figures are those of the code."""

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from shoal import dead_letters, run
from shoal.cli.command import LONGEST_BODY
from shoal.declaration import Settings
from shoal.queries import LONGEST_ANSWER
from shoal.sources import opening
from shoal.warp import Bounds

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    named = re.findall(r"`((?:python|rust|docs|tests|bench|examples)/[\w./-]*)`", text)
    missing = [name for name in named if not (ROOT / name).exists()]
    linked = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", text)
    missing += [name for name in linked if not (page.parent / name).exists()]
    assert not missing


def code_of(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def test_the_readmes_twin_runs_and_its_test_passes(tmp_path: Path) -> None:
    program = "\n".join(code_of(ROOT / "README.md"))
    program += "\ntest_a_bus_that_speeds_is_reported_once()\n"
    file = tmp_path / "transit.py"
    file.write_text(program)
    done = subprocess.run(
        [sys.executable, "-W", "error", file], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_pages_settings_are_those_of_the_code() -> None:
    text = (ROOT / "docs/settings.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d,.]+) \|", text, re.MULTILINE))
    assert {name: float(value.replace(",", "")) for name, value in rows.items()} == {
        name: float(value) for name, value in msgspec.structs.asdict(Settings()).items()
    }


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        ("2 ms", run.BATCH_MICROSECONDS / 1_000),
        ("5 s", run.DRAIN_SECONDS),
        ("1,000,000 bytes", dead_letters.LONGEST_RECORD),
        ("64,000 bytes", dead_letters.KEPT_OF_LONGER),
        ("50 ms", dead_letters.FLUSH_SECONDS * 1_000),
        ("256 KiB", dead_letters.FLUSH_BYTES / 1024),
        ("4,000", opening.AHEAD),
        ("15 s", Bounds().longest_pause),
        ("0.25 s", Bounds().first_pause),
        ("64 MiB", Bounds().message_bytes / (1 << 20)),
        ("64 MiB", LONGEST_BODY / (1 << 20)),
        ("256 MiB", LONGEST_ANSWER / (1 << 20)),
        ("1,000,000", Bounds().entries),
        ("1,000", Bounds().changes),
    ],
)
def test_the_pages_bounds_are_those_of_the_code(figure: str, value: float) -> None:
    assert figure in (ROOT / "docs/settings.md").read_text("utf-8")
    assert float(re.sub(r"[^\d.]", "", figure)) == value
