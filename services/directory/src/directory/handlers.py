"""One function per command: lock the organisation, decide, save. Nothing here commits, publishes or catches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from common.failures import Moved, Refusal
from common.pages import PARIS
from common.transaction import Transaction
from directory import domain, notices, store
from directory.messages import MemberRole, MembershipEndReason, OrganisationState
from directory.state import Decision, Identity, Membership, Organisation

NOT_FOUND = Refusal("not_found", "Cet organisme n’existe pas.")
NO_INVITATION = Refusal("not_found", "Cette invitation n’existe plus : demandez-en une autre à qui vous l’a envoyée.")
_NO_REQUEST = Refusal("not_found", "Cette demande n’existe pas, ou il y a déjà été répondu.")
_NO_MEMBERSHIP = Refusal("not_found", "Cet accès n’existe pas, ou a pris fin.")
_NOT_YOURS = Refusal("not_yours", "Seuls l’agence et qui gère les accès de cet organisme peuvent faire cela.")
_NOT_AGENCY = Refusal("not_yours", "Seule l’agence peut faire cela.")
_NOT_MEMBER = Refusal("not_your_organisation", "Il faut agir pour cet organisme : demandez à le rejoindre.")


@dataclass(frozen=True)
class Actor:
    """Who acts: by keyed hash, with what the issuer says of them; whether they work for the agency."""

    subject_hash: str
    email: str | None = None
    display_name: str | None = None
    agency: bool = False

    @property
    def said(self) -> str:
        """For a mail."""
        return " ".join(part for part in (self.display_name, self.email and f"({self.email})") if part) or "Un compte"


def today(now: datetime) -> date:
    """The day in Paris."""
    return now.astimezone(PARIS).date()


# -- organisations


async def register(
    tx: Transaction, actor: Actor, organisation_id: UUID, identity: Identity, role: MemberRole | None, *, another: bool
) -> Refusal | None:
    """A new organisation. The agency's is verified; anybody else's waits for that, and whoever registers it will manage it, in `role`.

    A SIRET that is there already is asked about: is it that one, or `another`? A UAI stands for one.
    """
    await store.lock_numbers(tx, identity)
    if (refusal := await _why_not_number(tx, identity, organisation_id, another=another)) is not None:
        return refusal
    whole = [identity.part_of] if identity.part_of else []
    locked = await store.lock(tx, organisation_id, *whole)
    if organisation_id in locked:
        return Refusal("registered", "Cet organisme est déjà inscrit : changez sa description.")
    if (refusal := await _why_not_site(tx, actor, identity, organisation_id, locked)) is not None:
        return refusal
    now = await tx.now()
    decision = domain.register(organisation_id, identity, now, verified=actor.agency)
    if decision.refusal is not None:
        return decision.refusal
    if role is not None and (refusal := domain.why_not_role(identity, role)) is not None:
        return refusal
    await store.insert(tx, decision.after, now)
    organisation = await store.save(tx, decision.after, decision)
    if role is not None:
        await _grant(tx, organisation, actor.subject_hash, role, None, manager=True, now=now)
    if not actor.agency:
        agency = await store.addresses_of_agency(tx, today(now))
        await notices.registered(tx, organisation, actor.said, agency)
    return None


async def describe(
    tx: Transaction, actor: Actor, organisation_id: UUID, identity: Identity, *, another: bool
) -> Refusal | None:
    """Another description, by the agency or who manages it."""
    await store.lock_numbers(tx, identity)
    if (refusal := await _why_not_number(tx, identity, organisation_id, another=another)) is not None:
        return refusal
    whole = [identity.part_of] if identity.part_of else []
    locked = await store.lock(tx, organisation_id, *whole)
    now = await tx.now()
    if organisation_id not in locked:
        return NOT_FOUND
    if not await _manages(tx, actor, organisation_id, now):
        return _NOT_YOURS
    organisation = locked[organisation_id]
    if identity.part_of != organisation.identity.part_of:
        refusal = await _why_not_site(tx, actor, identity, organisation_id, locked)
        if refusal is not None:
            return refusal
    decision = domain.describe(organisation, identity, now, by_agency=actor.agency)
    if decision.refusal is not None:
        return decision.refusal
    if (refusal := await _why_not_without(tx, organisation_id, identity)) is not None:
        return refusal
    after = await store.save(tx, organisation, decision)
    if after.state is not organisation.state:
        await notices.registered(tx, after, actor.said, await store.addresses_of_agency(tx, today(now)))
    return None


async def verify(tx: Transaction, actor: Actor, organisation_id: UUID) -> Refusal | None:
    """The agency has looked: its members may act."""
    return await _by_agency(tx, actor, organisation_id, domain.verify)


async def doubt(tx: Transaction, actor: Actor, organisation_id: UUID) -> Refusal | None:
    """It was verified by mistake."""
    return await _by_agency(tx, actor, organisation_id, domain.doubt)


async def close(tx: Transaction, actor: Actor, organisation_id: UUID) -> Refusal | None:
    """Nobody acts for it until the agency reopens it."""
    return await _by_agency(tx, actor, organisation_id, domain.close, managers_too=True)


async def reopen(tx: Transaction, actor: Actor, organisation_id: UUID) -> Refusal | None:
    """It is again what it was; who was moved with it to another goes back with it."""
    if not actor.agency:
        return _NOT_AGENCY
    known = await store.find(tx, organisation_id)
    if known is None:
        return NOT_FOUND
    await store.lock_numbers(tx, known.identity)
    locked = await store.lock(tx, organisation_id, *([known.merged_into] if known.merged_into else []))
    organisation = locked[organisation_id]
    if organisation.merged_into not in (None, *locked):
        return Refusal("changed", "Cet organisme vient de changer : rechargez la page.")
    if (refusal := await _why_not_number(tx, organisation.identity, organisation_id, another=True)) is not None:
        return refusal
    now = await tx.now()
    await store.save(tx, organisation, domain.reopen(organisation, now))
    if organisation.merged_into is not None:
        for one in await store.moved_from(tx, organisation_id):
            await store.save_membership(tx, one, domain.move(one, organisation_id, None, now))
        for one in await store.of_organisation(tx, organisation_id, MembershipEndReason.MERGED):
            await store.save_membership(tx, one, domain.resume(one, now))
    return None


async def merge(tx: Transaction, actor: Actor, organisation_id: UUID, into: UUID) -> Refusal | None:
    """Another stands for it. Its members go there; who is there already in the same role is once."""
    if not actor.agency:
        return _NOT_AGENCY
    locked = await store.lock(tx, organisation_id, into)
    if len(locked) < len({organisation_id, into}):
        return NOT_FOUND
    organisation, other = locked[organisation_id], locked[into]
    now = await tx.now()
    decision = domain.merge(organisation, other, now)
    if decision.refusal is not None:
        return decision.refusal
    if await store.sites_count(tx, organisation_id):
        return Refusal("has_sites", "Cet organisme a des sites : rattachez-les d’abord à l’autre.")
    if (refusal := await _why_not_without(tx, organisation_id, other.identity)) is not None:
        return refusal
    await store.save(tx, organisation, decision)
    for one in await store.of_organisation(tx, organisation_id):
        twice = await store.open_membership(tx, into, one.subject_hash, one.role)
        moved = (
            domain.end(one, MembershipEndReason.MERGED, now) if twice else domain.move(one, into, organisation_id, now)
        )
        await store.save_membership(tx, one, moved)
    return None


async def ask_contact(tx: Transaction, actor: Actor, organisation_id: UUID) -> Refusal | dict[str, Any]:
    """A public school's own address is asked whether those who registered it act for it; whether a mail goes out."""
    locked = await store.lock(tx, organisation_id)
    now = await tx.now()
    if organisation_id not in locked:
        return NOT_FOUND
    if not await _manages(tx, actor, organisation_id, now):
        return _NOT_YOURS
    organisation = locked[organisation_id]
    if organisation.state is not OrganisationState.REGISTERED:
        return Refusal("not_waiting", "Cet organisme n’attend pas d’être vérifié.")
    policy = await store.policy_at(tx, now)
    address = domain.contact_address(organisation.identity, policy)
    if address is None:
        return Refusal("no_contact", "Nous n’avons pas d’adresse de cet établissement : l’agence le vérifie elle-même.")
    sent = await notices.contact_asked(tx, organisation, actor.said, address, policy.contact_days)
    return {"asked": address, "sent": sent}


