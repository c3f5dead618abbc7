"""One function per command on platforms, their time and their bookings: lock, settle, decide, save."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from common import case_links
from common.commitments import ask
from common.failures import Refusal
from common.sweepers import Sweeper
from common.transaction import Transaction
from platform_scheduling import commitments, domain, notices, overlaps, platform_requests, store, time_store, windows
from platform_scheduling.commitments import Broken
from platform_scheduling.messages import (
    BookingOrigin,
    BookingRefusalReason,
    PlatformRefusalReason,
    PlatformRequested,
    PlatformRequestWithdrawn,
)
from platform_scheduling.photos import PHOTOS_MAX
from platform_scheduling.state import (
    HOLDING,
    Ask,
    Booking,
    Busy,
    Conduct,
    Decision,
    Description,
    Platform,
    Policy,
    Span,
)
from platform_scheduling.windows import Window
from territory.working_time import PARIS

NOT_FOUND = Refusal("not_found", "Ce plateau ou cette réservation n’existe pas.")
NOT_YOURS = Refusal("not_yours", "Ce plateau ou cette réservation appartient à quelqu’un d’autre.")

# Windows are written out this much further than anybody may book, so that the sweeper may sleep for weeks.
_OPENED_AHEAD_DAYS = 60
_WINDOWS_MAX, _BLOCKS_MAX = 50, 2000

Rule = Callable[[Platform, Policy, datetime], Decision]


@dataclass(frozen=True)
class Acting:
    """Who acts on a booking: its requester by account, or the owner of its platform by code."""

    account: str | None = None
    owner_code: str | None = None

    @property
    def actor(self) -> Literal["requester", "owner"]:
        """As whom the rules know them."""
        return "requester" if self.owner_code is None else "owner"


# -- the owner's side


async def describe_platform(
    tx: Transaction,
    owner_code: str,
    contact: str | None,
    platform_id: UUID,
    description: Description,
    units: Sequence[str],
) -> Refusal | None:
    """An owner publishes, changes or withdraws one of its platforms; `units` are the titles of its places."""
    await store.insert_platform(tx, platform_id, owner_code, contact, description)
    platform = await _owned(tx, owner_code, platform_id)
    if isinstance(platform, Refusal):
        return platform
    decision = await _decide(
        tx, platform, lambda one, _, now: domain.describe(one, description, units, now, tx.accepted)
    )
    if decision.refusal is None:
        await _open(tx, platform_id)
    return decision.refusal


async def put_window(tx: Transaction, owner_code: str, platform_id: UUID, window: Window) -> Refusal | None:
    """The owner offers time, or changes what it offers. What is held stays; who waits in line for it does not."""
    platform = await _owned(tx, owner_code, platform_id)
    if isinstance(platform, Refusal):
        return platform
    known = await time_store.windows_of(tx, platform_id)
    others = [one for one in known if one.window_id != window.window_id]
    if len(others) >= _WINDOWS_MAX:
        return Refusal("too_many_windows", f"Au plus {_WINDOWS_MAX} plages : supprimez celles qui ne servent plus.")
    if refusal := await _offers_otherwise(tx, platform, known, [*others, window]):
        return refusal
    if not await time_store.put_window(tx, platform_id, window):
        return NOT_YOURS
    await _open(tx, platform_id)
    return None


async def drop_window(tx: Transaction, owner_code: str, platform_id: UUID, window_id: UUID) -> Refusal | None:
    """The owner no longer offers this time. What is held stays; who waits in line for it does not."""
    platform = await _owned(tx, owner_code, platform_id)
    if isinstance(platform, Refusal):
        return platform
    known = await time_store.windows_of(tx, platform_id)
    if refusal := await _offers_otherwise(tx, platform, known, [one for one in known if one.window_id != window_id]):
        return refusal
    if not await time_store.drop_window(tx, platform_id, window_id):
        return NOT_FOUND
    await _open(tx, platform_id)
    return None


async def _offers_otherwise(
    tx: Transaction, platform: Platform, before: Sequence[Window], after: Sequence[Window]
) -> Refusal | None:
    """Ends the waiting in line for what other windows no longer offer, if that is accepted."""
    spans = [one.span for one in platform.bookings if one.state == "requested"]
    if not spans:
        return None
    # A window of the day before may reach into the first.
    first = min(span.starts_at for span in spans).astimezone(PARIS).date() - timedelta(days=2)
    last = max(span.ends_at for span in spans).astimezone(PARIS).date()

    def offering(found: Sequence[Window], one: Platform) -> Platform:
        return replace(one, open=tuple(span for each in found for span in windows.occurrences(each, first, last)))

    return await _breaking(
        tx, platform, lambda one, now: commitments.by_windows(offering(before, one), offering(after, one), now)
    )


async def _breaking(
    tx: Transaction, platform: Platform, broken_by: Callable[[Platform, datetime], list[Broken]]
) -> Refusal | None:
    """Asks about what a change breaks, and ends it when that is accepted."""

    def rule(one: Platform, _: Policy, now: datetime) -> Decision:
        broken = broken_by(one, now)
        if refusal := ask([each.commitment for each in broken], tx.accepted):
            return Decision(one, refusal=refusal)
        return domain.give_up(Decision(one), broken, now)

    return (await _decide(tx, platform, rule)).refusal


async def block(
    tx: Transaction, owner_code: str, platform_id: UUID, busy_id: UUID, busy: Busy, note: str
) -> Refusal | None:
    """The owner keeps time for itself; what is booked is not overridden, the owner cancels it first."""
    platform = await _owned(tx, owner_code, platform_id)
    if isinstance(platform, Refusal):
        return platform
    platform = await _settled(tx, platform)
    if busy.unit_number is not None and busy.unit_number not in {unit.number for unit in platform.units}:
        return Refusal("no_such_unit", "Ce plateau n’a pas cette place.", {"unit_number": busy.unit_number})
    taken = [
        str(one.booking_id)
        for one in platform.bookings
        if one.state in HOLDING and one.span.overlaps(busy.span) and busy.unit_number in (None, one.unit_number)
    ]
    if taken:
        fall = "réservation tombe" if len(taken) == 1 else "réservations tombent"
        detail = f"{len(taken)} {fall} à ce moment : à refuser ou annuler d’abord."
        return Refusal("booked", detail, {"bookings": taken})
    if await time_store.block_count(tx, platform_id, await tx.now()) >= _BLOCKS_MAX:
        return Refusal("too_many_blocks", f"Au plus {_BLOCKS_MAX} périodes gardées.")
    if refusal := await _breaking(tx, platform, lambda one, now: commitments.by_keeping(one, busy, now)):
        return refusal
    if not await time_store.put_busy(tx, platform_id, busy_id, busy, source="block", note=note):
        return NOT_YOURS
    await _open(tx, platform_id, windows_too=False)
    return None


async def unblock(tx: Transaction, owner_code: str, platform_id: UUID, busy_id: UUID) -> Refusal | None:
    """The owner gives time back that it had kept; who waits in line for it moves up."""
    platform = await _owned(tx, owner_code, platform_id)
    if isinstance(platform, Refusal):
        return platform
    if not await time_store.drop_busy(tx, platform_id, busy_id=busy_id):
        return NOT_FOUND
    await _open(tx, platform_id, windows_too=False)
    return None


async def import_calendar(
    tx: Transaction,
    owner_code: str,
    platform_id: UUID,
    spans: Sequence[tuple[Span, str]],
    *,
    replace_with_nothing: bool = False,
) -> Refusal | list[UUID]:
    """Replaces what came from the owner's calendar. Bookings in the way stay; they are named, for the owner to decide.

    A file with nothing busy is more often an export gone wrong than an empty year: it erases what was busy only when told to.
    """
    platform = await _owned(tx, owner_code, platform_id)
    if isinstance(platform, Refusal):
        return platform
    count, hours = await time_store.calendar_ahead(tx, platform_id, await tx.now())
    if count and not spans and not replace_with_nothing:
        detail = (
            f"Ce fichier n’a rien d’occupé d’ici un an : il effacerait {hours} h occupées du précédent. "
            "Vérifiez l’export ; si l’agenda est bien vide, confirmez-le."
        )
        facts = {"busy_count": count, "busy_hours": hours, "confirmed_by": "replace_with_nothing=true"}
        return Refusal("nothing_busy", detail, facts)
    platform = await _settled(tx, platform)
    await time_store.drop_busy(tx, platform_id)
    await time_store.write_calendar(tx, platform_id, spans)
    await _open(tx, platform_id, windows_too=False)
    kept = [span for span, _ in spans]
    return [
        one.booking_id
        for one in platform.bookings
        if one.state in HOLDING and any(one.span.overlaps(span) for span in kept)
    ]


async def put_photo(
    tx: Transaction, owner_code: str, platform_id: UUID, number: int, caption: str, content: bytes
) -> Refusal | None:
    """The owner shows the platform; photos are not told on Kafka."""
    platform = await _owned(tx, owner_code, platform_id)
    if isinstance(platform, Refusal):
        return platform
    await time_store.put_photo(tx, platform_id, number, caption, content)
    return None


async def add_photo(
    tx: Transaction, owner_code: str, platform_id: UUID, caption: str, content: bytes
) -> Refusal | None:
    """The owner shows the platform with one photo more."""
    platform = await _owned(tx, owner_code, platform_id)
    if isinstance(platform, Refusal):
        return platform
    taken = {row.number for row in await time_store.photos_of(tx, platform_id)}
    free = [number for number in range(1, PHOTOS_MAX + 1) if number not in taken]
    if not free:
        return Refusal("too_many_photos", f"Au plus {PHOTOS_MAX} photos : retirez-en une.")
    await time_store.put_photo(tx, platform_id, free[0], caption, content)
    return None


async def drop_photo(tx: Transaction, owner_code: str, platform_id: UUID, number: int) -> Refusal | None:
    """The owner takes a photo away."""
    platform = await _owned(tx, owner_code, platform_id)
    if isinstance(platform, Refusal):
        return platform
    return None if await time_store.drop_photo(tx, platform_id, number) else NOT_FOUND


async def approve(tx: Transaction, owner_code: str, booking_id: UUID) -> Refusal | None:
    """The owner says yes."""
    return await _on_booking(
        tx, Acting(owner_code=owner_code), booking_id, lambda p, one, _, now: domain.approve(p, one, now)
    )


async def refuse(tx: Transaction, owner_code: str, booking_id: UUID, reason: BookingRefusalReason) -> Refusal | None:
    """The owner says no."""
    return await _on_booking(
        tx,
        Acting(owner_code=owner_code),
        booking_id,
        lambda p, one, policy, now: domain.refuse(p, one, reason, policy, now),
    )


async def miss(tx: Transaction, owner_code: str, booking_id: UUID) -> Refusal | None:
    """The owner says that nobody came."""
    return await _on_booking(tx, Acting(owner_code=owner_code), booking_id, domain.miss)


# -- the requester's side


async def book(
    tx: Transaction,
    *,
    account: str,
    title: str,
    contact: str | None,
    platform_id: UUID,
    ask: Ask,
    purpose: str,
    overlapping: bool = False,
    case_code: str | None = None,
) -> Refusal | Booking:
    """Somebody asks for a slot of a platform; what they have elsewhere at the same hour is asked about, unless it is accepted.

    A case may be attached.
    """
    requester_id = await store.lock_requester(tx, account=account, title=title, contact=contact)
    platform = await store.lock_platform(tx, platform_id, ask.span)
    if platform is None or platform.version == 0:
        return NOT_FOUND
    now = await tx.now()
    conduct = await store.conduct_of(tx, requester_id, now, await store.policy_at(tx, now))
    asked = replace(ask, requester_id=requester_id)
    others = [] if overlapping else await overlaps.elsewhere(tx, requester_id, platform_id, ask.span)

    def rule(one: Platform, policy: Policy, at: datetime) -> Decision:
        return overlaps.unless(domain.request(one, asked, conduct, policy, at), one, others)

    decision = await _decide(tx, platform, rule)
    if decision.refusal is not None:
        return decision.refusal
    assert decision.booking is not None
    if purpose:
        await store.set_purpose(tx, decision.booking.booking_id, purpose)
    await case_links.attach(tx, decision.booking.booking_id, case_code)
    return decision.booking


async def cancel(tx: Transaction, who: Acting, booking_id: UUID) -> Refusal | None:
    """Requester or owner gives a booking up."""
    return await _on_booking(
        tx, who, booking_id, lambda p, one, policy, now: domain.cancel(p, one, who.actor, policy, now)
    )


async def attach_case(tx: Transaction, account: str, booking_id: UUID, case_code: str | None) -> Refusal | None:
    """The requester says which case of the observatory a booking is for, or that it is for none; whatever became of it."""
    found = await store.find_booking(tx, booking_id)
    if found is None:
        return NOT_FOUND
    requester = await store.find_requester(tx, account)
    if requester is None or requester.requester_id != found[0].requester_id:
        return NOT_YOURS
    await store.lock_platform(tx, found[1])
    await case_links.attach(tx, booking_id, case_code)
    return None


async def move(
    tx: Transaction, who: Acting, booking_id: UUID, span: Span, *, overlapping: bool = False
) -> Refusal | None:
    """Requester or owner moves a booking to another slot of the platform; the owner knows nothing of others, and is not asked."""
    found = await store.find_booking(tx, booking_id)
    asks = found is not None and who.account is not None and not overlapping
    others = await overlaps.elsewhere(tx, found[0].requester_id, found[1], span) if found and asks else []

    def rule(platform: Platform, one: Booking, policy: Policy, now: datetime) -> Decision:
        return overlaps.unless(domain.move(platform, one, span, who.actor, policy, now), platform, others)

    return await _on_booking(tx, who, booking_id, rule, around=span)


# -- the events service


async def book_for_event(tx: Transaction, message: PlatformRequested) -> None:
    """An event needs a platform: booked, refused with why, or held until the owner has answered."""
    known = await platform_requests.register(tx, message)
    requester_id = await platform_requests.organiser(tx, message.organiser_id)
    span = Span(message.starts_at, message.ends_at)
    platform = await store.lock_platform(tx, message.platform_id, span)
    if known.state != "pending" or known.booking_id is not None:
        # Asked again with the same id, after a restore of the other side: the same answer, again.
        await platform_requests.repeat(tx, message.aggregate_id)
        return
    if platform is None or platform.version == 0:
        await platform_requests.refuse(tx, message.aggregate_id, PlatformRefusalReason.PLATFORM_UNKNOWN)
        return
    if span.minutes < 1 or message.group_size < 1:
        await platform_requests.refuse(tx, message.aggregate_id, PlatformRefusalReason.OUTSIDE_LIMITS)
        return
    ask = Ask(
        requester_id,
        span,
        message.group_size,
        frozenset(message.habilitation_codes),
        origin=BookingOrigin.EVENT,
        request_id=message.aggregate_id,
    )
    decision = await _decide(tx, platform, lambda one, policy, now: domain.request(one, ask, Conduct(), policy, now))
    if decision.refusal is not None:
        await platform_requests.refuse(tx, message.aggregate_id, platform_requests.reason_of(decision.refusal))


async def withdraw_request(tx: Transaction, message: PlatformRequestWithdrawn) -> None:
    """The event no longer needs the platform: its booking is cancelled, or is refused before the owner has answered."""
    known = await platform_requests.register(tx, message)
    platform = await store.lock_platform(tx, message.platform_id)
    if platform is not None and known.booking_id is not None:
        found = await store.find_booking(tx, known.booking_id)
        assert found is not None
        await _decide(
            tx,
            platform,
            lambda one, policy, now: domain.cancel(one, _current(one, found[0]), "event", policy, now),
        )
    await platform_requests.withdraw(tx, message.aggregate_id)


# -- sweepers


async def _settle(tx: Transaction, platform_id: UUID) -> None:
    platform = await store.lock_platform(tx, platform_id)
    assert platform is not None
    await _settled(tx, platform)


async def _to_open(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    """Windows are written out further as days go by, a week's worth at a time."""
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    today, ahead = now.astimezone(PARIS).date(), _OPENED_AHEAD_DAYS - 7
    return await time_store.to_open(tx, today, policy.horizon_days, ahead, after, limit)


