"""Every error that Shoal raises: one base class, and below it one class for each thing that a program may react to."""

from __future__ import annotations


class ShoalError(Exception):
    """Base of all errors of Shoal."""


class DeclarationError(ShoalError):
    """A class, a lane or an app is declared wrongly; raised while the program is imported or started, never later.

    ``file`` and ``line`` say where in the program it was declared; ``""`` and 0 where that is not known.
    """

    def __init__(self, message: str, file: str = "", line: int = 0) -> None:
        super().__init__(f"{file}:{line}: {message}" if file else message)
        self.file = file
        self.line = line


class Unset(ShoalError):
    """A lane without a default was read before anything wrote it. Give it a default, or allow None in its type."""


class WrongType(ShoalError, TypeError):
    """A value that its lane, a command or a method does not take. Types do not bend silently: convert it first."""


class NotInTurn(ShoalError):
    """A twin was read or changed outside its own turn. Send it a command: ``self.at(Cls, ...).command(...)``."""


class WrongThread(ShoalError):
    """A twin was used in another thread than its shard's. Hand over a command or plain values instead."""


class TwinStopped(ShoalError):
    """A handle was used after its twin left memory. Keep ``self.uri`` and use ``self.at(uri)`` instead."""


class RemoteRead(ShoalError):
    """One twin tried to read another one's lanes. Fold them with ``Members`` and ``over=``, or ask by ``Request``."""


class Reject(ShoalError):
    """Raise it in a handler to refuse an event: the turn is rolled back and the event dead-lettered with the reason.

    It is an answer, not a bug: it counts as rejected, not as failed.
    """


class AskTimeout(ShoalError):
    """A request got no answer within its time. Its turn may still come and be kept: only the answer is dropped."""


class AskFailed(ShoalError):
    """A request cannot be asked or answered: the handler failed, nobody is there, or a bound was reached.

    The message has the reason. A handler that refuses raises ``Reject``, which comes to the asker as it is.
    """


class WouldDeadlock(ShoalError):
    """A request would return to a twin that waits for it. Send a command instead, or answer without asking."""


class NoSuchTwin(ShoalError):
    """A twin was read that does not exist. Reading never makes one; its first command does."""


class OverLimit(ShoalError):
    """A bound was reached (docs/settings.md): the message names the bound, the twin and the lane."""


class ConfigError(ShoalError):
    """A setting of the app is missing, unknown or of another type: the message names the field and where it stands."""


class ReconError(ShoalError, ValueError):
    """A value has no Recon form (NaN, too deep), or a text is no Recon (``ReconDecodeError``)."""


class ReconDecodeError(ReconError):
    """A text is no Recon. As ``json.JSONDecodeError``: ``msg``, ``doc``, ``pos``, ``lineno`` and ``colno``.

    ``pos`` is the index in ``doc`` where it shows: of a character in a str, of a byte in bytes. Lines end with LF and
    count from 1, as columns do.
    """

    def __init__(self, msg: str, doc: str | bytes | bytearray, pos: int) -> None:
        before = doc[:pos]
        newline = "\n" if isinstance(before, str) else b"\n"
        self.lineno = before.count(newline) + 1  # type: ignore[arg-type]
        self.colno = pos - before.rfind(newline)  # type: ignore[arg-type]
        super().__init__(f"{msg}: line {self.lineno} column {self.colno} (char {pos})")
        self.msg = msg
        self.doc = doc
        self.pos = pos

    def __reduce__(self) -> tuple[type[ReconDecodeError], tuple[str, str | bytes | bytearray, int]]:
        return type(self), (self.msg, self.doc, self.pos)


class RunFailed(ShoalError):
    """A run cannot start or go on: a source cannot be opened, or the dead-letter file cannot be written."""


class HandlerDeadline(ShoalError):
    """A handler ran longer than its bound (``handler_seconds``, docs/settings.md): its turn is undone."""


class NoConnection(ShoalError):
    """A server cannot be reached, has not answered in time, or the connection broke: the message names its address."""


class Unlinked(ShoalError):
    """A server refused a link or ended it; ``reason`` is its word (``nodeNotFound``), "" where it gave none."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class Refused(ShoalError):
    """A server understood a request and said no: the message is its reason. ``status`` is HTTP's, such as 404."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class NotShoal(ShoalError):
    """A server answers HTTP not as Shoal does: only WARP can be spoken with it."""
