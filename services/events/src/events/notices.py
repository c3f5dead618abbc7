"""Who is written to, and when. What a party is owed to be written is noted with what happened (`registration.owed`); `write_owed` does, once.

One mail gathers what a party is owed: who registers for a cycle of five evenings reads one mail, not five.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from common.pages import moment, slot
from common.sweepers import Sweeper
from common.transaction import Transaction
from events import event_store, overlaps, party_store, words
from events.ambassadors import Visit
from events.messages import AmbassadorAnswer, PartyKind
from events.overlaps import Hours
from events.state import Event
from events.store import SESSIONS
from territory import reference, rome

PARTY_LINK, AMBASSADOR_LINK = "party", "ambassador"
_LINK_DAYS = 400
_OWED: dict[str, str] = {
    "registered": "Inscription confirmée",
    "waiting": "En liste d’attente",
    "offered": "Une place est à vous",
    "ended": "Inscription close",
    "moved": "Horaire ou lieu changé",
    "cancelled": "Annulé",
    "outgrown": "Inscription close",
}
# What matters most stands in the subject.
_FIRST = ("cancelled", "outgrown", "offered", "moved", "ended", "waiting", "registered")


async def _write_owed(tx: Transaction, party_id: UUID) -> None:
    """Writes to a party what it is owed, in one mail."""
    if not (owed := await SESSIONS.take_owed(tx, party_id)):
        return
    party = await party_store.find_party(tx, party_id)
    rows = await party_store.registrations(tx, party_ids=[party_id])
    listed = [(row, owed[row.registration_id]) for row in rows if row.registration_id in owed]
    if not listed or party.email is None:
        return
    beside = overlaps.beside(await overlaps.had_by_party(tx, await tx.now(), party))
    description = event_store.description_of(party)
    where = words.where(description)
    body = [
        description.title,
        *([where] if where else []),
        # A school has several: whoever reads this has to know which.
        *([f"Groupe : {party.title}"] if party.kind == PartyKind.GROUP and party.title else []),
        "",
        *(line for row, what in listed for line in _lines(tx, party, row, what, beside.get(row.registration_id, []))),
        "",
        "Voir, changer, annuler, montrer votre billet :",
        tx.signed_address("/inscription", PARTY_LINK, str(party_id), _LINK_DAYS),
        "",
        "Ce lien est le vôtre : ne le transmettez pas.",
    ]
    first = min((what for _, what in listed), key=_FIRST.index)
    await tx.mail(
        message_key=f"party:{party_id}:{party.mail_count}",
        recipient=party.email,
        subject=f"{_OWED[first]} : {description.title}",
        body="\n".join(body),
    )


write_owed = Sweeper("write_owed", SESSIONS.owed, _write_owed)


def _lines(tx: Transaction, party: Any, row: Any, owed: str, others: Sequence[Hours]) -> list[str]:
    """A registration in a mail, with what else its people have at the same hour and where that may be given up instead."""
    if not others:
        return [_line(row, owed)]
    paths = dict.fromkeys(filter(None, (page_of(tx, party, one) for one in others)))
    return [
        _line(row, owed),
        f"  {overlaps.said(others)}",
        *(f"  Pour voir ou annuler l’autre : {tx.address(path)}" for path in paths),
    ]


def page_of(tx: Transaction, party: Any, other: Hours) -> str | None:
    """Where what is at the same hour may be given up: their other ticket, the groups of their school, or the same page."""
    if other.party_id == party.party_id:
        return None
    # The link of a colleague's group is the colleague's.
    if party.kind == PartyKind.GROUP:
        return "/mes-groupes"
    return f"/inscription/{tx.signed_link(PARTY_LINK, str(other.party_id), _LINK_DAYS)}"


async def ask_ambassador(tx: Transaction, visit: Visit, ambassador_id: UUID) -> None:
    """Asks somebody of the directory to come."""
    one = await _ambassador(tx, ambassador_id)
    row = await _visit(tx, visit.visit_id)
    body = [
        f"{row.asker_title or 'Un établissement'} voudrait vous entendre sur : {rome.label(visit.rome_code)}.",
        f"Le {words.long_date(visit.visit_on)}, {reference.commune_label(visit.commune_code)}.",
        *([row.details] if row.details else []),
        "",
        f"Dites oui ou non avant {moment(row.due_at)} ; sans réponse, nous demandons à quelqu’un d’autre :",
        tx.signed_address("/ambassadeur", AMBASSADOR_LINK, f"{ambassador_id}/{visit.visit_id}", _LINK_DAYS),
    ]
    subject = f"Viendriez-vous parler de votre métier le {words.long_date(visit.visit_on)} ?"
    await _mail(tx, f"ask:{visit.visit_id}:{ambassador_id}", one.email, subject, "\n".join(body))


def _line(row: Any, owed: str) -> str:
    """One registration in a mail: when, what, and what to do."""
    what = f"{slot(row.starts_at, row.ends_at)}, {row.session_title}"
    seats = f"{row.seat_count} place{'s' if row.seat_count > 1 else ''}"
    match owed:
        case "registered":
            return f"- {what} : {seats}, inscription confirmée."
        case "waiting":
            return f"- {what} : {seats} en liste d’attente. Si des places reviennent, nous les gardons pour vous et vous écrivons."
        case "offered":
            return f"- {what} : {seats} gardées pour vous jusqu’à {moment(row.due_at)}. Prenez-les ou laissez-les par le lien."
        case "moved":
            return f"- {what}{', ' + row.hall if row.hall else ''} : c’est le nouvel horaire ou le nouveau lieu. Vos {seats} restent à vous."
        case "cancelled":
            return f"- {what} : n’aura pas lieu."
        case "outgrown":
            may = "inscrivez-vous pour moins de personnes, ou à une autre séance"
            return f"- {what} : la séance a désormais moins de places que vous n’en demandez ({seats}). Vous n’attendez plus ; {may}."
        case _:
            return f"- {what} : {words.END_REASONS.get(row.end_reason, 'inscription close')}."


async def write_to_organiser(tx: Transaction, event: Event, answer: str, reason: str | None) -> None:
    """Platform scheduling refused or took back what an event needs: its organiser has to know."""
    row = await tx.fetch_one("SELECT contact_email FROM organiser WHERE organiser_id = :id", id=event.organiser_id)
    assert row is not None
    why = words.PLATFORM_REASONS.get(reason or "", "sans raison donnée")
    told = {
        "refused": f"Le plateau technique ne peut pas être réservé : {why}. Choisissez-en un autre, ou renoncez-y.",
        "released": "Le plateau technique n’est plus disponible : l’évènement est annulé, les inscrits sont prévenus.",
    }[answer]
    request_id = event.need.request_id if event.need is not None else None
    await _mail(
        tx,
        f"platform:{request_id}:{answer}",
        row.contact_email,
        f"Plateau technique : {event.description.title}",
        f"{told}\n\n{tx.address(f'/mes-evenements/{event.event_id}')}",
    )


async def write_of_answer(
    tx: Transaction, visit: Visit, ambassador_id: UUID | None, said: AmbassadorAnswer | None
) -> None:
    """Whoever asked learns that somebody comes; somebody who was asked learns that nobody needs them."""
    row = await _visit(tx, visit.visit_id)
    when = words.long_date(visit.visit_on)
    if said == AmbassadorAnswer.ACCEPTED and visit.ambassador_id is not None:
        one = await _ambassador(tx, visit.ambassador_id)
        body = f"{one.title} viendra le {when}. Écrivez-lui pour vous accorder : {one.email}\n\n{tx.address('/ambassadeurs')}"
        await _mail(tx, f"visit:{visit.visit_id}:accepted", row.asker_contact, f"Quelqu’un vient le {when}", body)
        body = f"Merci. Pour vous accorder, écrivez à {row.asker_title or 'l’établissement'} : {row.asker_contact}"
        await _mail(tx, f"visit:{visit.visit_id}:thanks", one.email, f"Rendez-vous le {when}", body)
    elif said == AmbassadorAnswer.CANCELLED and ambassador_id is not None:
        one = await _ambassador(tx, ambassador_id)
        body = f"La visite du {when} n’aura pas lieu. Merci de vous être rendu disponible."
        await _mail(tx, f"visit:{visit.visit_id}:cancelled", one.email, f"Visite annulée : {when}", body)


async def write_that_nobody_comes(tx: Transaction, visit: Visit) -> None:
    """Nobody of the directory could."""
    row = await _visit(tx, visit.visit_id)
    body = (
        f"Personne de l’annuaire ne peut venir parler de « {rome.label(visit.rome_code)} » le {words.long_date(visit.visit_on)}. "
        f"Essayez un autre jour ou un métier voisin.\n\n{tx.address('/ambassadeurs')}"
    )
    await _mail(tx, f"visit:{visit.visit_id}:exhausted", row.asker_contact, "Personne n’a pu répondre", body)


async def remind_of_kit(tx: Transaction, row: Any) -> None:
    """A kit is late: its borrower is reminded of it, once."""
    body = f"Le prêt s’est terminé le {row.last_on:%d/%m/%Y}. D’autres l’attendent : rapportez-le.\n\n{tx.address('/kits')}"
    await _mail(tx, f"late:{row.loan_id}", row.contact_email, f"Kit à rendre : {row.title}", body)


async def write_of_loan(tx: Transaction, loan_id: UUID, what: str, *, to_keeper: bool = False) -> None:
    """A loan that ends, or holds otherwise than it was agreed, by somebody else's doing: the other side is told."""
    row = await tx.fetch_one(
        """SELECT l.*, k.title, k.keeper, k.keeper_contact, k.version, o.account, o.contact_email
           FROM loan l JOIN kit k USING (kit_id) JOIN organiser o ON o.organiser_id = l.borrower_id WHERE loan_id = :id""",
        id=loan_id,
    )
    assert row is not None
    if to_keeper and row.keeper == row.account:
        return
    contact = row.keeper_contact if to_keeper else row.contact_email
    days = f"du {row.first_on:%d/%m/%Y} au {row.last_on:%d/%m/%Y}"
    body = f"Prêt de « {row.title} », {days}.\n{what}\n\n{tx.address('/kits')}"
    await _mail(tx, f"loan:{loan_id}:{row.version}:{to_keeper}", contact, f"Prêt d’un kit : {row.title}", body)


