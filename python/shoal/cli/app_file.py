"""``transit.py:app`` → the App."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

from shoal.app import App
from shoal.cli.faults import Fault, explain
from shoal.place import near


def load_app(target: str) -> tuple[App[Any], Path]:
    """The app and its file. ``Fault`` where there is none, and where the file itself fails."""
    path, name = _split(target)
    if not path.is_file():
        wanted = f"; did you mean {path}.py?" if path.with_name(path.name + ".py").is_file() else ""
        raise Fault(f"{path}: no such file{wanted}")
    module = _run_file(path)
    apps = {key: value for key, value in vars(module).items() if isinstance(value, App)}
    if name:
        if name not in apps:
            raise Fault(f"{path}: there is no App named `{name}`; {near(name, apps) or 'write app = App(…)'}")
        return apps[name], path
    different = {id(app): app for app in apps.values()}
    if not different:
        raise Fault(f'{path}: it makes no App; write app = App("{path.stem}") and @app.twin(…) over the classes')
    if len(different) > 1 and "app" not in apps:
        raise Fault(f"{path}: it makes several apps ({', '.join(apps)}): say which, {path}:{next(iter(apps))}")
    return apps.get("app") or next(iter(different.values())), path


def _split(target: str) -> tuple[Path, str]:
    path, colon, name = target.rpartition(":")
    return (Path(path), name) if colon and name.isidentifier() else (Path(target), "")


def _run_file(path: Path) -> Any:
    # As `python transit.py` would: imports of neighbours work, and so does pickling of its classes.
    sys.path.insert(0, str(path.parent.resolve()))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise Fault(f"{path}: it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise Fault(f"{explain(error)}\n  {error.name} is not installed in {sys.prefix}") from error
    except SystemExit as error:
        raise Fault(f"{path}: it called sys.exit({error.code!r}) while it was imported") from error
    except Exception as error:
        raise Fault(explain(error)) from error
    return module
