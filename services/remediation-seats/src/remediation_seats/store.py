"""Loads and saves; all SQL of the service. Locks: young person, prescriber, then programmes by ascending id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row

from common.codes import new_code
from common.policy import limits_at
from common.transaction import Transaction
from remediation_seats.messages import DeclarationWay, DeclineReason, EducationLevel, StructureDescribed, StructureKind
from remediation_seats.state import LIVE, Conditions, Decision, Declaration, Hold, Policy, Programme

_HOLD_COLUMNS = (
    "hold_id, programme_id, young_person_id, prescriber_id, state, held_at, expires_at, extension_count, "
    "arrival_on, no_show_at, admitted_at, ended_at, decline_reason"
)


async def policy_at(tx: Transaction, now: datetime) -> Policy:
    """The limits in force at an instant."""
    return Policy(**await limits_at(tx, now))


# -- structures


async def save_structure(
    tx: Transaction,
    structure_id: UUID,
    *,
    structure_name: str,
    kind: StructureKind,
    commune_code: str,
    contact_email: str | None,
    fictitious: bool,
) -> bool:
    """Creates or changes a structure and tells of it; False when nothing public changed."""
    await tx.execute(
        """INSERT INTO structure (structure_id, structure_name, kind, commune_code, fictitious, version)
           VALUES (:id, '', '', '', :fictitious, 0) ON CONFLICT DO NOTHING""",
        id=structure_id,
        fictitious=fictitious,
    )
    row = await tx.fetch_one("SELECT * FROM structure WHERE structure_id = :id FOR UPDATE", id=structure_id)
    assert row is not None
    public = {
        "structure_name": structure_name,
        "kind": kind.value,
        "commune_code": commune_code,
        "fictitious": fictitious,
    }
    changed = row.version == 0 or any(getattr(row, name) != value for name, value in public.items())
    await tx.execute(
        """UPDATE structure SET structure_name = :structure_name, kind = :kind, commune_code = :commune_code, fictitious = :fictitious,
               contact_email = :contact_email WHERE structure_id = :id""",
        id=structure_id,
        contact_email=contact_email,
        **public,
    )
    if changed:
        message = await described_structure(tx, structure_id)
        version = await tx.emit([message], aggregate_id=structure_id, version=row.version)
        await tx.execute(
            "UPDATE structure SET version = :version WHERE structure_id = :id", id=structure_id, version=version
        )
    return changed


async def insert_structure(tx: Transaction, structure_id: UUID, told: StructureDescribed) -> None:
    """A structure that only the log remembers; an existing one is left as it is."""
    await tx.execute(
        """INSERT INTO structure (structure_id, structure_name, kind, commune_code, fictitious, version)
           VALUES (:id, :structure_name, :kind, :commune_code, :fictitious, 0) ON CONFLICT DO NOTHING""",
        id=structure_id,
        structure_name=told.structure_name,
        kind=told.kind.value,
        commune_code=told.commune_code,
        fictitious=told.fictitious,
    )


async def described_structure(tx: Transaction, structure_id: UUID) -> StructureDescribed:
    """The description of a structure as it is, its row locked."""
    row = await tx.fetch_one("SELECT * FROM structure WHERE structure_id = :id FOR UPDATE", id=structure_id)
    assert row is not None
    return StructureDescribed(
        occurred_at=await tx.now(),
        structure_name=row.structure_name,
        kind=StructureKind(row.kind),
        commune_code=row.commune_code,
        fictitious=row.fictitious,
    )


async def structures(tx: Transaction) -> Sequence[Row[Any]]:
    """Every structure, by name."""
    return await tx.fetch_all(
        "SELECT structure_id, structure_name, kind, commune_code, fictitious FROM structure ORDER BY structure_name, structure_id"
    )


async def structure(tx: Transaction, structure_id: UUID) -> Any:
    """A structure's row, or None when the agency has not registered it."""
    return await tx.fetch_one("SELECT * FROM structure WHERE structure_id = :id", id=structure_id)