async def write_of_withdrawal(tx: Transaction, visit: Visit) -> None:
    """Who was to come, or was asked to, no longer can: whoever asked learns that the next is asked."""
    row = await _visit(tx, visit.visit_id)
    when = words.long_date(visit.visit_on)
    body = (
        f"La personne sollicitée pour le {when} n’est plus disponible : nous demandons à quelqu’un d’autre, et vous écrivons "
        f"sa réponse. Vous pouvez aussi y renoncer.\n\n{tx.address('/ambassadeurs')}"
    )
    key = f"visit:{visit.visit_id}:withdrawn:{len(visit.asked)}"
    await _mail(tx, key, row.asker_contact, f"Visite du {when} : nous cherchons quelqu’un d’autre", body)


async def _mail(tx: Transaction, key: str, recipient: str | None, subject: str, body: str) -> None:
    if recipient is not None:
        await tx.mail(message_key=key, recipient=recipient, subject=subject, body=body)


async def _visit(tx: Transaction, visit_id: UUID) -> Any:
    return await tx.fetch_one("SELECT * FROM visit WHERE visit_id = :id", id=visit_id)


async def _ambassador(tx: Transaction, ambassador_id: UUID) -> Any:
    return await tx.fetch_one("SELECT * FROM ambassador WHERE ambassador_id = :id", id=ambassador_id)
