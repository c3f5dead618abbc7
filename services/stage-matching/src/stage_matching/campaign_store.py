"""Loads and saves campaigns: their seekers, what was computed, and the lease of the job that works on them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row

from common.messages import Message
from common.transaction import Transaction
from stage_matching.messages import (
    CampaignCancelled,
    CampaignClosed,
    CampaignComputed,
    CampaignFrozen,
    CampaignOpened,
    CampaignPublished,
    CampaignScope,
)
from stage_matching.requests import Wish, values_of, wish_of

_LEASE_SECONDS = 20


async def insert(
    tx: Transaction, campaign_id: UUID, *, title: str, scope: CampaignScope, uai: str | None, seed: str, now: datetime
) -> bool:
    """A new campaign; False when the id is taken."""
    return bool(
        await tx.execute(
            """INSERT INTO campaign (campaign_id, title, scope, uai, state, seed, opened_at, done_count, total_count, lease_epoch, version)
               VALUES (:id, :title, :scope, :uai, 'open', :seed, :now, 0, 0, 0, 0) ON CONFLICT DO NOTHING""",
            id=campaign_id,
            title=title,
            scope=scope.value,
            uai=uai,
            seed=seed,
            now=now,
        )
    )


async def lock(tx: Transaction, campaign_id: UUID) -> Any:
    """A campaign's row, locked, or None."""
    return await tx.fetch_one("SELECT * FROM campaign WHERE campaign_id = :id FOR UPDATE", id=campaign_id)


async def find(tx: Transaction, campaign_id: UUID) -> Any:
    """A campaign's row, unlocked, with how many seekers it has; or None."""
    return await tx.fetch_one(
        """SELECT c.*, (SELECT count(*) FROM request r WHERE r.campaign_id = c.campaign_id) AS seeker_count
           FROM campaign c WHERE campaign_id = :id""",
        id=campaign_id,
    )


async def listed(tx: Transaction, uai: str | None) -> Sequence[Row[Any]]:
    """A school's campaigns and the territories', or all for the agency; the newest first."""
    return await tx.fetch_all(
        """SELECT c.*, (SELECT count(*) FROM request r WHERE r.campaign_id = c.campaign_id) AS seeker_count FROM campaign c
           WHERE CAST(:uai AS text) IS NULL OR c.uai = :uai
               OR EXISTS (SELECT 1 FROM request r WHERE r.campaign_id = c.campaign_id AND r.uai = :uai)
           ORDER BY opened_at DESC, campaign_id LIMIT 100""",
        uai=uai,
    )


async def save(tx: Transaction, row: Any, message: Message | None, **changes: Any) -> None:
    """Changes columns of a campaign that is locked, and tells what happened to it."""
    version = await tx.emit([message] if message else [], aggregate_id=row.campaign_id, version=row.version)
    values = {
        name: json.dumps(value) if name in ("limits", "problems", "figures") and value is not None else value
        for name, value in changes.items()
    } | {"version": version}
    cast = {name: f"CAST(:{name} AS jsonb)" for name in ("limits", "problems", "figures")}
    assignments = ", ".join(f"{name} = {cast.get(name, ':' + name)}" for name in values)
    await tx.execute(f"UPDATE campaign SET {assignments} WHERE campaign_id = :id", id=row.campaign_id, **values)


async def state_message(tx: Transaction, row: Any, now: datetime) -> Message:
    """The message that tells the state in which a campaign is."""
    figures = row.figures or {}
    seeker_count = (await find(tx, row.campaign_id)).seeker_count
    match row.state:
        case "open":
            return opened(CampaignScope(row.scope), row.uai, row.seed, now)
        case "frozen":
            offers = await tx.fetch_one(
                "SELECT count(*) FROM campaign_offer WHERE campaign_id = :id", id=row.campaign_id
            )
            return CampaignFrozen(
                occurred_at=now, seeker_count=seeker_count, offer_count=offers[0] if offers else 0, seed=row.seed
            )
        case "computed":
            return CampaignComputed(occurred_at=now, served_count=figures["served_count"], seeker_count=seeker_count)
        case "published":
            return published(figures, now)
        case "closed":
            return CampaignClosed(occurred_at=now, confirmed_count=await confirmed_count(tx, row.campaign_id))
        case _:
            return CampaignCancelled(occurred_at=now)