async def contact_answers(tx: Transaction, organisation_id: UUID, version: int, *, known: bool) -> Refusal | None:
    """An establishment's own address says whether somebody acts for it; of a description that changed since it is asked anew."""
    locked = await store.lock(tx, organisation_id)
    if organisation_id not in locked:
        return NOT_FOUND
    organisation = locked[organisation_id]
    now = await tx.now()
    if known and organisation.state is OrganisationState.VERIFIED and organisation.version == version + 1:
        return None
    if organisation.version != version:
        return Refusal("changed", "Cet organisme a changé depuis ce message : l’agence s’en occupe.")
    if known:
        decision = domain.verify(organisation, now)
        await store.save(tx, organisation, decision)
        return decision.refusal
    await notices.contact_denied(tx, organisation, await store.addresses_of_agency(tx, today(now)))
    return None


Rule = Callable[[Organisation, datetime], Decision[Organisation]]


async def _by_agency(
    tx: Transaction, actor: Actor, organisation_id: UUID, rule: Rule, *, managers_too: bool = False
) -> Refusal | None:
    locked = await store.lock(tx, organisation_id)
    now = await tx.now()
    if organisation_id not in locked:
        return NOT_FOUND
    if not actor.agency and not (managers_too and await _manages(tx, actor, organisation_id, now)):
        return _NOT_YOURS if managers_too else _NOT_AGENCY
    decision = rule(locked[organisation_id], now)
    if decision.refusal is None:
        await store.save(tx, locked[organisation_id], decision)
    return decision.refusal


