"""What a campaign froze: the seats that it keeps, its offers and seekers as they were on that day."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from common.transaction import Transaction
from stage_matching.frozen import FrozenOffer, FrozenSeeker
from stage_matching.terms import HoursLimit, age_from, placement_of


async def keep_seats(
    tx: Transaction,
    campaign_id: UUID,
    communes: Iterable[str],
    wanted: Mapping[str, int],
    audiences: Sequence[str],
    limits: Sequence[HoursLimit],
) -> int:
    """Keeps the free seats of every offer within reach, at most as many in a week as seekers want it; how many offers.

    The offers' rows are locked by ascending id, and what their hosts change later is no longer the campaign's matter.
    """
    locked = await tx.fetch_all(
        """SELECT o.offer_id, o.placement FROM offer o JOIN host h USING (host_id)
           WHERE o.commune_code = ANY(:communes) AND NOT o.suspended AND h.suspended_reason IS NULL AND o.version > 0
               AND o.audiences && CAST(:audiences AS varchar[])
           ORDER BY o.offer_id FOR UPDATE OF o""",
        communes=list(communes),
        audiences=list(audiences),
    )
    count = await tx.execute(
        """INSERT INTO campaign_offer (campaign_id, number, offer_id, commune_code, rome_codes, audiences, age_min, seats, reserved, partner_uais,
               published, title, host_name, hours_age_min)
           SELECT :id, row_number() OVER (ORDER BY o.offer_id) - 1, o.offer_id, o.commune_code, o.rome_codes, o.audiences, o.age_min,
                  w.seats, o.reserved, o.partner_uais, false, o.title, h.host_name,
                  CAST(CAST(:lawful AS jsonb) ->> CAST(o.offer_id AS text) AS integer)
           FROM offer o JOIN host h USING (host_id) JOIN (
               SELECT offer_id, jsonb_object_agg(iso_week, LEAST(seats_count - taken_count - campaign_count, n.value::integer)) AS seats
               FROM offer_week JOIN jsonb_each_text(CAST(:wanted AS jsonb)) n ON n.key = iso_week
               WHERE offer_id = ANY(:ids) AND seats_count > taken_count + campaign_count GROUP BY offer_id) w USING (offer_id)
           -- Read again under the locks: a host may have been suspended while they were waited for.
           WHERE h.suspended_reason IS NULL AND NOT o.suspended""",
        id=campaign_id,
        ids=[row.offer_id for row in locked],
        wanted=json.dumps(dict(wanted)),
        lawful=json.dumps({str(row.offer_id): age_from(placement_of(row.placement).hours, limits) for row in locked}),
    )
    await tx.execute(
        """UPDATE offer_week w SET campaign_count = w.campaign_count + (c.seats ->> w.iso_week)::integer
           FROM campaign_offer c
           WHERE c.campaign_id = :id AND c.offer_id = w.offer_id AND jsonb_exists(c.seats, w.iso_week)""",
        id=campaign_id,
    )
    return count


async def let_seats_go(tx: Transaction, campaign_id: UUID) -> None:
    """A campaign is given up: the seats that it kept are free again."""
    await tx.fetch_all(
        """SELECT 1 FROM offer JOIN campaign_offer USING (offer_id) WHERE campaign_id = :id ORDER BY offer_id
           FOR UPDATE OF offer""",
        id=campaign_id,
    )
    await tx.execute(
        """UPDATE offer_week w SET campaign_count = w.campaign_count - (c.seats ->> w.iso_week)::integer
           FROM campaign_offer c
           WHERE c.campaign_id = :id AND c.offer_id = w.offer_id AND jsonb_exists(c.seats, w.iso_week)""",
        id=campaign_id,
    )
    await tx.execute("DELETE FROM campaign_offer WHERE campaign_id = :id", id=campaign_id)


async def let_seats_of_host_go(tx: Transaction, campaign_id: UUID, host_id: UUID) -> int:
    """A campaign keeps no seat of a host any longer; its offers stay numbered as they are. How many offers are left.

    The caller has locked the offers.
    """
    await tx.execute(
        """UPDATE offer_week w SET campaign_count = w.campaign_count - (c.seats ->> w.iso_week)::integer
           FROM campaign_offer c JOIN offer o USING (offer_id)
           WHERE c.campaign_id = :id AND o.host_id = :host_id AND c.offer_id = w.offer_id AND jsonb_exists(c.seats, w.iso_week)""",
        id=campaign_id,
        host_id=host_id,
    )
    await tx.execute(
        """UPDATE campaign_offer c SET seats = '{}' FROM offer o
           WHERE c.campaign_id = :id AND c.offer_id = o.offer_id AND o.host_id = :host_id""",
        id=campaign_id,
        host_id=host_id,
    )
    row = await tx.fetch_one(
        "SELECT count(*) FROM campaign_offer WHERE campaign_id = :id AND seats <> '{}'", id=campaign_id
    )
    return int(row[0]) if row else 0


async def frozen_offers(tx: Transaction, campaign_id: UUID) -> list[FrozenOffer]:
    """What a campaign froze, by number."""
    rows = await tx.fetch_all("SELECT * FROM campaign_offer WHERE campaign_id = :id ORDER BY number", id=campaign_id)
    return [frozen_offer(row) for row in rows]


def frozen_offer(row: Any) -> FrozenOffer:
    """From a row of `campaign_offer`."""
    return FrozenOffer(
        row.offer_id,
        row.commune_code,
        tuple(row.rome_codes),
        frozenset(row.audiences),
        row.age_min,
        row.seats,
        frozenset(row.partner_uais),
        row.reserved,
        row.hours_age_min,
    )


async def seekers(tx: Transaction, campaign_id: UUID) -> list[tuple[UUID, FrozenSeeker]]:
    """Every request of a campaign and its seeker, by seeker id."""
    rows = await tx.fetch_all("SELECT * FROM request WHERE campaign_id = :id ORDER BY seeker_id", id=campaign_id)
    return [(row.request_id, frozen_seeker(row)) for row in rows]


def frozen_seeker(row: Any) -> FrozenSeeker:
    """From a row of `request`."""
    return FrozenSeeker(
        row.seeker_id,
        row.audience,
        row.commune_code,
        row.radius_km,
        tuple(row.iso_weeks),
        tuple(row.wishes),
        row.age,
        row.sex,
        row.uai,
        row.priority_education,
    )
