"""The live view: one renderable from one snapshot, for any terminal from 80×24 up."""

from collections.abc import Callable, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from airspace.picture import Picture, colour, legend
from airspace.serving import Hints
from airspace.snapshot import AircraftReading, Snapshot

PHASES = {"climb": "↗", "descent": "↘", "level": "→", "ground": "·", "silent": " ", "": " "}
QUIET = "#8b929e"
BORDER = "#4b515c"


class Screen:
    """Keeps what lasts from frame to frame: the trails. ``speed`` is shown as given (``60×``, ``max``)."""

    def __init__(self, speed: str, simulated: bool, total: int, hints: Hints) -> None:
        self.speed, self.simulated, self.total, self.hints = speed, simulated, total, hints
        self.picture = Picture()

    def render(self, now: Snapshot, rate: float, width: int, height: int) -> RenderableType:
        """A frame of exactly ``height`` lines. ``rate``: events a second of real time."""
        self.picture.follow(now.aircraft)
        lines = max(3, min(12, height // 6))  # of alerts
        hints = hint_lines(self.hints.of(now), width)
        middle = height - 3 - (lines + 2) - len(hints)
        left = min(width - 38, round((middle - 2) * 2.9) + 4) if width >= 100 else width - 38
        whole = Layout()
        whole.split_column(
            Layout(self.header(now, rate, width), size=3),
            Layout(name="middle", size=middle),
            Layout(self.alerts(now, lines), size=lines + 2),
            *([Layout(Group(*hints), size=len(hints))] if hints else []),
        )
        whole["middle"].split_row(Layout(self.map(now, left, middle), size=left), Layout(tables(now, middle)))
        return whole

    def header(self, now: Snapshot, rate: float, width: int) -> RenderableType:
        first = Table.grid(expand=True)
        first.add_column(ratio=1, no_wrap=True)
        first.add_column(justify="right", no_wrap=True)
        title = (
            Text()
            .append(" SHOAL ", style="bold black on #2fd6c4")
            .append("  the airspace over Paris, live  ", style="bold")
        )
        if self.simulated:
            title.append(" SIMULATED ", style="bold white on #b00020")
        first.add_row(title, Text(f"{moment(now.time)}  {self.speed} ", style="bold #2fd6c4"))
        second = Text(" ", no_wrap=True, overflow="crop")
        gap = "   " if width >= 100 else "  "
        for label, value in (
            ("airborne", f"{now.airborne:,}"),
            ("aircraft", f"{now.known:,}"),
            ("reports", f"{now.read:,}"),
            ("", f"{rate:,.0f}/s"),
            ("alerts", f"{now.alerts:,}"),
            ("refused", f"{now.dead:,}"),
        ):
            second.append(f"{label} " if label else "", style=QUIET).append(value + gap, style="bold")
        bar = ProgressBar(total=self.total, completed=min(now.read, self.total), width=width, complete_style="#2fd6c4")
        return Group(first, second, bar)

    def map(self, now: Snapshot, width: int, height: int) -> RenderableType:
        drawing = self.picture.draw(now.aircraft, width - 4, height - 2)
        return Panel(drawing, title=legend() if width > 62 else None, title_align="left", border_style=BORDER)

    def alerts(self, now: Snapshot, lines: int) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for alert in reversed(now.recent[-lines:]):
            urgent = alert.kind != "rapid descent"
            table.add_row(
                Text(clock(alert.time), style=QUIET),
                Text(alert.callsign or alert.aircraft, style="bold"),
                Text(alert.kind, style="bold white on red" if urgent else "#ffd11a"),
                Text(alert.text, style="" if urgent else QUIET),
            )
        body: RenderableType = table if now.recent else Text("none so far", style=QUIET)
        return Panel(body, title="alerts", title_align="left", border_style=BORDER)


def hint_lines(hints: Sequence[str], width: int) -> list[Text]:
    """On one line where they fit."""
    if hints and sum(map(len, hints)) + 3 * len(hints) + 4 <= width:
        hints = ["   ".join(hints)]
    return [
        Text(" try " if number == 0 else "     ", style=QUIET, no_wrap=True, overflow="ellipsis").append(hint, "#2fd6c4")
        for number, hint in enumerate(hints)
    ]


def tables(now: Snapshot, height: int) -> RenderableType:
    """Busiest cells above, remarkable aircraft below; ``height`` lines in all."""
    cells = max(2, min(13, height // 4))
    rows = max(1, (height - cells - 4) // len(RANKINGS))
    board = Table.grid(expand=True, padding=(0, 1))
    board.add_column(no_wrap=True)
    board.add_column(no_wrap=True, ratio=1)
    board.add_column(justify="right", no_wrap=True)
    board.add_column(justify="right", no_wrap=True)
    for title, key, worth, worded in RANKINGS:
        best = sorted((one for one in now.aircraft if one.airborne and worth(one)), key=key, reverse=True)[:rows]
        for place in range(rows):
            if place < len(best):
                board.add_row(
                    Text(title if place == 0 else "", style=QUIET), *plate(best[place]), Text(worded(best[place]))
                )
            else:
                board.add_row(Text(title if place == 0 else "", style=QUIET), "", "", "")
    return Group(
        Panel(busiest(now, cells), title="busiest cells", title_align="left", border_style=BORDER, height=cells + 2),
        Panel(board, title="aircraft", title_align="left", border_style=BORDER, height=height - cells - 2),
    )


def busiest(now: Snapshot, count: int) -> RenderableType:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, ratio=1)
    table.add_column(justify="right", no_wrap=True)
    most = max((cell.traffic for cell in now.cells), default=0) or 1
    for cell in sorted(now.cells, key=lambda cell: (-cell.traffic, cell.id))[:count]:
        bar = Text("━" * max(round(cell.traffic / most * 12), 1), style=colour(cell.altitude))
        height = "      —" if cell.altitude is None else f"{cell.altitude:,.0f} ft"
        table.add_row(cell.id, bar.append(f" {cell.traffic}", style="bold"), Text(height, style=QUIET))
    return table


def plate(one: AircraftReading) -> tuple[Text, Text]:
    name = Text(one.callsign or one.icao24, style="bold " + colour(one.altitude))
    height = Text("—" if one.altitude is None else f"{one.altitude:,.0f} {PHASES[one.phase]}")
    return name, height


def speed_of(one: AircraftReading) -> str:
    return "—" if one.speed is None else f"{one.speed:.0f} kt"


Key = Callable[[AircraftReading], float]
Worth = Callable[[AircraftReading], bool]
Worded = Callable[[AircraftReading], str]
RANKINGS: tuple[tuple[str, Key, Worth, Worded], ...] = (
    ("fastest", lambda one: one.speed or 0.0, lambda one: one.speed is not None, speed_of),
    ("highest", lambda one: one.altitude or 0.0, lambda one: one.altitude is not None, speed_of),
    ("climbing", lambda one: one.climb, lambda one: one.climb > 0, lambda one: f"{one.climb:+,.0f}"),
    ("sinking", lambda one: -one.climb, lambda one: one.climb < 0, lambda one: f"{one.climb:+,.0f}"),
)


def moment(time: datetime | None) -> str:
    return "—" if time is None else f"{time:%Y-%m-%d %H:%M:%S} UTC"


def clock(time: datetime) -> str:
    return f"{time:%H:%M:%S}"
