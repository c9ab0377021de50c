"""Mistakes in an app's file are shown as the user's own lines, without our internals."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PACKAGE = str(Path(__file__).resolve().parents[2] / "python" / "shoal")

HEAD = "import msgspec\nfrom shoal import *\n"
MISTAKES = {
    "a syntax error": ('app = App("x"\n', ["app.py", "line 3", "'(' was never closed"]),
    "a missing module": ("import no_such_module\n", ["line 3", "no_such_module", "is not installed in"]),
    "an exception": ("def f():\n    1 / 0\nf()\n", ["line 4, in f", "1 / 0", "ZeroDivisionError"]),
    "no app": ("x = 1\n", ["app.py: it makes no App", 'App("app")']),
    "two apps": ('a = App("a")\nb = App("b")\n', ["several apps (a, b)", "app.py:a"]),
    "an early exit": ("raise SystemExit(7)\n", ["sys.exit(7)"]),
    "a wrong class": (
        'app = App("x")\n@app.twin("/one")\nclass One(Twin):\n    lane = Value(list)\n',
        ["app.py", "line 6", "lane = Value(list)", "One.lane"],
    ),
    "a wrong source": (
        'app = App("x")\n@app.twin("/one")\nclass One(Twin):\n    go = Command(int)\napp.ingest("x", One.go, time=1)\n',
        ["app.py", "line 7"],
    ),
}


def shoal(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "shoal.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_shown_where_it_was_made(tmp_path: Path, name: str) -> None:
    program, parts = MISTAKES[name]
    (tmp_path / "app.py").write_text(HEAD + program)
    done = shoal(tmp_path, "run", "app.py", "--once")
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    for part in parts:
        assert part in done.stderr
    assert PACKAGE not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file_is_said_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "fleet.py").touch()
    done = shoal(tmp_path, "run", "fleet")
    assert done.returncode == 2
    assert done.stderr == "shoal: fleet: no such file; did you mean fleet.py?\n"


def test_an_app_is_chosen_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(HEAD + 'east = App("east")\nwest = App("west")\n')
    assert shoal(tmp_path, "run", "two.py:west", "--once").returncode == 0
    done = shoal(tmp_path, "run", "two.py:wst", "--once")
    assert done.returncode == 2
    assert "did you mean `west`?" in done.stderr


def test_help_fits_on_a_screen_and_has_an_example(tmp_path: Path) -> None:
    done = shoal(tmp_path, "run", "--help")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) < 24
    assert "example:" in done.stdout
    assert "exit code:" in done.stdout


def test_the_version_is_printed(tmp_path: Path) -> None:
    assert shoal(tmp_path, "--version").stdout.startswith("shoal 0.")


def test_an_unknown_option_is_a_usage_error(tmp_path: Path) -> None:
    assert shoal(tmp_path, "run", "app.py", "--onse").returncode == 2
    assert shoal(tmp_path).returncode == 2
