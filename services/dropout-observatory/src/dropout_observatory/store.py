"""Loads and saves; all SQL of the service. Locks: cases by ascending id."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row

from common.codes import new_code
from common.policy import limits_at
from common.transaction import Transaction
from dropout_observatory.messages import (
    Accompanier,
    AgeBand,
    DropoutFactor,
    LevelLeft,
    Outcome,
    Presence,
    ReportSource,
    SchoolKind,
    StepKind,
    StepSource,
    WithdrawalReason,
)
from dropout_observatory.state import Case, Decision, Facts, Policy, Step

LISTED_MAX = 500
_FACTS = (
    "left_month, level_left, school_kind, school_uai, age_band, commune_code, epci_siren, department_code, "
    "geography_year, factors"
)
_STEP = "step_id, kind, happened_on, source, accompanier, presence, outcome, subject_id"


@dataclass(frozen=True)
class Viewer:
    """Who looks: the agency sees every case; an organisation those that it reported, a platform those of its territory too."""

    account: str
    psad_id: UUID | None = None
    agency: bool = False

    @property
    def values(self) -> dict[str, Any]:
        """For `SEEN`."""
        return {"account": self.account, "psad_id": self.psad_id, "agency": self.agency}


SEEN = """(CAST(:agency AS boolean) OR c.account = :account OR EXISTS (
    SELECT 1 FROM psad_epci t WHERE t.epci_siren = c.epci_siren AND t.psad_id = CAST(:psad_id AS uuid)))"""


async def policy_at(tx: Transaction, now: datetime) -> Policy:
    """The limits in force at an instant."""
    return Policy(**await limits_at(tx, now))


# -- platforms


async def save_psad(tx: Transaction, psad_id: UUID, title: str, epcis: Collection[str]) -> str | None:
    """Names a platform and its territory; the SIREN of an intercommunality that another platform follows, and then nothing."""
    await tx.execute("LOCK TABLE psad_epci IN SHARE ROW EXCLUSIVE MODE")
    taken = await tx.fetch_one(
        "SELECT epci_siren FROM psad_epci WHERE epci_siren = ANY(:epcis) AND psad_id <> :id ORDER BY epci_siren",
        epcis=list(epcis),
        id=psad_id,
    )
    if taken is not None:
        return str(taken.epci_siren)
    await tx.execute(
        "INSERT INTO psad (psad_id, title) VALUES (:id, :title) ON CONFLICT (psad_id) DO UPDATE SET title = :title",
        id=psad_id,
        title=title,
    )
    await tx.execute("DELETE FROM psad_epci WHERE psad_id = :id", id=psad_id)
    await tx.execute(
        "INSERT INTO psad_epci (epci_siren, psad_id) SELECT unnest(CAST(:epcis AS varchar[])), :id",
        epcis=list(epcis),
        id=psad_id,
    )
    return None


async def psads(tx: Transaction) -> Sequence[Row[Any]]:
    """Every platform with its territory, by name."""
    return await tx.fetch_all(
        """SELECT psad_id, title, ARRAY(SELECT epci_siren FROM psad_epci t WHERE t.psad_id = p.psad_id ORDER BY 1) AS epcis
           FROM psad p ORDER BY title, psad_id"""
    )


# -- a case


async def lock_likeness(tx: Transaction, account: str, likeness: str) -> None:
    """Orders what one organisation reports alike, so that the same case sent twice at once is seen."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))", what=f"{account}/{likeness}")


async def insert(tx: Transaction, case: Case, likeness: str, now: datetime) -> str:
    """Makes room for a new case; returns the code to keep on paper."""
    assert case.facts is not None
    code = new_code()
    await tx.execute(
        """INSERT INTO dropout_case (case_id, code, account, source, reported_at, last_news_at, likeness, epci_siren, state, version)
           VALUES (:case_id, :code, :account, :source, :now, :now, :likeness, :epci_siren, 'reported', 0)""",
        case_id=case.case_id,
        code=code,
        account=case.account,
        source=case.source.value,
        now=now,
        likeness=likeness,
        epci_siren=case.facts.epci_siren,
    )
    return code


async def lock(tx: Transaction, case_ids: Collection[UUID]) -> dict[UUID, Case]:
    """Cases with their rows locked, by ascending id."""
    rows = await tx.fetch_all(
        "SELECT case_id FROM dropout_case WHERE case_id = ANY(:ids) ORDER BY case_id FOR UPDATE",
        ids=sorted(set(case_ids)),
    )
    return await _load(tx, [row.case_id for row in rows])


