"""Request: a question that a twin answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, Self, overload

from shoal.declaration import CommandLane, RequestLane
from shoal.duration import Seconds
from shoal.errors import WrongType
from shoal.handlers import METHODS, is_async
from shoal.lanes.lane import MISSING
from shoal.lanes.taking import Taking
from shoal.replies import ReplyForm, reply_form
from shoal.shapes import Misfit
from shoal.variables import B_in, Q, R, R_co, S

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from shoal.schema import Schema
    from shoal.twin import Twin


class Ask(Protocol[B_in, R_co]):
    """A twin's request, ready to be asked: ``await self.at(Airport, "x").gate(query)``.

    Errors: ``Reject`` with the answerer's reason, ``AskTimeout``, ``WouldDeadlock``, ``AskFailed``.
    """

    def __call__(self, body: B_in, /, *, timeout: Seconds = ...) -> Awaitable[R_co]: ...


class AskNothing(Protocol[R_co]):
    """A twin's request without a query."""

    def __call__(self, body: None = None, /, *, timeout: Seconds = ...) -> Awaitable[R_co]: ...


class Request(Taking, Generic[Q, R]):
    """A question that twins of this class answer. ``query`` None: there is only one.

    Both types may be mutable: query and reply are copied on the way.
    """

    _kind = "a request"
    _usage_of_none = "Request({}, ...)"
    name: str

    def __init__(
        self, query: TypeForm[Q], reply: TypeForm[R], /, *, name: str = "", unit: str = "", doc: str = ""
    ) -> None:
        super().__init__(name, unit, doc)
        self._take(MISSING if query is None else query)
        self._reply: ReplyForm | None = None
        self._misfit_of_reply: Misfit | None = None
        try:
            self._reply = reply_form(reply)
        except Misfit as misfit:
            self._misfit_of_reply = misfit

    @property
    def body(self) -> Q:
        """Typed as the query; while the class is made it records the path to a field, for folds."""
        path: Q = self._path()
        return path

    if TYPE_CHECKING:

        @overload
        def __get__(self, obj: None, owner: type[Any]) -> Self: ...
        @overload
        def __get__(self: Request[None, R], obj: Twin, owner: type[Any]) -> AskNothing[R]: ...
        @overload
        def __get__(self, obj: Twin, owner: type[Any]) -> Ask[Q, R]: ...

    def __get__(self, obj: Any, owner: Any = None) -> Any:
        if obj is None:
            return self
        from shoal.asking import Asking

        return Asking(obj, obj._population, obj._parameters(), self)

    if not TYPE_CHECKING:

        def __set__(self, obj: Any, value: Any) -> None:
            raise WrongType(f"{self._label} is a request: it is asked, and holds no value")

    @overload
    def handler(self: Request[None, R], fn: Callable[[S], Awaitable[R]]) -> Callable[[S], Awaitable[R]]: ...
    @overload
    def handler(self: Request[None, R], fn: Callable[[S], R]) -> Callable[[S], R]: ...
    @overload
    def handler(self, fn: Callable[[S, Q], Awaitable[R]]) -> Callable[[S, Q], Awaitable[R]]: ...
    @overload
    def handler(self, fn: Callable[[S, Q], R]) -> Callable[[S, Q], R]: ...
    def handler(self, fn: Any) -> Any:
        """Decorates the method that answers twins, and all methods of HTTP without one of their own."""
        return self._mark(fn, "handler")

    @overload
    def get(self: Request[None, R], fn: Callable[[S], Awaitable[R]]) -> Callable[[S], Awaitable[R]]: ...
    @overload
    def get(self: Request[None, R], fn: Callable[[S], R]) -> Callable[[S], R]: ...
    @overload
    def get(self, fn: Callable[[S, Q], Awaitable[R]]) -> Callable[[S, Q], Awaitable[R]]: ...
    @overload
    def get(self, fn: Callable[[S, Q], R]) -> Callable[[S, Q], R]: ...
    def get(self, fn: Any) -> Any:
        """Decorates the method that answers GET and HEAD."""
        return self._mark(fn, "get")

    @overload
    def put(self: Request[None, R], fn: Callable[[S], Awaitable[R]]) -> Callable[[S], Awaitable[R]]: ...
    @overload
    def put(self: Request[None, R], fn: Callable[[S], R]) -> Callable[[S], R]: ...
    @overload
    def put(self, fn: Callable[[S, Q], Awaitable[R]]) -> Callable[[S, Q], Awaitable[R]]: ...
    @overload
    def put(self, fn: Callable[[S, Q], R]) -> Callable[[S, Q], R]: ...
    def put(self, fn: Any) -> Any:
        """Decorates the method that answers PUT."""
        return self._mark(fn, "put")

    @overload
    def post(self: Request[None, R], fn: Callable[[S], Awaitable[R]]) -> Callable[[S], Awaitable[R]]: ...
    @overload
    def post(self: Request[None, R], fn: Callable[[S], R]) -> Callable[[S], R]: ...
    @overload
    def post(self, fn: Callable[[S, Q], Awaitable[R]]) -> Callable[[S, Q], Awaitable[R]]: ...
    @overload
    def post(self, fn: Callable[[S, Q], R]) -> Callable[[S, Q], R]: ...
    def post(self, fn: Any) -> Any:
        """Decorates the method that answers POST."""
        return self._mark(fn, "post")

    @overload
    def delete(self: Request[None, R], fn: Callable[[S], Awaitable[R]]) -> Callable[[S], Awaitable[R]]: ...
    @overload
    def delete(self: Request[None, R], fn: Callable[[S], R]) -> Callable[[S], R]: ...
    @overload
    def delete(self, fn: Callable[[S, Q], Awaitable[R]]) -> Callable[[S, Q], Awaitable[R]]: ...
    @overload
    def delete(self, fn: Callable[[S, Q], R]) -> Callable[[S, Q], R]: ...
    def delete(self, fn: Any) -> Any:
        """Decorates the method that answers DELETE."""
        return self._mark(fn, "delete")

    def _mark(self, fn: Any, kind: Literal["handler", "get", "put", "post", "delete"]) -> Any:
        from shoal.handlers import mark

        return mark(fn, kind, self)

    def _body_of(self, arguments: tuple[Any, ...]) -> Any:
        # a query None may be written or left out
        return super()._body_of(() if self._shape.kind == "nothing" and arguments == (None,) else arguments)

    def _resolve(self, schema: Schema) -> None:
        super()._resolve(schema)
        if self._misfit_of_reply is not None:
            raise self._misfit(self._misfit_of_reply)

    def _declare(self, schema: Schema) -> None:
        assert self._reply is not None
        handler = schema.handler_of(self)
        methods = {method: schema.handler_of(self, method) for method in METHODS}
        planned = self._plan()
        own = [method for method, function in methods.items() if function is not None]
        request = RequestLane(own, not self._shape.fields and self._shape.kind != "nothing")
        lane = CommandLane(self.name, planned.declared, None if handler is None else is_async(handler), None, request)
        schema.add_command(lane, handler, planned, self._reply.encoder(self._label), list(methods.values()))

    def _decode(self, builtins: Any) -> Any:
        """A reply for whoever has asked."""
        assert self._reply is not None
        return self._reply.decode(builtins)

    def _check_answered(self, schema: Schema) -> None:
        """Errors: DeclarationError where a class of an app has nobody who answers."""
        entry = schema.commands[self.number]
        if entry.handler is None and entry.request is not None and not entry.request.methods:
            raise self._mistake("nobody answers it", f"decorate a method with @{self.attribute}.handler")
