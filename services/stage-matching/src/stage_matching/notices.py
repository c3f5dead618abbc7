"""Who is written to, and when: what happened to an application, and whoever has not answered yet.

Mails are rows of the command's own transaction, once per occasion and recipient.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from common.pages import count, moment
from common.sweepers import Sweeper
from common.transaction import Transaction
from stage_matching import agreement_store, claims, store
from stage_matching.agreements import PARTIES_FR, STATES_FR, Agreement
from stage_matching.messages import (
    AgreementParty,
    ApplicationAccepted,
    ApplicationConfirmed,
    ApplicationEnded,
    ApplicationEndReason,
    ApplicationSubmitted,
)
from stage_matching.state import Decision
from stage_matching.terms import Party, Terms, what_changed
from territory import reference

# Links of an earlier use, which a seeker could see, stand for nobody any longer.
GUARDIAN_LINK = "guardian-of-agreement"
GUARDIAN_LINK_DAYS = 60
_ENDS_FOR_SEEKER = {
    ApplicationEndReason.REFUSED: "L’organisme ne peut pas vous accueillir",
    ApplicationEndReason.HOST_SILENT: "L’organisme n’a pas répondu à temps",
    ApplicationEndReason.HOST_SUSPENDED: "Les offres de cet organisme ne sont plus proposées",
    ApplicationEndReason.SEEKER_SILENT: "Vous n’avez pas confirmé à temps ; la place est rendue",
}
_ENDS_FOR_HOST = {
    ApplicationEndReason.WITHDRAWN: "La candidature est retirée",
    ApplicationEndReason.CONFIRMED_ELSEWHERE: "La personne a confirmé un autre stage",
    ApplicationEndReason.AGREEMENT_CANCELLED: "La convention est annulée ; la place est libre à nouveau",
}


async def follow(tx: Transaction, decision: Decision) -> None:
    """Writes to those whom a decision concerns; called once for each, after it is saved."""
    # Why an application ended, or is for another offer than it was made for (commitments); what has no mail of its own is told here.
    told: dict[UUID, str] = dict(decision.notes.get("told") or {})  # type: ignore[call-overload]
    for message in decision.messages:
        if isinstance(message, ApplicationSubmitted | ApplicationAccepted | ApplicationConfirmed | ApplicationEnded):
            rows = await store.applications_of(tx, application_id=message.application_id)
            for recipient, subject, body in _mails(tx, message, rows[0], told.pop(message.application_id, "")):
                if recipient is not None:
                    key = f"{message.record_name()}:{message.application_id}"
                    await tx.mail(message_key=key, recipient=recipient, subject=subject, body=body)
    for application_id, why in told.items():
        await _tell_changed(tx, application_id, why)


async def _tell_changed(tx: Transaction, application_id: UUID, why: str) -> None:
    """What was promised holds, otherwise than it was made: who applied may give it up; of a confirmed internship, each party."""
    (row,) = await store.applications_of(tx, application_id=application_id)
    if row.agreement_id is not None:
        agreement = await agreement_store.lock(tx, row.agreement_id)
        terms = await agreement_store.terms_of(tx, agreement)
        may = "La convention tient : si vous voulez y mettre fin, c’est ici :"
        reached = await _reached(tx, terms)
        told: list[tuple[str | None, str, str]] = [
            (email, may, _page_of(tx, agreement, one)) for one, email in reached if one.party != "HOST"
        ]
    else:
        recipient, page = _learner(tx, row)
        may = "La candidature tient. Si l’offre ne convient plus, retirez-la ici :"
        told = [(recipient, may, f"{page}\n\nD’autres offres près de là : {tx.address(_elsewhere(row))}")]
    key = f"changed:{application_id}:{(await tx.now()).isoformat()}"
    for recipient, may, page in told:
        if recipient is not None:
            await tx.mail(
                message_key=key,
                recipient=recipient,
                subject=f"L’offre change : {row.title}",
                body=f"{row.host_name} ({', '.join(row.iso_weeks)}){_of_pupil(row)}\n{why}\n{may}\n\n{page}",
            )


def _learner(tx: Transaction, row: Any) -> tuple[str | None, str]:
    """Who is written to for somebody who applied, and the page on which they answer: the school of a pupil of a campaign."""
    if row.pupil_code is None:
        return row.seeker_email, tx.address("/mes-candidatures")
    return row.school_email, tx.address(f"/campagnes/{row.campaign_id}/eleves/{row.request_id}")


def _of_pupil(row: Any) -> str:
    return f", élève {row.pupil_code} ({row.class_group})" if row.pupil_code is not None else ""


def _mails(tx: Transaction, message: Any, row: Any, why: str) -> list[tuple[str | None, str, str]]:
    seeker, host = tx.address("/mes-candidatures"), _host_page(tx, row)
    match message:
        case ApplicationSubmitted():
            body = f"Une candidature attend votre réponse avant {moment(message.answer_due_at)}.\n\n{host}"
            return [(row.host_email, f"Candidature : {row.title}", body)]
        case ApplicationAccepted():
            body = (
                f"{row.host_name} vous garde une place ({', '.join(message.iso_weeks)}).\n"
                f"Confirmez avant {moment(message.confirm_due_at)}, sinon elle est rendue.\n\n{seeker}"
            )
            return [(row.seeker_email, f"Une place pour vous : {row.title}", body)]
        case ApplicationConfirmed():
            body = f"Le stage est confirmé ({', '.join(message.iso_weeks)}). La convention est à signer.\n\n"
            subject = f"Stage confirmé : {row.title}"
            return [(row.host_email, subject, body + host), (row.seeker_email, subject, body + seeker)]
        case ApplicationEnded(reason=reason) if reason in _ENDS_FOR_SEEKER:
            cause = f"\n{why}" if why else ""
            body = f"{_ENDS_FOR_SEEKER[reason]}{_of_pupil(row)}.{cause}\nD’autres offres près de chez vous :\n\n{tx.address(_elsewhere(row))}"
            # Of a campaign, the school answers in time or sees the seat come back; what a host or the agency ends it cannot foresee.
            own = reason in (ApplicationEndReason.HOST_SILENT, ApplicationEndReason.SEEKER_SILENT)
            recipient = row.seeker_email if own else _learner(tx, row)[0]
            return [(recipient, f"Candidature close : {row.title}", body)]
        case ApplicationEnded(reason=reason):
            body = f"{_ENDS_FOR_HOST.get(reason, 'La candidature est close')}.\n\n{host}"
            return [(row.host_email, f"Candidature close : {row.title}", body)]
        case _:
            return []


def _host_page(tx: Transaction, row: Any) -> str:
    """Where a host answers; one that a table brought is given the link by which its account takes it over. `row` has both."""
    if not row.claimable:
        return tx.address("/mes-offres")
    link = tx.signed_address("/reprendre", claims.TAKE_OVER, str(row.host_id), claims.LINK_DAYS)
    return f"{row.host_name} n’a pas encore de compte ici. Pour répondre, connectez-vous par ce lien, qui vous rattache ses offres :\n{link}"


def _elsewhere(row: Any) -> str:
    """The search that finds what is like an offer: same place, same weeks."""
    return "/stages?" + urlencode(
        {"commune": reference.commune_label(row.commune_code), "rayon": 30, "semaine": row.iso_weeks[0]}
    )


async def write_to_host(tx: Transaction, offer_id: UUID, campaign_id: UUID, count_given: int) -> None:
    """One mail for what a published campaign gave of an offer."""
    row = await tx.fetch_one(
        "SELECT o.title, h.* FROM offer o JOIN host h USING (host_id) WHERE offer_id = :id", id=offer_id
    )
    if row is None or row.contact_email is None:
        return
    await tx.mail(
        message_key=f"campaign:{campaign_id}:{offer_id}",
        recipient=row.contact_email,
        subject=f"Stagiaires à venir : {row.title}",
        body=f"Une campagne vous propose {count(count_given, 'élève')}. Chacun doit encore confirmer ; la liste est à jour ici :\n\n{_host_page(tx, row)}",
    )


async def write_to_leader(tx: Transaction, campaign: Any) -> None:
    """A campaign is computed again without an organisation that the agency suspended: its school is told, where it is known how."""
    school = await tx.fetch_one("SELECT contact_email FROM accompanist WHERE acts_as = :uai", uai=campaign.uai or "")
    if school is not None and school.contact_email is not None:
        await tx.mail(
            message_key=f"left-out:{campaign.campaign_id}:{campaign.version}",
            recipient=school.contact_email,
            subject=f"Campagne calculée à nouveau : {campaign.title}",
            body="L’agence a suspendu un organisme dont votre campagne gardait des places. Elle est calculée à nouveau sans lui, "
            f"avant toute publication :\n\n{tx.address(f'/campagnes/{campaign.campaign_id}')}",
        )


async def ask_for_signature(tx: Transaction, agreement: Agreement, terms: Terms) -> None:
    """A new agreement: whoever accompanies is told, and a guardian is sent the link, which nobody else is ever shown."""
    for party, email in await _reached(tx, terms):
        if party.party == AgreementParty.GUARDIAN.value:
            await write_to_guardian(tx, agreement, email)
        elif party.party not in (AgreementParty.SEEKER.value, AgreementParty.HOST.value):
            await tx.mail(
                message_key=f"drafted:{agreement.agreement_id}",
                recipient=email,
                subject=f"Convention à signer : {terms.title}",
                body=f"Une convention que vous accompagnez attend votre signature.\n\n{tx.address(_page(agreement))}",
            )


async def write_to_guardian(tx: Transaction, agreement: Agreement, email: str, on: date | None = None) -> bool:
    """The link by which a guardian signs, to their own address; again at most once a day, when somebody asks for it.

    Whether it is sent.
    """
    link = tx.signed_address("/convention", GUARDIAN_LINK, str(agreement.agreement_id), GUARDIAN_LINK_DAYS)
    return await tx.mail(
        message_key=f"guardian:{agreement.agreement_id}:{agreement.terms_version}:{on or ''}",
        recipient=email,
        subject="Convention de stage de votre enfant, à lire et à signer",
        body=f"Votre enfant a un stage. Lisez la convention et signez-la, sans compte, par ce lien qui n’est envoyé qu’à vous :\n\n{link}",
    )


def _page(agreement: Agreement) -> str:
    return f"/conventions/{agreement.agreement_id}"


def _page_of(tx: Transaction, agreement: Agreement, party: Party) -> str:
    """Where a party finds the agreement; a guardian has no account, but a link."""
    if party.party != AgreementParty.GUARDIAN.value:
        return tx.address(_page(agreement))
    return tx.signed_address("/convention", GUARDIAN_LINK, str(agreement.agreement_id), GUARDIAN_LINK_DAYS)


async def write_of_changed_terms(tx: Transaction, agreement: Agreement, before: Terms, after: Terms) -> None:
    """Each party is told what changed, that every signature fell, and is asked again."""
    lines = [f"- {name} : « {old} » devient « {new} »" for name, old, new in what_changed(before, after)]
    for party, email in await _reached(tx, after):
        page = _page_of(tx, agreement, party)
        await tx.mail(
            message_key=f"terms:{agreement.agreement_id}:{agreement.terms_version}:{party.party}",
            recipient=email,
            subject=f"Convention changée, à signer à nouveau : {before.title}",
            body="La convention de stage a changé ; les signatures données sont annulées.\n\n"
            + "\n".join(lines)
            + f"\n\nRelisez-la et signez la nouvelle version :\n\n{page}",
        )


async def write_of_its_end(tx: Transaction, agreement: Agreement, terms: Terms, ended_by: AgreementParty) -> None:
    """Each party but the one that ended it is told who did, and where it is read; the host of a cancelled one hears of its seat."""
    word = STATES_FR[agreement.state]
    seat_told = {AgreementParty.HOST.value} if agreement.state == "cancelled" else set()
    for party, email in await _reached(tx, terms):
        if party.party not in {ended_by.value, *seat_told}:
            await tx.mail(
                message_key=f"ended:{agreement.agreement_id}:{party.party}",
                recipient=email,
                subject=f"Convention {word} : {terms.title}",
                body=f"La convention de stage chez {terms.host_name}, du {terms.starts_on:%d/%m/%Y} au {terms.ends_on:%d/%m/%Y}, est {word} "
                f"(par : {PARTIES_FR[ended_by.value]}).\nCe qui était signé reste lisible ici :\n\n{_page_of(tx, agreement, party)}",
            )


async def _reached(tx: Transaction, terms: Terms) -> list[tuple[Party, str]]:
    """The parties that can be written to, each with its address; who accompanies may have become known after the copy was made."""
    rows = await tx.fetch_all(
        "SELECT acts_as, contact_email FROM accompanist WHERE acts_as = ANY(:ids) AND contact_email IS NOT NULL",
        ids=[party.acts_as for party in terms.parties],
    )
    since = {row.acts_as: row.contact_email for row in rows}
    return [(party, email) for party in terms.parties if (email := party.email or since.get(party.acts_as)) is not None]


# The next reminder of an application is due so many days after it was submitted or accepted; beyond the last is none.
_SILENT = """due_at IS NOT NULL
             AND COALESCE(accepted_at, submitted_at) <= (CAST(:silent_since AS timestamptz[]))[reminder_count + 1]"""


async def _silent_since(tx: Transaction) -> list[datetime]:
    """Since when somebody must have been silent to get the first reminder, the second, and so on."""
    now = await tx.now()
    return [now - timedelta(days=days) for days in (await store.policy_at(tx, now)).reminder_days]


async def _silent(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    rows = await tx.fetch_all(
        f"SELECT application_id FROM application WHERE {_SILENT} AND application_id > :after ORDER BY application_id LIMIT :limit",
        silent_since=await _silent_since(tx),
        after=after,
        limit=limit,
    )
    return [row.application_id for row in rows]


async def _remind(tx: Transaction, application_id: UUID) -> None:
    """Writes to whoever has not answered, at the policy's days; each reminder is sent once, by its count on the row."""
    reminded = await tx.fetch_one(
        f"UPDATE application SET reminder_count = reminder_count + 1 WHERE application_id = :id AND {_SILENT} RETURNING reminder_count",
        id=application_id,
        silent_since=await _silent_since(tx),
    )
    if reminded is None:
        return
    (row,) = await store.applications_of(tx, application_id=application_id)
    to_seeker = row.state == "accepted"
    recipient = row.seeker_email if to_seeker else row.host_email
    if recipient is None:
        return
    page = tx.address("/mes-candidatures") if to_seeker else _host_page(tx, row)
    await tx.mail(
        message_key=f"reminder-{reminded.reminder_count}:{application_id}:{to_seeker}",
        recipient=recipient,
        subject=f"Rappel : {row.title}",
        body=f"{'Votre confirmation' if to_seeker else 'Une réponse'} est attendue avant {moment(row.due_at)}.\n\n{page}",
    )


remind = Sweeper("remind", _silent, _remind)
