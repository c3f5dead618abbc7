"""Loads and saves cafés and the registrations in them.

Locks, each taken once and in this order: the pass; what was asked (`request`); a household; a venue; cafés by id. Registrations have
no lock of their own, their café's is theirs. Whoever finds under the lock that a merge moved one gives the transaction up.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from common.codes import new_code
from common.failures import Moved, Refusal
from common.policy import limits_at
from common.transaction import Transaction
from parents_cafes import domain
from parents_cafes.messages import CafePeriod, CafeTheme, VenueKind
from parents_cafes.state import WORDS, Cafe, Decision, Period, Plan, Policy, Registration, Venue, Word
from waiting_list.rules import ORDER
from waiting_list.store import Lists
from waiting_list.tables import LIVE, TAKING

_COLUMNS = (
    "registration_id",
    "holder_id",
    "seat_count",
    "state",
    "joined_at",
    "priority",
    "due_at",
    "visitor_count",
    "moved_from_id",
    "moved_until",
    "end_reason",
    "ended_at",
    "revision",
)
CAFES = Lists(
    "cafe",
    "cafe_id",
    _COLUMNS,
    open_states=("open", "confirmed"),
    due_at="over_at",
    party="household",
    party_column="holder_id",
)
# A café with where it is; `c` and `v` are the rows.
WHOLE = """c.*, v.title AS venue_title, v.kind AS venue_kind, v.commune_code, v.address, v.accessible,
            v.capacity_count AS venue_capacity_count"""


async def policy_at(tx: Transaction, now: datetime) -> Policy:
    """The limits in force at an instant."""
    return Policy(**await limits_at(tx, now))


# -- cafés


async def lock_cafe(
    tx: Transaction, cafe_id: UUID, *, holder_id: UUID | None = None, registration_id: UUID | None = None
) -> Cafe | None:
    """A café, its row locked, with its counts and those registrations that are due, of a household, or of an id."""
    if await tx.fetch_one("SELECT 1 FROM cafe WHERE cafe_id = :id FOR UPDATE", id=cafe_id) is None:
        return None
    # Not by the statement that waits: where the venue became another meanwhile, that finds the one of before, or no row at all.
    row = await tx.fetch_one(
        f"SELECT {WHOLE} FROM cafe c JOIN venue v USING (venue_id) WHERE cafe_id = :id", id=cafe_id
    )
    assert row is not None
    rows = await CAFES.looked_at(tx, cafe_id, holder_id=holder_id, registration_id=registration_id)
    registrations = tuple(registration_of(one) for one in rows)
    return replace(cafe_of(row), counts=await CAFES.counts(tx, cafe_id), registrations=registrations)


async def lock_cafe_with(tx: Transaction, registration_id: UUID) -> Cafe | None:
    """The café where a registration is, locked; raises `Moved` when a merge moves it while this waits for the lock."""
    row = await tx.fetch_one("SELECT cafe_id FROM registration WHERE registration_id = :id", id=registration_id)
    if row is None:
        return None
    cafe = await lock_cafe(tx, row.cafe_id, registration_id=registration_id)
    assert cafe is not None
    return holding(cafe, registration_id)


async def lock_pair(tx: Transaction, registration_id: UUID, cafe_id: UUID) -> tuple[Cafe, Cafe] | None:
    """The café where a registration is, and another, locked ids ascending; None when either does not exist.

    Raises `Moved` when a merge moves the registration while this waits for the locks.
    """
    row = await tx.fetch_one("SELECT cafe_id FROM registration WHERE registration_id = :id", id=registration_id)
    if row is None:
        return None
    locked = await lock_cafes(tx, row.cafe_id, cafe_id, registration_id=registration_id)
    if locked is None:
        return None
    return holding(locked[row.cafe_id], registration_id), locked[cafe_id]


def holding(cafe: Cafe, registration_id: UUID) -> Cafe:
    """A café that was locked for a registration which was seen in it before; raises `Moved` when that is no longer there."""
    if cafe.known(registration_id) is None:
        raise Moved("the registration has gone to another café")
    return cafe


async def lock_cafes(
    tx: Transaction, *cafe_ids: UUID, holder_id: UUID | None = None, registration_id: UUID | None = None
) -> dict[UUID, Cafe] | None:
    """Cafés by id, locked ids ascending; None when one does not exist."""
    locked = {}
    for key in sorted(set(cafe_ids)):
        cafe = await lock_cafe(tx, key, holder_id=holder_id, registration_id=registration_id)
        if cafe is None:
            return None
        locked[key] = cafe
    return locked


async def insert_cafe(tx: Transaction, cafe: Cafe) -> bool:
    """Makes the row of a new café; False when its venue or facilitator is taken then, or when somebody else has just made it."""
    values = _plan_values(cafe) | {
        "cafe_id": cafe.cafe_id,
        "coordinator_id": cafe.coordinator_id,
        "state": cafe.state,
    }
    return await tx.execute_unless_taken(
        f"""INSERT INTO cafe ({", ".join(values)}, taken_count, revision, changed_at, version)
            VALUES ({", ".join(":" + name for name in values)}, 0, 0, clock_timestamp(), 0)""",
        **values,
    )


async def move_cafe(tx: Transaction, cafe: Cafe) -> bool:
    """Writes the plan of a café, which is locked; False when its venue or facilitator is taken then. Another day is reminded of anew."""
    values = _plan_values(cafe)
    return await tx.execute_unless_taken(
        f"""UPDATE cafe SET {", ".join(f"{name} = :{name}" for name in values)},
                reminded_at = CASE WHEN starts_at = :starts_at THEN reminded_at END WHERE cafe_id = :id""",
        id=cafe.cafe_id,
        **values,
    )


async def who_is_taken(tx: Transaction, cafe: Cafe) -> Refusal | None:
    """Which of the venue and the facilitator is elsewhere engaged then; only for the words, the constraints decide."""
    plan = cafe.plan
    row = await tx.fetch_one(
        """SELECT bool_or(venue_id = :venue_id) AS venue, bool_or(facilitator_id = :facilitator_id) AS facilitator FROM cafe
           WHERE cafe_id <> :id AND state IN ('planned', 'open', 'confirmed', 'held')
             AND starts_at < :ends_at AND ends_at > :starts_at AND (venue_id = :venue_id OR facilitator_id = :facilitator_id)""",
        id=cafe.cafe_id,
        venue_id=plan.venue.venue_id,
        facilitator_id=plan.facilitator_id,
        starts_at=plan.starts_at,
        ends_at=plan.ends_at,
    )
    assert row is not None
    if row.venue:
        return Refusal(
            "venue_taken", f"« {plan.venue.title} » accueille déjà un café à ce moment : changez l’heure ou le lieu."
        )
    if row.facilitator:
        return Refusal(
            "facilitator_taken", "Cette personne anime déjà un café à ce moment : changez l’heure, ou qui anime."
        )
    return None


async def save(tx: Transaction, before: Cafe, decision: Decision, policy: Policy) -> Decision:
    """Writes what a decision changed, emits its messages in version order; returns the decision with the new version."""
    after = decision.cafe
    version = await tx.emit(decision.messages, aggregate_id=after.cafe_id, version=before.version)
    if after == before and not decision.messages:
        return decision
    known = {one.registration_id: one for one in before.registrations}
    for one in after.registrations:
        if known.get(one.registration_id) != one:
            await _save_registration(tx, after, known.get(one.registration_id), one)
    await _save_all_registrations(tx, before, after)
    # The seats are summed in the statement that the constraint looks at: what is stored is what is true.
    await tx.execute(
        f"""UPDATE cafe SET state = :state, version = :version, revision = :revision, opens_at = :opens_at, review_at = :review_at,
                received_on = :received_on, merged_into_id = :merged_into_id, over_at = :over_at,
                changed_at = CASE WHEN CAST(:changed AS boolean) THEN clock_timestamp() ELSE changed_at END,
                taken_count = (SELECT COALESCE(sum(seat_count), 0) FROM registration WHERE cafe_id = :id AND {TAKING})
            WHERE cafe_id = :id""",
        id=after.cafe_id,
        state=after.state,
        version=version,
        revision=after.revision,
        opens_at=after.opens_at,
        review_at=after.review_at,
        received_on=after.received_on,
        merged_into_id=after.merged_into_id,
        over_at=domain.over_at(after, policy),
        changed=(after.revision, after.state) != (before.revision, before.state),
    )
    return replace(decision, cafe=replace(after, version=version))


async def _save_registration(tx: Transaction, cafe: Cafe, before: Registration | None, one: Registration) -> None:
    values = {name: getattr(one, name) for name in _COLUMNS} | {
        "cafe_id": cafe.cafe_id,
        "school_year": cafe.period.school_year,
        "period": cafe.period.name.value,
    }
    await CAFES.save(tx, values, owed=_owed(before, one), code=new_code())


def _owed(before: Registration | None, one: Registration) -> str | None:
    """What a change has to be told as: whoever was registered, offered, put in line, moved, resized or ended is written to, once."""
    if one.state in ("attended", "absent") or (before is not None and before.state == "attended"):
        return None
    if before is not None and before.revision == one.revision:
        return None
    return "merged" if before is None and one.moved_until is not None else one.state


async def _save_all_registrations(tx: Transaction, before: Cafe, after: Cafe) -> None:
    """What the café's own change means for every registration in it, in one statement each."""
    if after.state == "cancelled" and before.state != "cancelled":
        await CAFES.end_all(tx, after.cafe_id, "CAFE_CANCELLED")
    if after.state == "held" and before.state != "held" and after.counts.attended:
        await CAFES.miss_all(tx, after.cafe_id)


