"""``report.body``: the path to a field of a command's body, recorded while the class is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from shoal.bodies import Path, fields_of, path_type
from shoal.place import Place, caller, mistake, near
from shoal.shapes import Misfit, rebuild, title
from shoal.types import Point

if TYPE_CHECKING:
    from shoal.lanes.taking import Taking


class Body:
    """Stands for a body, or a field of one, in the declaration of a fold. Typed as what it stands for.

    Its attributes are the fields of the body's type, so that it has no other public ones.
    """

    __slots__ = ("__command", "__path")

    def __init__(self, command: Taking, path: Path) -> None:
        self.__command = command
        self.__path = path

    def __getattr__(self, name: str) -> Body:
        if name.startswith("__") and name.endswith("__"):
            # what Python itself asks of any object, such as __set_name__
            raise AttributeError(name)
        command, path = self.__command, self.__path
        info = command._shape.info
        if info is None:
            raise _mistake(self, f"a Command() has no body, so no `{name}`", "give its type: Command(Fix)")
        here = path_type(info, path)
        names = [field.name for field in fields_of(here)]
        if name not in names:
            raise _mistake(
                self,
                f"`{title(rebuild(here))}` has no field `{name}`",
                near(name, names)
                or "a fold reads a field as it is; compute in a handler and keep the result in a Value",
            )
        return Body(command, (*path, name))

    def __get__(self, obj: Any, owner: Any = None) -> Body:
        if obj is not None:
            raise _mistake(
                self,
                "this is the path to a field, for folds, and has no value",
                "declare a Latest(...) of it and read that",
            )
        return self

    def __repr__(self) -> str:
        return ".".join([self.__command.attribute or "command", "body", *self.__path])

    def __bool__(self) -> NoReturn:
        raise _computed(self)

    def __iter__(self) -> NoReturn:
        raise _computed(self)

    def __call__(self, *arguments: Any, **options: Any) -> NoReturn:
        raise _computed(self)

    def __getitem__(self, key: Any) -> NoReturn:
        raise _computed(self)


def _operator(self: Body, *others: Any) -> NoReturn:
    raise _computed(self)


for _sign in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor"):
    setattr(Body, f"__{_sign}__", _operator)
    setattr(Body, f"__r{_sign}__", _operator)
for _sign in ("neg", "pos", "abs", "lt", "le", "gt", "ge", "round", "float", "int"):
    setattr(Body, f"__{_sign}__", _operator)


def _computed(body: Body) -> Exception:
    return _mistake(
        body,
        "a field of a body has no value while the class is made",
        "folds read fields as they are; compute in a handler and keep the result in a Value",
    )


def _mistake(body: Body, what: str, hint: str) -> Exception:
    """The lane has no name yet; the class body that is running has it."""
    command = path_command(body)
    frame = caller()
    place = Place() if frame is None else Place(frame.f_code.co_filename, frame.f_lineno)
    subject = repr(body)
    if frame is not None and not command.attribute:
        lane = next((name for name, value in list(frame.f_locals.items()) if value is command), "command")
        cls = frame.f_locals.get("__qualname__", "").rpartition("<locals>.")[2]
        subject = ".".join([*filter(None, [cls]), lane, "body", *body_path(body)])
    return mistake(place, subject, what, hint)


def path_command(body: Body) -> Taking:
    command: Taking = object.__getattribute__(body, "_Body__command")
    return command


def body_path(body: Body) -> Path:
    path: Path = object.__getattribute__(body, "_Body__path")
    return path


class Fields(NamedTuple):
    """What a fold reads of a command's body: a field, the whole body (an empty path), or the two fields of a Point."""

    # a Command or Request; Any, because to a checker one in a class is a descriptor
    command: Any
    paths: tuple[Path, ...]


def fields_in(source: Any) -> Fields | None:
    """None for what is no path. Errors: Misfit for a Point of anything but two fields of one body."""
    if isinstance(source, Body):
        return Fields(path_command(source), (body_path(source),))
    if isinstance(source, Point) and any(isinstance(each, Body) for each in source):
        lat: Any
        lon: Any
        lat, lon = source
        if not isinstance(lat, Body) or not isinstance(lon, Body) or path_command(lat) is not path_command(lon):
            raise Misfit("a Point of fields takes two fields of one body", "Point(report.body.lat, report.body.lon)")
        return Fields(path_command(lat), (body_path(lat), body_path(lon)))
    return None
