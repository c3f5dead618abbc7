"""The table that a run of the cells ends with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import quantiles
from typing import Any

_HEADS = (
    "cell",
    "title",
    "seed",
    "faults",
    "commands",
    "unsure",
    "events",
    "duplicates",
    "dead",
    "recovery p50 / p99 / n",
    "rest after",
    "verdict",
)


Record = Callable[[str, object], None]
# Under which a test's report has its line, whichever process ran it.
PROPERTY = "fault cell"


def add(
    record: Record,
    number: str,
    title: str,
    seed: int,
    report: dict[str, Any],
    recoveries: list[float],
    rest_seconds: float | None,
    *,
    verdict: str = "",
) -> None:
    """One line per run of a cell; `rest_seconds` is what the backlog took once nothing new was asked."""
    cuts = quantiles(recoveries, n=100, method="inclusive") if len(recoveries) > 1 else [*recoveries] * 99
    recovery = f"{cuts[49]:.1f} s / {cuts[98]:.1f} s / {len(recoveries)}" if recoveries else "–"
    waived = "".join(f", without {name}" for name in report["waived"])
    values = (
        number,
        title,
        seed,
        report["fault_count"],
        report["command_count"],
        report["ambiguous_count"],
        report["message_count"],
        report["duplicate_count"],
        report["dead_letter_count"],
        recovery,
        "–" if rest_seconds is None else f"{rest_seconds:.1f} s",
        verdict or ("FAILED " + " ".join(report["violations"]) if report["violations"] else "ok" + waived),
    )
    record(PROPERTY, dict(zip(_HEADS, values, strict=True)))


def lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table as text, with a line of sums."""
    table = [list(_HEADS), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(_HEADS))]
    text = ["  ".join(value.ljust(width) for value, width in zip(line, widths, strict=True)).rstrip() for line in table]
    events = sum(row["events"] for row in rows)
    faults = sum(row["faults"] for row in rows)
    return [*text, f"{len(rows)} runs, {faults} faults, {events} events"]