async def owe_the_change(tx: Transaction, cafe: Cafe, what: Word, policy: Policy, now: datetime) -> None:
    """Everybody who comes, or hopes to, is to be told of another day, place or theme; what is due is due before the new day.

    Who is registered may leave freely for a while, as after a merge: it is not what they registered for.
    """
    await tx.execute(
        """UPDATE registration SET owed = CASE WHEN owed = ANY(:weightier) THEN owed ELSE :what END, revision = revision + 1,
               due_at = CASE state WHEN 'waiting' THEN :closes_at WHEN 'offered' THEN LEAST(due_at, :closes_at) END,
               moved_until = CASE state WHEN 'registered' THEN CAST(:until AS timestamptz) END
           WHERE cafe_id = :id AND state IN ('waiting', 'offered', 'registered')""",
        id=cafe.cafe_id,
        what=what,
        # What matters more, and is not written yet, is not forgotten for it.
        weightier=list(WORDS[: WORDS.index(what)]),
        closes_at=policy.terms.cut_off(cafe.plan.starts_at),
        until=min(now + timedelta(hours=policy.move_answer_hours), cafe.plan.starts_at),
    )


async def owe(tx: Transaction, registration_id: UUID, what: str) -> None:
    """A household is to be told this of its registration, in place of what its state says."""
    await tx.execute("UPDATE registration SET owed = :what WHERE registration_id = :id", what=what, id=registration_id)


