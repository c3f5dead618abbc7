"""Loads and saves agreements: their state, each version of their terms, and who did what."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row

from common.messages import Message
from common.transaction import Transaction
from stage_matching import agreements, requests
from stage_matching.agreements import Agreement, How, LateReason, Role
from stage_matching.messages import AgreementDrafted, AgreementParty
from stage_matching.state import Application, Policy
from stage_matching.terms import Party, Terms, limit_for, parsed, placement_of
from territory import reference, weeks
from territory.working_time import PARIS

# As whom the agency acts on the agreements that it accompanies.
AGENCY = "agency"


@dataclass(frozen=True)
class Found:
    """Whose an agreement is: for each role, the ids under which a caller may act, as its terms fixed them."""

    application_id: UUID
    parties_by_id: dict[Role, frozenset[str | UUID]]


@dataclass(frozen=True)
class By:
    """Who does something with an agreement, by which way, and, after the last day, why."""

    acted_by: str = ""
    how: How = "account"
    reason: LateReason | None = None


async def find(tx: Transaction, agreement_id: UUID) -> Found | None:
    """An agreement's application and parties, unlocked."""
    row = await tx.fetch_one(
        """SELECT g.application_id, t.content FROM agreement g
               JOIN agreement_terms t ON t.agreement_id = g.agreement_id AND t.version = g.terms_version
           WHERE g.agreement_id = :id""",
        id=agreement_id,
    )
    if row is None:
        return None
    terms = parsed(row.content)
    by_role: dict[Role, frozenset[str | UUID]] = {}
    for role in agreements.PARTIES:
        one = terms.party(*(party.value for party in agreements.PARTIES[role]))
        known = frozenset({one.acts_as}) if one is not None and one.acts_as else frozenset()
        by_role[role] = frozenset({*known, *(UUID(each) for each in known if role in ("seeker", "host"))})
    return Found(row.application_id, by_role)


async def draw_up(tx: Transaction, one: Application, policy: Policy, display_name: str | None = None) -> Agreement:
    """A new agreement for an application that was just confirmed: every term copied, from its first Monday to the last day of presence."""
    terms = await _terms_as_they_are(tx, one, policy, display_name)
    agreement = Agreement(
        uuid4(),
        one.application_id,
        tuple(AgreementParty(each.party) for each in terms.parties),
        terms.starts_on,
        terms.ends_on,
        terms_sha256=terms.sha256,
    )
    accompanying = terms.party(*(party.value for party in agreements.PARTIES["school"]))
    await tx.execute(
        """INSERT INTO agreement (agreement_id, application_id, parties, starts_on, ends_on, state, signed, version, terms_version, terms_sha256, accompanied_by)
           VALUES (:id, :application_id, :parties, :starts_on, :ends_on, 'drafted', '{}', 0, 1, :sha256, :accompanied_by)""",
        id=agreement.agreement_id,
        application_id=one.application_id,
        parties=[party.value for party in agreement.parties],
        starts_on=agreement.starts_on,
        ends_on=agreement.ends_on,
        sha256=agreement.terms_sha256,
        accompanied_by=accompanying.acts_as if accompanying is not None else None,
    )
    await keep_terms(tx, agreement, terms, made_by="confirmation")
    return await save(tx, agreement, (drafted(agreement, one, await tx.now()),))


