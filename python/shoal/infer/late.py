"""Fields that show up after the look: each becomes a lane at a commit; and values that do not fit, with the way out."""

from __future__ import annotations

import logging
import re
import types
from typing import Any

import msgspec

from shoal._core import DeadLetter
from shoal.infer.kinds import Guess, of_one
from shoal.infer.model import Choices, Field, Model, kind_of
from shoal.infer.names import identifier, unique
from shoal.infer.program import WINDOW, extra_name, group_name
from shoal.infer.units import unit_of
from shoal.lanes.folds import Latest
from shoal.lanes.lane import Declared
from shoal.lanes.numbers import Max, Mean, Sum
from shoal.run import Run

_PYTHON: dict[str, Any] = {"number": float, "whole": int, "text": str, "choice": str, "bool": bool, "value": Any}
# Of a body; later fields are passed over.
MOST_FIELDS = 64
_FIELD = re.compile(r"- at `\$\.([^`]+)`|required field `([^`]+)`")


class Late:
    """Of one run of a model, whose program is ``module``."""

    def __init__(self, model: Model, module: types.ModuleType, choices: Choices) -> None:
        self.model = model
        self.choices = choices
        self._cls: Any = module.__dict__[model.cls]
        self._groups: list[Any] = [module.__dict__[group.cls] for group in model.groups]
        self._body: Any = module.__dict__[model.body]
        self._command: Any = getattr(self._cls, model.command)
        self._log = logging.getLogger(f"shoal.{model.app}")
        self._told: set[str] = set()
        self._passed = set(model.ignored)

    # -- new fields

    def on_news(self, run: Run, position: int, text: bytes) -> list[str]:
        """As ``Inferred.on_news``."""
        record: dict[str, Any] = msgspec.json.decode(text)
        declared = set(self._body.__struct_encode_fields__)
        passed = []
        added: list[Field] = []
        for name, value in record.items():
            if value is None or name in declared or name in self._passed:
                continue
            field = self._field(name, value)
            if field.kind == "ignored" or len(declared) + len(added) >= MOST_FIELDS:
                passed.append(name)
                self._passed.add(name)
                self._log.info("%s:%d: new field %s: passed over", self.model.path, position, name)
            else:
                added.append(field)
        if added:
            self._add(added)
            run.grow()
        for field in added:
            lanes = "Latest, and Max, Mean of the last hour" if field.number else "Latest"
            unit = f", unit {field.unit}" if field.unit else ""
            self._log.info(
                "%s:%d: new field %s: %s%s -> %s", self.model.path, position, field.name, field.kind, unit, lanes
            )
        return passed

    def _field(self, name: str, value: Any) -> Field:
        wanted = self.choices.sets.get(name)
        found = Guess(kind_of(wanted)) if wanted is not None else of_one(name, value, self.model.rows)
        before = next((each for each in self.model.fields if each.name == name), None)
        attribute = before.attribute if before is not None else unique(identifier(name), self.model.taken)
        number = found.kind in ("number", "whole")
        return Field(name, attribute, found.kind, unit=unit_of(name) if number else "")

    def _add(self, added: list[Field]) -> None:
        names = [field.name for field in added]
        self.model.fields = [each for each in self.model.fields if each.name not in names] + added
        members = [(field.attribute, _type(field), msgspec.field(default=None, name=field.name)) for field in added]
        self._body = msgspec.defstruct(self.model.body, members, bases=(self._body,))
        schema = self._cls.__shoal__
        schema.grow(self._command, self._body, lambda: self._lanes(added))
        for group, cls in zip(self.model.groups, self._groups, strict=True):
            over = getattr(cls, group.members)
            lanes: dict[str, Declared] = {}
            for field in filter(lambda each: each.number, added):
                for ending, fold in (("sum", Sum), ("mean", Mean)):
                    lanes[group_name(group, field, ending)] = fold(
                        getattr(self._cls, field.attribute),
                        over=over,
                        unit=field.unit,
                        name=f"{field.name}.{ending}",
                    )
            cls.__shoal__.add_lanes(lanes)

    def _lanes(self, added: list[Field]) -> dict[str, Declared]:
        lanes: dict[str, Declared] = {}
        for field in added:
            lane: Any = Latest(getattr(self._command.body, field.attribute), unit=field.unit, name=field.name)
            lanes[field.attribute] = lane
            if field.number:
                for ending, fold in (("max", Max), ("mean", Mean)):
                    lanes[extra_name(self.model, field.attribute, ending)] = fold(
                        lane, last=WINDOW, unit=field.unit, name=f"{field.name}.{ending}"
                    )
        return lanes

    # -- values that do not fit

    def on_letter(self, letter: DeadLetter) -> DeadLetter:
        """As ``Inferred.on_letter``: the reason says which ``--set`` takes such values; said aloud once a field."""
        match = _FIELD.search(letter.reason) if letter.kind == "invalid" else None
        if match is None:
            return letter
        name = match[1] or match[2]
        way = self._way_out(name, letter.reason)
        if not way:
            return letter
        reason = f"{letter.reason}; {way}"
        if name not in self._told:
            self._told.add(name)
            self._log.warning("%s:%d: %s", letter.origin, letter.sequence, reason)
        return DeadLetter(
            letter.origin,
            letter.sequence,
            letter.time,
            letter.node,
            letter.lane,
            letter.kind,
            reason,
            letter.record,
            letter.number,
        )

    def _way_out(self, name: str, reason: str) -> str:
        model = self.model
        if model.place is not None and name in (model.place[0].name, model.place[1].name):
            return f"--set {name}=number makes it a plain number that may be missing"
        if model.time is not None and name == model.time.name:
            return "--time none takes records at the time when they arrive"
        if name == model.key.name:
            return ""
        field = next((each for each in model.fields if each.name == name), None)
        if field is None:
            return ""
        if field.kind == "whole" and "got `float`" in reason:
            return f"--set {name}=number takes fractions, too"
        if model.rows or field.kind in ("choice", "time"):
            return f"--set {name}=text takes it as text"
        return f"--set {name}=value takes it as it comes"


def _type(field: Field) -> Any:
    made = _PYTHON[field.kind]
    return made if made is Any else made | None
