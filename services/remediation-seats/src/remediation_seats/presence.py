"""Whether somebody whose case is attached is still there, three and six months after the admission: one question with closed answers.

By mail with a signed link and on « Mes places »; reminded, then given up and told as not known, which a late answer still replaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from common.failures import Refusal
from common.pages import PARIS, day
from common.sweepers import Sweeper
from common.transaction import Transaction
from remediation_seats import store
from remediation_seats.messages import PresenceAnswered, PresenceReply
from territory.months import months_after

AFTER_MONTHS = (3, 6)
LINK = "presence"
# As long as a late answer is of use.
_LINK_DAYS = 180
GONE = Refusal("not_found", "Cette question n’existe plus : la situation a été détachée, ou le lien a vieilli.")
_NOT_YOURS = Refusal("not_your_structure", "Cette question est posée à une autre structure.")


async def _not_asked(tx: Transaction, after: UUID, limit: int) -> Sequence[UUID]:
    """Admitted holds with a case, for which a question has come due and was not asked."""
    rows = await tx.fetch_all(
        """SELECT h.hold_id FROM hold h JOIN case_link l ON l.subject_id = h.hold_id
           WHERE h.state = 'admitted' AND l.case_code IS NOT NULL AND h.hold_id > :after AND EXISTS (
               SELECT 1 FROM unnest(CAST(:months AS int[])) AS m WHERE h.admitted_at + make_interval(months => m) <= :now
               AND NOT EXISTS (SELECT 1 FROM presence_question q WHERE q.hold_id = h.hold_id AND q.after_months = m))
           ORDER BY h.hold_id LIMIT :limit""",
        now=await tx.now(),
        months=list(AFTER_MONTHS),
        after=after,
        limit=limit,
    )
    return [row.hold_id for row in rows]


async def _ask(tx: Transaction, hold_id: UUID) -> None:
    now = await tx.now()
    hold = await store.find_hold(tx, hold_id)
    assert hold is not None
    assert hold.admitted_at is not None
    admitted_on = hold.admitted_at.astimezone(PARIS).date()
    for months in AFTER_MONTHS:
        if months_after(admitted_on, months) <= now.astimezone(PARIS).date() and await tx.execute(
            """INSERT INTO presence_question (hold_id, after_months, asked_at, reminder_count)
               VALUES (:id, :months, :now, 0) ON CONFLICT DO NOTHING""",
            id=hold_id,
            months=months,
            now=now,
        ):
            await _write(tx, hold_id, months, "")


ask_presence = Sweeper("ask_presence", _not_asked, _ask)


async def _silent(tx: Transaction, after: UUID, limit: int) -> Sequence[UUID]:
    """Holds with a question to remind of, or to give up."""
    policy, now = await store.policy_at(tx, await tx.now()), await tx.now()
    rows = await tx.fetch_all(
        """SELECT DISTINCT hold_id FROM presence_question WHERE answered_at IS NULL AND hold_id > :after AND (
               asked_at <= :lost OR (reminder_count < :most AND asked_at + (reminder_count + 1) * CAST(:every AS interval) <= :now))
           ORDER BY hold_id LIMIT :limit""",
        lost=now - timedelta(days=policy.presence_days),
        most=policy.presence_reminders_max,
        every=timedelta(days=policy.presence_reminder_days),
        now=now,
        after=after,
        limit=limit,
    )
    return [row.hold_id for row in rows]


async def _remind_or_give_up(tx: Transaction, hold_id: UUID) -> None:
    await _lock(tx, hold_id)
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    for row in await tx.fetch_all(
        "SELECT * FROM presence_question WHERE hold_id = :id AND answered_at IS NULL ORDER BY after_months", id=hold_id
    ):
        if row.asked_at <= now - timedelta(days=policy.presence_days):
            await _answer(tx, hold_id, row.after_months, PresenceReply.NOT_KNOWN, now)
            continue
        due = int((now - row.asked_at) / timedelta(days=policy.presence_reminder_days))
        if row.reminder_count < min(due, policy.presence_reminders_max):
            await tx.execute(
                "UPDATE presence_question SET reminder_count = :count WHERE hold_id = :id AND after_months = :months",
                count=min(due, policy.presence_reminders_max),
                id=hold_id,
                months=row.after_months,
            )
            await _write(tx, hold_id, row.after_months, f"/{due}")


give_up = Sweeper("give_up_presence", _silent, _remind_or_give_up)


async def _write(tx: Transaction, hold_id: UUID, months: int, again: str) -> None:
    (row,) = await store.holds_of(tx, hold_id=hold_id)
    if not row.structure_email:
        return
    address = tx.signed_address("/presence", LINK, f"{hold_id}/{months}", _LINK_DAYS)
    await tx.mail(
        message_key=f"presence/{hold_id}/{months}{again}",
        recipient=row.structure_email,
        subject=f"Le jeune accueilli est-il toujours là ? ({row.title})",
        body=f"Un jeune (code {row.code}) est entré chez vous le {day(row.admitted_at.astimezone(PARIS).date())}."
        f" Un seul clic suffit, {months} mois après : toujours là, ou parti ?\n\n{address}\n\n"
        "Votre réponse sert à savoir ce que deviennent les jeunes accueillis ; elle ne juge personne.",
    )


# -- the answer


def asked_in(subject: str) -> tuple[UUID, int]:
    """Hold and months in the subject of a link."""
    hold_id, _, months = subject.partition("/")
    return UUID(hold_id), int(months)


async def question(tx: Transaction, hold_id: UUID, months: int) -> Row[Any] | None:
    """What is asked, with what the structure knows the young person by."""
    return await tx.fetch_one(
        """SELECT q.*, CAST(h.admitted_at AT TIME ZONE 'Europe/Paris' AS date) AS admitted_on, p.title, p.structure_id, y.code FROM presence_question q
           JOIN hold h USING (hold_id) JOIN programme p USING (programme_id) JOIN young_person y USING (young_person_id)
           WHERE q.hold_id = :id AND q.after_months = :months""",
        id=hold_id,
        months=months,
    )


async def open_questions(tx: Transaction, structure_id: UUID) -> Sequence[Row[Any]]:
    """What a structure has not answered."""
    return await tx.fetch_all(
        """SELECT q.*, CAST(h.admitted_at AT TIME ZONE 'Europe/Paris' AS date) AS admitted_on, p.title, y.code FROM presence_question q
           JOIN hold h USING (hold_id) JOIN programme p USING (programme_id) JOIN young_person y USING (young_person_id)
           WHERE p.structure_id = :id AND q.answered_at IS NULL ORDER BY q.asked_at, q.hold_id LIMIT 100""",
        id=structure_id,
    )


async def answer(
    tx: Transaction, hold_id: UUID, months: int, presence: PresenceReply, structure_id: UUID | None
) -> Refusal | None:
    """The structure says; by its link, or logged in as `structure_id`. A later answer replaces an earlier one."""
    row = await question(tx, hold_id, months)
    if row is None:
        return GONE
    if structure_id is not None and row.structure_id != structure_id:
        return _NOT_YOURS
    await _lock(tx, hold_id)
    await _answer(tx, hold_id, months, presence, await tx.now())
    return None


async def _lock(tx: Transaction, hold_id: UUID) -> None:
    """The link's row orders what is told of it."""
    await tx.fetch_one("SELECT 1 FROM case_link WHERE subject_id = :id FOR UPDATE", id=hold_id)


async def _answer(tx: Transaction, hold_id: UUID, months: int, presence: PresenceReply, now: datetime) -> None:
    changed = await tx.execute(
        """UPDATE presence_question SET answered_at = :now, presence = :presence
           WHERE hold_id = :id AND after_months = :months AND presence IS DISTINCT FROM :presence""",
        now=now,
        presence=presence.value,
        id=hold_id,
        months=months,
    )
    link = await tx.fetch_one("SELECT * FROM case_link WHERE subject_id = :id", id=hold_id)
    if not changed or link is None or link.case_code is None:
        # What is attached to no case any more concerns nobody.
        return
    told = PresenceAnswered(
        occurred_at=now, after_months=months, happened_on=now.astimezone(PARIS).date(), presence=presence
    )
    version = await tx.emit([told], aggregate_id=hold_id, version=link.version)
    await tx.execute("UPDATE case_link SET version = :version WHERE subject_id = :id", version=version, id=hold_id)
