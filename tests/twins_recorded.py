"""The agents of the recordings, as twins."""

from collections.abc import Callable
from typing import Any

from shoal import App, Command, Demand, DemandMap, Join, JoinMap, List, Map, Settings, Supply, Twin, Value


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
        supply = Supply(Any)
        demand = Demand(Any)
        demandmap = DemandMap(str, str)

        @poke.handler
        def on_poke(self, body: Any) -> None:
            self.elements.append(body)
            self.supply.push(body)
            self.demand.cue()
            self.demandmap.cue("a")

        @demand.handler
        def on_demand(self) -> Any:
            return {"cued": "yes"}

        @demandmap.handler
        def on_key(self, key: str) -> str:
            return f"v-{key}"

        @demandmap.keys
        def on_sync(self) -> list[str]:
            return ["a", "b"]

        @fail.handler
        def on_fail(self, body: Any) -> None:
            raise RuntimeError("fails")

    @app.twin("/agg/{id}")
    class Agg(Twin):
        register = Command(Any)
        join = Join(Any, key=str | int, lane="info")
        joinmap = JoinMap(str | int | bool, Any, lane="shopping")

        @register.handler
        def on_register(self, unit: Any) -> None:
            self.join.add(unit, f"/unit/{unit}")
            self.joinmap.add(str(unit), f"/unit/{unit}")

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
