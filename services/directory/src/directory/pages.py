"""The directory's pages: for whom one acts, organisations and who acts for them, invitations. Whole without JavaScript."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from common.commands import Sent, Words
from common.desk import Desk, Routes, done, page_routes
from common.identity import ANYBODY, Principal
from common.runtime import Runtime
from directory import handlers, http, store
from directory.http import actor_of, looked_at
from directory.messages import OrganisationKind, OrganisationState
from directory.state import ROLES_OF
from directory.words import FIELDS, pages
from territory import places

WORDS = Words(FIELDS)
_OF_KINDS = {kind.value: sorted(role.value for role in roles) for kind, roles in ROLES_OF.items()}


def routes(runtime: Runtime) -> APIRouter:
    """The pages, their assets, and the login."""
    desk = DirectoryDesk(runtime, pages)
    shown: Routes = {
        "/": desk.home,
        "/communes": places.suggestions,
        "/mon-compte": desk.account,
        "/organismes": desk.organisations,
        "/organismes/nouveau": desk.new,
        "/organismes/{organisation_id}": desk.organisation,
        "/invitations/{link}": desk.invitation,
        "/verification/{link}": desk.contact,
    }
    return page_routes(runtime, pages, shown=shown, sent=desk.forms())


class DirectoryDesk(Desk):
    """The routes of whoever is logged in; what each may do is the handlers' to say."""

    def forms(self) -> Routes:
        """What may be sent, and what is said when it is done."""
        one = "/organismes/{organisation_id}"

        def act(name: str, said: str) -> Any:
            return http.change_state.form(then=_told(said), refused=self.shown, act=name)

        def reply(name: str, said: str) -> Any:
            return http.answer_request.form(then=_told(said), refused=self.shown, reply=name)

        return {
            f"{one}/inscription": http.register.form(
                read=_organisation_of, then=_told("Organisme inscrit."), refused=self.registering, words=WORDS
            ),
            f"{one}/description": http.describe.form(
                read=_organisation_of, then=_told("Description enregistrée."), refused=self.shown, words=WORDS
            ),
            f"{one}/verification": act("verification", "Vérifié : ses membres peuvent agir."),
            f"{one}/doute": act("doubt", "À vérifier de nouveau : ses membres n’agissent plus."),
            f"{one}/fermeture": act("closing", "Fermé : personne n’agit plus en son nom."),
            f"{one}/reouverture": act("reopening", "Rouvert."),
            f"{one}/remplacement": http.merge.form(
                then=_told("Remplacé : ses membres agissent pour l’autre."), refused=self.shown, words=WORDS
            ),
            f"{one}/question": http.ask_contact.form(then=_asked_contact, refused=self.shown),
            f"{one}/invitations": http.invite.form(read=_invitation_of, then=_invited, refused=self.shown, words=WORDS),
            f"{one}/demandes": http.ask_access.form(then=_asked, refused=self.shown, words=WORDS),
            f"{one}/demandes/{{access_request_id}}/oui": reply("acceptance", "Accepté : la personne est prévenue."),
            f"{one}/demandes/{{access_request_id}}/non": reply("refusal", "Refusé : la personne est prévenue."),
            f"{one}/invitations/{{invitation_id}}/retrait": http.withdraw_invitation.form(
                then=_told("Invitation retirée : son lien ne vaut plus rien."), refused=self.shown
            ),
            f"{one}/acces/{{membership_id}}/fin": http.end_membership.form(
                then=_told("L’accès a pris fin."), refused=self.shown
            ),
            f"{one}/acces/{{membership_id}}": http.change_membership.form(
                read=_membership_of, then=_told("Enregistré."), refused=self.shown, words=WORDS
            ),
            "/mon-compte/acces/{membership_id}/fin": http.end_membership.form(
                then=lambda _: done("/mon-compte", "Vous n’agissez plus pour cet organisme."), refused=self.mine
            ),
            "/mon-compte/demandes/{access_request_id}/retrait": http.withdraw_request.form(
                then=lambda _: done("/mon-compte", "Demande retirée."), refused=self.mine
            ),
            "/mon-compte/invitations/{invitation_id}/oui": http.answer_invitation.form(
                then=lambda _: done("/mon-compte", "Accepté : vous agissez pour cet organisme."),
                refused=self.mine,
                reply="acceptance",
            ),
            "/mon-compte/invitations/{invitation_id}/non": http.answer_invitation.form(
                then=lambda _: done("/mon-compte", "Refusé."), refused=self.mine, reply="refusal"
            ),
            "/invitations/{link}/oui": http.accept_by_link.form(
                then=lambda _: done("/mon-compte", "Accepté : vous agissez pour cet organisme."), refused=self.invited
            ),
            "/invitations/{link}/non": http.decline_by_link.form(
                then=lambda _: done("/mon-compte", "Refusé."), refused=self.invited
            ),
            "/verification/{link}/oui": http.contact_answers.form(refused=self.asked, known=True),
            "/verification/{link}/non": http.contact_answers.form(refused=self.asked, known=False),
        }

    async def home(self, request: Request) -> Response:
        """Everybody's own account comes first."""
        return RedirectResponse("/mon-compte", 303)

    async def account(self, request: Request) -> Response:
        """For whom one acts."""
        return await self.mine(request, self.who(request, ANYBODY))

    async def mine(self, request: Request, principal: Principal, *, sent: Sent | None = None, **_: Any) -> Response:
        """The page, or the same after a form that was refused."""
        async with self.database.transaction() as tx:
            actor = await actor_of(tx, principal)
            memberships = await store.memberships_of(tx, actor.subject_hash)
            invitations = await store.invitations_to(tx, actor.email.lower(), await tx.now()) if actor.email else []
            requests = await store.requests_by(tx, actor.subject_hash)
            waiting = await store.requests_waiting(tx) if actor.agency else []
            counts = await store.states_counts(tx) if actor.agency else {}
        return self.page(
            request,
            "account.html",
            principal,
            sent=sent,
            actor=actor,
            memberships=memberships,
            invitations=invitations,
            requests=requests,
            waiting=waiting,
            counts=counts,
        )

    async def organisations(self, request: Request) -> Response:
        """A search: to join one's own, or, for the agency, of all there are."""
        principal = self.who(request, ANYBODY)
        query = request.query_params
        text, kind, state = query.get("nom", "").strip()[:200], query.get("quoi", ""), query.get("etat", "")
        async with self.database.transaction() as tx:
            actor = await actor_of(tx, principal)
            seen = [one.value for one in OrganisationState if one is not OrganisationState.UNKNOWN]
            states = [state] if state in seen else ["REGISTERED", "VERIFIED"]
            if not actor.agency:
                states = ["VERIFIED"]
            asked = actor.agency or text or kind
            rows = (
                await store.listed(tx, text=text, kind=kind if kind in _KINDS else None, states=states) if asked else []
            )
            counts = await store.states_counts(tx) if actor.agency else {}
        return self.page(
            request,
            "organisations.html",
            principal,
            actor=actor,
            rows=rows,
            asked=asked,
            text=text,
            kind=kind,
            state=state,
            counts=counts,
            listed_max=store.LISTED_MAX,
        )

    async def new(self, request: Request) -> Response:
        """The form of a new organisation."""
        return await self.registering(request, self.who(request, ANYBODY), organisation_id=uuid4())

    async def registering(
        self, request: Request, principal: Principal, *, organisation_id: UUID, sent: Sent | None = None, **_: Any
    ) -> Response:
        """The form, after a refusal with what was typed, and with those that have the same number."""
        async with self.database.transaction() as tx:
            actor = await actor_of(tx, principal)
        return self.page(
            request,
            "registration.html",
            principal,
            sent=sent,
            actor=actor,
            organisation_id=organisation_id,
            same=sent.content.get("organisations", []) if sent else [],
            chosen_kinds=[str(kind) for kind in sent.fields.getlist("kinds")] if sent else [],
            asks_another=bool(sent and sent.content.get("reason") == "same_siret"),
        )

    async def organisation(self, request: Request, organisation_id: UUID) -> Response:
        """One organisation: what it is, who acts for it, who is invited, who asks."""
        return await self.shown(request, self.who(request, ANYBODY), organisation_id=organisation_id)

    async def shown(
        self, request: Request, principal: Principal, *, organisation_id: UUID, sent: Sent | None = None, **_: Any
    ) -> Response:
        """The page, or the same after a form that was refused."""
        async with self.database.transaction() as tx:
            actor = await actor_of(tx, principal)
            found = await looked_at(tx, actor, organisation_id)
            now = await tx.now()
            requests = await store.requests_by(tx, actor.subject_hash)
        if found is None:
            raise HTTPException(404, handlers.NOT_FOUND.detail)
        roles = sorted({role for kind in found.row.kinds for role in _OF_KINDS.get(kind, [])})
        return self.page(
            request,
            "organisation.html",
            principal,
            sent=sent,
            actor=actor,
            found=found,
            row=found.row,
            roles=roles,
            now=now,
            asked=[one.role for one in requests if one.organisation_id == organisation_id],
            chosen_kinds=[str(kind) for kind in sent.fields.getlist("kinds")]
            if sent and "title" in sent.typed
            else found.row.kinds,
            asks_another=bool(sent and sent.content.get("reason") == "same_siret"),
            same=sent.content.get("organisations", []) if sent else [],
        )

    async def invitation(self, request: Request, link: str) -> Response:
        """What somebody is invited to, whoever they are logged in as."""
        return await self.invited(request, self.who(request, ANYBODY), link=link)

    async def invited(self, request: Request, principal: Principal, *, link: str, sent: Sent | None = None) -> Response:
        """The page, or the same after it was refused."""
        async with self.database.transaction() as tx:
            row, now = await store.invitation(tx, http.invitation_of(tx, link)), await tx.now()
        if row is None:
            raise HTTPException(404, handlers.NO_INVITATION.detail)
        return self.page(request, "invitation.html", principal, sent=sent, row=row, link=link, now=now)

    async def contact(self, request: Request, link: str) -> Response:
        """What an establishment's own address is asked."""
        return await self.asked(request, None, link=link)

    async def asked(self, request: Request, _: Principal | None, *, link: str, sent: Sent | None = None) -> Response:
        """The page, or the same once it is answered."""
        organisation_id, version = http.asked_about(await http.contact_by_link(request, link))
        async with self.database.transaction() as tx:
            row = await store.row_of(tx, organisation_id)
            members = await store.members(tx, organisation_id)
        if row is None:
            raise HTTPException(404, handlers.NOT_FOUND.detail)
        return self.page(
            request,
            "contact.html",
            None,
            sent=sent,
            row=row,
            members=members,
            link=link,
            changed=row.version != version,
        )


