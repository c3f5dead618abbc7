"""The mails of this service: what each says, and to whom it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from common.pages import day
from common.transaction import Transaction
from directory.state import Organisation
from directory.words import ROLES

# What a link is for: to accept an invitation, with whatever account; to say whether an organisation is who it says, without one.
INVITATION, CONTACT = "invitation", "organisation-contact"


async def invited(tx: Transaction, invitation: Any, link_days: int) -> bool:
    """An invitation with its link; whether a mail goes out, as one does at most each day."""
    link = tx.signed_address("/invitations", INVITATION, str(invitation.invitation_id), link_days)
    return await tx.mail(
        message_key=f"invitation:{invitation.invitation_id}:{invitation.sent_at.date()}",
        recipient=invitation.email,
        subject=f"Rejoindre {invitation.title} sur Estuaire",
        body=(
            f"{invitation.title} vous invite à agir en son nom : {ROLES[invitation.role].lower()}.\n"
            f"Connectez-vous avec votre compte habituel, puis acceptez ou refusez :\n\n{link}\n\n"
            f"Ce lien est pour vous seul. Il vaut jusqu’au {day(invitation.expires_at)}."
        ),
    )


async def registered(tx: Transaction, organisation: Organisation, who: str, to: Sequence[str]) -> None:
    """The agency has somebody to verify."""
    await _to_each(
        tx,
        to,
        message_key=f"registered:{organisation.organisation_id}:{organisation.version}",
        subject=f"À vérifier : {organisation.identity.title}",
        body=(
            f"{who} inscrit {organisation.identity.title}. Personne n’agit en son nom tant que ce n’est pas vérifié :\n\n"
            f"{tx.address(f'/organismes/{organisation.organisation_id}')}"
        ),
    )


async def contact_asked(tx: Transaction, organisation: Organisation, who: str, address: str, link_days: int) -> bool:
    """An establishment's own address is asked whether somebody acts for it."""
    subject = f"{organisation.organisation_id}/{organisation.version}"
    link = tx.signed_address("/verification", CONTACT, subject, link_days)
    return await tx.mail(
        message_key=f"contact:{subject}",
        recipient=address,
        subject=f"Qui agit pour {organisation.identity.title} ?",
        body=(
            f"{who} dit agir pour {organisation.identity.title} sur Estuaire.\n"
            f"Si c’est quelqu’un de chez vous, confirmez ; sinon dites-le :\n\n{link}"
        ),
    )


async def contact_denied(tx: Transaction, organisation: Organisation, to: Sequence[str]) -> None:
    """An establishment says that it knows nobody of those."""
    await _to_each(
        tx,
        to,
        message_key=f"contact-denied:{organisation.organisation_id}:{organisation.version}",
        subject=f"Non reconnu : {organisation.identity.title}",
        body=(
            f"L’adresse de l’établissement ne reconnaît pas qui a inscrit {organisation.identity.title}.\n\n"
            f"{tx.address(f'/organismes/{organisation.organisation_id}')}"
        ),
    )


async def access_asked(tx: Transaction, request: Any, to: Sequence[str]) -> None:
    """Somebody asks to act for an organisation."""
    who = request.display_name or request.email or "Quelqu’un"
    await _to_each(
        tx,
        to,
        message_key=f"access-asked:{request.access_request_id}",
        subject=f"{who} demande à agir pour {request.title}",
        body=(
            f"{who} ({request.email or 'sans adresse'}) demande à rejoindre {request.title} : {ROLES[request.role].lower()}.\n"
            f"Acceptez si c’est quelqu’un de chez vous, sinon refusez :\n\n{tx.address(f'/organismes/{request.organisation_id}')}"
        ),
    )


async def access_answered(tx: Transaction, request: Any, *, accepted: bool) -> None:
    """Who asked is told."""
    if request.email is None:
        return
    said = (
        f"Vous agissez désormais pour {request.title}. Rechargez la page où vous étiez, ou commencez ici :\n\n{tx.address('/mon-compte')}"
        if accepted
        else f"Votre demande pour {request.title} n’a pas été acceptée. Si c’est une erreur, parlez-en à un collègue, ou à l’agence."
    )
    await tx.mail(
        message_key=f"access-answered:{request.access_request_id}",
        recipient=request.email,
        subject=f"Votre demande pour {request.title}",
        body=said,
    )


async def membership_ended(tx: Transaction, membership_id: UUID, title: str, role: str, email: str | None) -> None:
    """Whose access another ended is told."""
    if email is not None:
        await tx.mail(
            message_key=f"membership-ended:{membership_id}",
            recipient=email,
            subject=f"Vous n’agissez plus pour {title}",
            body=(
                f"Votre accès pour {title} ({ROLES[role].lower()}) a pris fin. Ce que vous y avez fait reste à l’organisme.\n"
                "Si c’est une erreur, parlez-en à un collègue, ou à l’agence."
            ),
        )


async def nobody_manages(tx: Transaction, organisation: Organisation, to: Sequence[str], day_said: str) -> None:
    """The agency learns that an organisation has members, and nobody who may invite or end them."""
    await _to_each(
        tx,
        to,
        message_key=f"nobody-manages:{organisation.organisation_id}:{day_said}",
        subject=f"Plus personne ne gère {organisation.identity.title}",
        body=(
            f"La dernière personne qui gérait les accès de {organisation.identity.title} est partie.\n\n"
            f"{tx.address(f'/organismes/{organisation.organisation_id}')}"
        ),
    )


async def _to_each(tx: Transaction, to: Sequence[str], *, message_key: str, subject: str, body: str) -> None:
    for address in to:
        await tx.mail(message_key=message_key, recipient=address, subject=subject, body=body)
