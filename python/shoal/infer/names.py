"""What fields, twins and their parts are called in Python."""

from __future__ import annotations

import keyword
import re
import unicodedata

from shoal.twin import _OWN, RESERVED


def word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What a program's own lines use: a name of the data must not hide it.
_USED = word_set(
    """
    app msgspec datetime Any Literal App Command Latest Max Mean Members Point Sum Twin str int float bool
    """
)


def words_of(name: str) -> list[str]:
    """``meterId``, ``meter_id`` and ``Meter ID`` are the same words."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[^\W\d_A-Z]+[0-9]*|[0-9]+", name)]


def identifier(name: str) -> str:
    """A Python name as near to it as can be, in no use by Python, Shoal or the program."""
    text = unicodedata.normalize("NFKC", name)
    if not text.isidentifier():
        # nobody's style of writing is lost
        text = re.sub(r"[\W_]+", "_", text).lower()
    text = text.strip("_") or "field"
    if not text.isidentifier():
        text = f"n{text}" if text[0].isdigit() else "field"
    if keyword.iskeyword(text) or text in RESERVED or text in _OWN or text in _USED:
        text += "_"
    return text


def unique(name: str, taken: set[str]) -> str:
    """The name, with underscores while another has it; takes it."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def class_name(name: str) -> str:
    text = "".join(word[:1].upper() + word[1:] for word in words_of(name)) or "Thing"
    text = re.sub(r"\W", "", text)
    return text if text.isidentifier() and not text[0].isdigit() else f"N{text}"


def segment(name: str) -> str:
    """A fixed part of a URI."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", ascii_only.lower()).strip("_") or "thing"


def entity(field: str, stem: str) -> str:
    """What a key names: ``meter`` of meter_id; of a mere ``id``, what the file is called after."""
    words = words_of(field)
    while len(words) > 1 and words[-1] in ("id", "key", "uuid", "guid", "no", "nr", "number", "code"):
        words = words[:-1]
    if words in (["id"], ["key"], ["uuid"], ["guid"], ["name"]) or not words:
        words = words_of(stem)
        words = [*words[:-1], singular(words[-1])] if words else ["thing"]
    return "_".join(words)


def singular(word: str) -> str:
    for ending, other in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("uses", "us")):
        if word.endswith(ending) and len(word) > len(ending):
            return word[: -len(ending)] + other
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 2:
        return word[:-1]
    return word


def plural(word: str) -> str:
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch", "sh", "z")) else "s")
