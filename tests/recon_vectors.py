"""The vectors of ``tests/vectors``, and what they say in builtin types: slow and obvious."""

import base64
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("vectors")
EXPRESSIONS = {"op", "cond", "invoke", "lambda", "selector"}


def vectors(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines()]


def structure(vector: dict[str, Any]) -> Any:
    """The structure that must be read; None where the text must be refused."""
    return vector["js_accepts"] if vector.get("liberal") else vector.get("json")


def has_expression(tagged: Any) -> bool:
    if isinstance(tagged, dict):
        return not EXPRESSIONS.isdisjoint(tagged) or any(map(has_expression, tagged.values()))
    return isinstance(tagged, list) and any(map(has_expression, tagged))


def is_optional(vector: dict[str, Any]) -> bool:
    """Of selectors and expressions, what is decided when it is read is a plain value to Java; to us it is none."""
    return vector.get("group") in ("selector", "expr")


def comparable(tagged: Any) -> Any:
    """With floats as numbers: their text may differ."""
    if isinstance(tagged, dict):
        return {key: float(value) if key == "float" else comparable(value) for key, value in tagged.items()}
    return [comparable(item) for item in tagged] if isinstance(tagged, list) else tagged


def plain(tagged: dict[str, Any]) -> Any:
    """What ``shoal.recon.loads`` gives for a structure."""
    ((kind, value),) = tagged.items()
    match kind:
        case "absent" | "extant":
            return None
        case "int":
            return int(value)
        case "float":
            return float(value)
        case "uint32" | "uint64":
            return int(value, 16)
        case "data":
            return base64.b64decode(value)
        case "record":
            return _record(value)
    return value


def _record(items: list[dict[str, Any]]) -> Any:
    if not items:
        return {}
    if not any("attr" in item or "slot" in item for item in items):
        return [plain(item) for item in items]
    members: dict[str, Any] = {}
    for index, item in enumerate(items):
        if "attr" in item:
            name, value = item["attr"]
            members["@" + name] = plain(value)
        elif "slot" in item:
            key, value = item["slot"]
            members[_name(key)] = plain(value)
        else:
            members[f"${index}"] = plain(item)
    return members


def _name(key: dict[str, Any]) -> str:
    from shoal.recon import dumps

    value = plain(key)
    return value if isinstance(value, str) else dumps(value)
