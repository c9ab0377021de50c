"""``shoal run --reload``: the app in a process of its own, started anew whenever its files change."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from shoal.cli.faults import EXIT_DONE, Fault
from shoal.run import DRAIN_SECONDS

SUFFIXES = (".py", ".toml")
# between a file's change and the end of the old run: an editor writes several files
SETTLE_MILLISECONDS = 50
# how soon an end of the app is noticed
LOOK_MILLISECONDS = 200


def keep_running(app: str) -> int:
    """Runs the command line of this process again without ``--reload``, for each state of the files beside the app.

    An app that has ended by itself is started at the next change. Ctrl-C ends it, as without ``--reload``.
    """
    try:
        import watchfiles
    except ImportError:
        raise Fault("--reload watches files with the package watchfiles: pip install watchfiles") from None
    folder = Path(app.rpartition(":")[0] if ":" in app and not Path(app).exists() else app).resolve().parent
    if not folder.is_dir():
        raise Fault(f"--reload: there is no folder {folder}")
    command = [sys.executable, "-m", "shoal.cli", *(word for word in sys.argv[1:] if word != "--reload")]

    def concerns(_: Any, path: str) -> bool:
        return path.endswith(SUFFIXES) and "/." not in path

    changes = watchfiles.watch(
        folder,
        watch_filter=concerns,
        debounce=SETTLE_MILLISECONDS * 4,
        step=SETTLE_MILLISECONDS,
        rust_timeout=LOOK_MILLISECONDS,
        yield_on_timeout=True,
        raise_interrupt=False,
    )
    previous = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    process = _start(command)
    code: int | None = None
    try:
        for changed in changes:
            if code is None:
                code = process.poll()
                if code is not None and not changed:
                    print(f"shoal: the app has ended ({code}); it starts again when a file changes", file=sys.stderr)
            if changed:
                names = sorted({Path(path).name for _, path in changed})
                print(f"shoal: {', '.join(names)} changed, starting anew", file=sys.stderr, flush=True)
                _end(process)
                process, code = _start(command), None
    finally:
        signal.signal(signal.SIGTERM, previous)
        code = _end(process)
    return code if code > 0 else EXIT_DONE


def _start(command: list[str]) -> "subprocess.Popen[bytes]":
    # a group of its own: Ctrl-C reaches it once, from here
    return subprocess.Popen(command, process_group=0)


def _end(process: "subprocess.Popen[bytes]") -> int:
    """Ends the app as Ctrl-C would, and waits for it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(DRAIN_SECONDS + 1)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