# -- programmes


async def insert_programme(tx: Transaction, programme_id: UUID, structure_id: UUID, conditions: Conditions) -> None:
    """Makes room for a new programme, so that its row can be locked; an existing one is left as it is."""
    await tx.execute(
        f"""INSERT INTO programme (programme_id, structure_id, {", ".join(_CONDITION_COLUMNS)},
                total_count, taken_count, admitted_count, held_count, excess_count, version)
            VALUES (:programme_id, :structure_id, {", ".join(":" + name for name in _CONDITION_COLUMNS)}, 0, 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING""",
        programme_id=programme_id,
        structure_id=structure_id,
        **_conditions_values(conditions),
    )


async def lock_programme(tx: Transaction, programme_id: UUID) -> Programme | None:
    """The programme with its row locked, or None."""
    found = await lock_programmes(tx, [programme_id])
    return found.get(programme_id)


async def lock_programmes(tx: Transaction, programme_ids: Sequence[UUID]) -> dict[UUID, Programme]:
    """Several programmes, their rows locked by ascending id so that no two commands wait for each other."""
    rows = await tx.fetch_all(
        "SELECT * FROM programme WHERE programme_id = ANY(:ids) ORDER BY programme_id FOR UPDATE",
        ids=sorted(set(programme_ids)),
    )
    holds: dict[UUID, list[Hold]] = {row.programme_id: [] for row in rows}
    for row in await tx.fetch_all(
        f"""SELECT {_HOLD_COLUMNS} FROM hold
            WHERE programme_id = ANY(:ids) AND (state IN ('held', 'confirmed') OR state = 'admitted'
                AND admitted_at > (SELECT COALESCE(observed_at, '-infinity') FROM programme p WHERE p.programme_id = hold.programme_id))
            ORDER BY held_at, hold_id""",
        ids=list(holds),
    ):
        holds[row.programme_id].append(_hold(row))
    return {row.programme_id: _programme(row, tuple(holds[row.programme_id])) for row in rows}


async def save(tx: Transaction, before: Programme, decision: Decision) -> Decision:
    """Writes what a decision changed, emits its messages in version order; returns the decision with the new version."""
    after = decision.programme
    version = await tx.emit(decision.messages, aggregate_id=after.programme_id, version=before.version)
    if version == before.version:
        return decision
    counts, declaration = after.counts, after.declaration
    await tx.execute(
        f"""UPDATE programme SET {", ".join(f"{name} = :{name}" for name in _CONDITION_COLUMNS)},
                total_count = :total_count, taken_count = :taken_count, admitted_count = :admitted_count, held_count = :held_count,
                excess_count = :excess_count, observed_at = :observed_at, declared_way = :way, declared_sequence = :sequence,
                declared_at = CASE WHEN observed_at IS DISTINCT FROM :observed_at THEN clock_timestamp() ELSE declared_at END, version = :version
            WHERE programme_id = :programme_id""",
        programme_id=after.programme_id,
        version=version,
        observed_at=counts.observed_at,
        total_count=counts.total_count,
        taken_count=counts.taken_count,
        admitted_count=counts.admitted_count,
        held_count=counts.held_count,
        excess_count=counts.excess_count,
        way=declaration.way.value if declaration else None,
        sequence=declaration.sequence if declaration else None,
        **_conditions_values(after.conditions),
    )
    known = {hold.hold_id: hold for hold in before.holds}
    for hold in after.holds:
        if known.get(hold.hold_id) != hold:
            await _save_hold(tx, hold)
    return replace(decision, programme=replace(after, version=version))