async def live_registrations(tx: Transaction, cafe_id: UUID) -> list[Registration]:
    """Every live registration of a café, which is locked, in the order of its line."""
    rows = await tx.fetch_all(
        f"SELECT {', '.join(_COLUMNS)} FROM registration WHERE cafe_id = :id AND {LIVE} ORDER BY {ORDER}",
        id=cafe_id,
    )
    return [registration_of(row) for row in rows]


async def line(tx: Transaction, cafe_id: UUID, free_count: int, passed: Collection[UUID]) -> list[Registration]:
    """The first in line whom the free seats would fit, in order; without those who were passed over."""
    return [registration_of(row) for row in await CAFES.line(tx, cafe_id, free_count, passed)]


# -- rows


def cafe_of(row: Row[Any]) -> Cafe:
    """The café in a row of it with its venue; its seats are not in it."""
    venue = Venue(
        row.venue_id,
        row.venue_title,
        VenueKind(row.venue_kind),
        row.commune_code,
        row.venue_capacity_count,
        row.address,
        row.accessible,
    )
    plan = Plan(
        CafeTheme(row.theme),
        venue,
        row.facilitator_id,
        row.starts_at,
        row.ends_at,
        row.capacity_count,
        row.fictitious,
    )
    return Cafe(
        cafe_id=row.cafe_id,
        coordinator_id=row.coordinator_id,
        plan=plan,
        period=Period(row.school_year, CafePeriod(row.period)),
        state=row.state,
        opens_at=row.opens_at,
        review_at=row.review_at,
        received_on=row.received_on,
        reminded_at=row.reminded_at,
        merged_into_id=row.merged_into_id,
        revision=row.revision,
        version=row.version,
    )


def _plan_values(cafe: Cafe) -> dict[str, Any]:
    plan = cafe.plan
    return {
        "school_year": cafe.period.school_year,
        "period": cafe.period.name.value,
        "theme": plan.theme.value,
        "venue_id": plan.venue.venue_id,
        "facilitator_id": plan.facilitator_id,
        "starts_at": plan.starts_at,
        "ends_at": plan.ends_at,
        "capacity_count": plan.capacity_count,
        "fictitious": plan.fictitious,
    }


def registration_of(row: Row[Any]) -> Registration:
    """The registration in a row of it."""
    return Registration(**{name: getattr(row, name) for name in _COLUMNS})
