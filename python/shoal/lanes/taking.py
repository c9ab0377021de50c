"""What commands and requests have in common: they take a body, and their turns step folds of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from shoal.bodies import NOTHING, BodyPlan, BodyShape, Path, path_form, plan, shape_of
from shoal.errors import WrongType
from shoal.lanes.lane import MISSING, Declared
from shoal.lanes.path import Body
from shoal.shapes import Misfit
from shoal.types import Form

if TYPE_CHECKING:
    from shoal.schema import Schema


class Taking(Declared):
    """A lane that is sent something. ``body`` MISSING: it takes nothing."""

    # Set by _enter.
    number: int
    # the field that holds the event's own time, or ""
    time = ""
    _usage_of_none = ""

    def _take(self, body: Any) -> None:
        self._shape: BodyShape = NOTHING
        # the class gives the name that the error needs
        self._misfit_of_body: Misfit | None = None
        # paths that folds of the final class read
        self._paths: list[Path] = []
        if body is not MISSING:
            try:
                self._shape = shape_of(body)
            except Misfit as misfit:
                self._misfit_of_body = misfit

    def _path(self) -> Any:
        if self._misfit_of_body is not None:
            raise self._misfit(self._misfit_of_body)
        return Body(self, ())

    def _copy(self) -> Self:
        copy = super()._copy()
        copy._paths = []
        return copy

    def _enter(self, schema: Schema) -> None:
        self.number = schema.next_command()

    def _resolve(self, schema: Schema) -> None:
        if self._misfit_of_body is not None:
            raise self._misfit(self._misfit_of_body)

    def _form(self, path: Path) -> Form:
        """The column form of what is at a path of the body. Errors: KeyError, Misfit."""
        assert self._shape.info is not None
        return path_form(self._shape.info, path)

    def _plan(self) -> BodyPlan:
        """Complete when all lanes of the class are resolved."""
        return plan(self._shape, self._paths, self.time)

    def _body_of(self, arguments: tuple[Any, ...]) -> Any:
        """What was given to a call. Errors: WrongType for too many or too few."""
        if self._shape.kind == "nothing":
            if arguments:
                raise WrongType(
                    f"{self._label} takes no body, got {arguments[0]!r}; "
                    f"declare it as {self._usage_of_none.format(type(arguments[0]).__name__)}"
                )
            return None
        if len(arguments) != 1:
            raise WrongType(f"{self._label} takes one body, a {self._shape.title}; got {len(arguments)}")
        return arguments[0]
