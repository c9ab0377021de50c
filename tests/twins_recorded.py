"""The agents of the recordings, as twins."""

from collections.abc import Callable
from typing import Any

from shoal import App, Command, List, Map, Settings, Twin, Value


def make(stop: Callable[[], object]) -> App[None]:
    """``stop`` is called by the command that stops the server."""
    # 17 MiB are set in one of them
    app = App("recorded", settings=Settings(max_frame_bytes=20 << 20, max_message_bytes=20 << 20))

    @app.twin("/unit/{id}")
    class Unit(Twin):
        info = Value(Any, None)
        count = Value(int, 0)
        shopping = Map(str | int | bool, Any)
        publish = Command(Any)

        @publish.handler
        def on_publish(self, body: Any) -> None:
            self.info = body
            self.count += 1
            self.shopping[f"k{self.count % 16}"] = body

    @app.twin("/kinds/{id}")
    class Kinds(Twin):
        typed = Value(int)
        text = Value(str)
        elements = List(Any, name="list")
        poke = Command(Any)
        fail = Command(Any)

        @poke.handler
        def on_poke(self, body: Any) -> None:
            self.elements.append(body)

        @fail.handler
        def on_fail(self, body: Any) -> None:
            raise RuntimeError("fails")

    @app.twin("/agg/{id}")
    class Agg(Twin):
        register = Command(str)

    @app.twin("/stats")
    class Stats(Twin):
        stop = Command(Any)

        @stop.handler
        def on_stop_command(self, body: Any) -> None:
            stop()

    @app.twin("/auto")
    class Auto(Twin):
        tick = Value(int, 0)

    return app
