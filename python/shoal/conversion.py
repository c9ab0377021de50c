"""From what JSON and Recon carry to the declared type: ``msgspec.convert``, and what the two cannot tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec


def convert(plain: Any, declared: Any, lax: bool = False, single: bool = False) -> Any:
    """Takes 3.0 for a whole number, and ``{}``, Recon's one empty record, for an empty list.

    ``single``: also a value for the list of it, as the body of an envelope has it. All this only where it does not fit
    as it is, so that unions keep what was written. Errors: msgspec.ValidationError, of the value as it was written.
    """
    try:
        return msgspec.convert(plain, declared, strict=not lax, str_keys=True)
    except msgspec.ValidationError as error:
        for mended in _mended(plain, single):
            try:
                return msgspec.convert(mended, declared, strict=not lax, str_keys=True)
            except msgspec.ValidationError:
                continue
        raise error from None


def _mended(plain: Any, single: bool) -> Iterator[Any]:
    whole = _whole(plain)
    yield whole
    yield _lists(plain)
    yield _lists(whole)
    if single:
        yield [plain]


def _whole(plain: Any) -> Any:
    if isinstance(plain, dict):
        return {key: _whole(value) for key, value in plain.items()}
    if isinstance(plain, (list, tuple)):
        return [_whole(value) for value in plain]
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain


def _lists(plain: Any) -> Any:
    if isinstance(plain, dict):
        return {key: _lists(value) for key, value in plain.items()} if plain else []
    return [_lists(value) for value in plain] if isinstance(plain, (list, tuple)) else plain
