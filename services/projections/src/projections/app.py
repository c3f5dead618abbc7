"""Start here: the projections service."""

from __future__ import annotations

from common.app import Service, run
from common.verdicts import Consumes

from projections import pipeline, seat_board
from projections.http import router

service = Service(
    name="projections",
    routes=lambda _: router,
    consumes={
        "remediation-seats.structures.v1": Consumes(
            messages=seat_board.STRUCTURE_MESSAGES, fold=seat_board.fold_structures
        ),
        "remediation-seats.programmes.v1": Consumes(
            messages=seat_board.PROGRAMME_MESSAGES, fold=seat_board.fold_programmes
        ),
        "remediation-seats.pipeline.v1": Consumes(messages=pipeline.MESSAGES, fold=pipeline.fold),
        "projections.pipeline.v1": Consumes(messages=pipeline.MESSAGES, fold=pipeline.fold),
    },
)


def main() -> None:
    """The process."""
    run(service)
