"""An app whose twins link to units of another server."""

from typing import Any

import msgspec

from shoal import App, Command, Count, EventLink, Link, MapLink, Twin

app = App("mirror")


class Put(msgspec.Struct):
    key: str
    value: Any


@app.twin("/mirror/{id}")
class Mirror(Twin):
    info = Link(Any, lane="info")
    shopping = MapLink(str, Any, lane="shopping")
    published = EventLink(Any, lane="publish")
    count = Count(published)
    follow = Command(str)
    tell = Command(Any)
    put = Command(Put)
    publish = Command(Any)

    @follow.handler
    def on_follow(self, unit: str) -> None:
        self.info.open(unit)
        self.shopping.open(unit)
        self.published.open(unit)

    @tell.handler
    def on_tell(self, body: Any) -> None:
        self.info.set(body)

    @put.handler
    def on_put(self, put: Put) -> None:
        self.shopping[put.key] = put.value

    @publish.handler
    def on_publish(self, body: Any) -> None:
        self.published.send(body)