_KINDS = frozenset(kind.value for kind in OrganisationKind)


def _told(said: str) -> Any:
    return lambda sent: done(f"/organismes/{sent.path['organisation_id']}", said)


def _asked_contact(sent: Sent) -> Response:
    said = (
        f"Nous demandons à {sent.content['asked']}." if sent.content["sent"] else "Déjà demandé : attendez la réponse."
    )
    return done(f"/organismes/{sent.path['organisation_id']}", said)


def _invited(sent: Sent) -> Response:
    said = (
        "Invitation envoyée."
        if sent.content["sent"]
        else "Cette personne a déjà reçu l’invitation aujourd’hui : sa durée est prolongée."
    )
    return done(f"/organismes/{sent.path['organisation_id']}", said)


def _asked(sent: Sent) -> Response:
    who = "qui gère ses accès" if sent.content["asked"] == "managers" else "l’agence"
    return done("/mon-compte", f"Demandé : {who} vous répond par courriel.")


def _organisation_of(sent: Sent) -> dict[str, Any]:
    typed = sent.typed
    found: dict[str, Any] = {
        "title": typed.get("title", ""),
        "kinds": [str(kind) for kind in sent.fields.getlist("kinds")],
        "commune_code": places.find(typed.get("commune", "")),
        "another": typed.get("another") == "oui",
    }
    for name in ("siret", "uai", "part_of", "role"):
        if typed.get(name, "").strip():
            found[name] = typed[name]
    return found


def _invitation_of(sent: Sent) -> dict[str, Any]:
    typed = sent.typed
    found: dict[str, Any] = {
        "email": typed.get("email", ""),
        "role": typed.get("role", ""),
        "manager": typed.get("manager") == "oui",
    }
    return found | ({"until_on": typed["until_on"]} if typed.get("until_on") else {})


def _membership_of(sent: Sent) -> dict[str, Any]:
    typed = sent.typed
    found: dict[str, Any] = {"manager": typed.get("manager") == "oui"}
    return found | ({"until_on": typed["until_on"]} if typed.get("until_on") else {})
