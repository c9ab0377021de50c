"""The bounds of a shard and its server. Every one is a documented setting (docs/settings.md); nothing is unbounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from shoal.declaration import Settings
from shoal.errors import DeclarationError
from shoal.place import near

__all__ = ["Settings", "settings_from"]


def settings_from(table: Mapping[str, Any], where: str) -> Settings:
    """Settings by name, as ``[settings]`` of a TOML file has them; texts are taken for numbers.

    ``where`` names the table's file in errors. Errors: DeclarationError for a name or a value that is not one.
    """
    names = list(Settings.__struct_fields__)
    for name in table:
        if name not in names:
            raise DeclarationError(f"{where}: there is no setting `{name}`; {near(name, names)}")
    try:
        settings = msgspec.convert(dict(table), Settings, strict=False)
    except msgspec.ValidationError as error:
        raise DeclarationError(f"{where}: {error}") from None
    check_settings(settings, where)
    return settings


def check_settings(settings: Settings, where: str) -> None:
    """Errors: DeclarationError for a bound that would let nothing pass."""
    if not isinstance(settings.origins, str):
        raise DeclarationError(f'{where}: origins={settings.origins!r}; it is a text: "https://a.example", or "*"')
    if not isinstance(settings.remote_ca, str):
        raise DeclarationError(f"{where}: remote_ca={settings.remote_ca!r}; it is the name of a file, as a text")
    if type(settings.compression) is not int or not 0 <= settings.compression <= 9:
        raise DeclarationError(f"{where}: compression={settings.compression!r}; it is a level of 1 to 9, or 0 for none")
    if settings.slow_sinks not in ("wait", "cut"):
        raise DeclarationError(f'{where}: slow_sinks={settings.slow_sinks!r}; it is "wait" or "cut"')
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if name in ("origins", "compression", "slow_sinks", "remote_ca"):
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
            raise DeclarationError(f"{where}: {name}={value!r}; a bound is above 0")