async def find(tx: Transaction, case_id: UUID, viewer: Viewer) -> tuple[Case, Row[Any]] | None:
    """A case that somebody may see, unlocked, with its row; None for any other."""
    row = await tx.fetch_one(
        f"SELECT * FROM dropout_case c WHERE case_id = :id AND {SEEN}", id=case_id, **viewer.values
    )
    return ((await _load(tx, [case_id]))[case_id], row) if row else None


async def _load(tx: Transaction, case_ids: Sequence[UUID]) -> dict[UUID, Case]:
    rows = await tx.fetch_all(
        f"""SELECT c.*, {", ".join("f." + name.strip() for name in _FACTS.split(","))} FROM dropout_case c
            JOIN LATERAL (SELECT * FROM case_facts f WHERE f.case_id = c.case_id ORDER BY f.number DESC LIMIT 1) f ON true
            WHERE c.case_id = ANY(:ids)""",
        ids=list(case_ids),
    )
    steps: dict[UUID, list[Step]] = {row.case_id: [] for row in rows}
    for row in await tx.fetch_all(
        f"""SELECT case_id, {_STEP} FROM case_step WHERE case_id = ANY(:ids) AND taken_back_at IS NULL
            ORDER BY happened_on, step_id""",
        ids=list(case_ids),
    ):
        steps[row.case_id].append(step_of(row))
    return {
        row.case_id: Case(
            case_id=row.case_id,
            account=row.account,
            source=ReportSource(row.source),
            facts=facts_of(row),
            steps=tuple(steps[row.case_id]),
            withdrawn=WithdrawalReason(row.withdrawn) if row.withdrawn else None,
            duplicate_of=row.duplicate_of,
            version=row.version,
        )
        for row in rows
    }


async def save(tx: Transaction, before: Case, decision: Decision, likeness: str, now: datetime) -> None:
    """Tells and stores what a decision changed."""
    if decision.messages:
        version = await tx.emit(decision.messages, aggregate_id=before.case_id, version=before.version)
        await write(tx, before, replace(decision.case, version=version), likeness, now)


async def write(tx: Transaction, before: Case, after: Case, likeness: str, now: datetime) -> None:
    """Stores what changed. What was known is kept beside what is known from now on."""
    assert after.facts is not None
    if (before.facts, before.withdrawn) != (after.facts, after.withdrawn):
        await _add_facts(tx, after, now)
    await _save_steps(tx, before, after, now)
    await tx.execute(
        """UPDATE dropout_case SET last_news_at = :now, likeness = :likeness, epci_siren = :epci_siren, state = :state,
               withdrawn = :withdrawn, duplicate_of = :duplicate_of, version = :version WHERE case_id = :case_id""",
        case_id=after.case_id,
        now=now,
        likeness=likeness,
        epci_siren=after.facts.epci_siren,
        state=after.state,
        withdrawn=after.withdrawn and after.withdrawn.value,
        duplicate_of=after.duplicate_of,
        version=after.version,
    )


async def _add_facts(tx: Transaction, case: Case, now: datetime) -> None:
    assert case.facts is not None
    values = _values(asdict(case.facts)) | {
        "case_id": case.case_id,
        "recorded_at": now,
        "withdrawn": case.withdrawn is not None,
    }
    await tx.execute(
        f"""INSERT INTO case_facts (number, {", ".join(values)}) VALUES (
                (SELECT count(*) + 1 FROM case_facts WHERE case_id = :case_id), {", ".join(f":{name}" for name in values)})""",
        **values,
    )


async def _save_steps(tx: Transaction, before: Case, after: Case, now: datetime) -> None:
    known, kept = {step.step_id for step in before.steps}, {step.step_id for step in after.steps}
    if known - kept:
        await tx.execute(
            "UPDATE case_step SET taken_back_at = :now WHERE step_id = ANY(:ids)", now=now, ids=list(known - kept)
        )
    for step in after.steps:
        if step.step_id not in known:
            values = _values(asdict(step)) | {"case_id": after.case_id, "recorded_at": now}
            await tx.execute(
                f"INSERT INTO case_step ({', '.join(values)}) VALUES ({', '.join(f':{name}' for name in values)})",
                **values,
            )


# -- what may be the same person


async def reported_alike(tx: Transaction, account: str, likeness: str) -> Sequence[Row[Any]]:
    """What an organisation has reported in the same words, and that still counts."""
    return await tx.fetch_all(
        """SELECT case_id, code, reported_at FROM dropout_case
           WHERE account = :account AND likeness = :likeness AND withdrawn IS NULL ORDER BY reported_at, case_id""",
        account=account,
        likeness=likeness,
    )


