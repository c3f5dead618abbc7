"""Who is written to, and when: what happened to a booking, and the owner who has not answered yet.

Mails are rows of the command's own transaction, once per occasion and recipient.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from common.pages import moment, slot
from common.sweepers import Sweeper
from common.transaction import Transaction
from platform_scheduling import store
from platform_scheduling.messages import (
    BookingApproved,
    BookingEnded,
    BookingEndReason,
    BookingHeld,
    BookingMoved,
    BookingRequested,
)
from platform_scheduling.state import Decision
from territory import reference

_ENDS_FOR_REQUESTER = {
    BookingEndReason.REFUSED: "Le plateau ne peut pas vous accueillir à ce moment",
    BookingEndReason.EXPIRED: "Le plateau n’a pas répondu à temps ; le créneau est rendu",
    BookingEndReason.CANCELLED_BY_OWNER: "Le plateau a dû annuler votre réservation",
}
_ENDS_FOR_OWNER = {
    BookingEndReason.CANCELLED_BY_REQUESTER: "La réservation est annulée ; le créneau est libre à nouveau",
    BookingEndReason.CANCELLED_BY_EVENT: "L’évènement n’a plus besoin du plateau ; le créneau est libre à nouveau",
}


async def follow(tx: Transaction, decision: Decision) -> None:
    """Writes to those whom a decision concerns; called once for each, after it is saved."""
    for message in decision.messages:
        booking_id = getattr(message, "booking_id", None)
        if booking_id is None:
            continue
        (row,) = await store.bookings(tx, booking_id=booking_id)
        for recipient, subject, body in _mails(tx, message, row, decision.told.get(booking_id, "")):
            if recipient is not None:
                key = f"{message.record_name()}:{booking_id}:{row.revision}"
                await tx.mail(message_key=key, recipient=recipient, subject=subject, body=body)
    ended = {getattr(message, "booking_id", None) for message in decision.messages}
    for booking_id, why in decision.told.items():
        if booking_id not in ended:
            await _tell_changed(tx, booking_id, why, decision.platform.version)


async def _tell_changed(tx: Transaction, booking_id: UUID, why: str, version: int) -> None:
    (row,) = await store.bookings(tx, booking_id=booking_id)
    if row.contact_email is not None:
        stands = "Votre place dans la file" if row.state == "requested" else "Votre réservation"
        may = f"{stands} tient. Si le plateau ne vous convient plus, annulez ou choisissez un autre créneau ici :"
        where = f"{row.title}, {reference.commune_label(row.commune_code)}\n{slot(row.starts_at, row.ends_at)}\n"
        await tx.mail(
            message_key=f"changed:{booking_id}:{version}",
            recipient=row.contact_email,
            subject=f"Le plateau réservé change : {row.title}",
            body=f"{where}{why}\n{may}\n\n{tx.address('/mes-reservations')}",
        )


def _mails(tx: Transaction, message: Any, row: Any, why: str) -> list[tuple[str | None, str, str]]:
    mine, owned = tx.address("/mes-reservations"), tx.address("/mes-plateaux")
    where = f"{row.title}, {reference.commune_label(row.commune_code)}\n{slot(row.starts_at, row.ends_at)}\n"
    match message:
        case BookingHeld(expires_at=expires_at):
            body = f"{where}{row.group_size} personnes, demandé par {row.requester_title}.\nSans réponse avant {moment(expires_at)}, le créneau est rendu.\n\n{owned}"
            held = f"{where}Le créneau est gardé pour vous jusqu’à la réponse du plateau, au plus tard {moment(expires_at)}.\n\n{mine}"
            return [
                (row.owner_contact, f"Réservation à accepter : {row.title}", body),
                (row.contact_email, f"Créneau gardé : {row.title}", held),
            ]
        case BookingRequested():
            body = (
                f"{where}Un autre groupe a une option : vous êtes en file, prévenu si le créneau se libère.\n\n{mine}"
            )
            return [(row.contact_email, f"En file d’attente : {row.title}", body)]
        case BookingApproved():
            told = f"{where}Réservé par {row.requester_title}, {row.group_size} personnes.\n\n{owned}"
            return [
                (
                    row.contact_email,
                    f"Réservation acceptée : {row.title}",
                    f"{where}La réservation est acceptée.\n\n{mine}",
                ),
                (row.owner_contact, f"Réservation : {row.title}", told),
            ]
        case BookingMoved(expires_at=expires_at):
            answer = f"Une réponse est attendue avant {moment(expires_at)}.\n" if expires_at else ""
            subject = f"Réservation déplacée : {row.title}"
            return [
                (row.contact_email, subject, f"{where}{answer}\n{mine}"),
                (row.owner_contact, subject, f"{where}{answer}\n{owned}"),
            ]
        case BookingEnded(reason=reason) if reason in _ENDS_FOR_REQUESTER:
            cause = f"\n{why}" if why else ""
            body = f"{where}{_ENDS_FOR_REQUESTER[reason]}.{cause}\nD’autres créneaux :\n\n{tx.address('/plateaux')}"
            return [(row.contact_email, f"Réservation close : {row.title}", body)]
        case BookingEnded(reason=reason) if reason in _ENDS_FOR_OWNER:
            return [
                (
                    row.owner_contact,
                    f"Réservation annulée : {row.title}",
                    f"{where}{_ENDS_FOR_OWNER[reason]}.\n\n{owned}",
                )
            ]
        case _:
            return []


_UNANSWERED = """state = 'tentative' AND reminder_count = 0 AND due_at > :now AND due_at <= CAST(:now AS timestamptz) + interval '48 hours'
                 AND requested_at <= CAST(:now AS timestamptz) - interval '24 hours'"""


async def _unanswered(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    """Options that end within two days, of which the owner has not been reminded; not on the day on which they were asked for."""
    rows = await tx.fetch_all(
        f"SELECT booking_id FROM booking WHERE {_UNANSWERED} AND booking_id > :after ORDER BY booking_id LIMIT :limit",
        now=await tx.now(),
        after=after,
        limit=limit,
    )
    return [row.booking_id for row in rows]


async def _remind(tx: Transaction, booking_id: UUID) -> None:
    """One reminder to the owner; the row's count says that it was sent."""
    reminded = await tx.execute(
        f"UPDATE booking SET reminder_count = 1 WHERE booking_id = :id AND {_UNANSWERED}",
        id=booking_id,
        now=await tx.now(),
    )
    (row,) = await store.bookings(tx, booking_id=booking_id)
    if reminded and row.owner_contact is not None:
        where = f"{row.title}\n{slot(row.starts_at, row.ends_at)}\n"
        await tx.mail(
            message_key=f"reminder:{booking_id}",
            recipient=row.owner_contact,
            subject=f"Rappel, réservation à accepter : {row.title}",
            body=f"{where}Sans réponse avant {moment(row.due_at)}, le créneau est rendu.\n\n{tx.address('/mes-plateaux')}",
        )


remind = Sweeper("remind", _unanswered, _remind)
