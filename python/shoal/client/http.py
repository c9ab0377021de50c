"""Questions that go by HTTP: what a twin's state is, which twins there are, and requests. Shoal answers them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec

from shoal.client.place import Place, lane_named, node_at, schema_of
from shoal.errors import AskFailed, AskTimeout, NoConnection, NoSuchTwin, Refused, Reject, Unset, WrongType
from shoal.lanes.lane import Lane
from shoal.queries import Queries
from shoal.warp import Address

R = TypeVar("R")

# Questions at a time; more wait for their turn. Each one at a time has a connection, which is kept.
AT_A_TIME = 8
# The signs of find(Bus, speed__gt=20).
SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "ne": "!="}


class Http:
    """Of one server. Its threads start with the first question, and end with ``close``."""

    def __init__(self, address: Address, seconds: float) -> None:
        self.address = address
        self._seconds = seconds
        self._threads: ThreadPoolExecutor | None = None
        # connections that are not in use; one thread takes and gives back at a time
        self._idle: list[Queries] = []
        self._lock = threading.Lock()
        self._closed = False

    async def run(self, question: Callable[[Queries], R]) -> R:
        """In a thread: ``Queries`` blocks."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(AT_A_TIME, "shoal-client-http")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._with_connection, question)

    def close(self) -> None:
        self._closed = True
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _with_connection(self, question: Callable[[Queries], R]) -> R:
        with self._taken() as queries:
            return question(queries)

    @contextmanager
    def _taken(self) -> Iterator[Queries]:
        with self._lock:
            queries = self._idle.pop() if self._idle else Queries(self.address, self._seconds)
        try:
            yield queries
        except NoConnection:
            queries.close()
            raise
        finally:
            with self._lock:
                if self._closed:
                    queries.close()
                else:
                    self._idle.append(queries)


def read(queries: Queries, place: Place) -> Any:
    """A lane's value. Errors: NoSuchTwin, Unset, WrongType."""
    # the address is Shoal's before its answers count: other servers answer 404, too
    try:
        text = queries.read(place.node, unquote(place.lane))
    except Refused as error:
        if error.status == 404:
            raise NoSuchTwin(f"{queries.address}: {error}") from None
        raise
    if not text:
        raise Unset(f"{place.codec.label} of {place.node} is unset: nothing has written it yet")
    plain = msgspec.json.decode(text)
    codec = place.codec
    if codec.kind == "map" and isinstance(plain, (dict, list)) and (codec.key is not None):
        return _map(place, plain)
    if codec.kind == "list" and isinstance(plain, list):
        return [codec.value(each) for each in plain]
    return codec.value(plain)


def _map(place: Place, plain: Any) -> Mapping[Any, Any]:
    """An object; pairs where keys are no texts; members are a list of addresses."""
    codec = place.codec
    if isinstance(plain, dict):
        pairs = list(plain.items())
    else:
        pairs = [tuple(each) if isinstance(each, list) else (each, True) for each in plain]
    made: dict[Any, Any] = {}
    for key, value in pairs:
        try:
            made[codec.key_value(key)] = codec.value(value)
        except WrongType:
            # a whole number or truth as the key of an object
            made[msgspec.convert(key, codec.key, strict=False)] = codec.value(value)
    return made


class _Found(msgspec.Struct):
    uri: str


def find(queries: Queries, cls: Any, conditions: Mapping[str, Any]) -> list[str]:
    """URIs of the twins of a class, or below a path, for which all conditions hold."""
    if isinstance(cls, str):
        path, texts = node_at(cls), [_condition(name, name, value) for name, value in conditions.items()]
        return _uris(queries, path, texts, ())
    schema = schema_of(cls)
    if schema.route is None:
        raise WrongType(f'{schema.name} has no pattern here: register it with @app.twin("/..."), or find by a path')
    texts = [_condition(name, _wire(cls, name), value) for name, value in conditions.items()]
    first = next((each.name for each in schema.lanes.values() if isinstance(each, Lane) and not each._private), None)
    if not schema.route.parameters:
        return _alone(queries, schema.route.pattern, texts)
    fields = () if first is None else (first,)
    found = _uris(queries, f"{schema.route.beginning}/*", texts, fields)
    return [uri for uri in found if schema.route.matches(uri)]


def _uris(queries: Queries, path: str, texts: list[str], fields: tuple[str, ...]) -> list[str]:
    return [msgspec.json.decode(twin, type=_Found).uri for page in queries.pages(path, texts, fields) for twin in page]


def _alone(queries: Queries, node: str, texts: list[str]) -> list[str]:
    """The only twin of a class without parameters: it is found where it is there."""
    if texts:
        raise WrongType(f"{node} is one twin: get() its lanes instead of a search")
    try:
        queries.read(node, None)
    except Refused as error:
        if error.status == 404:
            return []
        raise
    return [node]


def _wire(cls: Any, name: str) -> str:
    """A lane's name on the wire, with its sign: ``speed__gt``."""
    attribute, mark, sign = name.rpartition("__")
    if name not in schema_of(cls).lanes and mark and sign in SIGNS:
        return f"{lane_named(cls, attribute).name}__{sign}"
    return lane_named(cls, name).name


def _condition(given: str, name: str, value: Any) -> str:
    """``speed > 20``. Errors: WrongType for what no condition compares."""
    lane, mark, sign = name.rpartition("__")
    if not mark or sign not in SIGNS:
        lane, sign = name, ""
    operator = SIGNS.get(sign, "=")
    if value is None or isinstance(value, (bool, int, float)):
        return f"{lane} {operator} {json.dumps(value)}"
    if isinstance(value, datetime):
        return f"{lane} {operator} {value.isoformat()}"
    if isinstance(value, str):
        return f"{lane} {operator} {json.dumps(value, ensure_ascii=False)}"
    raise WrongType(f"{given}={value!r}: a search compares truths, numbers, texts, times and None")


def ask(queries: Queries, place: Place, body: bytes, seconds: float) -> bytes:
    """A request's reply as JSON, b"" for None. Errors: Reject, AskTimeout, AskFailed, NoConnection, NotShoal."""
    try:
        return queries.ask(place.node, unquote(place.lane), body, seconds)
    except Refused as error:
        if error.status == 409:
            raise Reject(str(error)) from None
        if error.status == 504:
            raise AskTimeout(f"{place}: {error}") from None
        raise AskFailed(f"{place}: {error}") from None