def opened(scope: CampaignScope, uai: str | None, seed: str, now: datetime) -> CampaignOpened:
    """The seed is bound now and told at the freeze."""
    return CampaignOpened(occurred_at=now, scope=scope, uai=uai, seed_sha256=sha256(seed.encode()).hexdigest())


def published(figures: Mapping[str, Any], now: datetime) -> CampaignPublished:
    """What the public may know of a result."""
    return CampaignPublished(
        occurred_at=now,
        seeker_count=figures["seeker_count"],
        served_count=figures["served_count"],
        most_served_count=figures["most_served"]["served_count"],
        rank_counts=figures["rank_counts"],
        mean_km=figures["mean_km"],
    )


async def confirmed_count(tx: Transaction, campaign_id: UUID) -> int:
    """Internships confirmed through a campaign."""
    row = await tx.fetch_one(
        "SELECT count(*) FROM application WHERE campaign_id = :id AND state = 'confirmed'", id=campaign_id
    )
    return int(row[0]) if row else 0


# -- seekers


async def add_pupils(tx: Transaction, campaign_id: UUID, pupils: Sequence[Wish]) -> None:
    """Adds pupils to a campaign, or replaces the wishes of those whom it has; all in three statements."""
    rows = [
        values_of(wish) | {"request_id": str(uuid4()), "seeker_id": str(uuid4()), "campaign_id": str(campaign_id)}
        for wish in pupils
    ]
    columns = """request_id uuid, seeker_id uuid, campaign_id uuid, audience text, sex text, age integer, commune_code text,
        radius_km integer, iso_weeks text[], wishes text[], priority_education boolean, uai text, class_group text, pupil_code text, birth_month text"""
    names = (
        "audience, sex, age, commune_code, radius_km, iso_weeks, wishes, priority_education, class_group, birth_month"
    )
    await tx.execute(
        f"""WITH sent AS (SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS s({columns})),
                 changed AS (UPDATE request r SET {", ".join(f"{n} = s.{n}" for n in names.split(", "))} FROM sent s
                             WHERE r.campaign_id = s.campaign_id AND r.uai = s.uai AND r.pupil_code = s.pupil_code
                             RETURNING r.uai, r.pupil_code),
                 new AS (SELECT * FROM sent s WHERE NOT EXISTS (SELECT 1 FROM changed c WHERE c.uai = s.uai AND c.pupil_code = s.pupil_code)),
                 people AS (INSERT INTO seeker (seeker_id) SELECT seeker_id FROM new RETURNING seeker_id)
            INSERT INTO request (request_id, seeker_id, campaign_id, uai, pupil_code, {names}, version)
            SELECT n.request_id, p.seeker_id, n.campaign_id, n.uai, n.pupil_code, {", ".join("n." + n for n in names.split(", "))}, 0
            FROM new n JOIN people p USING (seeker_id)""",
        rows=json.dumps(rows),
    )


async def pupils(tx: Transaction, campaign_id: UUID) -> dict[tuple[str, str], Wish]:
    """Whom a campaign has, by school and code."""
    rows = await tx.fetch_all("SELECT * FROM request WHERE campaign_id = :id", id=campaign_id)
    return {(row.uai, row.pupil_code): wish_of(row) for row in rows}


async def keep_table(tx: Transaction, campaign_id: UUID, content: bytes) -> None:
    """Keeps the table that was tried last."""
    await tx.execute(
        """INSERT INTO pupil_table (campaign_id, content) VALUES (:id, :content)
           ON CONFLICT (campaign_id) DO UPDATE SET content = excluded.content""",
        id=campaign_id,
        content=content,
    )


async def take_table(tx: Transaction, campaign_id: UUID) -> bytes:
    """The table that was tried last, or nothing."""
    row = await tx.fetch_one("DELETE FROM pupil_table WHERE campaign_id = :id RETURNING content", id=campaign_id)
    return bytes(row.content) if row else b""


async def spans(tx: Transaction, campaign_id: UUID) -> list[tuple[tuple[str, ...], int]]:
    """The spans of a campaign and how many seekers each has."""
    rows = await tx.fetch_all(
        "SELECT iso_weeks, count(*) AS seekers FROM request WHERE campaign_id = :id GROUP BY iso_weeks ORDER BY iso_weeks",
        id=campaign_id,
    )
    return [(tuple(row.iso_weeks), row.seekers) for row in rows]


