"""Patterns of node URIs: ``/bus/{id}``."""

from __future__ import annotations

import itertools
import keyword
import re
from typing import Any, NamedTuple
from urllib.parse import quote
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

    def uri(self, cls: type, values: tuple[Any, ...]) -> str:
        """The node URI of one twin, encoded. Errors: WrongType as ``texts``, and for what no segment can be."""
        texts = iter(self.texts(cls, values))
        return "".join(
            f"/{segment['literal'] if 'literal' in segment else _encoded(cls, segment['parameter'], next(texts))}"
            for segment in self.segments
        )

    def matches(self, uri: str) -> bool:
        """Whether a node URI in its normal form is one of these."""
        parts = uri.split("/")[1:]
        return len(parts) == len(self.segments) and all(
            segment.get("literal", part) == part for segment, part in zip(self.segments, parts, strict=True)
        )

    @property
    def beginning(self) -> str:
        """The segments before the first parameter: ``/bus`` of ``/bus/{id}``."""
        literals = itertools.takewhile(lambda segment: "literal" in segment, self.segments)
        return "".join(f"/{segment.get('literal')}" for segment in literals)


# Of one parameter, encoded or not: the server's bound (design: parameters of URIs).
_MOST_BYTES = 1_024


def _encoded(cls: type, name: str, text: str) -> str:
    fault = (
        "is empty"
        if not text
        else "cannot be . or .."
        if text in (".", "..")
        else "has a NUL"
        if "\0" in text
        else f"has over {_MOST_BYTES:,} bytes"
        if len(text.encode()) > _MOST_BYTES
        else ""
    )
    if fault:
        raise WrongType(f"{{{name}}} of {cls.__name__} {fault}: {text[:40]!r}")
    return quote(text, safe="")


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
