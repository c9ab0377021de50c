"""Finds ``self.cache = ...`` in the methods of a twin class where no lane ``cache`` is declared."""

from __future__ import annotations

import dis
import inspect
from types import CodeType, FunctionType

from shoal.place import Place, mistake


def check_assignments(cls: type, ground: tuple[type, ...]) -> None:
    """Looks through the methods of a final class and its mixins; ``ground`` are the classes below them.

    Errors: DeclarationError with the line of the assignment. An assignment that this does not see, such as one by
    ``setattr``, raises AttributeError when it runs: a twin has no other attributes.
    """
    for owner in cls.__mro__:
        if owner in ground:
            continue
        for name, value in vars(owner).items():
            function = inspect.unwrap(value) if inspect.isfunction(value) else None
            if isinstance(value, property):
                function = value.fset
            if isinstance(function, FunctionType):
                _check(cls, name, function.__code__)


def _check(cls: type, method: str, code: CodeType) -> None:
    if code.co_argcount == 0 or all(hasattr(cls, name) for name in code.co_names):
        return
    this = code.co_varnames[0]
    line = code.co_firstlineno
    loaded = False
    for instruction in dis.get_instructions(code):
        line = instruction.positions.lineno or line if instruction.positions else line
        if instruction.opname == "STORE_ATTR" and loaded and not hasattr(cls, instruction.argval):
            name = instruction.argval
            raise mistake(
                Place(code.co_filename, line),
                f"{cls.__name__}.{method}",
                f"`self.{name}` is not declared",
                f"declare the lane, {name} = Value(...), or {name} = Local(...) for a Python object",
            )
        # newer versions of Python load two variables in one instruction: then the last one is on top
        loaded = instruction.opname.startswith("LOAD_FAST") and (
            instruction.argval == this or (isinstance(instruction.argval, tuple) and instruction.argval[-1] == this)
        )
