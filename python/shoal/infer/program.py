"""The model as a program: what ``--eject`` writes is what runs."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator

from shoal.infer.model import Field, Group, Model

_TYPES = {"number": "float", "whole": "int", "text": "str", "bool": "bool", "time": "datetime", "value": "Any"}
WINDOW = "1 h"
# What ruff format and people keep lines to.
_LONGEST = 120


def write(model: Model, command: str) -> str:
    """The program; ``command`` is the line that made it."""
    body = [*_body(model), "", "", *_twin(model)]
    for group in model.groups:
        body += ["", "", *_group(model, group)]
    body += ["", "", *_ingest(model)]
    text = "\n".join(body)
    lines = [f'"""Twins of {_plain(model.path)}.', "", "Written by:", f"    {_plain(command)}", '"""', ""]
    lines += [*_imports(model, text), "", _app(model), "", "", text, ""]
    return "\n".join(lines)


def load(model: Model, text: str) -> types.ModuleType:
    """The program, run as a module of its own name."""
    module = types.ModuleType(f"shoal_twin_{model.app.replace('-', '_')}")
    # where annotations of its classes are looked up
    sys.modules[module.__name__] = module
    exec(compile(text, f"<shoal twin {model.path}>", "exec"), module.__dict__)
    return module


def type_of(field: Field) -> str:
    if field.kind == "choice":
        return f"Literal[{', '.join(map(_text, field.choices))}]"
    return _TYPES[field.kind]


def _imports(model: Model, text: str) -> Iterator[str]:
    standard = []
    if ": datetime" in text:
        standard.append("from datetime import datetime")
    typing = [name for name, used in (("Any", ": Any"), ("Literal", ": Literal[")) if used in text]
    if typing:
        standard.append(f"from typing import {', '.join(typing)}")
    if standard:
        yield from [*standard, ""]
    yield "import msgspec"
    names = ["App", "Command", "Twin"]
    names += [
        name
        for name in ("Latest", "Max", "Mean", "Members", "Point", "Sum")
        if f" {name}(" in text or f"({name}(" in text
    ]
    yield f"from shoal import {', '.join(sorted(names))}"


def _app(model: Model) -> str:
    zone = f", tz={_text(model.tz)}" if model.tz != "UTC" else ""
    return f"app = App({_text(model.app)}{zone})"


def _body(model: Model) -> Iterator[str]:
    yield f"class {model.body}(msgspec.Struct):"
    inside = [] if model.key_mixed else [model.key]
    if model.place:
        inside += model.place[:2]
    inside += [model.time] if model.time else []
    inside += model.lanes
    for field in sorted(inside, key=lambda each: not each.required):
        yield f"    {_member(model, field)}"
    if not inside:
        yield "    pass"


def _member(model: Model, field: Field) -> str:
    declared = _key_type(model) if field is model.key else _time_type(field) if field is model.time else type_of(field)
    renamed = f"name={_text(field.name)}" if field.attribute != field.name else ""
    if field.required:
        return f"{field.attribute}: {declared}" + (f" = msgspec.field({renamed})" if renamed else "")
    none = "" if declared == "Any" else " | None"
    default = f"msgspec.field(default=None, {renamed})" if renamed else "None"
    return f"{field.attribute}: {declared}{none} = {default}"


def _key_type(model: Model) -> str:
    return "str" if model.rows or not model.key.number else "int"


def _time_type(field: Field) -> str:
    return ("int" if field.integral else "float") if field.number else "datetime"


def _twin(model: Model) -> Iterator[str]:
    yield f"@app.twin({_text(model.pattern)})"
    yield f"class {model.cls}(Twin):"
    time = f", time={_text(model.time.attribute)}" if model.time else ""
    yield f"    {model.command} = Command({model.body}{time})"
    if model.place:
        lat, lon, name = model.place
        seen = f"{model.command}.body"
        yield f"    {name} = Latest(Point({seen}.{lat.attribute}, {seen}.{lon.attribute}))"
    for field in model.lanes:
        yield from _lanes(model, field)


def _lanes(model: Model, field: Field) -> Iterator[str]:
    name, lane = field.name, field.attribute
    unit = [f"unit={_text(field.unit)}"] if field.unit else []
    renamed = [f"name={_text(name)}"] if lane != name else []
    yield from _call(f"{lane} = Latest", [f"{model.command}.body.{field.attribute}", *unit, *renamed], "    ")
    if field.number:
        for fold, ending in (("Max", "max"), ("Mean", "mean")):
            arguments = [lane, f'last="{WINDOW}"', *unit, f"name={_text(f'{name}.{ending}')}"]
            yield from _call(f"{extra_name(model, lane, ending)} = {fold}", arguments, "    ")


def extra_name(model: Model, lane: str, ending: str) -> str:
    """Of the lanes ``kw.max`` and ``kw.mean``: the same each time it is asked for."""
    name = f"{lane.rstrip('_')}_{ending}"
    taken = {field.attribute for field in model.fields} | {model.command}
    while name in taken:
        name += "_"
    return name


def _group(model: Model, group: Group) -> Iterator[str]:
    yield f"@app.twin({_text(group.pattern)})"
    yield f"class {group.cls}(Twin):"
    yield f"    {group.members} = Members({model.cls}, by={model.cls}.{group.field.attribute})"
    for field in model.lanes:
        if field.number:
            unit = [f"unit={_text(field.unit)}"] if field.unit else []
            for fold, ending in (("Sum", "sum"), ("Mean", "mean")):
                source = [f"{model.cls}.{field.attribute}", f"over={group.members}"]
                arguments = [*source, *unit, f"name={_text(f'{field.name}.{ending}')}"]
                yield from _call(f"{group_name(group, field, ending)} = {fold}", arguments, "    ")


def group_name(group: Group, field: Field, ending: str) -> str:
    name = f"{field.attribute.rstrip('_')}_{ending}"
    return f"{name}_" if name == group.members else name


def _ingest(model: Model) -> Iterator[str]:
    key = [] if model.key.name == model.parameter else [f"key={_text(model.key.name)}"]
    yield from _call("app.ingest", [_text(model.path), f"{model.cls}.{model.command}", *key])


def _call(function: str, arguments: list[str], indent: str = "") -> Iterator[str]:
    """A call, in as few lines as formatters would write it."""
    line = f"{indent}{function}({', '.join(arguments)})"
    inner = f"{indent}    {', '.join(arguments)}"
    if len(line) <= _LONGEST:
        yield line
    elif len(inner) <= _LONGEST:
        yield from [f"{indent}{function}(", inner, f"{indent})"]
    else:
        yield from [f"{indent}{function}(", *(f"{indent}    {each}," for each in arguments), f"{indent})"]


def _text(value: str) -> str:
    """A literal in double quotes."""
    return json.dumps(value, ensure_ascii=False) if value.isprintable() else json.dumps(value)


def _plain(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"""', "'''")
