"""The socket in a store's folder: whoever may write the folder has a running store copied by it.

A request is a line of JSON, ``{"backup": "/absolute/path"}``; the answer is one, too: ``{"done": …}`` or
``{"failed": …}``, a sentence each. A connection carries one request.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from shoal.errors import RunFailed

if TYPE_CHECKING:
    from shoal._core import Shard

NAME = "control"
# Bytes of a socket's address; a longer path is reached through its folder.
LONGEST_ADDRESS = 107
# Bytes of a request, and s until it must be there.
REQUEST_BYTES = 16_384
REQUEST_SECONDS = 10.0
# Bytes of an answer.
ANSWER_BYTES = 65_536
# Connections at a time.
MOST = 8
POLL_SECONDS = 0.02
# What an answer that is ready may take at the end of a run.
LEAVE_SECONDS = 1.0


class Request(msgspec.Struct, frozen=True):
    backup: str


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of them is set."""

    done: str = ""
    failed: str = ""


class Control:
    """The run's end: bound before the loop runs, served by it, gone with the run."""

    def __init__(self, folder: Path, shard: Shard) -> None:
        self._path = folder.absolute() / NAME
        self._shard = shard
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._inode = -1
        self._tasks: set[asyncio.Task[None]] = set()
        self._copying = False

    def bind(self) -> list[str]:
        """Listens; what a run before has left is replaced. What the operator should know: a run can do without it."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            aside = self._path.with_name(f"{NAME}.new")
            aside.unlink(missing_ok=True)
            with _address(aside) as address:
                made.bind(address)
            # nobody is let in before it listens
            aside.chmod(0o600)
            self._inode = aside.stat().st_ino
            aside.replace(self._path)
            made.listen(MOST)
            made.setblocking(False)
        except OSError as error:
            made.close()
            why = error.strerror or error
            return [f"{self._path} cannot be made ({why}): this store can be backed up only while no run has it"]
        self._socket = made
        return []

    async def serve(self) -> None:
        """Answers from now on."""
        if self._socket is not None:
            self._server = await asyncio.start_unix_server(self._serve, sock=self._socket, limit=REQUEST_BYTES)

    def leave(self) -> None:
        """Nobody finds it any more. To be called while the store is still this run's."""
        if self._server is not None:
            self._server.close()
        elif self._socket is not None:
            self._socket.close()
        if self._socket is not None:
            self._socket = None
            with contextlib.suppress(OSError):
                if self._path.lstat().st_ino == self._inode:
                    self._path.unlink()

    async def close(self) -> None:
        """Hands over an answer that is ready, and hangs up."""
        if self._copying and self._tasks:
            await asyncio.wait(self._tasks, timeout=LEAVE_SECONDS)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LEAVE_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if len(self._tasks) > MOST:
                answer = Answer(failed=f"{MOST} others are being answered: try again")
            else:
                answer = await self._answer(reader)
            writer.write(msgspec.json.encode(answer) + b"\n")
            async with asyncio.timeout(REQUEST_SECONDS):
                await writer.drain()
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # whoever asked has gone, or this run goes
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                line = await reader.readline()
            to = msgspec.json.decode(line, type=Request).backup
        except TimeoutError:
            return Answer(failed=f"no request came within {REQUEST_SECONDS:g} s")
        except (ValueError, msgspec.DecodeError) as error:
            return Answer(failed=f'no request: {error}; write a line such as {{"backup": "/path"}}')
        if not os.path.isabs(to):
            return Answer(failed=f"{to} is no absolute path")
        try:
            self._shard.begin_backup(to)
            self._copying = True
            try:
                # the disk has the time that it needs; the end of the run ends this, too
                while (done := self._shard.backup_answer()) is None:
                    await asyncio.sleep(POLL_SECONDS)
            finally:
                self._copying = False
        except RunFailed as error:
            return Answer(failed=str(error))
        return Answer(done=done)


def ask(folder: Path, to: Path, seconds: float) -> str | None:
    """Has the run that has the store copy it; what it says. None: no run answers there.

    Raises ``RunFailed`` where it says no, or not within so many seconds.
    """
    path = folder / NAME
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as made:
        made.settimeout(seconds)
        try:
            with _address(path) as address:
                made.connect(address)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            return None
        except OSError as error:
            raise RunFailed(
                f"{path} cannot be asked: {error.strerror or error}; a backup of a running store is made by the user "
                "whom the run belongs to"
            ) from None
        try:
            made.sendall(msgspec.json.encode(Request(str(to.absolute()))) + b"\n")
            answer = _line(made)
        except TimeoutError:
            raise RunFailed(f"the run has not made the backup within {seconds:g} s: it goes on with it") from None
        except OSError as error:
            raise RunFailed(f"{path}: {error.strerror or error}") from None
    if not answer:
        raise RunFailed(f"the run ended before the backup was made: ask again, now that no run has {folder}")
    told = msgspec.json.decode(answer, type=Answer)
    if told.failed:
        raise RunFailed(told.failed)
    return told.done


def _line(made: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < ANSWER_BYTES:
        part = made.recv(4_096)
        if not part:
            return b""
        line += part
    return line


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """A name of the path that a socket's address has room for."""
    if len(os.fsencode(path)) <= LONGEST_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