# Two cases that count, of two organisations, and that nobody said are two people; the account differs, so the case does.
_ALIKE = """o.likeness = c.likeness AND o.account <> c.account AND c.withdrawn IS NULL AND o.withdrawn IS NULL AND NOT EXISTS (
    SELECT 1 FROM distinction d
    WHERE d.case_id = least(c.case_id, o.case_id) AND d.other_case_id = greatest(c.case_id, o.case_id))"""


async def alike(tx: Transaction, case_id: UUID) -> Sequence[Row[Any]]:
    """Cases of other organisations that may be the same person, unless somebody said that they are not."""
    return await tx.fetch_all(
        f"""SELECT o.case_id, o.code, o.source, o.reported_at, o.state FROM dropout_case c JOIN dropout_case o ON {_ALIKE}
           WHERE c.case_id = :id
           ORDER BY o.reported_at, o.case_id""",
        id=case_id,
    )


async def distinguish(tx: Transaction, case_id: UUID, other_case_id: UUID) -> None:
    """Two cases that look alike are two people."""
    first, second = sorted((case_id, other_case_id))
    await tx.execute(
        "INSERT INTO distinction (case_id, other_case_id) VALUES (:first, :second) ON CONFLICT DO NOTHING",
        first=first,
        second=second,
    )


# -- what other services tell


async def note_subject(
    tx: Transaction, subject_id: UUID, *, offered_on: date | None = None, admitted_on: date | None = None
) -> Row[Any]:
    """When something was offered to somebody, and when they arrived; with the case that is attached, if one is.

    The day that was told first stays: what is live is told anew after a restore. The row stays locked, so that whoever
    tells the days and whoever tells the case see each other, in whatever order.
    """
    row = await tx.fetch_one(
        """INSERT INTO followed_subject (subject_id, offered_on, admitted_on) VALUES (:id, :offered_on, :admitted_on)
           ON CONFLICT (subject_id) DO UPDATE SET offered_on = COALESCE(followed_subject.offered_on, excluded.offered_on),
               admitted_on = COALESCE(followed_subject.admitted_on, excluded.admitted_on)
           RETURNING *""",
        id=subject_id,
        offered_on=offered_on,
        admitted_on=admitted_on,
    )
    assert row is not None
    return row


async def is_followed(tx: Transaction, subject_id: UUID) -> bool:
    """Whether something that may have a case was told of."""
    return await tx.fetch_one("SELECT 1 FROM followed_subject WHERE subject_id = :id", id=subject_id) is not None


async def take_back_day(tx: Transaction, subject_id: UUID, name: Literal["offered_on", "admitted_on"]) -> None:
    """What was told of a subject was not so."""
    await tx.execute(f"UPDATE followed_subject SET {name} = NULL WHERE subject_id = :id", id=subject_id)


async def link(tx: Transaction, subject_id: UUID, code: str | None) -> None:
    """Which case something is for, by its code; a code that is nobody's is kept and leads nowhere."""
    await tx.execute(
        """UPDATE followed_subject SET code = :code, case_id = (SELECT case_id FROM dropout_case WHERE code = CAST(:code AS varchar))
           WHERE subject_id = :id""",
        id=subject_id,
        code=code,
    )


# -- lists and figures


async def listed(
    tx: Transaction, viewer: Viewer, *, states: Collection[str], silent_since: datetime | None = None, code: str = ""
) -> Sequence[Row[Any]]:
    """Cases that somebody sees, without news for longest first: all of the states, or those silent since an instant; or one by its code."""
    return await tx.fetch_all(
        f"""SELECT c.case_id, c.code, c.account, c.source, c.reported_at, c.last_news_at, c.state, c.withdrawn,
                   {", ".join("f." + name.strip() for name in _FACTS.split(","))},
                   (SELECT accompanier FROM case_step s WHERE s.case_id = c.case_id AND s.kind = 'ACCOMPANIED'
                        AND s.taken_back_at IS NULL ORDER BY happened_on DESC, step_id LIMIT 1) AS accompanier,
                   EXISTS (SELECT 1 FROM dropout_case o WHERE {_ALIKE}) AS alike
            FROM dropout_case c
            JOIN LATERAL (SELECT * FROM case_facts f WHERE f.case_id = c.case_id ORDER BY f.number DESC LIMIT 1) f ON true
            WHERE {SEEN} AND (c.state = ANY(:states) OR c.code = :code) AND (:code = '' OR c.code = :code)
              AND (CAST(:silent_since AS timestamptz) IS NULL OR c.last_news_at <= :silent_since)
            ORDER BY c.last_news_at, c.case_id LIMIT {LISTED_MAX}""",
        states=list(states),
        silent_since=silent_since,
        code=code,
        **viewer.values,
    )