async def _why_not_number(
    tx: Transaction, identity: Identity, organisation_id: UUID, *, another: bool
) -> Refusal | None:
    """Under the locks of its numbers."""
    others = [
        row for row in await store.of_number(tx, identity.siret, identity.uai) if row.organisation_id != organisation_id
    ]
    for row in others:
        if identity.uai is not None and row.uai == identity.uai:
            return Refusal(
                "uai_taken",
                f"Cet UAI est celui de {row.title}, déjà inscrit : demandez à le rejoindre.",
                {"organisations": [_named(row)]},
            )
    if others and not another:
        return Refusal(
            "same_siret",
            "Ce SIRET est déjà inscrit : est-ce cet organisme, ou un autre à la même adresse ?",
            {"organisations": [_named(row) for row in others]},
        )
    return None


def _named(row: Any) -> dict[str, Any]:
    return {"organisation_id": row.organisation_id, "title": row.title}


async def _why_not_site(
    tx: Transaction, actor: Actor, identity: Identity, organisation_id: UUID, locked: dict[UUID, Organisation]
) -> Refusal | None:
    """Why it cannot be a site of the organisation that it names; who adds a site manages the whole."""
    if identity.part_of is None:
        return None
    if identity.part_of not in locked or identity.part_of == organisation_id:
        return Refusal("unknown_whole", "L’organisme dont ce serait un site n’existe pas.")
    if not await _manages(tx, actor, identity.part_of, await tx.now()):
        return _NOT_YOURS
    count = await store.sites_count(tx, organisation_id)
    return domain.why_not_part_of(locked[identity.part_of], count)


async def _why_not_without(tx: Transaction, organisation_id: UUID, identity: Identity) -> Refusal | None:
    """Why its members cannot be those of another identity: they have roles that it does not give."""
    missing = {one.role for one in await store.of_organisation(tx, organisation_id)} - identity.roles
    if not missing:
        return None
    return Refusal(
        "roles_in_use",
        "Des membres ont un rôle que cet organisme ne pourrait plus donner : retirez d’abord leur accès.",
        {"roles": sorted(role.value for role in missing)},
    )


