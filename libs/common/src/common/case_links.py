"""A professional may attach a case of the dropout observatory to what they hold, apply for or book.

It is told apart, on a topic that the observatory alone may read: no topic of facts ever names a case.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Protocol
from uuid import UUID

from pydantic import AfterValidator, Field

from common.bodies import Body
from common.codes import CODE_LENGTH, normalised_code
from common.generated import CaseLinked, CaseUnlinked
from common.messages import Message
from common.reconcile import LastMessages
from common.sweepers import Sweeper
from common.transaction import Transaction

CASE_LINK_1 = """
CREATE TABLE case_link (
    subject_id UUID NOT NULL,
    case_code VARCHAR,
    version BIGINT NOT NULL,
    PRIMARY KEY (subject_id)
);
"""
# A code is kept as long as its topic keeps it.
CASE_LINK_2 = """
ALTER TABLE case_link ADD COLUMN attached_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp();
ALTER TABLE case_link ALTER COLUMN attached_at DROP DEFAULT;
UPDATE policy SET limits = limits || '{"case_link_days": 365}'
"""


def _code(typed: str) -> str:
    code = normalised_code(typed)
    if code is None:
        raise ValueError("ce code de situation comporte une erreur de frappe : vérifiez les dix caractères")
    return code


# The code of a case as somebody types it.
CaseCode = Annotated[str, Field(max_length=CODE_LENGTH * 2), AfterValidator(_code)]


class CaseBody(Body):
    """The case that something is for, or none."""

    case_code: CaseCode | None


class _Limits(Protocol):
    @property
    def case_link_days(self) -> int: ...


def typed_in(form: Mapping[str, str]) -> dict[str, str | None]:
    """What a page's field for it says, as a body has it."""
    return {"case_code": form.get("situation", "").strip() or None}


async def attach(tx: Transaction, subject_id: UUID, case_code: str | None) -> None:
    """Attaches a case to something that the caller has locked, another case, or none. The same again says nothing."""
    row = await tx.fetch_one("SELECT * FROM case_link WHERE subject_id = :id", id=subject_id)
    if (row.case_code if row else None) == case_code:
        return
    now = await tx.now()
    version = await tx.emit([_told(case_code, now)], aggregate_id=subject_id, version=row.version if row else 0)
    await tx.execute(
        """INSERT INTO case_link (subject_id, case_code, attached_at, version) VALUES (:id, :case_code, :now, :version)
           ON CONFLICT (subject_id) DO UPDATE SET case_code = excluded.case_code, attached_at = excluded.attached_at, version = excluded.version""",
        id=subject_id,
        case_code=case_code,
        now=now,
        version=version,
    )


async def codes_of(tx: Transaction, subject_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The codes that are attached, for who attached them and nobody else."""
    rows = await tx.fetch_all(
        "SELECT subject_id, case_code FROM case_link WHERE subject_id = ANY(:ids) AND case_code IS NOT NULL",
        ids=list(subject_ids),
    )
    return {row.subject_id: row.case_code for row in rows}


async def restate(tx: Transaction, subject_id: UUID, last: LastMessages) -> Sequence[Message]:
    """The link as this database has it, or as the log last told it: what a professional attached is not lost with a database."""
    row = await tx.fetch_one("SELECT * FROM case_link WHERE subject_id = :id FOR UPDATE", id=subject_id)
    linked, unlinked = last.of(CaseLinked), last.of(CaseUnlinked)
    code = row.case_code if row else None
    if linked is not None and not (unlinked and unlinked.aggregate_version > linked.aggregate_version):
        code = linked.case_code
    elif unlinked is not None:
        code = None
    now = await tx.now()
    await tx.execute(
        """INSERT INTO case_link (subject_id, case_code, attached_at, version) VALUES (:id, :case_code, :now, 0)
           ON CONFLICT (subject_id) DO UPDATE SET case_code = excluded.case_code""",
        id=subject_id,
        case_code=code,
        now=now,
    )
    return [_told(code, now)]


# -- forgetting: the row stays, and counts on where a later link goes on


async def forget(tx: Transaction, subject_ids: Sequence[UUID]) -> None:
    """The codes are gone from here; nobody is told, and what the observatory has learnt stays."""
    await tx.execute("UPDATE case_link SET case_code = NULL WHERE subject_id = ANY(:ids)", ids=list(subject_ids))


def forgetting(over: str, policy_at: Callable[[Transaction, datetime], Awaitable[_Limits]]) -> Sweeper:
    """Forgets each code so many days after it was attached and its subject was over, as the owner's policy has it.

    `over` selects `subject_id` and `over_at` of what may have a case; null while it is not over.
    """
    old = f"""l.case_code IS NOT NULL AND l.attached_at < :before
        AND NOT EXISTS (SELECT 1 FROM ({over}) o WHERE o.subject_id = l.subject_id AND (o.over_at IS NULL OR o.over_at >= :before))"""

    async def since(tx: Transaction) -> datetime:
        now = await tx.now()
        return now - timedelta(days=(await policy_at(tx, now)).case_link_days)

    async def find(tx: Transaction, after: UUID, limit: int) -> Sequence[UUID]:
        rows = await tx.fetch_all(
            f"SELECT subject_id FROM case_link l WHERE {old} AND subject_id > :after ORDER BY subject_id LIMIT :limit",
            before=await since(tx),
            after=after,
            limit=limit,
        )
        return [row.subject_id for row in rows]

    async def one(tx: Transaction, subject_id: UUID) -> Any:
        await tx.execute(
            f"UPDATE case_link l SET case_code = NULL WHERE subject_id = :id AND {old}",
            before=await since(tx),
            id=subject_id,
        )

    return Sweeper("forget_case_codes", find, one)


def _told(case_code: str | None, now: datetime) -> Message:
    return CaseLinked(occurred_at=now, case_code=case_code) if case_code else CaseUnlinked(occurred_at=now)
