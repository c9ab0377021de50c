"""A served app whose lanes are saved each in its way, in a process of its own, to be killed.

``python saving.py FOLDER`` tells its port when it serves: ``serving PORT``.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from shoal import App, Command, Count, Map, Settings, Sum, Twin, Value
from shoal.run import Run, RunOptions, with_loop

# what an async lane may lose: changes that are younger than this, s
JOURNAL_SECONDS = 0.05


def made() -> App[None]:
    app: App[None] = App("saving", settings=Settings(journal_seconds=JOURNAL_SECONDS, checkpoint_bytes=20_000))

    @app.twin("/at_once/{id}")
    class AtOnce(Twin):
        add = Command(int)
        n = Value(int, 0, save="sync")
        sum = Sum(add.body, save="sync")
        each = Map(int, int, 0, save="sync")
        scratch = Value(int, 7, save="never")

        @add.handler
        def on_add(self, n: int) -> None:
            self.n = n
            self.each[n % 50] += 1
            self.scratch = n
            self.at(Later, "from").add(n)

    @app.twin("/later/{id}")
    class Later(Twin):
        add = Command(int)
        n = Value(int, 0)
        times = Count(add)
        never = Count(add, save="never")

        @add.handler
        def on_add(self, n: int) -> None:
            self.n = n

    return app


async def _until_done(run: Run) -> None:
    port = run.address.rpartition(":")[2]
    asyncio.get_running_loop().call_soon(print, f"serving {port}")
    await run.until_done()


def main(folder: Path) -> None:
    run = Run(made(), options=RunOptions(port=0, dead_letters=folder / "dead.jsonl", store=folder / "store"))
    try:
        run.listen()
        with_loop(_until_done(run))
    finally:
        run.close()


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    main(Path(sys.argv[1]))
