"""The results as a table, ratios first."""

from dataclasses import dataclass

# events a CPU-second of the hand-written loop on the machine that the absolute bars were set for
REFERENCE = 1_460_000


@dataclass(frozen=True)
class Row:
    measure: str
    result: str
    bar: str
    reached: bool | None  # None: there is no bar
    detail: str = ""


def ratio(value: float) -> str:
    return f"{value:.2f} ×"


def markdown(rows: list[Row]) -> str:
    lines = ["| measure | result | bar | reached | detail |", "| --- | --- | --- | --- | --- |"]
    word = {True: "yes", False: "**no**", None: "–"}
    lines += [f"| {row.measure} | {row.result} | {row.bar} | {word[row.reached]} | {row.detail} |" for row in rows]
    return "\n".join(lines) + "\n"
