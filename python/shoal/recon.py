"""Recon, the data language of Swim, by the names of the ``json`` module: ``loads``, ``dumps``, ``load``, ``dump``.

>>> loads("@fix(unit:7){lat:52.5,lon:13.4,tags:{a,b}}")
{'@fix': {'unit': 7}, 'lat': 52.5, 'lon': 13.4, 'tags': ['a', 'b']}
>>> dumps({"@fix": {"unit": 7}, "speed": 3.5, "note": "on time"})
'@fix(unit:7){speed:3.5,note:"on time"}'

docs/protocol.md has the mapping. Errors: ``ReconDecodeError`` (a ``ValueError`` with ``pos``, ``lineno``, ``colno``),
``ReconError``, ``WrongType``.
"""

from collections.abc import Callable
from typing import IO, Any

from shoal._core import recon_dumps as dumps
from shoal._core import recon_loads as loads
from shoal.errors import ReconDecodeError, ReconError

__all__ = ["ReconDecodeError", "ReconError", "dump", "dumps", "load", "loads"]


def load(file: IO[str] | IO[bytes]) -> Any:
    """Reads all of an open file, as ``loads``."""
    return loads(file.read())


def dump(obj: Any, file: IO[str], *, default: Callable[[Any], Any] | None = None, sort_keys: bool = False) -> None:
    """Writes one text to an open file, as ``dumps``."""
    file.write(dumps(obj, default=default, sort_keys=sort_keys))
