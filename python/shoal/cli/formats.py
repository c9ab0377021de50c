"""How values are written: JSON, Recon, and the cells of tables."""

import argparse
import base64
import json
import re
import sys
from collections.abc import Callable
from typing import Any

# What a terminal would obey instead of showing it, C1 included.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def form_of(chosen: argparse.Namespace) -> str:
    """``json``, ``recon`` or ``table``."""
    return chosen.format or ("table" if sys.stdout.isatty() else "json")


def to_json(value: Any, indent: int | None = None) -> str:
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, default=_plain)
    return _CONTROL.sub(lambda found: found.group() if found.group() == "\n" else f"\\u{ord(found.group()):04x}", text)


def to_recon(value: Any) -> str:
    from shoal import recon

    return clean(recon.dumps(value))


def writer(form: str) -> Callable[[Any], str]:
    """Of one line a value."""
    return to_recon if form == "recon" else to_json


def clean(text: str) -> str:
    """Without what would steer a terminal: a server's words are not to be trusted with that."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text)


def cell(value: Any) -> str:
    """One line for a person: 1,234 and 0.5, yes and no, – for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list) and len(value) == 2 and all(isinstance(part, float) for part in value):
        return f"{value[0]:.5f}, {value[1]:.5f}"
    return to_json(value)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """Recon's data is base64 in JSON."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