async def spans_of_schools(tx: Transaction, campaign_id: UUID) -> dict[str, tuple[str, ...]]:
    """The span of each school of a campaign."""
    rows = await tx.fetch_all("SELECT DISTINCT uai, iso_weeks FROM request WHERE campaign_id = :id", id=campaign_id)
    return {row.uai: tuple(row.iso_weeks) for row in rows}


async def homes(tx: Transaction, campaign_id: UUID) -> list[tuple[str, int]]:
    """Where the seekers live and how far they travel (km), each pair once."""
    rows = await tx.fetch_all(
        "SELECT DISTINCT commune_code, radius_km FROM request WHERE campaign_id = :id", id=campaign_id
    )
    return [(row.commune_code, row.radius_km) for row in rows]


# -- results


async def store_results(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes what was computed for some requests: request_id, ranked, offer, wish, explanation."""
    await tx.execute(
        """UPDATE request r SET ranked_offers = s.ranked, obtained_offer = s.offer, obtained_wish = s.wish, explanation = s.explanation
           FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS s(request_id uuid, ranked integer[], offer integer, wish integer, explanation jsonb)
           WHERE r.request_id = s.request_id""",
        rows=json.dumps(rows, default=str),
    )


async def unpublished(tx: Transaction, campaign_id: UUID) -> list[int]:
    """Numbers of the offers whose seats have yet to be given, in the order of their ids."""
    rows = await tx.fetch_all(
        "SELECT number FROM campaign_offer WHERE campaign_id = :id AND NOT published ORDER BY number", id=campaign_id
    )
    return [row.number for row in rows]


async def placements(
    tx: Transaction, campaign_id: UUID, numbers: Sequence[int]
) -> tuple[Sequence[Row[Any]], dict[int, list[Row[Any]]]]:
    """Some offers of a campaign, and who obtained each: request_id, seeker_id, iso_weeks."""
    frozen = await tx.fetch_all(
        "SELECT * FROM campaign_offer WHERE campaign_id = :id AND number = ANY(:numbers) ORDER BY number",
        id=campaign_id,
        numbers=list(numbers),
    )
    placed: dict[int, list[Row[Any]]] = {}
    for row in await tx.fetch_all(
        """SELECT obtained_offer, seeker_id, iso_weeks FROM request
           WHERE campaign_id = :id AND obtained_offer = ANY(:numbers) ORDER BY seeker_id""",
        id=campaign_id,
        numbers=list(numbers),
    ):
        placed.setdefault(row.obtained_offer, []).append(row)
    return frozen, placed


async def mark_published(tx: Transaction, campaign_id: UUID, numbers: Sequence[int]) -> None:
    """These offers' seats are given."""
    await tx.execute(
        "UPDATE campaign_offer SET published = true WHERE campaign_id = :id AND number = ANY(:numbers)",
        id=campaign_id,
        numbers=list(numbers),
    )


async def lock_unended(tx: Transaction, campaign_id: UUID, limit: int) -> Sequence[Row[Any]]:
    """Requests of a campaign that are not over yet, their rows locked, and whether each has a seat."""
    return await tx.fetch_all(
        """SELECT r.*, EXISTS (SELECT 1 FROM application a WHERE a.seeker_id = r.seeker_id AND a.campaign_id = r.campaign_id
                      AND a.state IN ('accepted', 'confirmed')) AS served
           FROM request r WHERE campaign_id = :id AND ended_reason IS NULL ORDER BY request_id LIMIT :limit FOR UPDATE OF r""",
        id=campaign_id,
        limit=limit,
    )


async def results(
    tx: Transaction, campaign_id: UUID, uai: str | None, limit: int, after: int, request_id: UUID | None = None
) -> Sequence[Row[Any]]:
    """What each seeker obtained and why, a school's own by class and code; offers as the campaign froze them."""
    return await tx.fetch_all(
        """SELECT r.*, c.offer_id, c.title, c.commune_code AS offer_commune, c.host_name, a.state, a.application_id
           FROM request r LEFT JOIN campaign_offer c ON c.campaign_id = r.campaign_id AND c.number = r.obtained_offer
               LEFT JOIN application a ON a.campaign_id = r.campaign_id AND a.seeker_id = r.seeker_id AND a.offer_id = c.offer_id
           WHERE r.campaign_id = :id AND (CAST(:uai AS text) IS NULL OR r.uai = :uai)
             AND (CAST(:request_id AS uuid) IS NULL OR r.request_id = :request_id)
           ORDER BY r.uai, r.class_group, r.pupil_code LIMIT :limit OFFSET :after""",
        id=campaign_id,
        uai=uai,
        limit=limit,
        after=after,
        request_id=request_id,
    )


async def titles(tx: Transaction, campaign_id: UUID, offer_ids: Sequence[str]) -> dict[str, str]:
    """Titles of offers by id, for wishes that name one: as a campaign froze them, else as they are."""
    rows = await tx.fetch_all(
        """SELECT o.offer_id, COALESCE(c.title, o.title) AS title
           FROM offer o LEFT JOIN campaign_offer c ON c.offer_id = o.offer_id AND c.campaign_id = :id
           WHERE o.offer_id = ANY(CAST(:ids AS uuid[]))""",
        id=campaign_id,
        ids=[UUID(one) for one in offer_ids],
    )
    return {str(row.offer_id): row.title for row in rows}


async def proposals(tx: Transaction, campaign_id: UUID, seeker_id: UUID) -> Sequence[Row[Any]]:
    """What a campaign proposed to a seeker as it was frozen, the live first; once there is an agreement, what it says."""
    return await tx.fetch_all(
        """SELECT a.*, g.agreement_id, COALESCE(t.copy ->> 'title', c.title) AS title,
                  COALESCE(t.copy ->> 'commune_code', c.commune_code) AS commune_code, COALESCE(t.copy ->> 'host_name', c.host_name) AS host_name
           FROM application a JOIN campaign_offer c USING (campaign_id, offer_id)
               LEFT JOIN agreement g USING (application_id)
               LEFT JOIN LATERAL (SELECT CAST(content AS jsonb) AS copy FROM agreement_terms t
                   WHERE t.agreement_id = g.agreement_id AND t.version = g.terms_version) t ON true
           WHERE a.campaign_id = :id AND a.seeker_id = :seeker_id
           ORDER BY a.state NOT IN ('accepted', 'confirmed'), a.submitted_at, a.application_id""",
        id=campaign_id,
        seeker_id=seeker_id,
    )


# -- the job's lease


async def claim(tx: Transaction) -> tuple[UUID, int] | None:
    """The oldest campaign that has work and no live job, taken under a new epoch; or None."""
    row = await tx.fetch_one(
        """UPDATE campaign SET lease_epoch = lease_epoch + 1, lease_expires_at = clock_timestamp() + make_interval(secs => :seconds)
           WHERE campaign_id = (SELECT campaign_id FROM campaign WHERE work IS NOT NULL
                   AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
               ORDER BY opened_at LIMIT 1 FOR UPDATE SKIP LOCKED)
           RETURNING campaign_id, lease_epoch""",
        seconds=_LEASE_SECONDS,
    )
    return (row.campaign_id, row.lease_epoch) if row else None


async def report(tx: Transaction, campaign_id: UUID, epoch: int, step: str, done: int, total: int) -> bool:
    """Writes a job's progress and renews its lease; False when the job was cancelled or replaced."""
    return bool(
        await tx.execute(
            """UPDATE campaign SET step = :step, done_count = :done, total_count = :total,
                   lease_expires_at = clock_timestamp() + make_interval(secs => :seconds)
               WHERE campaign_id = :id AND lease_epoch = :epoch AND work IS NOT NULL""",
            id=campaign_id,
            epoch=epoch,
            step=step,
            done=done,
            total=total,
            seconds=_LEASE_SECONDS,
        )
    )


async def give_lease_back(tx: Transaction, campaign_id: UUID, epoch: int) -> None:
    """The job ended without finishing: another may begin at once."""
    await tx.execute(
        "UPDATE campaign SET lease_expires_at = NULL WHERE campaign_id = :id AND lease_epoch = :epoch",
        id=campaign_id,
        epoch=epoch,
    )
