"""Tests of stores are collected once `shoal run` has `--store`."""

from importlib.util import find_spec
from pathlib import Path

_run = find_spec("shoal.cli.run")
_has_store = _run is not None and _run.origin is not None and '"--store"' in Path(_run.origin).read_text("utf-8")
collect_ignore = [] if _has_store else ["test_checkpoint_files.py"]
