"""One function per command on registrations: lock, settle, decide, save, and give seats that came back to those in line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal
from uuid import UUID

from common import case_links
from common.codes import normalised_code
from common.failures import Refusal
from common.pages import count
from common.sweepers import NIL, Sweeper
from common.transaction import Transaction
from events import domain, event_store, overlaps, party_store, store
from events.messages import EventAccess, PartyKind
from events.state import Ask, CheckIn, Decision, Event, Policy, Receipt, Registration, Session
from waiting_list.rules import serve_line
from waiting_list.store import DUE_COUNT_MAX, claim

NOT_FOUND = Refusal("not_found", "Cet évènement, cette séance ou cette inscription n’existe pas.")
NOT_YOURS = Refusal("not_yours", "Cet évènement ou cette inscription appartient à quelqu’un d’autre.")
NOT_FOR_YOU = Refusal("not_for_you", "Cet évènement est réservé aux personnes invitées ou aux professionnels.")


Rule = Callable[[Session, Policy, datetime], Decision]
OnRegistration = Callable[[Session, Registration, Policy, datetime], Decision]


@dataclass(frozen=True)
class Applicant:
    """Who registers: an address, what the organiser may call them, and for a group its school."""

    email: str
    title: str | None = None
    kind: PartyKind = PartyKind.INDIVIDUAL
    school_uai: str | None = None
    female_count: int = 0
    male_count: int = 0
    # Whom an event is for that is not for everyone.
    professional: bool = False
    invited: bool = False
    # Whether who asks has shown that the address is theirs: only they are told what it has at the same hour.
    known: bool = False


@dataclass(frozen=True)
class Registered:
    """What became of a request: the party, and each session's registration."""

    party_id: UUID
    registrations: Mapping[UUID, Registration]


# -- families and schools


async def register(
    tx: Transaction,
    applicant: Applicant,
    event_id: UUID,
    seats: Mapping[UUID, int],
    *,
    wait: bool,
    overlapping: bool = False,
    case_code: str | None = None,
) -> Refusal | Registered:
    """Registers a party for one session, or for several of an event: all of them, in line where full if it waits, or none.

    What is at the same hour is asked about last, unless it is accepted. A case may be attached to a group.
    """
    person_id = await party_store.lock_person(tx, applicant.email)
    event = await event_store.find_event(tx, event_id)
    if event is None or event.state == "draft":
        return NOT_FOUND
    may_come = {
        EventAccess.PROFESSIONALS: applicant.professional or applicant.invited,
        EventAccess.INVITATION: applicant.invited,
    }
    if not may_come.get(event.description.access, True):
        return NOT_FOR_YOU
    party_id = await party_store.party_for(
        tx,
        event_id,
        person_id,
        kind=applicant.kind,
        title=applicant.title,
        school_uai=applicant.school_uai,
        female_count=applicant.female_count,
        male_count=applicant.male_count,
    )
    holder_id = person_id if applicant.kind == PartyKind.INDIVIDUAL else party_id
    locked = []
    for session_id in sorted(seats):
        session = await store.lock_session(tx, session_id, holder_id=holder_id)
        if session is None or session.event_id != event_id:
            return NOT_FOUND
        locked.append(session)
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    sessions = [await _settled(tx, session, policy, now) for session in locked]
    conduct = await party_store.conduct_of(tx, person_id, now)
    decisions = []
    for nth, session in enumerate(sessions):
        ask = Ask(party_id, holder_id, applicant.kind, seats[session.session_id], applicant.school_uai, wait)
        counted = replace(conduct, live_count=conduct.live_count + nth)
        decision = domain.register(session, ask, counted, policy, now)
        if decision.refusal is not None:
            await party_store.drop_empty_party(tx, party_id)
            return decision.refusal
        decisions.append(decision)
    if not overlapping and (refusal := await _at_one_hour(tx, applicant, person_id, event, sessions, now)):
        await party_store.drop_empty_party(tx, party_id)
        return refusal
    for session, decision in zip(sessions, decisions, strict=True):
        await store.save(tx, session, decision, policy)
    kept = {decision.session.session_id: decision.registration for decision in decisions}
    made = {key: one for key, one in kept.items() if one is not None}
    if case_code is not None:
        for one in made.values():
            await case_links.attach(tx, one.registration_id, case_code)
    return Registered(party_id, made)


async def _at_one_hour(
    tx: Transaction,
    applicant: Applicant,
    person_id: UUID,
    event: Event,
    sessions: Sequence[Session],
    now: datetime,
) -> Refusal | None:
    """Asks about what is at the same hour: in what is asked for, and for who is known in what they have already."""
    name = overlaps.class_name(applicant.kind, applicant.title)
    asked = [overlaps.asked_of(session, event.description, name) for session in sessions]
    whose: dict[str, Any] = {"school_uai": applicant.school_uai} if name else {"person_id": person_id}
    had = await overlaps.had_by(tx, now, **whose) if applicant.known else []
    return overlaps.why_not_yet(asked, had, f"« {applicant.title} »" if name else "vous")


