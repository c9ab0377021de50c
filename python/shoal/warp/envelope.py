"""A WARP frame: ``@tag(node:…,lane:…)`` and a body behind it, all of it Recon."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from shoal import recon

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
# As every server writes it; anything else goes through the reader of Recon.
_USUAL = re.compile(r'@([a-z]+)\(node:"([^"\\]+)",lane:(?:"([^"\\]+)"|([A-Za-z_][\w-]*))\)[ \t]*', re.ASCII)
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class Envelope(NamedTuple):
    """``body`` is Recon, not yet read; "" where there is none."""

    tag: str
    node: str
    lane: str
    body: str


def read(frame: str) -> Envelope:
    """``ValueError`` with the reason where it is none. Rate and priority are only the server's concern."""
    usual = _USUAL.match(frame)
    if usual:
        tag, node, quoted, bare = usual.groups()
        return Envelope(tag, node, quoted or bare, frame[usual.end() :].rstrip())
    head = attribute(frame)
    if head is None:
        raise ValueError("it does not begin with @tag")
    tag, inner, body = head
    node, lane = _named(recon.loads("{" + inner + "}") if inner else {})
    return Envelope(tag, node, lane, body)


def write(tag: str, node: str, lane: str, body: str = "", rate: float = 0.0, prio: float = 0.0) -> str:
    """``rate`` and ``prio`` are of links and syncs: events a second at most, 0 for all; higher ones go first."""
    numbers = (f",prio:{prio:g}" if prio else "") + (f",rate:{rate:g}" if rate else "")
    between = " " if body and body[0] not in '@{"%' else ""
    return f"@{tag}(node:{_text(node)},lane:{_text(lane)}{numbers}){between}{body}"


def attribute(text: str) -> tuple[str, str, str] | None:
    """The first attribute of a Recon text: its name, what stands in its parentheses, and the text behind it.

    None where the text does not begin with one, or its parentheses do not close.
    """
    text = text.lstrip()
    if not text.startswith("@"):
        return None
    word = _WORD.match(text, 1)
    if word:
        name, at = word.group(), word.end()
    elif text[1:2] == '"':
        at = _after_string(text, 1)
        try:
            name = json.loads(text[1:at])
        except ValueError:
            return None
    else:
        return None
    inner = ""
    if text[at : at + 1] == "(":
        end = _after_block(text, at)
        if end is None:
            return None
        inner, at = text[at + 1 : end - 1].strip(), end
    return name, inner, text[at:].strip()


def _after_block(text: str, start: int) -> int | None:
    """Behind the bracket that closes the one at ``start``; None where none does."""
    awaited: list[str] = []
    at = start
    while at < len(text):
        c = text[at]
        if c in "\"'`":
            at = _after_string(text, at)
            continue
        if c == "#":
            line = text.find("\n", at)
            at = len(text) if line < 0 else line
            continue
        if c in _CLOSING:
            awaited.append(_CLOSING[c])
        elif c in ")]}":
            if awaited.pop() != c:
                return None
            if not awaited:
                return at + 1
        at += 1
    return None


def _after_string(text: str, start: int) -> int:
    mark = "```" if text.startswith("```", start) else text[start]
    at = start + len(mark)
    while at < len(text):
        if text[at] == "\\":
            at += 2
        elif text.startswith(mark, at):
            return at + len(mark)
        else:
            at += 1
    return len(text)


def _named(slots: Any) -> tuple[str, str]:
    """Node and lane, by name or as the first and the second item."""
    found: list[str] = []
    for place, name in enumerate(("node", "lane")):
        if isinstance(slots, dict):
            value = slots.get(name, slots.get(f"${place}"))
        elif isinstance(slots, list) and place < len(slots):
            value = slots[place]
        else:
            value = slots if place == 0 and not isinstance(slots, (dict, list)) else None
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise ValueError(f"its header has no {name}")
        found.append(str(value))
    return found[0], found[1]


def _text(text: str) -> str:
    if _WORD.fullmatch(text) and text not in ("true", "false"):
        return text
    return json.dumps(text, ensure_ascii=False)