async def _open(tx: Transaction, platform_id: UUID, *, windows_too: bool = True) -> None:
    """Writes out what the windows offer from today on, tells the weeks in which that is another, lets who waits move up."""
    platform = await store.lock_platform(tx, platform_id)
    assert platform is not None
    now = await tx.now()
    policy = (await store.policy_at(tx, now)).of(platform.description.access)
    first = now.astimezone(PARIS).date()
    last = first + timedelta(days=policy.horizon_days + _OPENED_AHEAD_DAYS)
    if windows_too:
        found = [] if platform.description.withdrawn else await time_store.windows_of(tx, platform_id)
        occurrences = {one.window_id: windows.occurrences(one, first, last) for one in found}
        await time_store.write_open_time(tx, platform_id, occurrences, first, last)
    offered = await time_store.changed_weeks(tx, platform_id, first, last)
    await _decide(tx, platform, lambda one, policy, at: domain.reopen(one, offered, policy, at))


# Nothing that reads or decides depends on their having run.
settle_due = Sweeper("settle_due", store.platforms_due, _settle)
open_further = Sweeper("open_further", _to_open, _open)
forget_case_codes = case_links.forgetting(
    "SELECT booking_id AS subject_id, ended_at AS over_at FROM booking", store.policy_at
)


# -- the lines around every rule


