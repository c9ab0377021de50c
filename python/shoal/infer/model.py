"""All that was inferred: what becomes a program, and what a person is told."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shoal.errors import ShoalError
from shoal.infer import clock as clocks
from shoal.infer import group as grouping
from shoal.infer import key as keys
from shoal.infer import place as places
from shoal.infer.kinds import Guess, Kind, guess, share
from shoal.infer.look import Look
from shoal.infer.names import class_name, entity, identifier, plural, segment, singular, unique, words_of
from shoal.infer.units import unit_of
from shoal.place import near

_TYPES: dict[str, Kind] = {
    "number": "number", "float": "number", "whole": "whole", "int": "whole", "text": "text", "str": "text",
    "choice": "choice", "bool": "bool", "time": "time", "datetime": "time", "value": "value", "any": "value",
    "ignore": "ignored",
}  # fmt: skip


class Unclear(ShoalError):
    """The records do not say what is needed, or not what an option says. The message names the option that helps."""


@dataclass(frozen=True)
class Choices:
    """What the user has decided: names of fields; "" leaves it to the data, "none" means that there is none."""

    key: str = ""
    time: str = ""
    groups: tuple[str, ...] = ()
    # field → type, as --set has them
    sets: Mapping[str, str] = field(default_factory=dict)
    tz: str = "UTC"


@dataclass
class Field:
    """One field of the records. ``name`` is its own, ``attribute`` the one in Python."""

    name: str
    attribute: str
    kind: Kind
    why: str = ""
    choices: tuple[str, ...] = ()
    unit: str = ""
    # every record must have it
    required: bool = False
    # its numbers are all whole
    integral: bool = False
    empty: str = ""

    @property
    def lane(self) -> bool:
        return self.kind not in ("empty", "ignored")

    @property
    def number(self) -> bool:
        return self.kind in ("number", "whole")


@dataclass
class Group:
    field: Field
    cls: str
    pattern: str
    parameter: str
    members: str
    values: int
    constant: bool


@dataclass
class Model:
    """Of one source; ``fields`` are all but those that are nothing but roles (key, time, place)."""

    path: str
    app: str
    tz: str
    rows: bool
    key: Field
    # texts and numbers: routed by, and no field of the body
    key_mixed: bool
    key_values: int
    key_also: list[str]
    cls: str
    body: str
    command: str
    pattern: str
    parameter: str
    time: Field | None
    clock: clocks.Clock | None
    time_also: list[str]
    groups: list[Group]
    groups_also: list[grouping.Grouping]
    place: tuple[Field, Field, str] | None
    place_why: str
    fields: list[Field]
    # names in the twin class
    taken: set[str]

    @property
    def lanes(self) -> list[Field]:
        """Fields with a lane of their own, the groups' among them."""
        return [each for each in self.fields if each.lane]

    @property
    def ignored(self) -> list[str]:
        """Fields that are no news when they come by."""
        names = [each.name for each in self.fields if each.kind == "ignored"]
        return [*names, self.key.name] if self.key_mixed else names


def infer(look: Look, choices: Choices = Choices()) -> Model:
    """Errors: Unclear, which says which option helps."""
    if not look.count:
        what = f"{look.others:,} of its first records are no JSON objects" if look.others else "it has no records"
        name = "standard input, which is read as JSON Lines" if look.path == "-" else look.path
        raise Unclear(f"{name}: {what}; a record is an object, or a row under a header")
    stem = _stem(look.path)
    guesses = _guesses(look, choices)
    _known(look, [*choices.sets, *_named(choices.key, choices.time, *choices.groups)])
    key, also, further = _key(look, guesses, choices, stem)
    clock, time_also = _clock(look, guesses, choices, key.field, further)
    taken = {key.field} | ({clock.field} if clock else set())
    pair = places.pair(look, {n: g for n, g in guesses.items() if n not in taken and n not in choices.sets})
    if pair is not None and pair[2]:
        taken |= {pair[0], pair[1]}
    groups, groups_also = _groups(look, guesses, choices, key.field, taken, further)

    attributes: set[str] = set()
    made = {name: _field(look, name, guesses[name], attributes) for name in guesses}
    what = entity(key.field, stem)
    parameter = identifier(key.field).rstrip("_") or "id"
    parameter = parameter if not _is_keyword(parameter) else f"{parameter}_"
    cls = class_name(what)
    body, command = _body_names(stem, cls, attributes)
    key_field = made[key.field]
    mixed = guesses[key.field].kind in ("value", "ignored")
    key_field.required = True
    model = Model(
        path=look.path,
        app=_app_name(stem),
        tz=choices.tz,
        rows=look.rows,
        key=key_field,
        key_mixed=mixed,
        key_values=key.distinct,
        key_also=[name for name in also if name not in {each.field for each in (*groups, *groups_also)}],
        cls=cls,
        body=body,
        command=command,
        pattern=f"/{segment(what)}/{{{parameter}}}",
        parameter=parameter,
        time=made[clock.field] if clock else None,
        clock=clock,
        time_also=time_also,
        groups=[],
        groups_also=groups_also,
        place=None,
        place_why="",
        fields=[],
        taken=attributes,
    )
    if pair is not None and pair[2]:
        lat, lon = made[pair[0]], made[pair[1]]
        lat.required = lon.required = True
        model.place = (lat, lon, unique("position", attributes))
        model.place_why = pair[2]
    for each in groups:
        _add_group(model, made[each.field], each, what)
    model.fields = [made[name] for name in made if name not in taken]
    return model


