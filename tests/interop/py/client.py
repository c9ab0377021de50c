"""Swim's Python client, driven by lines of JSON: ``python client.py warp://host:port``. See ../peers.py.

Each link has a client of its own: after a break, this one asks only for the last lane of a connection again.
"""

import json
import sys
import threading

from swimos import SwimClient
from swimos.client._connections import IntervalStrategy

LOCK = threading.Lock()


def tell(**line):
    with LOCK:
        print(json.dumps(line), flush=True)


def plain(value):
    return value if isinstance(value, (str, int, float, bool, dict, list)) else None


class Links:
    def __init__(self, host):
        self.host = host
        self.clients = {}
        self.views = {}

    def client(self, on):
        if on not in self.clients:
            self.clients[on] = SwimClient(retry_strategy=IntervalStrategy(delay=0.1)).start()
        return self.clients[on]

    def open(self, on, kind, node, lane):
        client = self.client(on)
        view = {"value": client.downlink_value, "map": client.downlink_map, "event": client.downlink_event}[kind]()
        view.set_host_uri(self.host).set_node_uri(node).set_lane_uri(lane)

        async def linked():
            tell(on=on, **{"is": "linked"})

        async def unlinked():
            tell(on=on, **{"is": "unlinked"})

        async def synced():
            show()
            tell(on=on, **{"is": "synced"})

        def show(*_):
            if kind == "value":
                tell(on=on, state=plain(view.get()))
            else:
                tell(on=on, state=[[key, plain(value)] for key, value in view.get_all()])

        async def changed(*_):
            show()

        async def event(value):
            tell(on=on, event=plain(value))

        view.did_link(linked).did_unlink(unlinked)
        if kind == "event":
            view.on_event(event)
        else:
            view.did_sync(synced)
        if kind == "value":
            view.did_set(changed)
        if kind == "map":
            view.did_update(changed).did_remove(changed)
        self.views[on] = view.open()

    def close(self, on):
        self.views[on].close()

    def command(self, node, lane, body):
        self.client("commands").command(self.host, node, lane, body).result(10)

    def set(self, on, value):
        self.views[on].set(value)

    def put(self, on, key, value):
        self.views[on].put(key, value)

    def remove(self, on, key):
        self.views[on].remove(key)


def main():
    links = Links(sys.argv[1])
    for line in sys.stdin:
        step = json.loads(line)
        number, name = step.pop("number"), step.pop("do")
        try:
            getattr(links, name)(**step)
            tell(done=number)
        except Exception as error:
            tell(error=repr(error), done=number)
    for client in links.clients.values():
        client.stop()


if __name__ == "__main__":
    main()