# -- who acts for them


async def invite(
    tx: Transaction,
    actor: Actor,
    organisation_id: UUID,
    email: str,
    role: MemberRole,
    until_on: date | None,
    *,
    manager: bool,
) -> Refusal | dict[str, Any]:
    """A mail with a link to act for an organisation; sent again to who has one already, once a day at most."""
    locked = await store.lock(tx, organisation_id)
    now = await tx.now()
    day = today(now)
    if organisation_id not in locked:
        return NOT_FOUND
    manages = await _manages(tx, actor, organisation_id, now)
    if not manages and not await store.roles_of(tx, actor.subject_hash, organisation_id, day):
        return _NOT_MEMBER
    if manager and not manages:
        return _NOT_YOURS
    organisation = locked[organisation_id]
    if not organisation.is_open:
        return domain.NOT_OPEN
    if (refusal := domain.why_not_role(organisation.identity, role)) is not None:
        return refusal
    if until_on is not None and until_on < day:
        return domain.DAYS
    policy = await store.policy_at(tx, now)
    says: dict[str, Any] = {
        "manager": manager,
        "until_on": until_on,
        "sent_at": now,
        "expires_at": now + timedelta(days=policy.invitation_days),
    }
    waiting = await store.waiting_invitation(tx, organisation_id, email, role)
    if waiting is None:
        invitation_id = await store.put_invitation(
            tx, organisation_id=organisation_id, email=email, role=role.value, **says
        )
    else:
        invitation_id = waiting.invitation_id
        await store.change_invitation(tx, invitation_id, **says)
    sent = await notices.invited(tx, await store.invitation(tx, invitation_id), policy.invitation_days)
    return {"invitation_id": invitation_id, "expires_at": says["expires_at"], "sent": sent}


async def withdraw_invitation(tx: Transaction, actor: Actor, invitation_id: UUID) -> Refusal | None:
    """Who invited, or manages, thought better of it."""
    found = await _locked_invitation(tx, invitation_id)
    if found is None:
        return NO_INVITATION
    invitation, _ = found
    now = await tx.now()
    if not await _manages(tx, actor, invitation.organisation_id, now):
        return _NOT_YOURS
    if invitation.state == "withdrawn":
        return None
    if invitation.state != "sent":
        return _answered(invitation)
    await store.change_invitation(tx, invitation_id, state="withdrawn")
    return None


async def accept(tx: Transaction, actor: Actor, invitation_id: UUID) -> Refusal | dict[str, Any]:
    """Whoever holds the link, or has its address verified by the issuer, acts for the organisation from today on."""
    found = await _locked_invitation(tx, invitation_id)
    if found is None:
        return NO_INVITATION
    invitation, organisation = found
    now = await tx.now()
    if invitation.state == "accepted":
        mine = await store.membership(tx, invitation.membership_id)
        if mine is not None and mine.subject_hash == actor.subject_hash:
            return {"organisation_id": organisation.organisation_id, "membership_id": mine.membership_id}
    if invitation.state != "sent":
        return _answered(invitation)
    if invitation.expires_at <= now:
        return Refusal("expired", "Cette invitation a expiré : demandez qu’on vous la renvoie.")
    role = MemberRole(invitation.role)
    granted = await _grant(
        tx, organisation, actor.subject_hash, role, invitation.until_on, manager=invitation.manager, now=now
    )
    if isinstance(granted, Refusal):
        return granted
    await store.change_invitation(tx, invitation_id, state="accepted", membership_id=granted)
    return {"organisation_id": organisation.organisation_id, "membership_id": granted}


