"""Where Shoal's answers differ from those of the Java server in the recordings, each with the reason.

``docs/protocol.md`` has the same table. A difference that is not here fails ``tests/path/test_recordings.py``, and so
does an entry that no longer differs.
"""

from typing import NamedTuple

from recording import Aside


class Difference(NamedTuple):
    """In ``recording``, in the stream ``where``, ``java`` stands in the place of ``shoal``; ``*`` is any text."""

    recording: str
    where: str
    java: str
    shoal: str
    reason: str


NO_WORD = "a connection is not dropped without a word: close 1002 says what was wrong"
EACH = "each link to what is not there is answered, not the first only"
FAREWELL = "a stop is told to the connection, with close 1001"
RACE = "answers are not merged: each request has its own, in the order in which they came"
TYPES = "a typed lane takes its type only; the rest is a dead letter"
NO_KEY = "a map has no entry without a key; such an update is a dead letter"
TIMES = "the twin of the test has no clock"
KEYS = "the keys that a list makes are whole numbers, counted up over all twins: Java's are six random bytes"
HTTP = "plain HTTP reads and writes lanes; there is an answer to everything, with its length"
NOT_YET = "not yet: "
JOINED = "a join is what the linked lanes are: nobody else writes it, and the command is a dead letter"

DIFFERENCES = [
    Difference("*", "* handshake", "", "protocol: warp0", "a browser that offers `warp0` goes only if it is selected"),
    Difference(
        "handshake_variants",
        "7 handshake",
        "101 · accept: *",
        "426",
        "version 13 is the only one that there is a standard for (RFC 6455, 4.4)",
    ),
    Difference("bad_frames", "* end", "", "close 1002 no WARP envelope: *", NO_WORD),
    Difference("value_set", "* end", "", "close 1002 the body of @command is not Recon: *", NO_WORD),
    Difference("unknown_lane", "1 /unit/x1 nope", "", "@unlinked@laneNotFound · @unlinked@laneNotFound", EACH),
    Difference("unknown_node", "1 /nowhere/1 info", "", "@unlinked@nodeNotFound · @unlinked@nodeNotFound", EACH),
    Difference("server_stop_*", "1 end", "", "close 1001 the server stops", FAREWELL),
    Difference("js_serverstop", "1 end", "", "close 1001 the server stops", FAREWELL),
    Difference("server_stop_kernel", "1 /auto tick", "@event 3", "", TIMES),
    Difference("auto_start", "1 /auto tick", "@event 2 · @event 4 · *", "", TIMES),
    Difference("large_values", "5 end", "close 1000", "close 1009", "the code that came goes back (RFC 6455, 5.5.1)"),
    Difference("pipelined", "3 /unit/pl2 info", "", "@event · @synced", RACE),
    Difference("pipelined", "4 /unit/pl3 info", "", "@synced · @unlinked", RACE),
    Difference("pipelined", "5 /unit/pl4 info", "", "@unlinked", RACE),
    Difference("pipelined", "6 /unit/pl5 info", "", "@linked · @event · @synced", RACE),
    Difference("pipelined", "7 /unit/pl6 info", "", "@linked", RACE),
    Difference("pipelined", "8 /unit/pl10 info", "", "@event · @synced · @event 1", RACE),
    Difference("pipelined", "8 /unit/pl10 info", "@synced", "", RACE),
    Difference(
        "map_sync_0_and_3",
        "* /unit/m1 shopping",
        "@event@drop(2) · @event@take(2)",
        "@event@remove(key:k0) · @event@remove(key:k1) · @event@remove(key:k4) · @event@remove(key:k5)",
        "what leaves a map is told key by key: Swim's Python client ignores take and drop, and keys have an order of "
        "their own in each client",
    ),
    Difference(
        "map_sync_0_and_3",
        "* /unit/m1 shopping",
        "@event@update(key:) 1 · @event@remove(key:) · @event@update(key:){key:z,value:1}*",
        "",
        NO_KEY,
    ),
    Difference(
        "map_sync_0_and_3",
        "* /unit/m1 shopping",
        "@event@update(key:{a:1}) rec",
        "",
        "keys have a declared type, here text, whole number or truth; the rest is a dead letter",
    ),
    Difference(
        "value_set",
        "* /unit/v2 info",
        "@event 123456789012345678901234567890",
        "",
        "whole numbers are int64; a greater one is a dead letter, never rounded",
    ),
    Difference(
        "value_set",
        "* /unit/v2 info",
        "@event false",
        '@event"false"',
        'a text that looks like a truth is quoted: Java writes `"false"` as `false`, which is read as another value',
    ),
    Difference("value_set", "* /unit/v2 info", "@event $x", "", "selectors are refused, see below"),
    Difference(
        "other_lane_kinds", "1 /kinds/t typed", '@event notanumber · @event"6" · @event 7.9 · @event', "", TYPES
    ),
    Difference("other_lane_kinds", "1 /kinds/t text", "@event 5 · @event{a:1}", "", TYPES),
    Difference(
        "wedged_value_lane",
        "1 /unit/30 info",
        "",
        "@event 111112 · @event 111113",
        "Java's lane was stuck there: a link sees every set",
    ),
    Difference(
        "wedged_value_lane",
        "1 /unit/30 info",
        "",
        "@event 222223",
        "Java's lane was stuck there: a link sees every set",
    ),
    Difference(
        "other_lane_kinds",
        "1 /kinds/list list",
        "@event@update(index:0,key:%I0K003Ye) *",
        "@event@update(index:0,key:3) *",
        KEYS,
    ),
    Difference(
        "other_lane_kinds",
        "1 /kinds/list list",
        "@event@remove(index:0,key:)",
        "@event@remove(index:0,key:3)",
        "what leaves a list is told with its key, also where the command named its index only",
    ),
    Difference("http_get", "* http", "404", "200", HTTP),
    Difference("http_get", "6 http", "404", "415", HTTP),
    Difference("http_get", "8 http", "", "200", HTTP),
    Difference("http_get", "9 http", "", "400", HTTP),
    Difference("join_value", "1 /agg/1 join", "@event@update(key:j1) 99 · @event@update(key:j1)", "", JOINED),
    Difference(
        "join_value",
        "2 /agg/1 join",
        "@event@update(key:j1) 99 · @event@update(key:j1) · @event@update(key:j1)",
        "@event@update(key:j1) 11",
        JOINED,
    ),
    Difference("join_value", "2 /unit/j1 info", "@event", "@event 11", JOINED),
    Difference("meta", "1 swim:meta:*", "*", "@unlinked@nodeNotFound", NOT_YET + "introspection"),
]

ASIDES = [
    Aside(
        "value_set",
        '@command(node:"/unit/v2",lane:info) $x',
        "",
        "close 1002 the body of @command is not Recon: selectors and expressions are not supported *",
        "selectors and expressions are refused: no client sends them",
    ),
]

# Bursts: (recording, stream). Where a socket takes no more, events are left out; never the last.
CONFLATED = {("value_burst", "2 /unit/v3 info")}

# What had been sent before a recording began.
BEFORE = {
    "wedged_value_lane": [
        '@command(node:"/unit/30",lane:publish) 222222',
        '@command(node:"/unit/30x",lane:info) 6',
    ],
}
