"""An app's settings: ``--set``, then the environment, then ``[config]`` of a TOML file, then the defaults.

The first source that names a field gives its whole value. Texts from ``--set`` and the environment are converted by
msgspec's lax rules (``"3"`` for an int, ``"true"`` for a bool); for a tuple, a dict or a Struct they are JSON. What
stands in TOML has its own types and is converted strictly.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_type_hints

import msgspec
import msgspec.inspect

from shoal.errors import ConfigError

C = TypeVar("C")


class Given(NamedTuple):
    """One value for one field, and where it stands."""

    value: Any
    where: str
    is_text: bool


def load(
    cls: type[C] | None,
    app: str,
    *,
    sets: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    toml: Path | None = None,
) -> C | None:
    """The settings of the app named ``app`` as a ``cls``; None where the app declares none.

    ``sets`` are texts like ``"limit=3"``. ``toml`` may name a file that does not exist.
    ``ConfigError`` names the field, where its value stands, and its type.
    """
    if cls is None:
        if sets:
            raise ConfigError(
                f"--set {sets[0]}: the app declares no config: give it one, App({app!r}, config=Settings), "
                "where Settings is a msgspec.Struct"
            )
        return None
    fields = msgspec.inspect.type_info(cls)
    assert isinstance(fields, (msgspec.inspect.StructType, msgspec.inspect.DataclassType))
    hints = get_type_hints(cls, include_extras=True)
    types = {field.name: hints[field.name] for field in fields.fields}
    given: dict[str, Given] = {}
    for source in (
        _from_toml(toml, types),
        _from_environment(app, environ or {}, types),
        _from_sets(sets, types),
    ):
        given |= source
    values = {name: _convert(name, given[name], types[name]) for name in types if name in given}
    missing = [field.name for field in fields.fields if field.required and field.name not in values]
    if missing:
        name = missing[0]
        raise ConfigError(
            f"config field `{name}` ({_type_name(types[name])}) has no value and no default: give it by "
            f"--set {name}=…, {prefix(app)}{name.upper()}=… in the environment, or {name} = … under [config] in "
            f"{toml.name if toml else 'the TOML file beside the app'}"
        )
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:  # the Struct's own __post_init__
        raise ConfigError(f"{cls.__name__} refuses the config: {error}") from error


def prefix(app: str) -> str:
    """What the environment's names begin with: ``"METERS_"`` for the app ``"meters"``."""
    return re.sub(r"\W", "_", app).upper() + "_"


def beside(app_file: Path) -> Path:
    """The TOML file that belongs to an app's file: ``transit.toml`` beside ``transit.py``, else ``app.toml`` there."""
    own = app_file.with_suffix(".toml")
    return own if own.exists() else app_file.with_name("app.toml")


def table_of(path: Path | None, name: str) -> dict[str, Any]:
    """``[name]`` of a TOML file; empty where there is no file or no such table. ``ConfigError`` where it is no TOML."""
    if path is None or not path.exists():
        return {}
    try:
        table = tomllib.loads(path.read_text("utf-8")).get(name, {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: [{name}] must be a table, it is {table!r}")
    return table


def _from_toml(path: Path | None, types: Mapping[str, Any]) -> dict[str, Given]:
    table = table_of(path, "config")
    for name in table:
        _check_known(name, types, f"[config] of {path}")
    return {name: Given(value, f"[config] of {path}", is_text=False) for name, value in table.items()}


def _from_environment(app: str, environ: Mapping[str, str], types: Mapping[str, Any]) -> dict[str, Given]:
    # Other programs may use the prefix for names of their own, so an unknown one is no mistake here.
    names = {name: prefix(app) + name.upper() for name in types}
    return {
        name: Given(environ[variable], f"{variable} in the environment", is_text=True)
        for name, variable in names.items()
        if variable in environ
    }


def _from_sets(sets: Sequence[str], types: Mapping[str, Any]) -> dict[str, Given]:
    given = {}
    for text in sets:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise ConfigError(f"--set {text}: write it as --set FIELD=VALUE")
        _check_known(name, types, f"--set {text}")
        given[name] = Given(value, f"--set {text}", is_text=True)
    return given


def _check_known(name: str, types: Mapping[str, Any], where: str) -> None:
    if name in types:
        return
    near = difflib.get_close_matches(name, types, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"the fields are {', '.join(f'`{n}`' for n in types) or 'none'}"
    raise ConfigError(f"{where}: there is no config field `{name}`; {hint}")


def _convert(name: str, given: Given, type_: Any) -> Any:
    try:
        return msgspec.convert(given.value, type_, strict=not given.is_text)
    except msgspec.ValidationError as error:
        if given.is_text:
            try:
                return msgspec.json.decode(given.value, type=type_)
            except msgspec.MsgspecError:
                pass  # the text is no JSON either; what convert said is nearer to what the user wrote
        raise ConfigError(
            f"config field `{name}`: {error}; the value is {given.value!r} from {given.where}, "
            f"the type is {_type_name(type_)}"
        ) from error


def _type_name(type_: Any) -> str:
    return type_.__name__ if isinstance(type_, type) else str(type_).replace("typing.", "")
