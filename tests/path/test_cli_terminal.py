"""The commands that ask a server as processes: on a terminal, in a pipe, and how they end."""

from __future__ import annotations

import os
import pty
import resource
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator

import pytest
from warp_server import WarpServer, lane

pytestmark = pytest.mark.slow

MAP = [f"@update(key:k{n}){{speed:{n}.5,route:{n}}}" for n in range(60)]


@pytest.fixture
def server() -> Iterator[WarpServer]:
    with WarpServer(lane("/a", "b", *MAP)) as made:
        yield made


class Terminal:
    """A command on a terminal of 60 × 12."""

    def __init__(self, *arguments: str) -> None:
        self._outer, inner = pty.openpty()
        termios.tcsetwinsize(inner, (12, 60))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "shoal.cli", *arguments],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            env={key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
            | {"TERM": "xterm-256color"},
        )
        os.close(inner)
        self.sent = b""

    def read(self, until: Callable[[str], bool] = lambda sent: False) -> str:
        """What it has been sent, until that holds or the command has ended."""
        deadline = time.monotonic() + 30
        while not until(self.text) and time.monotonic() < deadline:
            if not select.select([self._outer], [], [], 0.1)[0]:
                continue
            try:
                read = os.read(self._outer, 65536)
            except OSError:  # the other end is closed
                break
            if not read:
                break
            self.sent += read
        return self.text

    @property
    def text(self) -> str:
        return self.sent.decode("utf-8", "replace")

    def end(self, number: int) -> int:
        """Its exit code after a signal."""
        self.process.send_signal(number)
        self.read()
        os.close(self._outer)
        return self.process.wait(30)


def test_a_link_on_a_terminal_is_a_live_table_and_ctrl_c_leaves_the_terminal_as_it_was(server: WarpServer) -> None:
    terminal = Terminal("link", "/a", "b", "--url", server.url)
    assert "60 events" in terminal.read(lambda sent: "60 events" in sent)
    server.push('@event(node:"/a",lane:b)@update(key:k0){speed:99.25,route:7}')
    assert "99.25" in terminal.read(lambda sent: "99.25" in sent)
    assert terminal.end(signal.SIGINT) == 0
    text = terminal.text
    assert "Traceback" not in text
    assert "speed" in text
    assert "more" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is back
    assert server.closed == [1000]


def test_sigterm_ends_a_link_as_cleanly(server: WarpServer) -> None:
    terminal = Terminal("link", "/a", "b", "--url", server.url)
    terminal.read(lambda sent: "60 events" in sent)
    assert terminal.end(signal.SIGTERM) == 0
    assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l")
    assert "Traceback" not in terminal.text


def test_tables_on_a_terminal_are_no_wider_than_it(server: WarpServer) -> None:
    long = "x" * 100
    with WarpServer(lane("/a", "b", f'@update(key:k){{note:"{long}",n:1}}')) as wide:
        terminal = Terminal("sync", "/a", "b", "--url", wide.url)
        text = terminal.read()
    assert terminal.process.wait(30) == 0
    lines = [line.replace("\x1b[2m", "").replace("\x1b[0m", "") for line in text.splitlines()]
    assert lines[0].split() == ["key", "note", "n"]
    assert max(map(len, lines)) <= 60
    assert "…" in lines[1]
    assert lines[1].endswith(" 1")


def test_json_on_a_terminal_is_indented(server: WarpServer) -> None:
    with WarpServer(lane("/a", "b", "{x:1}")) as one:
        terminal = Terminal("sync", "/a", "b", "--format", "json", "--url", one.url)
        assert terminal.read().replace("\r", "") == '{\n  "x": 1\n}\n'
    assert terminal.process.wait(30) == 0


def test_a_link_in_a_pipe_writes_each_event_at_once_and_ctrl_c_is_its_end(server: WarpServer) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "shoal.cli", "link", "/a", "b", "--url", server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == '{"key":"k0","value":{"speed":0.5,"route":0}}\n'
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("command", ["link", "sync"])
def test_a_reader_of_the_output_that_goes_ends_it_without_a_word(command: str) -> None:
    with WarpServer(lane("/a", "b", *(f'@update(key:{n})"{"x" * 1000}"' for n in range(1000)))) as server:
        form = ("--format", "table") if command == "sync" else ()
        with subprocess.Popen(
            [sys.executable, "-m", "shoal.cli", command, "/a", "b", "--url", server.url, *form],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline()
            process.stdout.close()
            errors = process.stderr.read()
            assert (process.wait(30), errors) == (141, "")


def test_ctrl_c_while_waiting_for_an_answer_is_130_without_a_traceback() -> None:
    with WarpServer(lambda envelope: []) as silent:
        with subprocess.Popen(
            [sys.executable, "-m", "shoal.cli", "sync", "/a", "b", "--url", silent.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            silent.wait("sync")
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=30)
        assert (process.returncode, out, errors) == (130, "", "")


def test_help_is_quick() -> None:
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "shoal.cli", "link", "--help"], stdout=subprocess.DEVNULL, check=True, timeout=60
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    # CPU time, and the best of five: other work on the machine only adds
    assert min(times) <= 0.15


@pytest.mark.parametrize("module", ["asyncio", "websockets", "rich", "http.client"])
def test_help_imports_nothing_heavy(module: str) -> None:
    code = (
        "import sys; from shoal.cli import main; sys.argv[1:]\ntry: main(['link', '--help'])\nexcept SystemExit: pass\n"
    )
    code += f"sys.exit({module!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False, timeout=60)
    assert done.returncode == 0


def test_a_lane_without_a_state_says_so_before_its_first_event() -> None:
    with WarpServer(lane("/a", "b")) as server:
        terminal = Terminal("link", "/a", "b", "--url", server.url)
        assert "nothing yet" in terminal.read(lambda sent: "nothing yet" in sent)
        server.push('@event(node:"/a",lane:b){speed:31.5}', '@event(node:"/a",lane:b) 7')
        terminal.read(lambda sent: "2 events" in sent)
        assert terminal.end(signal.SIGINT) == 0
    last = terminal.text[terminal.text.rindex("2 events") :]
    assert '{"speed":31.5}' in last
    assert "7" in last