def _guesses(look: Look, choices: Choices) -> dict[str, Guess]:
    found = {name: guess(name, values, look.rows) for name, values in look.columns.items()}
    for name, wanted in choices.sets.items():
        kind = _TYPES.get(wanted)
        if kind is None:
            raise Unclear(
                f"--set {name}={wanted}: a type is one of text, number, whole, bool, time, choice, value, ignore"
            )
        values = tuple(sorted(set(map(str, look.columns.get(name, ()))))) if kind == "choice" else ()
        found[name] = Guess(kind, f"--set {name}={wanted}", values)
    return found


def _known(look: Look, names: list[str]) -> None:
    for name in names:
        if name not in look.columns:
            raise Unclear(
                f"{look.path}: no record of the first {look.count:,} has a field `{name}`; "
                + (near(name, look.columns) or f"there are {', '.join(look.columns)}")
            )


def _named(*names: str) -> list[str]:
    return [name for name in names if name and name != "none"]


def _key(
    look: Look, guesses: dict[str, Guess], choices: Choices, stem: str
) -> tuple[keys.Candidate, list[str], dict[str, list[Any]]]:
    """The key, others that could be it, and further values of what needs them."""
    possible = {name: each for name, each in guesses.items() if each.kind != "ignored"}
    found = keys.candidates(look, possible, stem)
    if choices.key:
        chosen = next((each for each in found if each.field == choices.key), None)
        if chosen is None:
            raise Unclear(f"--key {choices.key}: it cannot be the key: {_no_key(look, choices.key, guesses)}")
    else:
        chosen = keys.likely(found)
        if chosen is None:
            could = ", ".join(each.field for each in found)
            if not could:
                reasons = [f"\n  {name}: {_no_key(look, name, guesses)}" for name in look.columns]
                raise Unclear(f"{look.path}: no field can name a twin" + "".join(reasons[:20]))
            raise Unclear(
                f"{look.path}: no field is clearly the one that names a twin; say which: --key FIELD\n"
                f"  it could be {could}\n  fields: {', '.join(look.columns)}"
            )
    further: dict[str, list[Any]] = {}
    if chosen.distinct > look.count // 2:
        # no twin has come twice yet, or hardly one
        names = [
            name
            for name, each in guesses.items()
            if name != chosen.field
            and (each.kind == "time" or (each.kind in ("text", "choice", "whole", "number") and _few(look, name)))
        ]
        further = look.further([chosen.field, *names])
        values = [value for value in further[chosen.field] if value is not None]
        if len(values) > look.count:
            chosen = chosen._replace(distinct=len(set(values)), seen=len(values))
        else:
            further = {}
    also = [each.field for each in found if each.field != chosen.field and each.score >= chosen.score - 15.0]
    return chosen, also, further


def _few(look: Look, name: str) -> bool:
    return len(set(look.columns[name])) * 2 <= look.count


def _no_key(look: Look, name: str, guesses: dict[str, Guess]) -> str:
    values = look.columns[name]
    if len(values) < look.count:
        return f"it is empty in {share(look.count - len(values), look.count)} of the records"
    kind = guesses[name].kind
    return "it is ignored" if kind == "ignored" else f"it is a {kind}, and a key is a text or a whole number"