async def accept(tx: Transaction, party_id: UUID, registration_id: UUID) -> Refusal | None:
    """A party takes the seats that it was offered."""
    return await _of_party(tx, party_id, registration_id, lambda s, one, _, now: domain.accept(s, one, now))


async def cancel(tx: Transaction, party_id: UUID, registration_id: UUID) -> Refusal | None:
    """A party gives a registration, an offer or a place in line up."""
    return await _of_party(
        tx, party_id, registration_id, lambda s, one, _, now: domain.cancel(s, one, "registrant", now)
    )


async def resize(tx: Transaction, party_id: UUID, registration_id: UUID, seat_count: int) -> Refusal | None:
    """A party comes with more people, or fewer."""
    return await _of_party(
        tx, party_id, registration_id, lambda s, one, policy, now: domain.resize(s, one, seat_count, policy, now)
    )


async def attach_case(
    tx: Transaction, party_id: UUID, registration_id: UUID, *, case_code: str | None
) -> Refusal | None:
    """A school says which case of the observatory a group is for, or that it is for none; whatever became of it."""
    found = await party_store.find_registration(tx, registration_id)
    if found is None or found.party_id != party_id:
        return NOT_FOUND
    await store.lock_session(tx, found.session_id)
    await case_links.attach(tx, registration_id, case_code)
    return None


async def _of_party(tx: Transaction, party_id: UUID, registration_id: UUID, rule: OnRegistration) -> Refusal | None:
    found = await party_store.find_registration(tx, registration_id)
    if found is None or found.party_id != party_id:
        return NOT_FOUND
    return await on_registration(tx, found.session_id, registration_id, rule)


# -- the organiser and the door


async def cancel_for(tx: Transaction, account: str, registration_id: UUID) -> Refusal | None:
    """The organiser cancels a registration."""
    found = await party_store.find_registration(tx, registration_id)
    if found is None:
        return NOT_FOUND
    if not await event_store.is_organised_by(tx, found.event_id, account):
        return NOT_YOURS
    return await on_registration(
        tx, found.session_id, registration_id, lambda s, one, _, now: domain.cancel(s, one, "organiser", now)
    )


async def check_in(
    tx: Transaction, account: str, session_id: UUID, readings: Sequence[CheckIn]
) -> Refusal | list[Receipt]:
    """Takes what a device at the door has read, in any order and any number of times; one receipt for each reading.

    Where its clock is ahead, the whole batch is moved back together: each moved to now, a correction would be as old as
    what it corrects.
    """
    session = await store.lock_session(tx, session_id)
    if session is None:
        return NOT_FOUND
    if not await event_store.is_organised_by(tx, session.event_id, account):
        return NOT_YOURS
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    refusal = _door_is_closed(session, policy, now)
    ahead = max((reading.at - now for reading in readings), default=timedelta())
    receipts = []
    for reading in readings:
        if refusal is not None:
            receipts.append(Receipt(reading.code, "refused", refusal.reason, refusal.detail))
            continue
        receipts.append(await _read(tx, session_id, reading, min(reading.at, reading.at - ahead), policy, now))
    return receipts


def _door_is_closed(session: Session, policy: Policy, now: datetime) -> Refusal | None:
    if session.state == "cancelled":
        return Refusal("session_cancelled", "Cette séance est annulée.")
    if now < session.plan.starts_at - timedelta(hours=12):
        return Refusal("not_begun", "Le pointage ouvre douze heures avant la séance.")
    if now > session.plan.ends_at + timedelta(days=policy.check_in_days):
        return Refusal("too_late", f"Le pointage se fait dans les {policy.check_in_days} jours.")
    return None


async def _read(
    tx: Transaction, session_id: UUID, reading: CheckIn, at: datetime, policy: Policy, now: datetime
) -> Receipt:
    code = normalised_code(reading.code)
    registration_id = await party_store.registration_by_code(tx, session_id, code) if code is not None else None
    if registration_id is None:
        detail = "Ce code n’a pas d’inscription à cette séance." if code else "Ce code est mal lu : dix caractères."
        return Receipt(reading.code, "refused", "unknown_code", detail)
    session = await store.lock_session(tx, session_id, registration_id=registration_id)
    assert session is not None
    one = session.known(registration_id)
    assert one is not None
    decision = domain.check_in(session, one, reading.visitor_count, at, now)
    if decision.refusal is not None:
        return Receipt(reading.code, "refused", decision.refusal.reason, decision.refusal.detail)
    if not await party_store.first_seen(tx, session_id, reading.identity, registration_id):
        return Receipt(reading.code, "unchanged", visitor_count=one.visitor_count or 0)
    await store.save(tx, session, decision, policy)
    counted = decision.registration.visitor_count if decision.registration is not None else None
    outcome: Literal["accepted", "unchanged"] = "accepted" if decision.messages else "unchanged"
    more = reading.visitor_count is not None and reading.visitor_count > one.seat_count
    detail = f"Ce billet est pour {count(one.seat_count, 'personne')} : pas plus ne sont comptées." if more else ""
    return Receipt(reading.code, outcome, detail=detail, visitor_count=counted or 0)


