"""Exit codes, and mistakes shown as a user sees them: their own file and line, nothing of our internals."""

import linecache
import os
import sys
import sysconfig
import traceback
from collections import Counter
from types import TracebackType

from shoal.errors import DeclarationError, ShoalError

EXIT_DONE = 0
# a dead letter ended a --strict run
EXIT_STRICT = 1
# the app, its config or the command line is wrong; nothing has run
EXIT_USAGE = 2
# the run could not go on or a source could not be read to its end
EXIT_FAILED = 3
# of the commands that ask a server: it said no, or has no such node, lane or twin
EXIT_REFUSED = 1
# nobody answers there, or the connection broke
EXIT_NO_CONNECTION = 3
# as a shell counts those whom a signal ended: Ctrl-C, and a reader of the output that has gone
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_NOT_THE_USERS = (_HERE, "<frozen", "<string>", sysconfig.get_path("stdlib") + os.sep)


class Fault(Exception):
    """Ends the command with a message and an exit code."""

    def __init__(self, message: str, code: int = EXIT_USAGE) -> None:
        super().__init__(message)
        self.code = code


def explain(error: BaseException) -> str:
    """The error with the lines of the user's program that led to it, innermost last."""
    if isinstance(error, SyntaxError) and error.filename:
        return "".join(traceback.format_exception_only(error)).rstrip()
    lines = traceback.format_list(_user_frames(error.__traceback__))
    message = str(error)
    if isinstance(error, DeclarationError) and error.file:
        # the place of the declaration tells more than the place where it was found out
        lines = traceback.format_list([traceback.FrameSummary(error.file, error.line, "<declaration>")])
        lines = [line.replace(", in <declaration>", "") for line in lines]
        message = message.removeprefix(f"{error.file}:{error.line}: ")
    if not isinstance(error, ShoalError) or not message:
        message = "".join(traceback.format_exception_only(error)).rstrip()
    cause = ""
    if error.__cause__ is not None and not isinstance(error, ShoalError):
        cause = "\n  caused by " + "".join(traceback.format_exception_only(error.__cause__)).rstrip()
    return "".join(lines) + message + cause


def _user_frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    linecache.checkcache()
    return [frame for frame in traceback.extract_tb(trace) if not frame.filename.startswith(_NOT_THE_USERS)]


def drop_output() -> None:
    """The reader of standard output has gone (``| head``): what is still buffered has nowhere to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Failures:
    """Shows each kind of failure of user code once, and counts those after it."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, str, int | None]] = Counter()

    def __call__(self, error: BaseException, kind: str, uri: str) -> None:
        frames = _user_frames(error.__traceback__)
        place = (frames[-1].filename, frames[-1].lineno) if frames else ("", None)
        key = (type(error).__name__, *place)
        self._seen[key] += 1
        if self._seen[key] == 1:
            print(f"shoal: {uri} {kind}: a turn was undone\n{explain(error)}", file=sys.stderr)

    def lines(self) -> list[str]:
        """What happened more than once."""
        return [
            f"{count:,} × {name}" + (f" at {os.path.relpath(file)}:{line}" if file else "")
            for (name, file, line), count in self._seen.most_common()
            if count > 1
        ]
