"""Commands that are filters: a line of standard input in, a line of standard output out."""

import json
import os
import sys
from collections.abc import Callable
from typing import BinaryIO

from shoal.cli.faults import EXIT_DONE
from shoal.recon import ReconDecodeError

# what a shell reports for a program that Ctrl-C ended
EXIT_INTERRUPTED = 130
CHUNK = 1 << 16


def run_filter(answer: Callable[[str], str]) -> int:
    """Gives ``answer``'s line, or ``{"error", "offset"}``, for each line, a JSON string, of standard input.

    What has been read is answered and flushed before more is read, so that it also serves as the other end of a pipe.
    Ends with the input, quietly where nobody reads on; the exit code.
    """
    try:
        _run(sys.stdin.buffer, sys.stdout.buffer, answer)
    except BrokenPipeError:
        # what Python flushes at its end must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return EXIT_DONE


def _run(source: BinaryIO, sink: BinaryIO, answer: Callable[[str], str]) -> None:
    read = getattr(source, "read1", source.read)
    started: list[bytes] = []  # of the line that is not complete
    while chunk := read(CHUNK):
        complete, newline, rest = chunk.rpartition(b"\n")
        if newline:
            started.append(complete)
            lines = b"".join(started).split(b"\n")
            sink.write("".join(f"{_answer(line, answer)}\n" for line in lines).encode())
            sink.flush()
            started = []
        started.append(rest)
    if last := b"".join(started):
        sink.write(f"{_answer(last, answer)}\n".encode())
        sink.flush()


def _answer(line: bytes, answer: Callable[[str], str]) -> str:
    try:
        text = json.loads(line)
    except ValueError as error:
        return _error(f"the line is no JSON: {error}", 0)
    except RecursionError:
        return _error("the line is no JSON string", 0)
    if not isinstance(text, str):
        return _error("the line is no JSON string", 0)
    if not text.isascii():
        # half of a surrogate pair, which JSON can write and UTF-8 cannot
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    try:
        return answer(text)
    except ReconDecodeError as error:
        return _error(error.msg, len(text[: error.pos].encode()))
    except ValueError as error:
        return _error(str(error), 0)


def _error(reason: str, offset: int) -> str:
    return json.dumps({"error": reason, "offset": offset})