# -- sweepers


async def _settle(tx: Transaction, session_id: UUID) -> None:
    session = await store.lock_session(tx, session_id)
    assert session is not None
    now = await tx.now()
    await _settled(tx, session, await store.policy_at(tx, now), now)


async def _too_often_absent(tx: Transaction, after: tuple[UUID, UUID], limit: int) -> list[tuple[UUID, UUID]]:
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    return await party_store.too_often_absent(tx, policy.absences_max, now, after, limit)


async def _release_after_absences(tx: Transaction, found: tuple[UUID, UUID]) -> None:
    """Takes back what a party holds in a cycle that it no longer follows; those in line get it."""
    await on_registration(tx, *found, lambda s, one, _, at: domain.release(s, one, at))


# Nothing that reads or decides depends on their having run.
settle_due = Sweeper("settle_due", store.SESSIONS.due, _settle)
forget_case_codes = case_links.forgetting(
    "SELECT registration_id AS subject_id, s.ends_at AS over_at FROM registration JOIN session s USING (session_id)",
    store.policy_at,
)
release_after_absences = Sweeper("release_after_absences", _too_often_absent, _release_after_absences, first=(NIL, NIL))
# Whether somebody waits beside free seats, whatever has happened: there should be nobody.
heal = Sweeper("heal", store.SESSIONS.with_free_seats_and_a_line, _settle)


# -- the lines around every rule


async def on_registration(
    tx: Transaction, session_id: UUID, registration_id: UUID, rule: OnRegistration
) -> Refusal | None:
    """Applies a rule to one registration of a session, which is locked and settled first."""
    session = await store.lock_session(tx, session_id, registration_id=registration_id)
    assert session is not None

    def with_it(settled: Session, policy: Policy, now: datetime) -> Decision:
        one = settled.known(registration_id)
        assert one is not None
        return rule(settled, one, policy, now)

    return (await decide(tx, session, with_it)).refusal


async def decide(tx: Transaction, session: Session, rule: Rule) -> Decision:
    """Settles what time made due, decides, saves; then those in line get what has become free."""
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    settled = await _settled(tx, session, policy, now)
    decision = await store.save(tx, settled, rule(settled, policy, now), policy)
    return replace(decision, session=await _serve(tx, decision.session, policy, now))


async def _settled(tx: Transaction, session: Session, policy: Policy, now: datetime) -> Session:
    """The session with what time made due, saved, and its free seats given to those in line."""
    if domain.draw_is_due(session, now):
        # The draw comes first, as of its instant: who was not drawn by a late sweeper would else be told that nobody was served.
        await store.draw(tx, session.session_id, session.seed)
        session = (await store.save(tx, session, Decision(domain.drawn(session)), policy)).session
        assert session.drawn_at is not None
        session = await _serve(tx, session, policy, session.drawn_at, how="given")
    while True:
        due_count = sum(one.due_at is not None and one.due_at <= now for one in session.registrations)
        session = (await store.save(tx, session, domain.settle(session, now), policy)).session
        if due_count < DUE_COUNT_MAX:
            break
        again = await store.lock_session(tx, session.session_id)
        assert again is not None
        session = again
    session = await _serve(tx, session, policy, now)
    if domain.is_over(session, policy, now):
        attendance = await store.attendance_of(tx, session.session_id)
        session = (await store.save(tx, session, domain.hold(session, attendance, policy), policy)).session
    return session


async def _serve(
    tx: Transaction, session: Session, policy: Policy, now: datetime, *, how: Literal["offered", "given"] = "offered"
) -> Session:
    """Offers what is free to those in line, in order; who has a pending offer elsewhere is passed over until it is answered."""
    until = policy.terms.offer_until(session.plan.starts_at, now)
    if until is None:
        return session

    async def give(at: Session, one: Registration) -> Session | None:
        if how == "offered" and not await claim(tx, one.registration_id, until):
            return None
        at = replace(at, registrations=(*at.registrations, one))
        decision = domain.give(at, one, now) if how == "given" else domain.offer(at, one, until, now)
        return (await store.save(tx, at, decision, policy)).session

    line = partial(store.line, tx, session.session_id)
    return await serve_line(session, lambda at: domain.seats_to_give(at, policy, now), line, give)
