"""The app that Swim's own clients talk to; on a Rust server of Swim, ``rust/src/bin/server.rs`` is the same."""

from typing import Any

from shoal import App, Command, List, Map, Twin, Value

app = App("units")


# What is told is on the disk: a kill takes nothing from anybody.
@app.twin("/unit/{id}")
class Unit(Twin):
    info = Value(Any, None, save="sync")
    count = Value(int, 0, save="sync")
    shopping = Map(str | int | bool, Any, save="sync")
    items = List(Any, save="sync")
    publish = Command(Any)

    @publish.handler
    def on_publish(self, body: Any) -> None:
        self.info = body
        self.count += 1
        self.shopping[f"k{self.count % 16}"] = body