async def decline(tx: Transaction, invitation_id: UUID) -> Refusal | None:
    """Whoever holds the link does not want to."""
    found = await _locked_invitation(tx, invitation_id)
    if found is None:
        return NO_INVITATION
    invitation, _ = found
    if invitation.state == "declined":
        return None
    if invitation.state != "sent":
        return _answered(invitation)
    await store.change_invitation(tx, invitation_id, state="declined")
    return None


async def ask_access(
    tx: Transaction, actor: Actor, organisation_id: UUID, role: MemberRole
) -> Refusal | dict[str, Any]:
    """Somebody asks to act for an organisation: those who manage it are asked, or the agency where nobody may be trusted to."""
    locked = await store.lock(tx, organisation_id)
    now = await tx.now()
    day = today(now)
    if organisation_id not in locked:
        return NOT_FOUND
    organisation = locked[organisation_id]
    if not organisation.is_open:
        return domain.NOT_OPEN
    if (refusal := domain.why_not_role(organisation.identity, role)) is not None:
        return refusal
    if await store.open_membership(tx, organisation_id, actor.subject_hash, role) is not None:
        return Refusal("member_already", "Vous avez déjà cet accès.")
    request_id = await store.ask(tx, organisation_id, actor.subject_hash, role, now)
    trusted = organisation.state is OrganisationState.VERIFIED
    managers = await store.addresses_of_managers(tx, organisation_id, day) if trusted else []
    await notices.access_asked(
        tx, await store.request(tx, request_id), managers or await store.addresses_of_agency(tx, day)
    )
    return {"access_request_id": request_id, "asked": "managers" if managers else "agency"}


async def answer_request(tx: Transaction, actor: Actor, access_request_id: UUID, *, accepted: bool) -> Refusal | None:
    """Those who manage the organisation answer, or the agency; before it is verified, the agency alone."""
    asked = await store.request(tx, access_request_id)
    if asked is None:
        return _NO_REQUEST
    organisation = (await store.lock(tx, asked.organisation_id))[asked.organisation_id]
    request = await store.request(tx, access_request_id)
    assert request is not None
    now = await tx.now()
    trusted = organisation.state is OrganisationState.VERIFIED
    if not actor.agency and not (trusted and await _manages(tx, actor, organisation.organisation_id, now)):
        return _NOT_YOURS
    answered = "accepted" if accepted else "refused"
    if request.state != "asked":
        return None if request.state == answered else _NO_REQUEST
    if accepted:
        role = MemberRole(request.role)
        granted = await _grant(tx, organisation, request.subject_hash, role, None, manager=False, now=now)
        if isinstance(granted, Refusal):
            return granted
    await store.answer_request(tx, access_request_id, answered, now)
    await notices.access_answered(tx, request, accepted=accepted)
    return None


async def withdraw_request(tx: Transaction, actor: Actor, access_request_id: UUID) -> Refusal | None:
    """Who asked thought better of it."""
    asked = await store.request(tx, access_request_id)
    if asked is None or asked.subject_hash != actor.subject_hash:
        return _NO_REQUEST
    await store.lock(tx, asked.organisation_id)
    request = await store.request(tx, access_request_id)
    assert request is not None
    if request.state == "withdrawn":
        return None
    if request.state != "asked":
        return _NO_REQUEST
    await store.answer_request(tx, access_request_id, "withdrawn", await tx.now())
    return None


async def end_membership(tx: Transaction, actor: Actor, membership_id: UUID) -> Refusal | None:
    """A member leaves, or is told to by who manages or the agency. Work stays with the organisation."""
    found = await _locked_membership(tx, membership_id)
    if found is None:
        return _NO_MEMBERSHIP
    membership, organisation = found
    now = await tx.now()
    leaves = membership.subject_hash == actor.subject_hash
    if not leaves and not await _manages(tx, actor, organisation.organisation_id, now):
        return _NOT_YOURS
    if membership.ended is not None:
        return None
    reason = MembershipEndReason.LEFT if leaves else MembershipEndReason.WITHDRAWN
    await store.save_membership(tx, membership, domain.end(membership, reason, now))
    if not leaves:
        person = await store.person(tx, membership.subject_hash)
        title, role = organisation.identity.title, membership.role.value
        await notices.membership_ended(tx, membership_id, title, role, person.email if person else None)
    await _say_if_nobody_manages(tx, organisation, now)
    return None


