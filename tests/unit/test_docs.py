"""The pages tell the truth: files that they name exist, their code runs, their figures are those of the code."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from inferring import readings, said, write
from wire import served

from shoal import control, dead_letters, run
from shoal.cli import main
from shoal.cli.command import LONGEST_BODY
from shoal.client.commands import PAUSE_SECONDS
from shoal.declaration import Settings
from shoal.infer import kinds, late, look
from shoal.lanes import history
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


@pytest.mark.parametrize("page", [ROOT / "docs/guarantees.md", ROOT / "docs/swim.md"], ids=lambda page: page.name)
def test_tests_that_a_page_names_exist(page: Path) -> None:
    # a file, then some of its tests
    cited = re.findall(r"`((?:rust|tests)/[\w./-]+)`((?:,?\s`[a-z]\w+_\w+`)+)", page.read_text("utf-8"))
    assert cited
    missing = [
        f"{file} {name}"
        for file, names in cited
        for name in re.findall(r"\w+", names)
        if not re.search(rf"(?:def|fn) {name}\(", (ROOT / file).read_text("utf-8"))
    ]
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


def test_the_code_of_the_pages_runs(tmp_path: Path) -> None:
    for page in (ROOT / "docs/folds.md", ROOT / "docs/links.md", ROOT / "docs/swim.md"):
        file = tmp_path / f"{page.stem}.py"
        file.write_text("\n".join(code_of(page)))
        done = subprocess.run(
            [sys.executable, "-W", "error", file], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), page.name


def test_the_session_of_the_page_is_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs/twin.md").read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    write(Path("readings.csv"), readings())
    shown = re.findall(r"^```console\n\$ shoal twin readings.csv\n(.*?)^serving", text, re.DOTALL | re.MULTILINE)
    assert shown == ["".join(f"{line}\n" for line in said(Path("readings.csv")))]
    assert main(["twin", "readings.csv", "--eject", "grid.py"]) == 0
    assert code_of(ROOT / "docs/twin.md") == [Path("grid.py").read_text("utf-8")]


def test_the_clients_page_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app, *sessions = code_of(ROOT / "docs/client.md")
    names: dict[str, Any] = {}
    exec(app, names)
    with served(names["app"], tmp_path) as server:
        exec("\n".join(sessions).replace("localhost:9001", f"localhost:{server.port}"), names)
    assert capsys.readouterr().out.splitlines()[-1] == "29.0"


def test_the_protocols_code_runs() -> None:
    (code,) = code_of(ROOT / "docs/protocol.md")
    exec(code, {})


def test_the_pages_settings_are_those_of_the_code() -> None:
    text = (ROOT / "docs/settings.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d,.]+) \|", text, re.MULTILINE))
    assert {name: float(value.replace(",", "")) for name, value in rows.items()} == {
        name: float(value)
        for name, value in msgspec.structs.asdict(Settings()).items()
        if name not in ("origins", "slow_sinks", "remote_ca")
    }


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        ("12 values", kinds.MOST_CHOICES),
        ("10,000 entries a twin | the oldest", history.MOST_ENTRIES),
        ("64 fields", late.MOST_FIELDS),
        ("3 s", look.PATIENCE),
        ("2 ms", run.BATCH_MICROSECONDS / 1_000),
        ("5 s", run.DRAIN_SECONDS),
        ("30 s", run.SAVE_SECONDS),
        ("16,384 bytes", control.REQUEST_BYTES),
        ("10 s", control.REQUEST_SECONDS),
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
        ("100,000", Bounds().events),
        ("1,024", Bounds().commands),
        ("50 ms", PAUSE_SECONDS * 1_000),
    ],
)
def test_the_pages_bounds_are_those_of_the_code(figure: str, value: float) -> None:
    assert figure in (ROOT / "docs/settings.md").read_text("utf-8")
    assert float(re.sub(r"[^\d.]", "", figure)) == value


def request_of(command: str) -> tuple[str, str, bytes | None, list[str]]:
    """Method, path, body and headers that a line of curl sends."""
    words = shlex.split(command)
    assert words.pop(0) == "curl"
    method, body, headers, query = "", None, [], ""
    while len(words) > 1 or words[0].startswith("-"):
        match words.pop(0):
            case "-N" | "-G":
                pass
            case "-X":
                method = words.pop(0)
            case "-H":
                headers.append(words.pop(0))
            case "-d":
                body = words.pop(0)
            case "--json":
                body = words.pop(0)
                headers.append("content-type: application/json")
            case "--data-urlencode":
                name, _, value = words.pop(0).partition("=")
                query = f"?{name}={quote(value)}"
            case url:
                words.append(url)
    path = words[0].removeprefix("http://127.0.0.1:9001") + query
    return method or ("GET" if body is None else "POST"), path, body and body.encode(), headers


def test_the_examples_of_requests_work(tmp_path: Path) -> None:
    page = ROOT / "docs/requests.md"
    names: dict[str, Any] = {}
    exec("\n".join(code_of(page)), names)
    names["test_a_plane_lands"]()
    (commands,) = re.findall(r"^```sh\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    with served(names["app"], tmp_path) as server:
        server.post("/airport/AAR?lane=gate", {"flight": "LH0"})
        for command, gate in zip(commands.splitlines(), ("B1", "A3"), strict=True):
            method, path, body, headers = request_of(command)
            assert server.ask(method, path, body, *headers).json == {"name": gate}


def test_the_curl_examples_of_http_work(tmp_path: Path) -> None:
    page = ROOT / "docs/http.md"
    names: dict[str, Any] = {}
    exec("\n".join(code_of(page)), names)
    blocks = re.findall(r"^```(sh|json|text)\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    commands = [line for kind, block in blocks if kind == "sh" for line in block.splitlines()]
    assert len(commands) > 10
    answers = []
    with served(names["app"], tmp_path) as server:
        for command in commands:
            method, path, body, headers = request_of(command)
            with server.connect() as wire:
                reply = wire.ask(method, path, body, *headers)
                chunked = "transfer-encoding" in reply.headers
                answers.append((wire.chunk() if chunked else reply.body).decode())
                assert reply.status == (400 if "fast" in command else 202 if body else 200), command
    for kind, block in blocks:
        if kind == "json":
            assert block.rstrip("\n") in answers
        elif kind == "text":
            pattern = re.sub(r"id:\\ \d+", r"id:\\ \\d+", re.escape(block))
            assert any(re.match(pattern, answer) for answer in answers), answers