async def _owned(tx: Transaction, owner_code: str, platform_id: UUID) -> Platform | Refusal:
    platform = await store.lock_platform(tx, platform_id)
    if platform is None:
        return NOT_FOUND
    return platform if platform.owner_code == owner_code else NOT_YOURS


async def _on_booking(
    tx: Transaction,
    who: Acting,
    booking_id: UUID,
    rule: Callable[[Platform, Booking, Policy, datetime], Decision],
    *,
    around: Span | None = None,
) -> Refusal | None:
    found = await store.find_booking(tx, booking_id)
    if found is None:
        return NOT_FOUND
    known, platform_id = found
    if who.account is not None:
        requester = await store.find_requester(tx, who.account)
        if requester is None or requester.requester_id != known.requester_id:
            return NOT_YOURS
    platform = await store.lock_platform(tx, platform_id, around)
    assert platform is not None
    if who.owner_code is not None and platform.owner_code != who.owner_code:
        return NOT_YOURS
    # What we read before the lock may have changed since.
    fresh = await store.find_booking(tx, booking_id)
    assert fresh is not None
    decision = await _decide(tx, platform, lambda one, policy, now: rule(one, _current(one, fresh[0]), policy, now))
    return decision.refusal


def _current(platform: Platform, known: Booking) -> Booking:
    """The booking as the locked and settled platform has it; one that ended before is not loaded with it."""
    live = {one.booking_id: one for one in platform.bookings}
    return live.get(known.booking_id, known)


async def _settled(tx: Transaction, platform: Platform) -> Platform:
    """The platform with what time made due, saved."""
    return (await _decide(tx, platform, lambda settled, _, __: Decision(settled))).platform


async def _decide(tx: Transaction, platform: Platform, rule: Rule) -> Decision:
    """Settles what time made due, decides, saves both, answers the events service, writes to whom it concerns."""
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    settled = domain.settle(platform, policy, now)
    decision = rule(settled.platform, policy, now).after(settled)
    decision = await store.save(tx, platform, decision)
    await platform_requests.answer(tx, decision)
    await notices.follow(tx, decision)
    return decision
