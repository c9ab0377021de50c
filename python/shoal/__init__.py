"""Shoal: live digital twins.

A twin is the live counterpart of one entity: a class of lanes and handlers (``Twin``), with a place in an ``App``.

=============  ======================================================================================
lanes          ``Value`` ``Map`` ``List`` ``Command`` ``Request`` ``Supply`` ``Demand`` ``DemandMap``
               ``Local`` ``Alarm`` ``Members``; ``@lane.linked``, ``@lane.unlinked``, ``LinkInfo``
links          ``Link`` ``MapLink`` ``ListLink`` ``EventLink`` ``Join`` ``JoinMap``
folds          ``Latest`` ``Count`` ``Sum`` ``Mean`` ``Min`` ``Max`` ``Ewma`` ``Above`` ``Below``
time           ``self.after``, ``self.cancel``, ``@every``
refusing       ``raise Reject(reason)``
testing        ``with app.test() as t`` gives a ``Kit``
data           ``recon.loads``, ``recon.dumps``: Swim's data language
elsewhere      ``Client`` and ``AsyncClient``: the twins of a server, from scripts, notebooks and asyncio
later          ``Idle``: typed, not carried out yet
=============  ======================================================================================
"""

from typing import TYPE_CHECKING

from shoal.app import App, Sink, Source
from shoal.duration import Seconds
from shoal.errors import (
    AskFailed,
    AskTimeout,
    ConfigError,
    DeclarationError,
    HandlerDeadline,
    NoConnection,
    NoSuchTwin,
    NotInTurn,
    NotShoal,
    OverLimit,
    Refused,
    Reject,
    RemoteRead,
    RunFailed,
    ShoalError,
    TwinStopped,
    Unlinked,
    Unset,
    WouldDeadlock,
    WrongThread,
    WrongType,
)
from shoal.handlers import every
from shoal.lanes.alarm import Alarm, AlarmState
from shoal.lanes.command import Command, Send, SendNothing
from shoal.lanes.demand import Cue, CueKey, Demand, DemandMap
from shoal.lanes.event_link import EventLink, EventView
from shoal.lanes.fold import Fold
from shoal.lanes.folds import Count, Ewma, Latest
from shoal.lanes.history import History, Stamped
from shoal.lanes.join import Join, JoinMap, JoinView
from shoal.lanes.lane import Lane, Linkable, Num
from shoal.lanes.later import Idle
from shoal.lanes.link import Link, LinkView
from shoal.lanes.links import LinkInfo
from shoal.lanes.list import List, ListView
from shoal.lanes.list_link import ListLink, ListLinkView
from shoal.lanes.local import Local
from shoal.lanes.map import Map, MapView
from shoal.lanes.map_link import MapLink, MapLinkView
from shoal.lanes.members import Group, Members
from shoal.lanes.numbers import Max, Mean, Min, Sum
from shoal.lanes.request import Ask, AskNothing, Request
from shoal.lanes.supply import Pusher, Supply
from shoal.lanes.thresholds import Above, Below
from shoal.lanes.value import Value
from shoal.settings import Settings
from shoal.twin import Params, Twin, TwinMeta
from shoal.types import Point
from shoal.variables import Done, Save, Severity

if TYPE_CHECKING:
    from shoal import recon as recon
    from shoal._core import DeadLetter
    from shoal.client.asynchronous import AsyncClient
    from shoal.client.blocking import Client, Live, LiveEvents, LiveList, LiveMap
    from shoal.client.live import AsyncLive, AsyncLiveEvents, AsyncLiveList, AsyncLiveMap
    from shoal.testing import Kit, Population, Sent

__all__ = [
    "Above",
    "Alarm",
    "AlarmState",
    "App",
    "Ask",
    "AskFailed",
    "AskNothing",
    "AskTimeout",
    "AsyncClient",
    "AsyncLive",
    "AsyncLiveEvents",
    "AsyncLiveList",
    "AsyncLiveMap",
    "Below",
    "Client",
    "Command",
    "ConfigError",
    "Count",
    "Cue",
    "CueKey",
    "DeadLetter",
    "DeclarationError",
    "Demand",
    "DemandMap",
    "Done",
    "EventLink",
    "EventView",
    "Ewma",
    "Fold",
    "Group",
    "HandlerDeadline",
    "History",
    "Idle",
    "Join",
    "JoinMap",
    "JoinView",
    "Kit",
    "Lane",
    "Latest",
    "Link",
    "LinkInfo",
    "LinkView",
    "Linkable",
    "List",
    "ListLink",
    "ListLinkView",
    "ListView",
    "Live",
    "LiveEvents",
    "LiveList",
    "LiveMap",
    "Local",
    "Map",
    "MapLink",
    "MapLinkView",
    "MapView",
    "Max",
    "Mean",
    "Members",
    "Min",
    "NoConnection",
    "NoSuchTwin",
    "NotInTurn",
    "NotShoal",
    "Num",
    "OverLimit",
    "Params",
    "Point",
    "Population",
    "Pusher",
    "Refused",
    "Reject",
    "RemoteRead",
    "Request",
    "RunFailed",
    "Save",
    "Seconds",
    "Send",
    "SendNothing",
    "Sent",
    "Settings",
    "Severity",
    "ShoalError",
    "Sink",
    "Source",
    "Stamped",
    "Sum",
    "Supply",
    "Twin",
    "TwinMeta",
    "TwinStopped",
    "Unlinked",
    "Unset",
    "Value",
    "WouldDeadlock",
    "WrongThread",
    "WrongType",
    "every",
]

# Imported when they are first named: a run needs none of them.
_LATER = {
    "AsyncClient": "shoal.client.asynchronous",
    "AsyncLive": "shoal.client.live",
    "AsyncLiveEvents": "shoal.client.live",
    "AsyncLiveList": "shoal.client.live",
    "AsyncLiveMap": "shoal.client.live",
    "Client": "shoal.client.blocking",
    "DeadLetter": "shoal.testing",
    "Kit": "shoal.testing",
    "Live": "shoal.client.blocking",
    "LiveEvents": "shoal.client.blocking",
    "LiveList": "shoal.client.blocking",
    "LiveMap": "shoal.client.blocking",
    "Population": "shoal.testing",
    "Sent": "shoal.testing",
}


def __getattr__(name: str) -> object:
    import importlib

    if name == "recon":
        return importlib.import_module("shoal.recon")
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'shoal' has no attribute {name!r}")
