"""mypy --strict and Pyright strict accept the applications as they are, and find the mistakes of mistakes.py."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from inferring import flights, machines, readings, write

import shoal
from shoal.cli import main

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PACKAGES = Path(shoal.__file__).parents[1]
PYRIGHT = "1.1.414"
APPLICATIONS = [
    "first_app",
    "test_first",
    "factory",
    "test_factory",
    "meters",
    "test_meters",
    "transit",
    "notebook",
    "rollup",
]
# Programs that `shoal twin` writes, by the files that they are made from.
EJECTED = {"readings.csv": readings, "flights.jsonl": flights, "machines.jsonl": machines}
# The numbers behind the lines of mistakes.py. The stub finds these, and so must the inline types.
BY_MYPY = {1, 2, 7, 8, 9, 10, 12, 13, 14, 15, 17, 18, 19, 20, 21}
BY_PYRIGHT = {1, 2, 8, 9, 10, 12, 13, 14, 15, 17, 18, 20}
# Right as they are, or found when the program runs only.
BY_NEITHER = {3, 4, 5, 6, 11, 16}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The applications and the mistakes, as a user has them: beside each other."""
    folder = tmp_path_factory.mktemp("typing")
    for name in APPLICATIONS:
        shutil.copy(ROOT / "examples" / f"{name}.py", folder)
    shutil.copy(HERE / "mistakes.py", folder)
    page = (ROOT / "docs" / "client.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (folder / "client_page.py").write_text("\n".join(blocks))
    for name, make in EJECTED.items():
        file = write(folder / name, make())
        assert main(["twin", str(file), "--eject", str(folder / f"{file.stem}_ejected.py")]) == 0
    return folder


@pytest.fixture(scope="module")
def mypy(folder: Path) -> dict[str, list[int]]:
    """The lines with an error, by file."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=", *_files(folder)]
    done = subprocess.run(
        command, cwd=folder, env={"MYPYPATH": str(PACKAGES)}, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(r"^(\w+\.py):(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    return _by_file((file, int(line)) for file, line, _ in found)


@pytest.fixture(scope="module")
def pyright(folder: Path) -> dict[str, list[int]]:
    """The same by Pyright, which needs Node."""
    program = _install_pyright()
    (folder / "pyrightconfig.json").write_text(
        json.dumps({"typeCheckingMode": "strict", "include": ["*.py"], "extraPaths": [str(PACKAGES)]})
    )
    command = [str(program), "-p", str(folder), "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    report = json.loads(done.stdout)["generalDiagnostics"]
    return _by_file(
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1) for each in report if each["severity"] == "error"
    )


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.py"))


def _by_file(found: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    lines: dict[str, list[int]] = {}
    for file, line in found:
        lines.setdefault(file, []).append(line)
    return lines


def _install_pyright() -> Path:
    """Once, into build/: PyPI's package of that name would fetch a Node of its own."""
    program = ROOT / "build" / "pyright" / "node_modules" / ".bin" / "pyright"
    installed = program.resolve().parent / "package.json"
    if not (installed.exists() and json.loads(installed.read_text())["version"] == PYRIGHT):
        npm = shutil.which("npm")
        assert npm is not None, "Pyright needs Node >= 20 with npm: install nodejs and npm, then run the tests again"
        prefix = ROOT / "build" / "pyright"
        prefix.mkdir(parents=True, exist_ok=True)
        command = [
            npm,
            "install",
            "--no-audit",
            "--no-fund",
            "--no-save",
            "--prefix",
            str(prefix),
            f"pyright@{PYRIGHT}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
    return program


def _numbers() -> dict[int, int]:
    """The line of each numbered mistake. 15 stands one line after the call that it is about."""
    lines = {}
    for line, text in enumerate((HERE / "mistakes.py").read_text().splitlines(), 1):
        match = re.search(r"# (\d+) ", text)
        if match:
            lines[int(match[1])] = line
    assert set(lines) == BY_MYPY | BY_PYRIGHT | BY_NEITHER
    text = (HERE / "mistakes.py").read_text().splitlines()
    # a decorator's error stands at the decorator, a timer's at the call
    lines[15] = next(number for number, each in enumerate(text, 1) if "self.retry)" in each)
    for number in (17, 18):
        lines[number] -= 1
    return lines


@pytest.mark.parametrize("name", [*APPLICATIONS, *(f"{Path(name).stem}_ejected" for name in EJECTED)])
def test_mypy_accepts_the_application(mypy: dict[str, list[int]], name: str) -> None:
    assert mypy.get(f"{name}.py") is None


@pytest.mark.parametrize("name", [*APPLICATIONS, *(f"{Path(name).stem}_ejected" for name in EJECTED)])
def test_pyright_accepts_the_application(pyright: dict[str, list[int]], name: str) -> None:
    assert pyright.get(f"{name}.py") is None


def test_checkers_accept_the_page_of_the_clients(mypy: dict[str, list[int]], pyright: dict[str, list[int]]) -> None:
    assert (mypy.get("client_page.py"), pyright.get("client_page.py")) == (None, None)


def test_mypy_finds_the_mistakes(mypy: dict[str, list[int]]) -> None:
    lines = _numbers()
    assert {number for number, line in lines.items() if line in mypy["mistakes.py"]} >= BY_MYPY
    assert not {number for number in BY_NEITHER if lines[number] in mypy["mistakes.py"]}


def test_pyright_finds_the_mistakes(pyright: dict[str, list[int]]) -> None:
    lines = _numbers()
    assert {number for number, line in lines.items() if line in pyright["mistakes.py"]} >= BY_PYRIGHT
    assert not {number for number in BY_NEITHER if lines[number] in pyright["mistakes.py"]}
