"""Tells anew what the log is ahead of, after this database was restored to an earlier point."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from common import case_links
from common.messages import Message
from common.reconcile import Aggregates, LastMessages
from common.transaction import Transaction
from platform_scheduling import domain, platform_requests, store, time_store
from platform_scheduling.messages import BookingsRestated, OfferedWeek, PlatformDescribed, TimeOffered
from platform_scheduling.state import LIVE, Description


async def restate_platform(tx: Transaction, platform_id: UUID, last: LastMessages) -> Sequence[Message]:
    """The platform, its offered time and its live bookings as this database has them; bookings that it forgot are gone.

    A platform that it forgot comes back withdrawn: its owner opens it again.
    """
    if (described := last.of(PlatformDescribed)) is not None:
        await _bring_back(tx, platform_id, described)
    platform = await store.lock_platform(tx, platform_id)
    assert platform is not None, f"no message describes the platform {platform_id}"
    now = await tx.now()
    live = [one for one in platform.bookings if one.state in LIVE]
    offered = [
        OfferedWeek(iso_week=week, offered_minutes=minutes)
        for week, minutes in (await time_store.offered_weeks(tx, platform_id)).items()
    ]
    messages: list[Message] = [domain.described(platform, now)]
    messages += [TimeOffered(occurred_at=now, weeks=offered)] if offered else []
    messages.append(BookingsRestated(occurred_at=now, booking_ids=[one.booking_id for one in live]))
    return [*messages, *(domain.state_message(one, now) for one in live)]


async def _bring_back(tx: Transaction, platform_id: UUID, message: PlatformDescribed) -> None:
    description = Description(
        owner_title=message.owner_title,
        title=message.title,
        commune_code=message.commune_code,
        equipment_codes=tuple(one.equipment_code for one in message.equipment),
        rncp_codes=tuple(message.rncp_codes),
        capacity_count=message.capacity_count,
        accessible=message.accessible,
        habilitation_codes=tuple(message.habilitation_codes),
        approval=message.approval,
        access={},
        withdrawn=True,
        fictitious=message.fictitious,
    )
    owner_code = message.owner_uai or message.owner_siret
    assert owner_code is not None, f"no owner is told of the platform {platform_id}"
    await store.insert_platform(tx, platform_id, owner_code, None, description)


# Platforms first: what was answered to an event speaks of one.
AGGREGATES = (
    Aggregates("platform-scheduling.platforms.v1", table="platform", restate=restate_platform),
    Aggregates(
        "platform-scheduling.requests.v1",
        table="platform_request",
        key="request_id",
        restate=platform_requests.restate,
    ),
    Aggregates("platform-scheduling.case-links.v1", table="case_link", key="subject_id", restate=case_links.restate),
)