def _clock(
    look: Look, guesses: dict[str, Guess], choices: Choices, key: str, further: dict[str, list[Any]]
) -> tuple[clocks.Clock | None, list[str]]:
    if choices.time == "none":
        return None, []
    if choices.time:
        clock = clocks.describe(look, choices.time, guesses[choices.time], further)
        if clock is None:
            why = clocks.wrong(look, choices.time, guesses[choices.time])
            raise Unclear(f"--time {choices.time}: it cannot be the time: {why}")
        return clock, []
    found = [
        each
        for each in clocks.candidates(look, guesses, further)
        if each.field != key and each.field not in choices.sets
    ]
    return (found[0], [each.field for each in found[1:]]) if found else (None, [])


def _groups(
    look: Look,
    guesses: dict[str, Guess],
    choices: Choices,
    key: str,
    taken: set[str],
    further: dict[str, list[Any]],
) -> tuple[list[grouping.Grouping], list[grouping.Grouping]]:
    """Those that are made, and others that could be."""
    if choices.groups == ("none",):
        return [], []
    if choices.groups:
        chosen = []
        for name in _named(*choices.groups):
            if name == key or not grouping.possible(look, name, guesses[name]):
                raise Unclear(f"--group {name}: a group is a field of texts, and not the key")
            values = len(set(look.columns[name]))
            chosen.append(grouping.describe(look, name, key, further) or grouping.Grouping(name, values, False))
        return chosen, []
    sets = {name for name, each in guesses.items() if each.why.startswith("--set") and each.kind != "text"}
    found = grouping.candidates(look, guesses, key, taken | sets, further)
    return found[:1], found[1:]


def _field(look: Look, name: str, found: Guess, taken: set[str]) -> Field:
    values = look.columns[name]
    holes = look.count - len(values)
    number = found.kind in ("number", "whole")
    integral = number and all(type(each) is int or (type(each) is str and "." not in each) for each in values)
    return Field(
        name=name,
        attribute=unique(identifier(name), taken),
        kind=found.kind,
        why=found.why,
        choices=found.choices,
        unit=unit_of(name) if number else "",
        integral=integral,
        empty=share(holes, look.count) if holes and values else "",
    )


def _add_group(model: Model, of: Field, found: grouping.Grouping, members: str) -> None:
    # a group that nobody has seen may come any day
    of.kind, of.choices = "text", ()
    what = entity(of.name, "")
    parameter = identifier(of.name).rstrip("_")
    parameter = parameter if not _is_keyword(parameter) else f"{parameter}_"
    path = segment(what) if what != "thing" else segment(of.name)
    used = {model.pattern.split("/")[1], *(each.pattern.split("/")[1] for each in model.groups)}
    path = f"by_{path}" if path in used else path
    cls = unique(
        class_name(what if what != "thing" else of.name), {model.cls, model.body, *(g.cls for g in model.groups)}
    )
    lane = identifier(plural(segment(members)))
    model.groups.append(Group(of, cls, f"/{path}/{{{parameter}}}", parameter, lane, found.values, found.constant))


def _body_names(stem: str, cls: str, taken: set[str]) -> tuple[str, str]:
    """The body's class and the command."""
    words = words_of(stem)
    word = singular(words[-1]) if words else "record"
    name = class_name(word)
    if name == cls or name in ("App", "Twin", "Command", "Latest", "Max", "Mean", "Sum", "Members", "Point", "Any"):
        word, name = "report", "Report" if cls != "Report" else "Record"
    command = identifier(word)
    while command in taken:
        command = f"{command}_record" if not command.endswith("_record") else f"{command}_"
    taken.add(command)
    return name, command


def _stem(path: str) -> str:
    if path == "-":
        return "records"
    name = os.path.basename(path)
    return re.sub(r"(?i)(\.(jsonl|ndjson|json|csv|tsv|parquet|pq|gz|zst))+$", "", name)


def _app_name(stem: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")
    return name if re.match("[A-Za-z]", name) else f"twins-{name}".strip("-")


def _is_keyword(name: str) -> bool:
    import keyword

    return keyword.iskeyword(name)


def kind_of(name: str) -> Kind:
    """Of a --set. Errors: KeyError."""
    return _TYPES[name]