async def state_counts(tx: Transaction, viewer: Viewer, silent_since: datetime) -> Mapping[str, int]:
    """How many cases of each state somebody sees; `due`: those that are open and silent since an instant."""
    rows = await tx.fetch_all(
        f"SELECT c.state, count(*) AS n, count(*) FILTER (WHERE c.last_news_at <= :since) AS silent FROM dropout_case c WHERE {SEEN} GROUP BY c.state",
        since=silent_since,
        **viewer.values,
    )
    counts = {row.state: row.n for row in rows}
    return counts | {"due": sum(row.silent for row in rows if row.state not in ("ended", "withdrawn"))}


# Facts and steps as they were known at an instant, of the cases that somebody sees and that left in a span of months.
_KNOWN = f"""WITH known AS (
    SELECT DISTINCT ON (f.case_id) f.*, c.source FROM case_facts f JOIN dropout_case c USING (case_id)
    WHERE f.recorded_at <= :known_at AND {SEEN} ORDER BY f.case_id, f.number DESC
), counted AS (
    SELECT k.*, COALESCE((
        SELECT CASE max(CASE s.kind WHEN 'ENDED' THEN 4 WHEN 'ADMITTED' THEN 3 WHEN 'CHECKED_AT_3_MONTHS' THEN 3
                            WHEN 'CHECKED_AT_6_MONTHS' THEN 3 WHEN 'OFFERED' THEN 2 ELSE 1 END)
                   WHEN 4 THEN 'ended' WHEN 3 THEN 'admitted' WHEN 2 THEN 'offered' WHEN 1 THEN 'accompanied' END
        FROM case_step s WHERE s.case_id = k.case_id AND s.recorded_at <= :known_at
            AND (s.taken_back_at IS NULL OR s.taken_back_at > :known_at)), 'reported') AS state
    FROM known k WHERE NOT k.withdrawn AND k.left_month BETWEEN :first AND :last
)"""
DIMENSIONS = frozenset(
    [
        "state",
        "level_left",
        "school_kind",
        "age_band",
        "factor",
        "epci_siren",
        "department_code",
        "left_month",
        "source",
    ]
)


async def counts(
    tx: Transaction, viewer: Viewer, *, by: str, first: date, last: date, known_at: datetime
) -> Sequence[Row[Any]]:
    """Cases that left in months from `first` to `last`, as known at an instant, by one dimension; a case of two factors counts in both."""
    assert by in DIMENSIONS
    column = "unnest(factors)" if by == "factor" else f"CAST({by} AS varchar)"
    return await tx.fetch_all(
        f"{_KNOWN} SELECT {column} AS value, count(*) AS n FROM counted GROUP BY 1 ORDER BY 2 DESC, 1",
        first=first,
        last=last,
        known_at=known_at,
        **viewer.values,
    )


async def history(tx: Transaction, case_id: UUID) -> Sequence[Row[Any]]:
    """What was known of a case from when on, oldest first: facts and withdrawals."""
    return await tx.fetch_all(
        f"SELECT number, recorded_at, withdrawn, {_FACTS} FROM case_facts WHERE case_id = :id ORDER BY number",
        id=case_id,
    )


async def steps_taken_back(tx: Transaction, case_id: UUID) -> Sequence[Row[Any]]:
    """Steps that were known and are no more."""
    return await tx.fetch_all(
        f"SELECT {_STEP}, recorded_at, taken_back_at FROM case_step WHERE case_id = :id AND taken_back_at IS NOT NULL ORDER BY taken_back_at",
        id=case_id,
    )


# -- rows


def facts_of(row: Any) -> Facts:
    """The facts in a row, or in a message."""
    return Facts(
        left_month=row.left_month,
        level_left=LevelLeft(row.level_left),
        school_kind=SchoolKind(row.school_kind),
        school_uai=row.school_uai,
        age_band=AgeBand(row.age_band),
        commune_code=row.commune_code,
        epci_siren=row.epci_siren,
        department_code=row.department_code,
        geography_year=row.geography_year,
        factors=tuple(DropoutFactor(factor) for factor in row.factors),
    )


def step_of(row: Any) -> Step:
    """The step in a row, or in a message."""
    return Step(
        step_id=row.step_id,
        kind=StepKind(row.kind),
        happened_on=row.happened_on,
        source=StepSource(row.source),
        accompanier=Accompanier(row.accompanier) if row.accompanier else None,
        presence=Presence(row.presence) if row.presence else None,
        outcome=Outcome(row.outcome) if row.outcome else None,
        subject_id=getattr(row, "subject_id", None),
    )


def _values(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields as the database has them: the symbols of enumerations as text."""
    return {
        name: [getattr(one, "value", one) for one in value]
        if isinstance(value, tuple)
        else getattr(value, "value", value)
        for name, value in fields.items()
    }
