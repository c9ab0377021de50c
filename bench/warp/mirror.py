"""The second server of two hops: each of its units links the unit of the same number of the first one."""

from __future__ import annotations

import os

from shoal import App, Link, Members, Twin

app = App("mirror")


@app.twin("/unit/{id}")
class Unit(Twin):
    """Its lane is the copy of the other's."""

    info = Link(int, lane="info")

    def on_create(self) -> None:
        self.info.open(f"warp://127.0.0.1:{os.environ['FAR_PORT']}{self.uri}")


@app.twin("/stats")
class Stats(Twin):
    """It answers when the server is up."""

    units = Members(Unit)
