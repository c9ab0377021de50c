"""What a lane carries, between the wire and the program: by the lane's declared types, or as JSON where there are none.

The wire's values are those of JSON (``shoal.recon.loads``), from Recon and from HTTP alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from shoal import Request, recon
from shoal.conversion import convert
from shoal.errors import ReconError, Unset, WrongType
from shoal.lanes.alarm import Alarm, AlarmState
from shoal.lanes.command import Command
from shoal.lanes.history import History, Stamped
from shoal.lanes.lane import Declared
from shoal.lanes.map import Map
from shoal.lanes.members import Members
from shoal.lanes.value import Value
from shoal.shapes import Misfit, allows_none, information, title

# How a lane is linked: what its events say.
Kind: TypeAlias = Literal["value", "map", "list", "event"]

# What Recon carries beside JSON's own.
_NATIVE = (bytes,)


class Codec(NamedTuple):
    """Of one lane. ``label`` names it in errors. ``type`` and ``key`` None: untyped."""

    label: str
    kind: Kind | None
    type: Any = None
    key: Any = None
    # where msgspec does not make the value
    made_by: Callable[[Any], Any] | None = None
    # why it cannot be written from outside; "" where it can
    readonly: str = ""

    def value(self, plain: Any) -> Any:
        """Errors: ``Unset`` where nothing is there and the type does not allow None, ``WrongType`` for another type."""
        if self.type is None or self.type is Any:
            return plain
        if plain is None and self.kind == "value" and not _takes_none(self.type):
            raise Unset(f"{self.label} is unset: nothing has written it yet")
        return self._made(plain, self.type, "")

    def body(self, value: Any) -> str:
        """Of a value, as Recon. Errors: ``WrongType``."""
        return body_text(self.plain(value))

    def plain(self, value: Any) -> Any:
        """Of a value, as JSON and Recon carry it. Errors: ``WrongType``."""
        return self._plain(value, self.type, "")

    def key_value(self, plain: Any) -> Any:
        """Errors: ``WrongType``."""
        return plain if self.key is None else self._made(plain, self.key, "a key of ")

    def key_plain(self, key: Any) -> Any:
        """As it is on the wire. Errors: ``WrongType``."""
        return self._plain(key, self.key, "a key of ")

    def _made(self, plain: Any, declared: Any, what: str) -> Any:
        if self.made_by is not None and not what:
            try:
                return self.made_by(plain)
            except (msgspec.ValidationError, TypeError, ValueError, KeyError) as error:
                raise WrongType(f"{self.label} does not fit its class: it came as {_short(plain)} ({error})") from None
        try:
            return convert(plain, declared, single=True)
        except msgspec.ValidationError as error:
            raise WrongType(
                f"{what}{self.label} is {title(declared)}, and came as {_short(plain)}: {error}; "
                "the server's class may be another version"
            ) from None

    def _plain(self, value: Any, declared: Any, what: str) -> Any:
        try:
            plain = msgspec.to_builtins(value, builtin_types=_NATIVE, str_keys=True)
            _check_finite(plain)
            if declared is not None and declared is not Any:
                # Structs and dataclasses do not check their fields when they are made
                msgspec.convert(plain, declared, str_keys=True)
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            wanted = f" takes {title(declared)}" if declared is not None else ""
            raise WrongType(f"{what}{self.label}{wanted}, got {_short(value)}: {error}") from None
        return plain


def codec_of(lane: Declared) -> Codec:
    """Of a lane of a class. Errors: WrongType for what cannot be linked or read."""
    label, kind = lane._label, lane._links_as
    if kind == "":
        raise WrongType(f"{label} is {lane._kind} and cannot be linked or read from outside")
    if isinstance(lane, Alarm):
        fixed = f"it is acknowledged by {lane.name}.ack"
        return Codec(label, kind, AlarmState, None, lambda plain: _alarm(lane, plain), fixed)
    if isinstance(lane, History):
        return Codec(label, kind, tuple, None, lambda plain: _history(lane, plain), "it is a history")
    if isinstance(lane, Command):
        return Codec(label, kind, asked_type(lane))
    # Any: the forms are set where the class is made
    lane_: Any = lane
    settable = not lane.readonly and (isinstance(lane, (Value, Map)) or kind == "list")
    readonly = "" if settable else "it is readonly" if lane.readonly else f"it is {lane._kind}"
    if isinstance(lane, Members):
        return Codec(label, kind, Any, str, None, readonly)
    if kind == "map":
        return Codec(label, kind, lane_.value_form.type, lane_.key_form.type, None, readonly)
    form = lane_.value_form if kind == "list" else lane_.form
    return Codec(label, kind, form.type, None, None, readonly)


def asked_type(lane: Any) -> Any:
    """What a command or a request takes."""
    return type(None) if lane._shape.kind == "nothing" else lane._shape.type


def request_codec(lane: Request[Any, Any]) -> Codec:
    """Of its query."""
    return Codec(lane._label, None, asked_type(lane))


def reply_of(lane: Any, plain: Any) -> Any:
    """Errors: WrongType."""
    try:
        return lane._decode(plain)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise WrongType(f"the reply of {lane._label} came as {_short(plain)}: {error}") from None


def body_text(plain: Any) -> str:
    """A body behind an envelope's header. Errors: WrongType for what has no Recon form."""
    if plain is None:
        return ""
    text = value_text(plain)
    # a record of one value would be read as that value
    return f"{{{text}}}" if isinstance(plain, (list, tuple)) and len(plain) == 1 else text


def value_text(plain: Any) -> str:
    """Errors: WrongType."""
    try:
        return recon.dumps(plain)
    except (ReconError, TypeError) as error:
        raise WrongType(f"{_short(plain)} has no form in Recon: {error}") from None


def _takes_none(declared: Any) -> bool:
    try:
        return allows_none(information(declared))
    except Misfit:
        return True


def _history(lane: History[Any], plain: Any) -> tuple[Stamped[Any], ...]:
    source = getattr(lane.src, "form", None)
    declared = Any if source is None else source.type
    entries = [] if plain in ({}, None) else plain
    if entries and not isinstance(entries[0], (list, tuple)):
        entries = [entries]  # a record of one value is that value
    return tuple(
        [Stamped(msgspec.convert(time, datetime), msgspec.convert(value, declared)) for time, value in entries]
    )


def _alarm(lane: Alarm, plain: Any) -> AlarmState:
    since = plain.get("since")
    state = {**plain, "since": None if since is None else msgspec.convert(since, datetime)}
    for name in ("text", "by"):
        state[name] = str(state.get(name) or "")
    return lane._seen(state)


def _check_finite(plain: Any) -> None:
    if isinstance(plain, float) and not math.isfinite(plain):
        raise ValueError(f"{plain} is no number that a lane holds")
    if isinstance(plain, (tuple, list)):
        for each in plain:
            _check_finite(each)
    elif isinstance(plain, dict):
        for each in plain.values():
            _check_finite(each)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
