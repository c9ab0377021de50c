"""Patterns of node URIs: ``/bus/{id}``."""

from __future__ import annotations

import keyword
import re
from typing import Any, NamedTuple
from uuid import UUID

from shoal.declaration import Segment
from shoal.errors import WrongType
from shoal.place import Place, mistake

# RFC 3986 unreserved: what stands for itself in a URI
_LITERAL = re.compile(r"[A-Za-z0-9._~-]+")


class Route(NamedTuple):
    """A parsed pattern. ``shape`` is the same for patterns that match the same URIs."""

    pattern: str
    segments: list[Segment]
    parameters: tuple[str, ...]

    @property
    def shape(self) -> tuple[str | None, ...]:
        return tuple(segment.get("literal") for segment in self.segments)

    def texts(self, cls: type, values: tuple[Any, ...]) -> tuple[str, ...]:
        """The parameters of one twin's URI. Errors: WrongType for too few or many, or no text or whole number."""
        if len(values) != len(self.parameters):
            raise WrongType(
                f"{cls.__name__} is at {self.pattern}: write at({', '.join([cls.__name__, *self.parameters])}); "
                f"it was given {len(values)} parameter(s)"
            )
        return tuple(
            [
                value if type(value) is str else _text(cls, name, value)
                for name, value in zip(self.parameters, values, strict=True)
            ]
        )


def _text(cls: type, name: str, value: Any) -> str:
    if isinstance(value, (str, int, UUID)) and not isinstance(value, bool):
        return str.__str__(value) if isinstance(value, str) else str(value)
    raise WrongType(f"{{{name}}} of {cls.__name__} is a text or a whole number, got {value!r}")


def parse(pattern: Any, place: Place, subject: str) -> Route:
    """Errors: DeclarationError that says which segment is wrong."""

    def wrong(what: str, hint: str = 'write it as "/bus/{id}"') -> Exception:
        return mistake(place, subject, f"the pattern {pattern!r} {what}", hint)

    if not isinstance(pattern, str):
        raise wrong("is no text")
    if not pattern.startswith("/"):
        raise wrong("does not start with /", f'write it as "/{pattern}"')
    segments: list[Segment] = []
    names: list[str] = []
    for part in pattern[1:].split("/"):
        if not part:
            raise wrong(
                "has an empty segment",
                "leave out the last / or the doubled one" if len(pattern) > 1 else 'write it as "/city"',
            )
        if part.startswith("{") and part.endswith("}"):
            name = part[1:-1]
            if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
                raise wrong(
                    f"has the parameter {part}, which is no name",
                    "a parameter is read as self.params.NAME: letters, digits and _",
                )
            if name in names:
                raise wrong(f"has the parameter {part} twice", "give each its own name")
            names.append(name)
            segments.append({"parameter": name})
        elif "{" in part or "}" in part:
            raise wrong(
                f"has {part!r}: a parameter is a whole segment", "put a / between the fixed part and the parameter"
            )
        elif not _LITERAL.fullmatch(part) or part in (".", ".."):
            raise wrong(f"has {part!r}", "a fixed segment has letters, digits, and - . _ ~ only")
        else:
            segments.append({"literal": part})
    return Route(pattern, segments, tuple(names))
