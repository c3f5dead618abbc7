"""HTTP: parse, handler, answer. Who somebody is comes from their token, never from the body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import AfterValidator, Field, StringConstraints

from common.bodies import Body, Day, Email, Text, known
from common.commands import command
from common.failures import Refusal
from common.http import Answer, answer, database_of
from common.identity import ANYBODY, Principal, caller
from common.links import subject_of
from common.transaction import Transaction
from directory import handlers, store
from directory.handlers import Actor
from directory.messages import MemberRole, OrganisationKind, OrganisationState
from directory.notices import CONTACT, INVITATION
from directory.state import Identity
from territory.identifiers import siret_is_valid, uai_is_valid
from territory.places import CommuneCode

STALE = "Ce lien est périmé ou incomplet : demandez qu’on vous le renvoie."


def _siret(value: str) -> str:
    plain = value.replace(" ", "").replace("\u202f", "").replace("\xa0", "")
    if not siret_is_valid(plain):
        raise ValueError("ce n’est pas un SIRET : il a 14 chiffres, et une clé")
    return plain


def _uai(value: str) -> str:
    plain = value.replace(" ", "").upper()
    if not uai_is_valid(plain):
        raise ValueError("ce n’est pas un UAI : il a 7 chiffres, et une lettre qui en dépend")
    return plain


Siret = Annotated[str, StringConstraints(max_length=30), AfterValidator(_siret)]
Uai = Annotated[str, StringConstraints(max_length=30), AfterValidator(_uai)]
Kind = Annotated[OrganisationKind, AfterValidator(known)]
Role = Annotated[MemberRole, AfterValidator(known)]


class OrganisationBody(Body):
    """What anybody may know of an organisation. `another`: a SIRET that is there already stands for this one too."""

    title: Text
    kinds: list[Kind] = Field(min_length=1, max_length=len(OrganisationKind))
    commune_code: CommuneCode
    siret: Siret | None = None
    uai: Uai | None = None
    part_of: UUID | None = None
    another: bool = False
    fictitious: bool = False

    def identity(self) -> Identity:
        """As the rules have it."""
        return Identity(
            self.title,
            frozenset(self.kinds),
            self.commune_code,
            self.siret,
            self.uai,
            self.part_of,
            self.fictitious,
        )


class RegistrationBody(OrganisationBody):
    """A new organisation. `role`: what whoever registers it does there; only the agency registers one without acting for it."""

    role: Role | None = None


class MergerBody(Body):
    """The organisation that stands for this one."""

    into: UUID


class InvitationBody(Body):
    """Whom to invite, to do what, until when; `manager`: to look after the accesses of colleagues, too."""

    email: Email
    role: Role
    until_on: Day | None = None
    manager: bool = False


class RequestBody(Body):
    """What somebody would do there."""

    role: Role


class MembershipBody(Body):
    """Until when somebody acts for an organisation, none: without an end; whether they look after the accesses of colleagues."""

    until_on: Day | None = None
    manager: bool = False


Caller = Annotated[Principal, Depends(caller)]
router = APIRouter(prefix="/v1")


async def actor_of(tx: Transaction, principal: Principal) -> Actor:
    """Who acts, noted by the issuer's last word. The agency's are its members here, and whom the issuer says so of."""
    await store.note_person(tx, principal.subject_hash, principal.contact, principal.display)
    today = handlers.today(await tx.now())
    agency = "agency" in principal.roles or await store.is_agency(tx, principal.subject_hash, today)
    return Actor(principal.subject_hash, principal.contact, principal.display, agency)


# -- organisations


@command(ANYBODY, api=router.post("/organisations/{organisation_id}"))
async def register(tx: Transaction, principal: Principal, organisation_id: UUID, body: RegistrationBody) -> Answer:
    """Registers an organisation under an id that the caller draws: 201, or 409 with those that have its number."""
    actor = await actor_of(tx, principal)
    if body.role is None and not actor.agency:
        return answer(Refusal("no_role", "Dites ce que vous y faites : vous en gérerez les accès."), None)
    refusal = await handlers.register(tx, actor, organisation_id, body.identity(), body.role, another=body.another)
    return answer(refusal, {"organisation_id": organisation_id}, status=201)


@command(ANYBODY, api=router.put("/organisations/{organisation_id}"))
async def describe(tx: Transaction, principal: Principal, organisation_id: UUID, body: OrganisationBody) -> Answer:
    """Another description; whoever changes its numbers, or adds to what it is, is verified anew, unless the agency does."""
    actor = await actor_of(tx, principal)
    refusal = await handlers.describe(tx, actor, organisation_id, body.identity(), another=body.another)
    return answer(refusal, {"organisation_id": organisation_id})


ACTS = {
    "verification": handlers.verify,
    "doubt": handlers.doubt,
    "closing": handlers.close,
    "reopening": handlers.reopen,
}
Act = Literal["verification", "doubt", "closing", "reopening"]


@command(ANYBODY, api=router.post("/organisations/{organisation_id}/{act}"))
async def change_state(tx: Transaction, principal: Principal, organisation_id: UUID, act: Act) -> Answer:
    """The agency verifies an organisation, doubts it again, closes or reopens it; who manages it may close it."""
    refusal = await ACTS[act](tx, await actor_of(tx, principal), organisation_id)
    return answer(refusal, {"organisation_id": organisation_id})


@command(ANYBODY, api=router.put("/organisations/{organisation_id}/merger"))
async def merge(tx: Transaction, principal: Principal, organisation_id: UUID, body: MergerBody) -> Answer:
    """Another organisation stands for this one, which was described twice; its members go there. Reopening undoes it."""
    refusal = await handlers.merge(tx, await actor_of(tx, principal), organisation_id, body.into)
    return answer(refusal, {"organisation_id": organisation_id})


@command(ANYBODY, api=router.put("/organisations/{organisation_id}/contact-question"))
async def ask_contact(tx: Transaction, principal: Principal, organisation_id: UUID) -> Answer:
    """A public school's own address is asked whether those who registered it act for it."""
    return _result(await handlers.ask_contact(tx, await actor_of(tx, principal), organisation_id))


