"""Read model of the seat board: a pure fold of structures' and programmes' messages, and how it is read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from common.rebuild import ReadModel
from common.transaction import Transaction
from common.verdicts import Consumes, Delivery
from projections import as_of, rows
from projections.as_of import AsOf, Place
from projections.messages import (
    HoldConfirmed,
    HoldEnded,
    HoldExtended,
    ProgrammeDescribed,
    SeatHeld,
    SeatsDeclared,
    StructureDescribed,
    YoungPersonAdmitted,
)
from projections.rows import Row
from projections.tables import BoardProgramme, BoardStructure
from territory import reference

STRUCTURE_MESSAGES = (StructureDescribed,)
PROGRAMME_MESSAGES = (
    ProgrammeDescribed,
    SeatsDeclared,
    SeatHeld,
    HoldExtended,
    HoldConfirmed,
    HoldEnded,
    YoungPersonAdmitted,
)
STRUCTURES_TOPIC, PROGRAMMES_TOPIC = "remediation-seats.structures.v1", "remediation-seats.programmes.v1"

# The strategy's rule: a declaration ages after 7 days, and after 30 is no longer counted as free.
AGEING, STALE = timedelta(days=7), timedelta(days=30)

Freshness = Literal["unknown", "fresh", "ageing", "stale"]


async def fold_structures(tx: Transaction, deliveries: Sequence[Delivery]) -> None:
    """Each message replaces the whole row."""
    latest: dict[Any, Row] = {}
    for delivery in deliveries:
        message = delivery.message
        assert isinstance(message, StructureDescribed)
        latest[message.aggregate_id] = {
            "structure_id": message.aggregate_id,
            "structure_name": message.structure_name,
            "kind": message.kind,
            "commune_code": message.commune_code,
            "fictitious": message.fictitious,
            **rows.place_in_log(delivery),
        }
    await rows.save(tx, BoardStructure, list(latest.values()))


async def fold_programmes(tx: Transaction, deliveries: Sequence[Delivery]) -> None:
    """Loads the rows of a batch, applies each message in order, writes them back: the same rows however the log is cut."""
    current = await rows.load(tx, BoardProgramme, [delivery.message.aggregate_id for delivery in deliveries])
    for delivery in deliveries:
        key = delivery.message.aggregate_id
        current[key] = apply(current.get(key), delivery)
    await rows.save(tx, BoardProgramme, list(current.values()))


def apply(row: Row | None, delivery: Delivery) -> Row:
    """One message onto one row. The first message of a programme describes it, so the row is always whole."""
    message: Any = delivery.message
    before = row or {}
    changed: Row = {}
    declared: Row = {name: before.get(name) for name in ("declared_way", "declared_source")}
    if isinstance(message, ProgrammeDescribed):
        names = (
            "structure_id",
            "title",
            "rome_codes",
            "rncp_code",
            "age_min",
            "age_max",
            "level_min",
            "boarding",
            "wheelchair_accessible",
            "intake_on",
            "open",
        )
        changed = {name: getattr(message, name) for name in names}
    if isinstance(message, SeatsDeclared):
        declared = {"declared_way": message.way, "declared_source": message.source}
    elif message.seats.observed_at != before.get("observed_at"):
        # A description after a restore speaks of another declaration, and does not say whose that was.
        declared = dict.fromkeys(declared)
    return {
        **before,
        **changed,
        **declared,
        **message.seats.model_dump(),
        **rows.place_in_log(delivery),
        "programme_id": message.aggregate_id,
        "last_record": message.record_name(),
        "last_occurred_at": message.occurred_at,
        "free_change": message.seats.free_count - before.get("free_count", 0),
        "aggregate_version": message.aggregate_version,
    }


MODEL = ReadModel(
    tables=(BoardProgramme, BoardStructure),
    folds={
        STRUCTURES_TOPIC: Consumes(messages=STRUCTURE_MESSAGES, fold=fold_structures),
        PROGRAMMES_TOPIC: Consumes(messages=PROGRAMME_MESSAGES, fold=fold_programmes),
    },
)


# -- reading


async def read_as_of(tx: Transaction) -> AsOf:
    """How complete the board is."""
    return await as_of.read_as_of(tx, MODEL.topics, [PROGRAMMES_TOPIC])


_SELECT = """
SELECT p.*, s.structure_name, s.kind, s.commune_code, s.fictitious
FROM board_programme p JOIN board_structure s USING (structure_id)
"""


async def read_all(tx: Transaction, now: datetime) -> list[Row]:
    """Every open programme whose structure is known, by name."""
    found = await tx.fetch_all(_SELECT + "WHERE p.open ORDER BY p.title, p.programme_id")
    return [_shown(row._mapping, now) for row in found]


async def read_changed(tx: Transaction, since: dict[Place, int], upto: AsOf, limit: int) -> list[Row]:
    """At most `limit` programmes whose last change stands between the given positions and those of `upto`."""
    found = await tx.fetch_all(
        _SELECT
        + """JOIN unnest(CAST(:partitions AS int[]), CAST(:first AS bigint[]), CAST(:ends AS bigint[])) AS part(number, first, "end")
                     ON p.log_partition = part.number AND p.log_offset >= part.first AND p.log_offset < part."end"
                     ORDER BY p.log_partition, p.log_offset LIMIT :limit""",
        partitions=[partition for _, partition in since],
        first=list(since.values()),
        ends=[upto.positions[place] for place in since],
        limit=limit,
    )
    return [_shown(row._mapping, upto.now) for row in found]


def freshness(observed_at: datetime | None, now: datetime) -> Freshness:
    """Derived when read, so that nothing has to run for a declaration to become stale."""
    if observed_at is None:
        return "unknown"
    age = now - observed_at
    return "stale" if age > STALE else "ageing" if age > AGEING else "fresh"


# Whose word a declaration is, and by which way it came, where an earlier version of the message does not tell the first.
_OF_WAY = {"PAGE": "PERSON", "HTTP": "SYSTEM", "TOPIC": "SYSTEM"}
_SOURCES_FR = {"PERSON": "une personne de la structure", "SYSTEM": "le logiciel de la structure"}
_WAYS_FR = {"PAGE": "sur sa page", "CSV": "par un tableau", "HTTP": "par l’API", "TOPIC": "par son flux Kafka"}


def declared_by(row: Any) -> str | None:
    """Who said what a row shows, and by which way, in words; None where nobody did or it is not known."""
    way = row["declared_way"]
    if way not in _WAYS_FR:
        return None
    source = row["declared_source"] if row["declared_source"] in _SOURCES_FR else _OF_WAY.get(way)
    return f"{_SOURCES_FR.get(source or '', 'la structure')}, {_WAYS_FR[way]}"


def _shown(row: Any, now: datetime) -> Row:
    """A row with what is derived: freshness, countable seats, territory."""
    commune = reference.communes().get(row["commune_code"])
    state = freshness(row["observed_at"], now)
    return {
        **row,
        "freshness": state,
        "countable_free_count": row["free_count"] if state in ("fresh", "ageing") else 0,
        "declared_by": declared_by(row),
        "commune": commune.title if commune else row["commune_code"],
        "department_code": commune.department_code if commune else "",
        "epci_siren": commune.epci_siren if commune else "",
    }
