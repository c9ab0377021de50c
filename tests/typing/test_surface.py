"""The package's inline types against the stub, which has the whole API on a few pages: names, signatures and types.

Both are read as source. Annotations are compared as they are written, so that both sides use the same names.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pytest

import shoal

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Surface:
    """One class: its bases, and the signatures of each public method; several where it is overloaded."""

    bases: list[str] = field(default_factory=list)
    methods: dict[str, list[list[str]]] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass
class Module:
    classes: dict[str, Surface] = field(default_factory=dict)
    functions: dict[str, list[list[str]]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)


# What a caller writes without naming it; other dunder methods are the runtime's own matter.
SPOKEN = {"__init__", "__call__", "__get__", "__set__", "__getattr__"} | {
    f"__{name}__"
    for name in (
        "getitem",
        "setitem",
        "delitem",
        "iter",
        "len",
        "contains",
        "enter",
        "exit",
        "aiter",
        "aenter",
        "aexit",
    )
}


def read(paths: Iterable[Path]) -> Module:
    module = Module()
    for path in paths:
        for node in _statements(ast.parse(path.read_text("utf-8")).body):
            match node:
                case ast.ClassDef():
                    module.classes[node.name] = _class(node)
                case ast.FunctionDef() if not node.name.startswith("_"):
                    module.functions[node.name] = _signatures([node])
                case ast.AnnAssign(target=ast.Name(name), value=ast.expr() as value):
                    module.aliases[name] = ast.unparse(value)
    return module


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """With those of ``if TYPE_CHECKING:``, and without those that checkers do not see."""
    for node in body:
        if isinstance(node, ast.If):
            test = ast.unparse(node.test)
            if test == "TYPE_CHECKING":
                yield from _statements(node.body)
            elif test == "not TYPE_CHECKING":
                yield from _statements(node.orelse)
        else:
            yield node


def _class(node: ast.ClassDef) -> Surface:
    surface = Surface([ast.unparse(base) for base in node.bases])
    functions: dict[str, list[Function]] = {}
    for each in _statements(node.body):
        match each:
            case ast.FunctionDef() | ast.AsyncFunctionDef() if not each.name.startswith("_") or each.name in SPOKEN:
                functions.setdefault(each.name, []).append(each)
            case ast.AnnAssign(target=ast.Name(name)):
                surface.attributes[name] = ast.unparse(each.annotation)
    surface.methods = {name: _signatures(each) for name, each in functions.items()}
    return surface


def _signatures(functions: Sequence[Function]) -> list[list[str]]:
    overloads = [each for each in functions if any(ast.unparse(d) == "overload" for d in each.decorator_list)]
    return [_signature(each) for each in overloads or functions[-1:]]


def _signature(function: Function) -> list[str]:
    """One text a parameter, then the result."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [*[None] * (len(positional) - len(arguments.defaults)), *arguments.defaults]
    parts = []
    for number, (argument, default) in enumerate(zip(positional, defaults, strict=True)):
        kind = "/" if number < len(arguments.posonlyargs) else ""
        parts.append(_parameter(argument, default, kind))
    if arguments.vararg:
        parts.append(_parameter(arguments.vararg, None, "*"))
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        parts.append(_parameter(argument, default, "keyword "))
    if arguments.kwarg:
        parts.append(_parameter(arguments.kwarg, None, "**"))
    prefix = "property " if any(ast.unparse(d) == "property" for d in function.decorator_list) else ""
    prefix += "async " if isinstance(function, ast.AsyncFunctionDef) else ""
    parts.append(f"{prefix}-> {ast.unparse(function.returns) if function.returns else ''}")
    return parts


def _parameter(argument: ast.arg, default: ast.expr | None, kind: str) -> str:
    annotation = f": {ast.unparse(argument.annotation)}" if argument.annotation else ""
    return f"{kind}{argument.arg}{annotation}" + (f" = {_default(default)}" if default is not None else "")


def _default(default: ast.expr) -> str:
    """A default that a caller cannot write is ``...``, as in a stub."""
    text = ast.unparse(default)
    return "..." if isinstance(default, ast.Name) and text.isupper() else text


def difference(stub: Module, package: Module, name: str) -> list[str]:
    """What the package has otherwise for one public name of the stub."""
    if name in stub.functions:
        return _compare(name, stub.functions[name], package.functions.get(name))
    if name in stub.aliases:
        return _compare(name, stub.aliases[name], package.aliases.get(name))
    expected, found = stub.classes[name], package.classes.get(name)
    if found is None:
        return [f"{name}: the package has no such class"]
    faults = [f"{name}: {base} is no base of it" for base in expected.bases if base not in found.bases]
    for method, signatures in expected.methods.items():
        faults += _compare(f"{name}.{method}", signatures, _inherited(package, name, method))
    for attribute, annotation in expected.attributes.items():
        faults += _compare(f"{name}.{attribute}", annotation, found.attributes.get(attribute))
    known = {*expected.methods, *expected.attributes}
    faults += [
        f"{name}.{method}: the stub does not have it"
        for method in found.methods
        if not (method in known or method in SPOKEN or f"{name}.{method}" in INSIDE)
    ]
    return faults


def _inherited(module: Module, name: str, method: str) -> list[list[str]] | None:
    surface = module.classes.get(name)
    if surface is None:
        return None
    if method in surface.methods:
        return surface.methods[method]
    bases = (base.rpartition(".")[2].partition("[")[0] for base in surface.bases)
    return next((found for base in bases if (found := _inherited(module, base, method)) is not None), None)


def _compare(name: str, expected: object, found: object) -> list[str]:
    return [] if _same(expected, found) else [f"{name}:\n  stub    {expected}\n  package {found}"]


def _same(expected: object, found: object) -> bool:
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(map(_same, expected, found))
    if isinstance(expected, str) and isinstance(found, str) and expected.endswith(" = ..."):
        return found.partition(" = ")[0] == expected.removesuffix(" = ...") and " = " in found
    return expected == found


HERE = Path(__file__).parent
PACKAGE = Path(shoal.__file__).parent
MODULES = [
    # what its links inherit from
    "lanes.linked",
    *re.findall(r"^ *from shoal\.([a-z]\S*) import", (PACKAGE / "__init__.py").read_text("utf-8"), re.MULTILINE),
]
STUB = read([HERE / "shoal.pyi"])
# one letter, or one with _co or _in: a type variable
NAMES = {name for name in (*STUB.classes, *STUB.functions, *STUB.aliases) if not re.fullmatch(r"[A-Z](_co|_in)?", name)}
# where the package takes them from, and the native classes below them
SOURCES = read(
    [PACKAGE / "_core.pyi", *sorted({PACKAGE.joinpath(*name.split(".")).with_suffix(".py") for name in MODULES})]
)
# For the modules that run and test an app; a user has no use for them.
INSIDE = {"App.declaration", "App.running"}


def test_the_package_has_the_public_names_of_the_stub() -> None:
    assert set(shoal.__all__) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_signatures_and_types_are_those_of_the_stub(name: str) -> None:
    assert hasattr(shoal, name)
    if name == "Settings":
        # a Struct has no __init__ in its source
        fields = [f"keyword {field}" for field in shoal.Settings.__struct_fields__]
        assert [part.partition(":")[0] for part in STUB.classes[name].methods["__init__"][0][1:-1]] == [
            field.removeprefix("keyword ") for field in fields
        ]
        return
    faults = difference(STUB, SOURCES, name)
    assert not faults, "\n".join(faults)