async def _terms_as_they_are(tx: Transaction, one: Application, policy: Policy, display_name: str | None) -> Terms:
    """What the offer, its host and the request say now: the only time that they are read for an agreement."""
    row = await tx.fetch_one(
        """SELECT o.title, o.kind, o.commune_code, o.placement, o.host_id, h.host_name, h.siret, h.contact_email AS host_email,
                  s.account, s.contact_email AS seeker_email, s.display_name
           FROM offer o JOIN host h USING (host_id), seeker s WHERE o.offer_id = :offer_id AND s.seeker_id = :seeker_id""",
        offer_id=one.offer_id,
        seeker_id=one.seeker_id,
    )
    request = await tx.fetch_one(
        """SELECT * FROM request WHERE seeker_id = :id AND (campaign_id IS NULL OR campaign_id = :campaign_id)
           ORDER BY campaign_id IS NOT DISTINCT FROM :campaign_id DESC LIMIT 1""",
        id=one.seeker_id,
        campaign_id=one.campaign_id,
    )
    assert row is not None and request is not None
    age = requests.age_in(request, one.iso_weeks[0])
    minor = age < policy.minor_age
    accompanies = agreements.accompanying(
        policy.accompanied_by.get(request.audience, ()),
        minor=minor,
        school=request.uai is not None,
        prescriber=request.prescriber_id is not None,
    )
    parties = agreements.parties_of(age, policy.minor_age, accompanies)
    pupil = f"Élève {request.pupil_code} ({request.class_group})" if request.pupil_code else "Stagiaire"
    known = {
        AgreementParty.SEEKER: (str(one.seeker_id), row.display_name or display_name or pupil, row.seeker_email),
        AgreementParty.GUARDIAN: ("", "Responsable légal", request.guardian_email),
        AgreementParty.HOST: (str(row.host_id), row.host_name, row.host_email),
    }
    if accompanies is not None:
        known[accompanies] = await _accompanist(tx, accompanies, request)
    known[AgreementParty.GUARDIAN] = _own_address(known)
    placement = placement_of(row.placement)
    hours = placement.hours
    limit = limit_for(age, policy.hours)
    return Terms(
        title=row.title,
        kind=row.kind,
        host_name=row.host_name,
        siret=row.siret,
        commune_code=row.commune_code,
        commune=reference.commune_label(row.commune_code),
        iso_weeks=one.iso_weeks,
        starts_on=weeks.monday(one.iso_weeks[0]),
        ends_on=weeks.monday(one.iso_weeks[-1]) + timedelta(days=max(4, *(each.weekday - 1 for each in hours))),
        audience=request.audience,
        age_below=limit.age_below if limit is not None else policy.minor_age if minor else None,
        parties=tuple(Party(party.value, *known[party]) for party in parties),
        placement=placement,
    )


def _own_address(known: Mapping[AgreementParty, tuple[str, str, str | None]]) -> tuple[str, str, str | None]:
    """A guardian whose address is also another party's signs on paper: nobody signs twice by one mailbox."""
    acts_as, display_name, email = known[AgreementParty.GUARDIAN]
    others = (each[2] for party, each in known.items() if party != AgreementParty.GUARDIAN)
    return acts_as, display_name, None if any(requests.same_mailbox(email, other) for other in others) else email


async def _accompanist(tx: Transaction, party: AgreementParty, request: Any) -> tuple[str, str, str | None]:
    acts_as = {AgreementParty.SCHOOL: request.uai, AgreementParty.PRESCRIBER: request.prescriber_id}.get(party, AGENCY)
    row = await tx.fetch_one("SELECT * FROM accompanist WHERE acts_as = :acts_as", acts_as=acts_as)
    title = next((school.title for school in reference.schools() if school.uai == acts_as), None)
    if row is None:
        return acts_as, title or ("Agence régionale de l’orientation" if acts_as == AGENCY else acts_as), None
    return acts_as, title or row.display_name, row.contact_email


async def know_accompanist(tx: Transaction, acts_as: str, display_name: str, contact_email: str | None) -> None:
    """A school, prescriber or agency is here: seekers may name it, and agreements copy how to write to it."""
    await tx.execute(
        """INSERT INTO accompanist (acts_as, display_name, contact_email) VALUES (:acts_as, :display_name, :contact)
           ON CONFLICT (acts_as) DO UPDATE SET display_name = excluded.display_name,
               contact_email = COALESCE(excluded.contact_email, accompanist.contact_email)
           WHERE accompanist.display_name IS DISTINCT FROM excluded.display_name
               OR accompanist.contact_email IS DISTINCT FROM COALESCE(excluded.contact_email, accompanist.contact_email)""",
        acts_as=acts_as,
        display_name=display_name,
        contact=contact_email,
    )


