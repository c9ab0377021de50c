"""Keys of maps and lists, which may be of any type of JSON."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import msgspec


def hashable(key: Any) -> Hashable:
    """Equal for equal keys: ``1`` and ``true`` are two."""
    return key if isinstance(key, str) else msgspec.json.encode(key)