@router.get("/organisations")
async def list_organisations(
    request: Request,
    principal: Caller,
    text: Annotated[str, Query(max_length=200)] = "",
    kind: OrganisationKind | None = None,
    state: OrganisationState = OrganisationState.VERIFIED,
) -> list[dict[str, Any]]:
    """Organisations that a text is in, or whose SIRET or UAI it is; those that are not verified, for the agency alone."""
    async with database_of(request).transaction() as tx:
        actor = await actor_of(tx, principal)
        if state is not OrganisationState.VERIFIED and not actor.agency:
            raise HTTPException(403, "Seule l’agence voit les organismes qui ne sont pas vérifiés.")
        rows = await store.listed(tx, text=text.strip(), kind=kind and kind.value, states=(state.value,))
    return [_shown(row) for row in rows]


@router.get("/organisations/{organisation_id}")
async def one_organisation(request: Request, principal: Caller, organisation_id: UUID) -> dict[str, Any]:
    """An organisation; to its members and the agency, also who acts for it, who is invited, and who asks."""
    async with database_of(request).transaction() as tx:
        actor = await actor_of(tx, principal)
        found = await looked_at(tx, actor, organisation_id)
    if found is None:
        raise HTTPException(404, handlers.NOT_FOUND.detail)
    return {
        **_shown(found.row),
        "members": [_member(row) for row in found.members],
        "invitations": [_invitation(row) for row in found.invitations],
        "access_requests": [_request(row) for row in found.requests],
    }


# -- who acts for them


@command(ANYBODY, api=router.put("/organisations/{organisation_id}/invitations"))
async def invite(tx: Transaction, principal: Principal, organisation_id: UUID, body: InvitationBody) -> Answer:
    """A mail with a link to act for an organisation; `sent` false: the same was sent today already."""
    actor = await actor_of(tx, principal)
    result = await handlers.invite(
        tx, actor, organisation_id, body.email, body.role, body.until_on, manager=body.manager
    )
    return _result(result)


