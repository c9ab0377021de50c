"""The body of an event, as what it changes: a value lane's value, an entry of a map lane, an element of a list lane."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from shoal import recon
from shoal.warp.envelope import attribute


class Set(NamedTuple):
    """A lane's new value; for a command or supply lane, what was sent."""

    value: Any


class Update(NamedTuple):
    key: Any
    value: Any


class Remove(NamedTuple):
    key: Any


class Clear(NamedTuple):
    pass


class Element(NamedTuple):
    """A list lane's element was put in at ``at``, or the one with this key has become another."""

    at: int
    key: Any
    value: Any


class Move(NamedTuple):
    """A list lane's element was taken out and put in again, so that it stands at ``to``."""

    from_: int
    to: int
    key: Any


class Out(NamedTuple):
    """A list lane's element, at ``at``, is gone. ``key`` is None where the server does not say it."""

    at: int
    key: Any


class Cut(NamedTuple):
    """A lane kept only its first entries or elements, or lost them: which a map's are, only the server knows."""

    what: Literal["take", "drop"]
    number: int


Change = Set | Update | Remove | Clear | Element | Move | Out | Cut


def change_of(body: str, may_be_map: bool = True) -> Change:
    """What an event says. ``may_be_map`` False: a body is a value, whatever it looks like.

    A value that Recon can say and Python's JSON types cannot (an integer past 64 bits, a key twice) is its Recon text.
    """
    if may_be_map and body.startswith("@"):
        head = attribute(body)
        if head is not None and (change := _of_map(*head)) is not None:
            return change
    return Set(value_of(body))


def value_of(body: str) -> Any:
    """The value of a body; its Recon text where Python's JSON types do not hold it.

    A record of one plain value is that value: no peer can tell the two apart.
    """
    value = _loaded(body)
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _loaded(text: str) -> Any:
    try:
        return recon.loads(text) if text else None
    except ValueError:
        return text


def _of_map(name: str, inner: str, rest: str) -> Change | None:
    """None: a value that only looks like it."""
    if name == "clear" and not inner and not rest:
        return Clear()
    if name in ("update", "remove", "move"):
        slots = _loaded("{" + inner + "}")
        if isinstance(slots, dict) and (change := _of_list(name, slots, rest)) is not None:
            return change
        if name == "move":
            return None
        if isinstance(slots, dict) and "key" in slots:
            key = slots["key"]
        elif isinstance(slots, list) and len(slots) == 1:
            key = slots[0]
        else:
            return None
        if name == "update":
            return Update(key, value_of(rest))
        return None if rest else Remove(key)
    if name in ("take", "drop") and not rest:
        count = value_of(inner)
        if isinstance(count, int) and not isinstance(count, bool):
            return Cut("take" if name == "take" else "drop", count)
    return None


def _of_list(name: str, slots: dict[str, Any], rest: str) -> Change | None:
    """None: it names no index, so it is a map's, or a value that only looks like it."""
    key = slots.get("key")
    if name == "move":
        from_, to = _index(slots.get("from")), _index(slots.get("to"))
        return None if from_ is None or to is None or rest else Move(from_, to, key)
    at = _index(slots.get("index"))
    if at is None:
        return None
    if name == "update":
        return Element(at, key, value_of(rest))
    return None if rest else Out(at, key)


def _index(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
