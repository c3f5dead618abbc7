"""A professional may attach a case of the dropout observatory to what they hold, apply for or book.

It is told apart, on a topic that the observatory alone may read: no topic of facts ever names a case.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field

from common.codes import CODE_LENGTH, normalised_code
from common.generated import CaseLinked, CaseUnlinked
from common.messages import Message
from common.reconcile import LastMessages
from common.transaction import Transaction

CASE_LINK_1 = """
CREATE TABLE case_link (
    subject_id UUID NOT NULL,
    case_code VARCHAR,
    version BIGINT NOT NULL,
    PRIMARY KEY (subject_id)
);
"""


def _code(typed: str) -> str:
    code = normalised_code(typed)
    if code is None:
        raise ValueError("ce code de situation comporte une erreur de frappe : vérifiez les dix caractères")
    return code


# The code of a case as somebody types it.
CaseCode = Annotated[str, Field(max_length=CODE_LENGTH * 2), AfterValidator(_code)]


async def attach(tx: Transaction, subject_id: UUID, case_code: str | None) -> None:
    """Attaches a case to something that the caller has locked, another case, or none. The same again says nothing."""
    row = await tx.fetch_one("SELECT * FROM case_link WHERE subject_id = :id", id=subject_id)
    if (row.case_code if row else None) == case_code:
        return
    messages = await _told(tx, case_code)
    version = await tx.emit(messages, aggregate_id=subject_id, version=row.version if row else 0)
    await tx.execute(
        """INSERT INTO case_link (subject_id, case_code, version) VALUES (:id, :case_code, :version)
           ON CONFLICT (subject_id) DO UPDATE SET case_code = :case_code, version = :version""",
        id=subject_id,
        case_code=case_code,
        version=version,
    )


async def case_code_of(tx: Transaction, subject_id: UUID) -> str | None:
    """The code that is attached, if one is."""
    row = await tx.fetch_one("SELECT case_code FROM case_link WHERE subject_id = :id", id=subject_id)
    return row.case_code if row else None


async def restate(tx: Transaction, subject_id: UUID, last: LastMessages) -> Sequence[Message]:
    """The link as this database has it, or as the log last told it: what a professional attached is not lost with a database."""
    row = await tx.fetch_one("SELECT * FROM case_link WHERE subject_id = :id FOR UPDATE", id=subject_id)
    linked, unlinked = last.of(CaseLinked), last.of(CaseUnlinked)
    code = row.case_code if row else None
    if linked is not None and not (unlinked and unlinked.aggregate_version > linked.aggregate_version):
        code = linked.case_code
    elif unlinked is not None:
        code = None
    await tx.execute(
        """INSERT INTO case_link (subject_id, case_code, version) VALUES (:id, :case_code, 0)
           ON CONFLICT (subject_id) DO UPDATE SET case_code = :case_code""",
        id=subject_id,
        case_code=code,
    )
    return await _told(tx, code)


async def _told(tx: Transaction, case_code: str | None) -> list[Message]:
    now = await tx.now()
    return [CaseLinked(occurred_at=now, case_code=case_code) if case_code else CaseUnlinked(occurred_at=now)]
