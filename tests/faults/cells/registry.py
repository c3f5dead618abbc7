"""What a fault cell is, and all of them by their number in the fault matrix."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.faults.rig import Cell

Run = Callable[[Cell], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """A row of the fault matrix."""

    number: str
    title: str
    run: Run
    short: bool
    bulk: int = 0
    processes: int = 6


CELLS: dict[str, Fault] = {}


def cell(number: str, title: str, *, short: bool = False, bulk: int = 0, processes: int = 6) -> Callable[[Run], Run]:
    """Registers a cell; `short` ones are part of `make test`. `bulk` and `processes` are its workload's."""

    def register(run: Run) -> Run:
        CELLS[number] = Fault(number, title, run, short, bulk, processes)
        return run

    return register
