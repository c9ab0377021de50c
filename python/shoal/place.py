"""Where in the user's program something was declared, and the error that says so."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from types import FrameType
from typing import NamedTuple

from shoal.errors import DeclarationError

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class Place(NamedTuple):
    """A line of the user's program."""

    file: str = ""
    line: int = 0


def caller() -> FrameType | None:
    """The innermost frame outside this package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame


def here() -> Place:
    frame = caller()
    return Place() if frame is None else Place(frame.f_code.co_filename, frame.f_lineno)


def mistake(place: Place, subject: str, what: str, hint: str = "") -> DeclarationError:
    """``subject`` is ``Class.lane``, or whatever the user calls it; ``hint`` says how to mend it."""
    message = f"{subject}: {what}" if subject else what
    return DeclarationError(f"{message}; {hint}" if hint else message, place.file, place.line)


def near(name: str, names: Iterable[str]) -> str:
    """``did you mean `speed`?``, or the names there are, or nothing."""
    import difflib

    names = list(names)
    close = difflib.get_close_matches(name, names, 3)
    if close:
        return "did you mean " + " or ".join(f"`{match}`" for match in close) + "?"
    return "there are " + ", ".join(f"`{each}`" for each in names) if names else ""


def not_yet(name: str, comes_with: str) -> DeclarationError:
    """For names of the API that this version does not carry out, so that nothing pretends to work."""
    return mistake(here(), name, f"is not in this version yet: it comes with {comes_with}")
