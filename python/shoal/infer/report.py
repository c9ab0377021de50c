"""The model for a person: what each field is taken for, and why."""

from __future__ import annotations

from collections.abc import Iterator

from shoal.infer.look import Look
from shoal.infer.model import Field, Model
from shoal.infer.program import type_of

Row = tuple[str, str, str, str]
_WIDEST_NAME = 24
_WIDEST_WHY = 46


def lines(look: Look, model: Model) -> Iterator[str]:
    yield _first(look)
    rows = list(_rows(model))
    name = min(max(len(row[1]) for row in rows), _WIDEST_NAME)
    short = [len(row[2]) for row in rows if row[3] and len(row[2]) <= _WIDEST_WHY]
    why = max(short, default=0)
    for kind, field, reason, result in rows:
        # a long reason has no room for what goes without saying
        arrow = (
            f"{reason:<{why}}  -> {result}"
            if result and not (len(reason) > _WIDEST_WHY and "Latest" in result)
            else reason
        )
        yield f"  {kind:<7}  {field:<{name}}  {arrow}".rstrip()
    yield from _also(look, model)


def _first(look: Look) -> str:
    total = look.total()
    of = ""
    if total is not None and total[0] > look.count:
        of = f" of {'' if total[1] else 'about '}{total[0]:,}"
    count = total[0] if total is not None and total[0] <= look.count else look.count
    name = "standard input" if look.path == "-" else look.path
    return f"{name}: looked at {count:,}{of} record{'' if count == 1 and not of else 's'}"


def _rows(model: Model) -> Iterator[Row]:
    values = model.key_values
    every = "text in some records, number in others" if model.key_mixed else "in every record"
    yield "key", model.key.name, f"{values:,} value{'' if values == 1 else 's'}, {every}", model.pattern
    if model.time is not None and model.clock is not None:
        yield "time", model.time.name, _with_empty(model.time, model.clock.why), ""
    else:
        yield "time", "-", "no field tells it: records count when they arrive", ""
    for group in model.groups:
        constant = f", constant for each {model.key.name}" if group.constant else f", no {model.key.name} came twice"
        of_numbers = ", with the sum and mean of every number" if any(each.number for each in model.lanes) else ""
        yield "group", group.field.name, f"{group.values:,} values{constant}", f"{group.pattern}{of_numbers}"
    if model.place is not None:
        lat, lon, name = model.place
        yield "place", f"{lat.name}, {lon.name}", model.place_why, f"{name} = Latest(Point(...))"
    groups = [group.field for group in model.groups]
    for field in model.fields:
        if field not in groups:
            yield _row(field)


def _row(field: Field) -> Row:
    if field.kind == "empty":
        return "empty", field.name, field.why.removeprefix("empty "), ""
    if field.kind == "ignored":
        return "ignored", field.name, field.why, ""
    why = [f"unit {field.unit} (from the name)"] if field.unit else []
    why += [field.why] if field.why else []
    if field.kind == "choice":
        why.append(f"{len(field.choices)} values")
    reason = _with_empty(field, ", ".join(why))
    if field.number:
        return (
            "whole" if field.kind == "whole" else "number",
            field.name,
            reason,
            "Latest, and Max, Mean of the last hour",
        )
    if field.kind == "choice":
        return "text", field.name, reason, type_of(field)
    if field.kind == "time":
        return "time", field.name, reason or "ISO 8601", "Latest"
    return field.kind, field.name, reason, "Latest"


def _with_empty(field: Field, why: str) -> str:
    if not field.empty:
        return why
    hole = f"empty in {field.empty}: an empty field changes nothing"
    return f"{why}, {hole}" if why else hole


def _also(look: Look, model: Model) -> Iterator[str]:
    if model.key_also:
        yield f"  the key could also be {_or(model.key_also)}: --key {model.key_also[0]}"
    if model.time_also:
        yield f"  the time could also be {_or(model.time_also)}: --time {model.time_also[0]}"
    if model.groups_also:
        names = [f"{each.field} ({each.values:,} values)" for each in model.groups_also]
        yield f"  the group could also be {_or(names)}: --group {model.groups_also[0].field}, or several"
    if model.clock is not None and model.clock.local:
        yield f"  times without a zone are taken in {model.tz}: --tz Europe/Berlin"
    if look.others:
        what = "is no JSON object: a dead letter" if look.others == 1 else "are no JSON objects: dead letters"
        yield f"  {look.others:,} of the first records {what}"


def _or(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
