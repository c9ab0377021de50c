"""A link, as those see it who are told of links."""

from typing import NamedTuple


class LinkInfo(NamedTuple):
    """A link, as its twin sees it."""

    # the other end's address; "" is a twin of this shard
    remote: str
    # as the other end has written it: "nodes?q=text#top"
    lane: str
    # what stands behind ? and #, decoded; "" where there is none
    query: str
    fragment: str
    # as the other end has asked for them; 0: it has not
    prio: float
    rate: float
