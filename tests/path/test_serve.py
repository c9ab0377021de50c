"""``shoal run`` as a server: what it says at its start, where it listens, how it ends, how it starts anew."""

import json
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE

import pytest
from wire import Wire

pytestmark = pytest.mark.slow

PROGRAM = """
from shoal import App, Command, Count, Twin, Value

app = App("meters")

@app.twin("/meter/{id}")
class Meter(Twin):
    report = Command(float)
    reports = Count(report)
    version = Value(int, 1)

if __name__ == "__main__":
    import sys
    app.run(port=int(sys.argv[1]))
"""
SECONDS = 30


class Program:
    """A running process, and what it says on its standard output and error."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.process = subprocess.Popen([sys.executable, *command], cwd=folder, stdout=PIPE, stderr=PIPE)

    def line(self, pattern: str, error: bool = False) -> "re.Match[str]":
        """The next line that holds the pattern."""
        pipe = self.process.stderr if error else self.process.stdout
        assert pipe is not None
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if select.select([pipe], [], [], 0.1)[0]:
                text = pipe.readline().decode()
                if found := re.search(pattern, text):
                    return found
                assert text, f"it ended without {pattern!r}"
        raise AssertionError(f"no {pattern!r} within {SECONDS} s")

    def port(self) -> int:
        return int(self.line(r"^serving http://127\.0\.0\.1:(\d+)$").group(1))

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


@contextmanager
def program(folder: Path, *command: str) -> Iterator[Program]:
    made = Program(folder, *command)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.end()
        made.process.communicate(timeout=SECONDS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "meters.py").write_text(PROGRAM)
    return tmp_path


def get(port: int, path: str) -> object:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=SECONDS) as answer:
        return json.load(answer)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_end(folder: Path, number: int) -> None:
    with program(folder, "-m", "shoal.cli", "run", "meters.py", "--port", "0") as run:
        port = run.port()
        with Wire(port) as wire, Wire(port) as quiet:
            assert wire.upgrade("/").status == 101
            wire.text('@sync(node:"/meter/1",lane:reports)', '@command(node:"/meter/1",lane:report)2.5')
            assert [wire.envelope().split("(")[0] for _ in range(4)] == ["@linked", "@event", "@synced", "@event"]
            assert get(port, "/meter/1") == {"reports": 1, "version": 1}
            begun = time.monotonic()
            run.process.send_signal(number)
            assert wire.ended() == (1001, "the server stops")
            assert quiet.rest() == b""
        assert run.process.wait(SECONDS) == 0
        assert time.monotonic() - begun < 5
        assert re.search(r"^1 twin", run.process.communicate()[0].decode(), re.MULTILINE)


def test_a_client_that_never_reads_does_not_hold_up_the_end(folder: Path) -> None:
    with program(folder, "-m", "shoal.cli", "run", "meters.py", "--port", "0") as run, Wire(run.port()) as wire:
        assert wire.upgrade("/").status == 101
        wire.text('@sync(node:"/meter/1",lane:reports)')
        wire.envelope()
        begun = time.monotonic()
        # the connection stays open at this end
        assert run.end() == 0
        assert time.monotonic() - begun < 5


def test_app_run_serves(folder: Path) -> None:
    with program(folder, "meters.py", "0") as run:
        assert get(run.port(), "/")["app"] == "meters"  # type: ignore[index]
        assert run.end(signal.SIGINT) == 0


def test_a_port_that_is_taken_is_one_clear_line(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "shoal.cli", "run", "meters.py", "--port", str(port)],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"shoal: port {port} of 127.0.0.1 is taken by another program; choose another, --port 0 for any that is free\n"
    )


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--port", "70000"], "no port"),
        (["--port", "http"], "no port"),
        (["--port", "0", "--host", "no.such.host.invalid"], "is no address of this machine"),
    ],
)
def test_an_address_that_is_none_says_so(folder: Path, arguments: list[str], part: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shoal.cli", "run", "meters.py", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 2
    assert part in done.stderr
    assert "Traceback" not in done.stderr


def test_once_serves_only_where_a_port_is_given(folder: Path) -> None:
    def once(*more: str) -> str:
        command = [sys.executable, "-m", "shoal.cli", "run", "meters.py", "--once", *more]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=True).stdout

    assert "serving" not in once()
    assert once("--port", "0").startswith("serving http://127.0.0.1:")


def test_limits_of_the_system_are_said_at_the_start(folder: Path) -> None:
    command = f"ulimit -n 500; exec {sys.executable} -m shoal.cli run meters.py --port 0 --once"
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=True
    )
    assert "shoal: 372 connections at a time instead of 16384 (max_connections)" in done.stderr


def test_reload_starts_anew_when_a_file_changes(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    with program(folder, "-m", "shoal.cli", "run", "meters.py", "--port", str(port), "--reload") as run:
        run.port()
        file = folder / "meters.py"
        file.write_text(PROGRAM.replace("Value(int, 1)", "Value(int, 2)"))
        begun = time.monotonic()
        run.line("meters.py changed", error=True)
        assert run.port() == port
        # the debounce, the end and the start; a busy machine takes longer
        assert time.monotonic() - begun < 5
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/meter/1?lane=report", b"1", {"content-type": "application/json"}, method="POST"
        )
        urllib.request.urlopen(request, timeout=SECONDS).close()
        assert get(port, "/meter/1?lane=version") == 2
        # a mistake waits for its mending
        file.write_text("import")
        run.line("the app has ended", error=True)
        file.write_text(PROGRAM)
        run.port()
        child = int(subprocess.check_output(["pgrep", "-P", str(run.process.pid)]))
        assert run.end() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


@pytest.mark.long
def test_ten_thousand_connections(folder: Path) -> None:
    wanted = 10_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, wanted + 500), hard))
    with program(folder, "-m", "shoal.cli", "run", "meters.py", "--port", "0") as run, ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        port = run.port()
        wires = [stack.enter_context(Wire(port)) for _ in range(wanted)]
        for wire in wires:
            assert wire.upgrade("/").status == 101
            wire.text('@sync(node:"/meter/1",lane:version)')
        for wire in wires:
            assert [wire.envelope().split("(")[0] for _ in range(3)] == ["@linked", "@event", "@synced"]
        wires[0].text('@command(node:"/meter/1",lane:version)2')
        for wire in wires:
            assert wire.envelope() == '@event(node:"/meter/1",lane:version) 2'
        status = Path(f"/proc/{run.process.pid}/status").read_text()
        memory = int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1))  # type: ignore[union-attr]
        assert memory < 300_000, "30 kB a connection"
        assert get(port, "/meter/1") == {"reports": 0, "version": 2}
        run.process.send_signal(signal.SIGTERM)
        for wire in wires:
            assert wire.ended() == (1001, "the server stops")
        assert run.process.wait(SECONDS) == 0
