"""The client's side of WARP, Swim's protocol of links: what a connection says and hears.

==================  =================================================================================
``address``         where a server is: ``http://``, ``ws://``, ``warp://`` and their ``s`` forms
``envelope``        a frame's text and its parts
``change``          an event's body as a change of a value, a map or a list
``state``           what a lane holds, kept up by its changes; ``elements``: what a list does
``keys``            keys of any type as hashable ones
``link``            one link: its state, its changes, how it ends
``connection``      one socket with its links, opened again when it breaks
==================  =================================================================================
"""

from shoal.warp.address import Address, split_node
from shoal.warp.change import Change, Clear, Cut, Element, Move, Out, Remove, Set, Update
from shoal.warp.connection import Bounds, Connection
from shoal.warp.link import Link
from shoal.warp.state import State

__all__ = [
    "Address",
    "Bounds",
    "Change",
    "Clear",
    "Connection",
    "Cut",
    "Element",
    "Link",
    "Move",
    "Out",
    "Remove",
    "Set",
    "State",
    "Update",
    "split_node",
]