@command(ANYBODY, api=router.delete("/invitations/{invitation_id}"))
async def withdraw_invitation(tx: Transaction, principal: Principal, invitation_id: UUID) -> Answer:
    """Who manages the organisation thought better of it: the link is good no more."""
    refusal = await handlers.withdraw_invitation(tx, await actor_of(tx, principal), invitation_id)
    return answer(refusal, {"invitation_id": invitation_id})


@command(ANYBODY)
async def accept_by_link(tx: Transaction, principal: Principal, link: str) -> Answer:
    """Whoever holds the link acts for the organisation, with the account that they are logged in by."""
    return _result(await handlers.accept(tx, await actor_of(tx, principal), invitation_of(tx, link)))


@command(ANYBODY)
async def decline_by_link(tx: Transaction, principal: Principal, link: str) -> Answer:
    """Whoever holds the link does not want to."""
    return answer(await handlers.decline(tx, invitation_of(tx, link)), {})


Reply = Literal["acceptance", "refusal"]


@command(ANYBODY, api=router.post("/invitations/{invitation_id}/{reply}"))
async def answer_invitation(tx: Transaction, principal: Principal, invitation_id: UUID, reply: Reply) -> Answer:
    """The same by somebody whose address, which their issuer has verified, was invited."""
    actor = await actor_of(tx, principal)
    invitation = await store.invitation(tx, invitation_id)
    if invitation is None or actor.email is None or invitation.email != actor.email.lower():
        return answer(handlers.NO_INVITATION, None)
    if reply == "refusal":
        return answer(await handlers.decline(tx, invitation_id), {"invitation_id": invitation_id})
    return _result(await handlers.accept(tx, actor, invitation_id))


@command(ANYBODY, api=router.put("/organisations/{organisation_id}/access-requests"))
async def ask_access(tx: Transaction, principal: Principal, organisation_id: UUID, body: RequestBody) -> Answer:
    """Asks to act for an organisation: those who manage it are written to, or the agency."""
    return _result(await handlers.ask_access(tx, await actor_of(tx, principal), organisation_id, body.role))


@command(ANYBODY, api=router.post("/access-requests/{access_request_id}/{reply}"))
async def answer_request(tx: Transaction, principal: Principal, access_request_id: UUID, reply: Reply) -> Answer:
    """Who manages the organisation answers, or the agency; who asked is written to."""
    actor = await actor_of(tx, principal)
    refusal = await handlers.answer_request(tx, actor, access_request_id, accepted=reply == "acceptance")
    return answer(refusal, {"access_request_id": access_request_id})


@command(ANYBODY, api=router.delete("/access-requests/{access_request_id}"))
async def withdraw_request(tx: Transaction, principal: Principal, access_request_id: UUID) -> Answer:
    """Who asked thought better of it."""
    refusal = await handlers.withdraw_request(tx, await actor_of(tx, principal), access_request_id)
    return answer(refusal, {"access_request_id": access_request_id})


@command(ANYBODY, api=router.delete("/memberships/{membership_id}"))
async def end_membership(tx: Transaction, principal: Principal, membership_id: UUID) -> Answer:
    """A member leaves, or who manages the organisation ends it, who is written to."""
    refusal = await handlers.end_membership(tx, await actor_of(tx, principal), membership_id)
    return answer(refusal, {"membership_id": membership_id})


@command(ANYBODY, api=router.put("/memberships/{membership_id}"))
async def change_membership(tx: Transaction, principal: Principal, membership_id: UUID, body: MembershipBody) -> Answer:
    """Until when somebody acts for an organisation, and whether they look after its accesses."""
    actor = await actor_of(tx, principal)
    refusal = await handlers.change_membership(tx, actor, membership_id, body.until_on, manager=body.manager)
    return answer(refusal, {"membership_id": membership_id})


