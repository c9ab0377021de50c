"""Units whose commands are answered when they are on the disk."""

from __future__ import annotations

from shoal import App, Command, Count, Latest, Members, Sum, Twin

app = App("sync")


@app.twin("/unit/{id}")
class Unit(Twin):
    """A command is acknowledged by the event of its lane, which leaves when the change is durable."""

    publish = Command(int)
    info = Latest(publish.body, save="sync")
    count = Count(publish, save="sync")


@app.twin("/stats")
class Stats(Twin):
    """How many commands all units have handled."""

    units = Members(Unit)
    total = Sum(Unit.count, over=units)
