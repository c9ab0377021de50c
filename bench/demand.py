"""What a demand lane costs that nobody watches: a handler that writes a lane, with and without a cue behind it.

    .venv/bin/python bench/demand.py

Both contenders run in turn, in one process, on the same events; the best of several rounds of each counts.
"""

from time import perf_counter

from shoal import App, Command, Demand, Twin, Value

EVENTS = 200_000
ROUNDS = 7

COMPUTED = 0


def make(cues: bool) -> tuple[App[None], type[Twin], Command[int]]:
    app = App("demand")

    @app.twin("/bus/{id}")
    class Bus(Twin):
        go = Command(int)
        speed = Value(int, 0)
        nearest = Demand(int)

        @nearest.handler
        def compute(self) -> int:
            global COMPUTED
            COMPUTED += 1
            return self.speed

        if cues:

            @go.handler
            def on_go(self, speed: int) -> None:
                self.speed = speed
                self.nearest.cue()

        else:

            @go.handler
            def on_go(self, speed: int) -> None:
                self.speed = speed

    return app, Bus, Bus.go


def seconds(cues: bool) -> float:
    app, _, go = make(cues)
    records = [{"id": str(number % 100), "go": number} for number in range(EVENTS)]
    with app.test() as t:
        t.feed(go, records[:1000])
        start = perf_counter()
        t.feed(go, records)
        return perf_counter() - start


def main() -> None:
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(ROUNDS):
        for cues, taken in times.items():
            taken.append(seconds(cues))
    without, with_cue = (min(times[cues]) / EVENTS * 1e9 for cues in (False, True))
    print(f"a handler that writes one lane        {without:8.0f} ns an event")
    print(f"the same with a cue nobody waits for  {with_cue:8.0f} ns an event, {with_cue - without:+.0f}")
    print(f"spread of the rounds without          {(max(times[False]) - min(times[False])) / EVENTS * 1e9:8.0f} ns")
    print(f"computed                              {COMPUTED:8d} times")


if __name__ == "__main__":
    main()
