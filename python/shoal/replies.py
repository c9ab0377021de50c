"""What a request answers with: how a reply is checked and taken apart, and made again for the one who asked."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect as shape

from shoal.errors import WrongType
from shoal.shapes import Misfit, alternatives, information, title
from shoal.types import NATIVE, check_finite, classes_of


class ReplyForm(NamedTuple):
    """One request's reply type."""

    type: Any
    # what a reply is an instance of, at its top; empty: msgspec alone decides
    classes: tuple[type, ...]

    def encoder(self, label: str) -> Callable[[Any], Any] | None:
        """From a handler's result to builtins; it raises WrongType, which names ``label``, the lane. None: as it is."""
        return functools.partial(_encode, self, label)

    def decode(self, builtins: Any) -> Any:
        """From builtins to the declared type: an object of its own for each asker."""
        if self.type is Any:
            return builtins
        return msgspec.convert(builtins, self.type, str_keys=True)


def reply_form(declared: Any) -> ReplyForm:
    """Errors: Misfit for a type that msgspec cannot encode."""
    info = information(declared)
    if any(isinstance(each, shape.CustomType) for each in alternatives(info)):
        raise Misfit(
            f"{title(declared)} cannot be encoded as JSON",
            "use a Struct, a dataclass, a TypedDict or builtins as the reply",
        )
    kinds = [classes_of(each) for each in alternatives(info)]
    return ReplyForm(declared, tuple({each for kind in kinds for each in kind}) if all(kinds) else ())


def _encode(form: ReplyForm, label: str, value: Any) -> Any:
    named = "None" if form.type is None else title(form.type)
    if form.classes and not isinstance(value, form.classes):
        raise WrongType(f"{label} answers with {named}, and its handler gave {type(value).__name__} {_short(value)}")
    try:
        plain = msgspec.to_builtins(value, builtin_types=NATIVE, str_keys=True)
        if form.type is not Any:
            # Structs and dataclasses do not check their fields when they are made
            msgspec.convert(plain, form.type, str_keys=True)
        check_finite(plain)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise WrongType(f"{label} answers with {named}: {error}") from None
    return plain


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
