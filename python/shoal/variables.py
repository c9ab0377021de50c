"""The type variables and aliases of the API. One letter is one meaning everywhere."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    # for checkers only: the default of a type variable is not in Python 3.11's typing
    from typing_extensions import TypeVar as TypeVarD

    from shoal.lanes.lane import Linkable
    from shoal.twin import Twin

V = TypeVar("V")  # a lane's value
V_co = TypeVar("V_co", covariant=True)
N = TypeVar("N", int, float)  # a number: whole ones stay whole
K = TypeVar("K")  # a map's key
K_in = TypeVar("K_in", contravariant=True)
B = TypeVar("B")  # a command's body
B_in = TypeVar("B_in", contravariant=True)
Q = TypeVar("Q")  # a request's query
R = TypeVar("R")  # its reply
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T", bound="Twin")
S = TypeVar("S", bound="Twin")
Addable = TypeVar("Addable", bound="Linkable")  # a lane that app.add_lane takes
if TYPE_CHECKING:
    C = TypeVarD("C", default=None)
else:
    C = TypeVar("C")  # an app's config

Save: TypeAlias = Literal["async", "sync", "never"]
Severity: TypeAlias = Literal["info", "warning", "critical"]
Done: TypeAlias = Awaitable[None] | None