@router.get("/me")
async def me(request: Request, principal: Caller) -> dict[str, Any]:
    """For whom the caller acts, what they are invited to, and what they have asked."""
    async with database_of(request).transaction() as tx:
        actor = await actor_of(tx, principal)
        memberships = await store.memberships_of(tx, actor.subject_hash)
        invitations = await store.invitations_to(tx, actor.email.lower(), await tx.now()) if actor.email else []
        requests = await store.requests_by(tx, actor.subject_hash)
    return {
        "agency": actor.agency,
        "memberships": [
            {
                "membership_id": row.membership_id,
                "organisation_id": row.organisation_id,
                "title": row.title,
                "state": row.state,
                "role": row.role,
                "manager": row.manager,
                "since_on": row.since_on,
                "until_on": row.until_on,
            }
            for row in memberships
        ],
        "invitations": [_invitation(row) for row in invitations],
        "access_requests": [_request(row) for row in requests],
    }


# -- by a link alone


async def contact_by_link(request: Request, link: str) -> Principal:
    """Stands for an establishment's own address, by the link that it received."""
    subject = subject_of(request.app.state.runtime.settings.session_secret, CONTACT, link)
    if subject is None:
        raise HTTPException(403, STALE)
    return Principal(f"organisation-contact/{subject}", frozenset())


@command(who=contact_by_link)
async def contact_answers(tx: Transaction, principal: Principal, known: bool) -> Answer:
    """The establishment says whether those who registered it act for it."""
    organisation_id, version = asked_about(principal)
    return answer(await handlers.contact_answers(tx, organisation_id, version, known=known), {})


def asked_about(principal: Principal) -> tuple[UUID, int]:
    """The organisation, and which of its descriptions, that a contact's link is of."""
    organisation_id, _, version = principal.subject.removeprefix("organisation-contact/").partition("/")
    return UUID(organisation_id), int(version)


def invitation_of(tx: Transaction, link: str) -> UUID:
    """The invitation that a link is of."""
    subject = tx.subject_of(INVITATION, link)
    if subject is None:
        raise HTTPException(403, STALE)
    return UUID(subject)


# -- what is shown


@dataclass(frozen=True)
class Looked:
    """An organisation as somebody may see it; the lists are empty to whoever does not act for it."""

    row: Any
    manages: bool
    acts: bool
    members: Sequence[Any] = ()
    invitations: Sequence[Any] = ()
    requests: Sequence[Any] = ()


async def looked_at(tx: Transaction, actor: Actor, organisation_id: UUID) -> Looked | None:
    """What somebody may see of an organisation; None where there is none, or it is not verified and not theirs."""
    row = await store.row_of(tx, organisation_id)
    if row is None:
        return None
    roles = await store.roles_of(tx, actor.subject_hash, organisation_id, handlers.today(await tx.now()))
    manages, acts = actor.agency or any(one.manager for one in roles), actor.agency or bool(roles)
    if not acts:
        return Looked(row, False, False) if row.state == "VERIFIED" else None
    members = await store.members(tx, organisation_id)
    if not manages:
        return Looked(row, False, True, [one for one in members if one.ended is None])
    return Looked(
        row,
        True,
        True,
        members,
        await store.invitations_of(tx, organisation_id),
        await store.requests_to(tx, organisation_id),
    )


def _result(result: Refusal | dict[str, Any]) -> Answer:
    return answer(result, None) if isinstance(result, Refusal) else answer(None, result)


def _shown(row: Any) -> dict[str, Any]:
    names = (
        "organisation_id",
        "title",
        "kinds",
        "commune_code",
        "siret",
        "uai",
        "part_of",
        "state",
        "merged_into",
        "fictitious",
    )
    return {name: getattr(row, name) for name in names}


def _member(row: Any) -> dict[str, Any]:
    names = ("membership_id", "display_name", "email", "role", "manager", "since_on", "until_on", "ended")
    return {name: getattr(row, name) for name in names}


def _invitation(row: Any) -> dict[str, Any]:
    names = (
        "invitation_id",
        "organisation_id",
        "title",
        "email",
        "role",
        "manager",
        "until_on",
        "sent_at",
        "expires_at",
    )
    return {name: getattr(row, name) for name in names}


def _request(row: Any) -> dict[str, Any]:
    names = ("access_request_id", "organisation_id", "title", "email", "display_name", "role", "asked_at")
    return {name: getattr(row, name) for name in names}