def drafted(agreement: Agreement, one: Application, now: datetime) -> AgreementDrafted:
    """The whole agreement, before its signatures."""
    return AgreementDrafted(
        occurred_at=now,
        offer_id=one.offer_id,
        application_id=one.application_id,
        seeker_id=one.seeker_id,
        iso_weeks=list(one.iso_weeks),
        parties=list(agreement.parties),
        terms_version=agreement.terms_version,
        terms_sha256=agreement.terms_sha256,
    )


async def lock(tx: Transaction, agreement_id: UUID) -> Agreement:
    """An agreement that exists, its row locked."""
    row = await tx.fetch_one("SELECT * FROM agreement WHERE agreement_id = :id FOR UPDATE", id=agreement_id)
    return from_row(row)


async def agreements_due(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    """Validated agreements whose last day has ended."""
    rows = await tx.fetch_all(
        """SELECT agreement_id FROM agreement WHERE state = 'validated' AND ends_on < :today AND agreement_id > :after
           ORDER BY agreement_id LIMIT :limit""",
        today=(await tx.now()).astimezone(PARIS).date(),
        after=after,
        limit=limit,
    )
    return [row.agreement_id for row in rows]


async def save(tx: Transaction, agreement: Agreement, messages: Sequence[Message]) -> Agreement:
    """Writes an agreement and tells what happened to it; one that nothing happened to is left alone."""
    if not messages:
        return agreement
    version = await tx.emit(messages, aggregate_id=agreement.agreement_id, version=agreement.version)
    await tx.execute(
        """UPDATE agreement SET state = :state, signed = CAST(:signed AS jsonb), version = :version,
               terms_version = :terms_version, terms_sha256 = :terms_sha256 WHERE agreement_id = :id""",
        id=agreement.agreement_id,
        state=agreement.state,
        signed=json.dumps({party: at.isoformat() for party, at in agreement.signed.items()}),
        version=version,
        terms_version=agreement.terms_version,
        terms_sha256=agreement.terms_sha256,
    )
    return replace(agreement, version=version)


# -- terms, and who did what


async def keep_terms(tx: Transaction, agreement: Agreement, terms: Terms, *, made_by: str) -> None:
    """A version of the terms, for good."""
    await tx.execute(
        """INSERT INTO agreement_terms (agreement_id, version, sha256, content, made_at, made_by)
           VALUES (:id, :version, :sha256, :content, :now, :made_by)""",
        id=agreement.agreement_id,
        version=agreement.terms_version,
        sha256=terms.sha256,
        content=terms.canonical,
        now=await tx.now(),
        made_by=made_by,
    )


async def terms_of(tx: Transaction, agreement: Agreement) -> Terms:
    """The current terms."""
    row = await tx.fetch_one(
        "SELECT content FROM agreement_terms WHERE agreement_id = :id AND version = :version",
        id=agreement.agreement_id,
        version=agreement.terms_version,
    )
    assert row is not None
    return parsed(row.content)


async def record(tx: Transaction, agreement: Agreement, act: str, party: str, by: By) -> None:
    """Who did what, under which hash; the caller has locked the agreement."""
    await tx.execute(
        """INSERT INTO agreement_act (agreement_id, number, act, party, acted_by, how, terms_version, terms_sha256, acted_at, reason)
           SELECT :id, COALESCE(max(number), 0) + 1, :act, :party, :acted_by, :how, :version, :sha256, :now, :reason
           FROM agreement_act WHERE agreement_id = :id""",
        id=agreement.agreement_id,
        act=act,
        party=party,
        acted_by=by.acted_by,
        how=by.how,
        version=agreement.terms_version,
        sha256=agreement.terms_sha256,
        now=await tx.now(),
        reason=by.reason,
    )


async def whole(tx: Transaction, agreement_id: UUID, version: int | None = None) -> Row[Any] | None:
    """An agreement with its current terms as text, or those of an earlier version, unlocked: what its page shows."""
    return await tx.fetch_one(
        """SELECT g.agreement_id, g.application_id, g.parties, g.starts_on, g.ends_on, g.state, g.signed, g.version, g.accompanied_by,
               g.terms_version AS current_version, t.version AS terms_version, t.sha256 AS terms_sha256, t.content, t.made_at, t.erased_at,
               (SELECT s.account FROM application a JOIN seeker s USING (seeker_id) WHERE a.application_id = g.application_id) AS account
           FROM agreement g JOIN agreement_terms t USING (agreement_id)
           WHERE g.agreement_id = :id AND t.version = COALESCE(CAST(:version AS integer), g.terms_version)""",
        id=agreement_id,
        version=version,
    )


async def prescribers(tx: Transaction) -> Sequence[Row[Any]]:
    """The prescribers whom a seeker may name, by name."""
    return await tx.fetch_all(
        """SELECT acts_as, display_name FROM accompanist WHERE starts_with(acts_as, 'prescriber/')
           ORDER BY display_name, acts_as LIMIT 500"""
    )


async def accompanied(tx: Transaction, acts_as: str, limit: int = 500) -> Sequence[Row[Any]]:
    """The agreements that somebody accompanies, with their terms; those that wait for something first, then the newest."""
    return await tx.fetch_all(
        """SELECT g.*, g.terms_version AS current_version, t.content FROM agreement g
               JOIN agreement_terms t ON t.agreement_id = g.agreement_id AND t.version = g.terms_version
           WHERE g.accompanied_by = :acts_as
           ORDER BY array_position(ARRAY['signed', 'drafted', 'validated'], g.state) NULLS LAST, g.starts_on DESC, g.agreement_id
           LIMIT :limit""",
        acts_as=acts_as,
        limit=limit,
    )


async def accompanying(tx: Transaction, application_id: UUID) -> frozenset[str]:
    """As whom professionals may act on an application: who accompanies its internship, or the school of a campaign's pupil."""
    row = await tx.fetch_one(
        """SELECT array_remove(ARRAY[g.accompanied_by, r.uai], NULL) AS acting FROM application a
               LEFT JOIN agreement g USING (application_id)
               LEFT JOIN request r ON r.seeker_id = a.seeker_id AND r.campaign_id = a.campaign_id
           WHERE a.application_id = :id""",
        id=application_id,
    )
    return frozenset(row.acting if row is not None else ())


async def acts_of(tx: Transaction, agreement_id: UUID) -> Sequence[Row[Any]]:
    """Everything that was done with an agreement, the oldest first."""
    return await tx.fetch_all("SELECT * FROM agreement_act WHERE agreement_id = :id ORDER BY number", id=agreement_id)


async def erase_seeker(tx: Transaction, seeker_id: UUID) -> None:
    """Takes a seeker's and their guardian's name and address out of the terms; the hash stays that of the signed text."""
    rows = await tx.fetch_all(
        """SELECT t.* FROM agreement_terms t JOIN agreement g USING (agreement_id) JOIN application a USING (application_id)
           WHERE a.seeker_id = :id FOR UPDATE OF t""",
        id=seeker_id,
    )
    for row in rows:
        terms = parsed(row.content)
        parties = tuple(
            replace(one, display_name="", email=None) if one.party in ("SEEKER", "GUARDIAN") else one
            for one in terms.parties
        )
        await tx.execute(
            """UPDATE agreement_terms SET content = :content, erased_at = :now
               WHERE agreement_id = :id AND version = :version""",
            id=row.agreement_id,
            version=row.version,
            content=replace(terms, parties=parties).canonical,
            now=await tx.now(),
        )
        known = [one.email for one in terms.parties if one.party == "GUARDIAN" and one.email is not None]
        await tx.execute("DELETE FROM mail WHERE recipient = ANY(:known)", known=known)
        await tx.execute(
            "UPDATE agreement_act SET acted_by = '' WHERE agreement_id = :id AND party IN ('SEEKER', 'GUARDIAN')",
            id=row.agreement_id,
        )


def from_row(row: Any) -> Agreement:
    """The agreement in a row of `agreement`."""
    return Agreement(
        row.agreement_id,
        row.application_id,
        tuple(AgreementParty(party) for party in row.parties),
        row.starts_on,
        row.ends_on,
        row.state,
        {party: datetime.fromisoformat(at) for party, at in row.signed.items()},
        row.version,
        row.terms_version,
        row.terms_sha256,
    )