async def programmes_due(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    """Programmes with a hold that time has ended and nobody has settled yet."""
    rows = await tx.fetch_all(
        """SELECT DISTINCT programme_id FROM hold WHERE state IN ('held', 'confirmed') AND due_at <= :now
             AND programme_id > :after ORDER BY programme_id LIMIT :limit""",
        now=await tx.now(),
        after=after,
        limit=limit,
    )
    return [row.programme_id for row in rows]


async def programmes_of(tx: Transaction, structure_id: UUID) -> list[UUID]:
    """A structure's programmes, by id."""
    rows = await tx.fetch_all(
        "SELECT programme_id FROM programme WHERE structure_id = :id ORDER BY programme_id", id=structure_id
    )
    return [row.programme_id for row in rows]


async def catalogue(tx: Transaction, *, structure_id: UUID | None = None) -> Sequence[Row[Any]]:
    """Every programme with its structure; live holds that are due count as free already, whether swept or not."""
    return await tx.fetch_all(
        """SELECT p.*, s.structure_name, s.kind, s.commune_code, s.fictitious,
                  (SELECT count(*) FROM hold h WHERE h.programme_id = p.programme_id AND h.state IN ('held', 'confirmed') AND h.due_at <= :now) AS due_count
           FROM programme p JOIN structure s USING (structure_id)
           WHERE p.version > 0 AND (CAST(:structure_id AS uuid) IS NULL OR p.structure_id = :structure_id)
           ORDER BY s.structure_name, p.title, p.programme_id""",
        structure_id=structure_id,
        now=await tx.now(),
    )


# -- people and holds


async def lock_young_person(tx: Transaction, young_person_id: UUID) -> None:
    """Orders everything that adds to, or releases, the holds of one person."""
    await tx.fetch_one("SELECT 1 FROM young_person WHERE young_person_id = :id FOR UPDATE", id=young_person_id)


async def young_person_of_code(tx: Transaction, code: str) -> UUID | None:
    """The person behind a code, locked."""
    row = await tx.fetch_one("SELECT young_person_id FROM young_person WHERE code = :code FOR UPDATE", code=code)
    return row.young_person_id if row else None


async def create_young_person(tx: Transaction, now: datetime) -> tuple[UUID, str]:
    """A new person: their id and the code to write on paper."""
    young_person_id, code = uuid4(), new_code()
    await tx.execute(
        "INSERT INTO young_person (young_person_id, code, created_at) VALUES (:id, :code, :now)",
        id=young_person_id,
        code=code,
        now=now,
    )
    return young_person_id, code


async def forget_young_person(tx: Transaction, young_person_id: UUID) -> None:
    """Takes back a person created for a hold that was then refused: their code was given to nobody."""
    await tx.execute("DELETE FROM young_person WHERE young_person_id = :id", id=young_person_id)


async def lock_prescriber(tx: Transaction, prescriber_id: str, contact_email: str | None) -> None:
    """Creates the prescriber the first time; orders their holds."""
    await tx.execute(
        """INSERT INTO prescriber (prescriber_id, contact_email) VALUES (:id, :contact)
           ON CONFLICT (prescriber_id) DO UPDATE SET contact_email = COALESCE(excluded.contact_email, prescriber.contact_email)""",
        id=prescriber_id,
        contact=contact_email,
    )


async def live_counts(tx: Transaction, young_person_id: UUID, prescriber_id: str, now: datetime) -> tuple[int, int]:
    """Live holds of the young person and of the prescriber, without those that time has ended."""
    row = await tx.fetch_one(
        """SELECT (SELECT count(*) FROM hold WHERE young_person_id = :person AND state IN ('held', 'confirmed') AND due_at > :now) AS person,
                  (SELECT count(*) FROM hold WHERE prescriber_id = :prescriber AND state IN ('held', 'confirmed') AND due_at > :now) AS prescriber""",
        person=young_person_id,
        prescriber=prescriber_id,
        now=now,
    )
    assert row is not None
    return row.person, row.prescriber


async def find_hold(tx: Transaction, hold_id: UUID) -> Hold | None:
    """A hold as it is now, unlocked: only its identity and owners may be relied on."""
    row = await tx.fetch_one(f"SELECT {_HOLD_COLUMNS} FROM hold WHERE hold_id = :id", id=hold_id)
    return _hold(row) if row else None


async def programmes_of_live_holds(tx: Transaction, young_person_id: UUID) -> list[UUID]:
    """Where a person, whose row is locked, has live holds."""
    rows = await tx.fetch_all(
        "SELECT programme_id FROM hold WHERE young_person_id = :id AND state IN ('held', 'confirmed')",
        id=young_person_id,
    )
    return [row.programme_id for row in rows]


async def holds_of(
    tx: Transaction, *, prescriber_id: str | None = None, structure_id: UUID | None = None, hold_id: UUID | None = None
) -> Sequence[Row[Any]]:
    """Holds with what each side may see of the other: a professional's contact and a code, never a young person's name."""
    return await tx.fetch_all(
        f"""SELECT {", ".join("h." + name.strip() for name in _HOLD_COLUMNS.split(","))}, h.due_at, p.title, p.structure_id,
                   s.structure_name, s.commune_code, s.contact_email AS structure_email, y.code, r.contact_email
            FROM hold h JOIN programme p USING (programme_id) JOIN structure s USING (structure_id)
                 JOIN young_person y USING (young_person_id) JOIN prescriber r USING (prescriber_id)
            WHERE (CAST(:prescriber_id AS text) IS NULL OR h.prescriber_id = :prescriber_id)
              AND (CAST(:structure_id AS uuid) IS NULL OR p.structure_id = :structure_id)
              AND (CAST(:hold_id AS uuid) IS NULL OR h.hold_id = :hold_id)
            ORDER BY h.due_at NULLS LAST, h.held_at DESC, h.hold_id LIMIT 500""",
        prescriber_id=prescriber_id,
        structure_id=structure_id,
        hold_id=hold_id,
    )


async def _save_hold(tx: Transaction, hold: Hold) -> None:
    values = asdict(hold) | {
        "due_at": hold.due_at if hold.state in LIVE else None,
        "decline_reason": hold.decline_reason and hold.decline_reason.value,
    }
    names = list(values)
    await tx.execute(
        f"""INSERT INTO hold ({", ".join(names)}) VALUES ({", ".join(":" + name for name in names)})
            ON CONFLICT (hold_id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in names if name != "hold_id")}""",
        **values,
    )


_CONDITION_COLUMNS = (
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


def _conditions_values(conditions: Conditions) -> dict[str, Any]:
    return asdict(conditions) | {"rome_codes": list(conditions.rome_codes), "level_min": conditions.level_min.value}


def conditions_of(row: Row[Any]) -> Conditions:
    """The conditions in a row of `programme`."""
    values = {name: getattr(row, name) for name in _CONDITION_COLUMNS}
    return Conditions(**values | {"rome_codes": tuple(row.rome_codes), "level_min": EducationLevel(row.level_min)})


def _programme(row: Row[Any], holds: tuple[Hold, ...]) -> Programme:
    declaration = None
    if row.observed_at is not None:
        declaration = Declaration(
            row.total_count, row.taken_count, row.observed_at, DeclarationWay(row.declared_way), row.declared_sequence
        )
    return Programme(
        programme_id=row.programme_id,
        structure_id=row.structure_id,
        conditions=conditions_of(row),
        declaration=declaration,
        admitted_count=row.admitted_count,
        excess_count=row.excess_count,
        holds=holds,
        version=row.version,
    )


def _hold(row: Row[Any]) -> Hold:
    return Hold(
        hold_id=row.hold_id,
        programme_id=row.programme_id,
        young_person_id=row.young_person_id,
        prescriber_id=row.prescriber_id,
        state=row.state,
        held_at=row.held_at,
        expires_at=row.expires_at,
        extension_count=row.extension_count,
        arrival_on=row.arrival_on,
        no_show_at=row.no_show_at,
        admitted_at=row.admitted_at,
        ended_at=row.ended_at,
        decline_reason=DeclineReason(row.decline_reason) if row.decline_reason else None,
    )