async def change_membership(
    tx: Transaction, actor: Actor, membership_id: UUID, until_on: date | None, *, manager: bool
) -> Refusal | None:
    """Until when somebody acts for an organisation, and whether they manage its accesses."""
    found = await _locked_membership(tx, membership_id)
    if found is None:
        return _NO_MEMBERSHIP
    membership, organisation = found
    now = await tx.now()
    if not await _manages(tx, actor, organisation.organisation_id, now):
        return _NOT_YOURS
    decision = domain.change(membership, until_on, manager, today(now), now)
    if decision.refusal is not None:
        return decision.refusal
    await store.save_membership(tx, membership, decision)
    await _say_if_nobody_manages(tx, organisation, now)
    return None


async def _grant(
    tx: Transaction,
    organisation: Organisation,
    subject_hash: str,
    role: MemberRole,
    until_on: date | None,
    *,
    manager: bool,
    now: datetime,
) -> Refusal | UUID:
    """A membership, new or the one that is there, which is widened."""
    day = today(now)
    known = await store.open_membership(tx, organisation.organisation_id, subject_hash, role)
    if known is not None and known.until_on is not None and known.until_on < day:
        # It ran out: what is granted now is another one.
        await store.save_membership(tx, known, domain.end(known, MembershipEndReason.LEFT, now))
        known = None
    if known is not None:
        until = None if None in (known.until_on, until_on) else max(d for d in (known.until_on, until_on) if d)
        decision = domain.change(known, until, known.manager or manager, day, now)
        await store.save_membership(tx, known, decision)
        return known.membership_id
    membership = Membership(uuid4(), organisation.organisation_id, subject_hash, role, day, until_on, manager)
    decision = domain.grant(membership, organisation, now)
    if decision.refusal is not None:
        return decision.refusal
    await store.save_membership(tx, membership, decision)
    return membership.membership_id


async def _manages(tx: Transaction, actor: Actor, organisation_id: UUID, now: datetime) -> bool:
    """Whether somebody may look after who acts for an organisation: the agency, its managers, those of the whole that it is a site of."""
    if actor.agency:
        return True
    day = today(now)
    return any(row.manager for row in await store.roles_of(tx, actor.subject_hash, organisation_id, day))


async def _say_if_nobody_manages(tx: Transaction, organisation: Organisation, now: datetime) -> None:
    day = today(now)
    open_ones = [one for one in await store.of_organisation(tx, organisation.organisation_id) if one.holds_on(day)]
    if open_ones and not any(one.manager for one in open_ones):
        agency = await store.addresses_of_agency(tx, day)
        await notices.nobody_manages(tx, organisation, agency, day.isoformat())


async def _locked_invitation(tx: Transaction, invitation_id: UUID) -> tuple[Any, Organisation] | None:
    known = await store.invitation(tx, invitation_id)
    if known is None:
        return None
    organisation = (await store.lock(tx, known.organisation_id))[known.organisation_id]
    return await store.invitation(tx, invitation_id), organisation


async def _locked_membership(tx: Transaction, membership_id: UUID) -> tuple[Membership, Organisation] | None:
    """A membership under the lock of its organisation; gives the transaction up if it moved to another meanwhile."""
    known = await store.membership(tx, membership_id)
    if known is None:
        return None
    organisation = (await store.lock(tx, known.organisation_id))[known.organisation_id]
    membership = await store.membership(tx, membership_id)
    assert membership is not None
    if membership.organisation_id != organisation.organisation_id:
        raise Moved(f"membership {membership_id}")
    return membership, organisation


def _answered(invitation: Any) -> Refusal:
    said = {"accepted": "déjà acceptée", "declined": "refusée", "withdrawn": "retirée"}[invitation.state]
    return Refusal("invitation_over", f"Cette invitation a été {said}.")
