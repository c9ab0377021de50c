"""What the load generator drives: units that take commands, and how many they have taken in all."""

from __future__ import annotations

import os

import msgspec

from shoal import App, Command, Count, Latest, Members, Sum, Twin, Value

app = App("warp")


if os.environ.get("UNITS") == "folds":

    @app.twin("/unit/{id}")
    class Unit(Twin):
        """Folds only: no Python runs at a command."""

        publish = Command(int)
        info = Latest(publish.body)
        count = Count(publish)

else:

    @app.twin("/unit/{id}")
    class Unit(Twin):  # type: ignore[no-redef]
        """One handler that makes three lane writes."""

        publish = Command(int)
        info = Value(int, 0)
        count = Value(int, 0)
        last = Value(int, 0)

        @publish.handler
        def on_publish(self, number: int) -> None:
            self.last = self.info
            self.info = number
            self.count += 1


class Wide(msgspec.Struct, frozen=True):
    n: int
    pad: str = ""


@app.twin("/wide/{id}")
class Page(Twin):
    """Values of some hundred bytes, for readers that do not keep up."""

    publish = Command(Wide)
    info = Value(Wide, Wide(0))

    @publish.handler
    def on_publish(self, page: Wide) -> None:
        self.info = page


@app.twin("/stats")
class Stats(Twin):
    """How many commands all units have handled."""

    units = Members(Unit)
    total = Sum(Unit.count, over=units)
