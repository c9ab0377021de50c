"""Shoal: live digital twins.

A twin is the live counterpart of one entity: a class of lanes and handlers (``Twin``), with a place in an ``App``.

=============  ======================================================================================
lanes          ``Value`` ``Map`` ``Command`` ``Local`` ``Alarm`` ``Members``
links          ``Link`` ``MapLink`` ``EventLink`` ``Join`` ``JoinMap``
folds          ``Latest`` ``Count`` ``Sum`` ``Mean`` ``Min`` ``Max`` ``Ewma`` ``Above`` ``Below``
time           ``self.after``, ``self.cancel``, ``@every``
refusing       ``raise Reject(reason)``
testing        ``with app.test() as t`` gives a ``Kit``
data           ``recon.loads``, ``recon.dumps``: Swim's data language
later          ``Supply`` ``Request`` ``Idle`` ``History`` ``Client``: typed, not carried out yet
=============  ======================================================================================
"""

from typing import TYPE_CHECKING

from shoal.app import App, Sink, Source
from shoal.duration import Seconds
from shoal.errors import (
    AskTimeout,
    ConfigError,
    DeclarationError,
    HandlerDeadline,
    NoSuchTwin,
    NotInTurn,
    OverLimit,
    Reject,
    RemoteRead,
    RunFailed,
    ShoalError,
    TwinStopped,
    Unset,
    WouldDeadlock,
    WrongThread,
    WrongType,
)
from shoal.handlers import every
from shoal.lanes.alarm import Alarm, AlarmState
from shoal.lanes.command import Command, Send, SendNothing
from shoal.lanes.fold import Fold
from shoal.lanes.folds import Count, Ewma, Latest
from shoal.lanes.history import History, Stamped
from shoal.lanes.join import Join, JoinMap, JoinView
from shoal.lanes.lane import Lane, Num
from shoal.lanes.later import Ask, Idle, Pusher, Request, Supply
from shoal.lanes.link import EventLink, EventView, Link, LinkView, MapLink, MapLinkView
from shoal.lanes.local import Local
from shoal.lanes.map import Map, MapView
from shoal.lanes.members import Group, Members
from shoal.lanes.numbers import Max, Mean, Min, Sum
from shoal.lanes.thresholds import Above, Below
from shoal.lanes.value import Value
from shoal.settings import Settings
from shoal.twin import Params, Twin, TwinMeta
from shoal.types import Point
from shoal.variables import Done, Save, Severity

if TYPE_CHECKING:
    from shoal import recon as recon
    from shoal._core import DeadLetter
    from shoal.client import Client, Live
    from shoal.testing import Kit, Population, Sent

__all__ = [
    "Above",
    "Alarm",
    "AlarmState",
    "App",
    "Ask",
    "AskTimeout",
    "Below",
    "Client",
    "Command",
    "ConfigError",
    "Count",
    "DeadLetter",
    "DeclarationError",
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
    "LinkView",
    "Live",
    "Local",
    "Map",
    "MapLink",
    "MapLinkView",
    "MapView",
    "Max",
    "Mean",
    "Members",
    "Min",
    "NoSuchTwin",
    "NotInTurn",
    "Num",
    "OverLimit",
    "Params",
    "Point",
    "Population",
    "Pusher",
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
    "Unset",
    "Value",
    "WouldDeadlock",
    "WrongThread",
    "WrongType",
    "every",
]

# Imported when they are first named: a run needs none of them.
_LATER = {
    "Client": "shoal.client",
    "DeadLetter": "shoal.testing",
    "Kit": "shoal.testing",
    "Live": "shoal.client",
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
