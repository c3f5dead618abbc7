"""Loads and saves offers, applications and seekers. Locks: seeker, then offers by ascending id, then agreement."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row

from common.policy import limits_at
from common.transaction import Transaction
from stage_matching.frozen import CampaignPolicy
from stage_matching.messages import ApplicationEnded, ApplicationOrigin, OfferKind, RefusalReason, SuspensionReason
from stage_matching.state import Application, Decision, Description, Offer, Policy, Week
from stage_matching.terms import Hours, HoursLimit, placement_of, presence

_APPLICATION_COLUMNS = (
    "application_id",
    "offer_id",
    "seeker_id",
    "iso_weeks",
    "state",
    "submitted_at",
    "due_at",
    "origin",
    "campaign_id",
    "seen_at",
    "accepted_at",
    "confirmed_at",
    "ended_at",
    "refusal_reason",
)
_DESCRIPTION_COLUMNS = (
    "title",
    "kind",
    "rome_codes",
    "commune_code",
    "audiences",
    "age_min",
    "reserved",
    "partner_uais",
    "suspended",
    "placement",
)
_LIVE = "state IN ('submitted', 'seen', 'accepted', 'confirmed')"


async def policy_at(tx: Transaction, now: datetime) -> Policy:
    """The limits in force at an instant."""
    limits = await limits_at(tx, now)
    return Policy(
        **limits
        | {
            "reminder_days": tuple(limits["reminder_days"]),
            "campaign": campaign_policy(limits["campaign"]),
            "hours": tuple(HoursLimit(**one) for one in limits["hours"]),
        }
    )


def campaign_policy(limits: Mapping[str, Any]) -> CampaignPolicy:
    """From its JSON."""
    return CampaignPolicy(**{**limits, "distance_bands_km": tuple(limits["distance_bands_km"])})


# -- offers


async def insert_offer(tx: Transaction, offer_id: UUID, host_id: UUID, description: Description) -> None:
    """Makes room for a new offer, so that its row can be locked; an existing one is left as it is."""
    values = _description_values(description)
    await tx.execute(
        f"""INSERT INTO offer (offer_id, host_id, version, {", ".join(values)})
            VALUES (:offer_id, :host_id, 0, {_bound(values)}) ON CONFLICT DO NOTHING""",
        offer_id=offer_id,
        host_id=host_id,
        **values,
    )


async def drop_undescribed(tx: Transaction, offer_id: UUID) -> None:
    """Takes the room for an offer back that was refused before it was ever described."""
    await tx.execute("DELETE FROM offer WHERE offer_id = :id AND version = 0", id=offer_id)


async def lock_offer(tx: Transaction, offer_id: UUID) -> Offer | None:
    """The offer with its row locked, or None."""
    return (await lock_offers(tx, [offer_id])).get(offer_id)


async def lock_offers(tx: Transaction, offer_ids: Sequence[UUID]) -> dict[UUID, Offer]:
    """Several offers with their live applications, their rows locked by ascending id so that no two commands wait for each other."""
    ids = sorted(set(offer_ids))
    rows = await tx.fetch_all("SELECT * FROM offer WHERE offer_id = ANY(:ids) ORDER BY offer_id FOR UPDATE", ids=ids)
    hosts = await tx.fetch_all(
        "SELECT host_id, suspended_reason FROM host WHERE host_id = ANY(:ids)", ids=[row.host_id for row in rows]
    )
    suspended = {row.host_id: SuspensionReason(row.suspended_reason) for row in hosts if row.suspended_reason}
    weeks: dict[UUID, dict[str, Week]] = {row.offer_id: {} for row in rows}
    for row in await tx.fetch_all("SELECT * FROM offer_week WHERE offer_id = ANY(:ids) ORDER BY iso_week", ids=ids):
        weeks[row.offer_id][row.iso_week] = Week(row.seats_count, row.taken_count, row.campaign_count)
    live: dict[UUID, list[Application]] = {row.offer_id: [] for row in rows}
    for row in await tx.fetch_all(
        f"""SELECT {", ".join(_APPLICATION_COLUMNS)} FROM application WHERE offer_id = ANY(:ids) AND {_LIVE}
            ORDER BY submitted_at, application_id""",
        ids=ids,
    ):
        live[row.offer_id].append(_application(row))
    return {
        row.offer_id: Offer(
            row.offer_id,
            row.host_id,
            description_of(row),
            weeks[row.offer_id],
            tuple(live[row.offer_id]),
            suspended.get(row.host_id),
            row.version,
        )
        for row in rows
    }


async def save(tx: Transaction, before: Offer, decision: Decision) -> Decision:
    """Writes what a decision changed, emits its messages in version order; returns the decision with the new version."""
    after = decision.offer
    version = await tx.emit(decision.messages, aggregate_id=after.offer_id, version=before.version)
    if after == before and not decision.messages:
        return decision
    values = _description_values(after.description)
    await tx.execute(
        f"UPDATE offer SET version = :version, {', '.join(f'{name} = {_cast(name)}' for name in values)} WHERE offer_id = :offer_id",
        offer_id=after.offer_id,
        version=version,
        **values,
    )
    await save_weeks(tx, before, after)
    known = {one.application_id: one for one in before.applications}
    for one in after.applications:
        if known.get(one.application_id) != one:
            await _save_application(tx, one)
    for message in decision.messages:
        if isinstance(message, ApplicationEnded) and message.seat_freed and message.campaign_id is not None:
            await tx.execute(
                """INSERT INTO freed_seat (application_id, campaign_id, offer_id, iso_weeks)
                   SELECT application_id, campaign_id, offer_id, iso_weeks FROM application WHERE application_id = :id""",
                id=message.application_id,
            )
    return replace(decision, offer=replace(after, version=version))


async def save_weeks(tx: Transaction, before: Offer, after: Offer) -> None:
    """Writes the seats of the weeks in which they changed."""
    for week in {*before.weeks, *after.weeks}:
        if after.weeks.get(week) != before.weeks.get(week):
            await _save_week(tx, after.offer_id, week, after.weeks.get(week))


async def _save_week(tx: Transaction, offer_id: UUID, iso_week: str, week: Week | None) -> None:
    if week is None:
        await tx.execute(
            "DELETE FROM offer_week WHERE offer_id = :offer_id AND iso_week = :iso_week",
            offer_id=offer_id,
            iso_week=iso_week,
        )
        return
    await tx.execute(
        """INSERT INTO offer_week (offer_id, iso_week, seats_count, taken_count, campaign_count)
           VALUES (:offer_id, :iso_week, :seats_count, :taken_count, :campaign_count)
           ON CONFLICT (offer_id, iso_week) DO UPDATE SET seats_count = excluded.seats_count,
               taken_count = excluded.taken_count, campaign_count = excluded.campaign_count""",
        offer_id=offer_id,
        iso_week=iso_week,
        seats_count=week.seats_count,
        taken_count=week.taken_count,
        campaign_count=week.campaign_count,
    )


async def offers_due(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    """Offers with an application that time has ended and nobody has settled yet."""
    rows = await tx.fetch_all(
        "SELECT DISTINCT offer_id FROM application WHERE due_at <= :now AND offer_id > :after ORDER BY offer_id LIMIT :limit",
        now=await tx.now(),
        after=after,
        limit=limit,
    )
    return [row.offer_id for row in rows]


async def offers_of(tx: Transaction, host_id: UUID) -> Sequence[Row[Any]]:
    """A host's offers by title, with their weeks as JSON."""
    return await tx.fetch_all(
        f"""SELECT o.*, {_WEEKS_JSON}
            FROM offer o WHERE o.host_id = :host_id AND o.version > 0 ORDER BY o.title, o.offer_id""",
        host_id=host_id,
    )


async def offer_ids_of(tx: Transaction, host_id: UUID) -> list[UUID]:
    """The ids of a host's offers."""
    return [
        row.offer_id
        for row in await tx.fetch_all("SELECT offer_id FROM offer WHERE host_id = :host_id", host_id=host_id)
    ]


_WEEKS_JSON = """(SELECT jsonb_agg(jsonb_build_object('iso_week', w.iso_week, 'seats_count', w.seats_count, 'taken_count', w.taken_count,
    'free_count', w.seats_count - w.taken_count - w.campaign_count) ORDER BY w.iso_week) FROM offer_week w WHERE w.offer_id = o.offer_id) AS weeks"""


async def offers_near(
    tx: Transaction, *, communes: Sequence[str], rome: str, iso_week: str | None, audience: str | None, first_week: str
) -> Sequence[Row[Any]]:
    """Offers in sight of some communes, whose host answers, with a seat left in a week to come."""
    return await tx.fetch_all(
        f"""SELECT o.*, h.host_name, h.kind AS host_kind, h.fictitious, h.label_ends_on, {_WEEKS_JSON},
                   NOT h.claimable OR h.contact_email IS NOT NULL AS reachable
            FROM offer o JOIN host h USING (host_id)
            WHERE o.commune_code = ANY(:communes) AND o.version > 0 AND NOT o.suspended AND h.suspended_reason IS NULL
              AND (CAST(:audience AS text) IS NULL OR :audience = ANY(o.audiences))
              AND (:rome = '' OR EXISTS (SELECT 1 FROM unnest(o.rome_codes) r WHERE starts_with(r, :rome)))
              AND EXISTS (SELECT 1 FROM offer_week w WHERE w.offer_id = o.offer_id AND w.iso_week >= :first_week
                  AND (CAST(:iso_week AS text) IS NULL OR w.iso_week = :iso_week)
                  AND w.seats_count - w.taken_count - w.campaign_count > 0)""",
        communes=list(communes),
        rome=rome,
        iso_week=iso_week,
        audience=audience,
        first_week=first_week,
    )


# -- seekers and applications


async def lock_seeker(
    tx: Transaction, *, account: str, contact_email: str | None = None, display_name: str | None = None
) -> UUID:
    """Creates the seeker the first time; orders everything that they do."""
    row = await tx.fetch_one(
        """INSERT INTO seeker (seeker_id, account, contact_email, display_name) VALUES (:id, :account, :contact, :display_name)
           ON CONFLICT (account) DO UPDATE SET contact_email = COALESCE(excluded.contact_email, seeker.contact_email),
               display_name = COALESCE(excluded.display_name, seeker.display_name)
           RETURNING seeker_id""",
        id=uuid4(),
        account=account,
        contact=contact_email,
        display_name=display_name,
    )
    assert row is not None
    seeker_id: UUID = row.seeker_id
    return seeker_id


async def lock_seeker_id(tx: Transaction, seeker_id: UUID) -> None:
    """The same for a seeker known by id."""
    await tx.fetch_one("SELECT 1 FROM seeker WHERE seeker_id = :id FOR UPDATE", id=seeker_id)


async def request_of(tx: Transaction, seeker_id: UUID) -> Any:
    """What a seeker, locked, told of themselves; of a pupil, what the school told last."""
    return await tx.fetch_one(
        "SELECT * FROM request WHERE seeker_id = :id ORDER BY campaign_id NULLS FIRST LIMIT 1", id=seeker_id
    )


async def live_of_seeker(
    tx: Transaction, seeker_id: UUID, now: datetime, during: str | None = None
) -> tuple[int, frozenset[str]]:
    """Applications that wait, without those that time has ended; and the weeks with a confirmed internship.

    With stretches of presence (`terms.presence`), only the weeks in which a confirmed one collides with them.
    """
    row = await tx.fetch_one(
        """SELECT (SELECT count(*) FROM application WHERE seeker_id = :id AND due_at > :now) AS waiting,
                  ARRAY(SELECT iso_week FROM confirmed_week WHERE seeker_id = :id
                      AND (CAST(:during AS text) IS NULL OR during && CAST(CAST(:during AS text) AS tsmultirange))) AS weeks""",
        during=during,
        id=seeker_id,
        now=now,
    )
    assert row is not None
    return row.waiting, frozenset(row.weeks)


async def find_application(tx: Transaction, application_id: UUID) -> Application | None:
    """An application as it is now, unlocked: only its identity and owners may be relied on."""
    row = await tx.fetch_one(
        f"SELECT {', '.join(_APPLICATION_COLUMNS)} FROM application WHERE application_id = :id", id=application_id
    )
    return _application(row) if row else None


async def school_of_application(tx: Transaction, application_id: UUID) -> str | None:
    """The school that filed the request behind an application."""
    row = await tx.fetch_one(
        """SELECT r.uai FROM application a JOIN request r ON r.seeker_id = a.seeker_id AND r.campaign_id = a.campaign_id
           WHERE a.application_id = :id""",
        id=application_id,
    )
    return row.uai if row else None


async def overlapping(tx: Transaction, one: Application) -> list[UUID]:
    """Offers where a seeker, who is locked, has another live application for one of these weeks."""
    rows = await tx.fetch_all(
        f"""SELECT offer_id FROM application WHERE seeker_id = :seeker_id AND {_LIVE}
            AND application_id <> :id AND iso_weeks && CAST(:iso_weeks AS varchar[])""",
        seeker_id=one.seeker_id,
        id=one.application_id,
        iso_weeks=list(one.iso_weeks),
    )
    return [row.offer_id for row in rows]


async def set_letter(tx: Transaction, application_id: UUID, letter: str) -> None:
    """What the seeker wrote to the host; never leaves this database."""
    await tx.execute(
        "UPDATE application SET letter = :letter WHERE application_id = :id", id=application_id, letter=letter
    )


async def confirm_weeks(tx: Transaction, one: Application, hours: Sequence[Hours]) -> None:
    """The weeks are the seeker's; a second confirmed internship at the same moment breaks the constraint."""
    for iso_week in one.iso_weeks:
        await tx.execute(
            """INSERT INTO confirmed_week (seeker_id, iso_week, application_id, during)
               VALUES (:seeker_id, :iso_week, :id, CAST(CAST(:during AS text) AS tsmultirange))""",
            seeker_id=one.seeker_id,
            iso_week=iso_week,
            id=one.application_id,
            during=presence([iso_week], hours),
        )


async def move_hours(tx: Transaction, one: Application, hours: Sequence[Hours]) -> bool:
    """A confirmed internship has other hours; False when they collide with another one of the seeker."""
    for iso_week in one.iso_weeks:
        if not await tx.execute_unless_taken(
            """UPDATE confirmed_week SET during = CAST(CAST(:during AS text) AS tsmultirange)
               WHERE application_id = :id AND iso_week = :iso_week""",
            iso_week=iso_week,
            id=one.application_id,
            during=presence([iso_week], hours),
        ):
            return False
    return True


async def free_weeks(tx: Transaction, application_id: UUID, from_week: str = "") -> None:
    """The internship will not take place after all, or not from a week on."""
    await tx.execute(
        "DELETE FROM confirmed_week WHERE application_id = :id AND iso_week >= :from_week",
        id=application_id,
        from_week=from_week,
    )


async def applications_of(
    tx: Transaction,
    *,
    seeker_id: UUID | None = None,
    host_id: UUID | None = None,
    application_id: UUID | None = None,
    limit: int = 500,
) -> Sequence[Row[Any]]:
    """Applications with what each side may see of the other; whatever is due first. Once there is an agreement, what it says."""
    return await tx.fetch_all(
        f"""SELECT {", ".join("a." + name for name in _APPLICATION_COLUMNS)}, a.letter, o.host_id,
                   COALESCE(t.copy ->> 'title', o.title) AS title, COALESCE(t.copy ->> 'commune_code', o.commune_code) AS commune_code,
                   COALESCE(t.copy ->> 'host_name', h.host_name) AS host_name, COALESCE(t.copy ->> 'audience', r.audience) AS audience,
                   h.contact_email AS host_email, h.claimable, s.contact_email AS seeker_email, r.age, r.birth_month, r.uai, r.class_group,
                   r.pupil_code, r.request_id, c.contact_email AS school_email,
                   g.agreement_id, g.state AS agreement_state, g.signed, g.parties, g.terms_version, g.terms_sha256,
                   jsonb_path_exists(t.copy, '$.parties[*] ? (@.party == "GUARDIAN" && @.email != null)') AS guardian_written
            FROM application a JOIN offer o USING (offer_id) JOIN host h USING (host_id) JOIN seeker s USING (seeker_id)
                 LEFT JOIN request r ON r.seeker_id = a.seeker_id AND r.campaign_id IS NOT DISTINCT FROM a.campaign_id
                 LEFT JOIN accompanist c ON c.acts_as = r.uai
                 LEFT JOIN agreement g USING (application_id)
                 LEFT JOIN LATERAL (SELECT CAST(content AS jsonb) AS copy FROM agreement_terms t
                     WHERE t.agreement_id = g.agreement_id AND t.version = g.terms_version) t ON true
            WHERE (CAST(:seeker_id AS uuid) IS NULL OR a.seeker_id = :seeker_id)
              AND (CAST(:host_id AS uuid) IS NULL OR o.host_id = :host_id)
              AND (CAST(:application_id AS uuid) IS NULL OR a.application_id = :application_id)
            ORDER BY a.due_at NULLS LAST, a.submitted_at DESC, a.application_id LIMIT :limit""",
        seeker_id=seeker_id,
        host_id=host_id,
        application_id=application_id,
        limit=limit,
    )


# -- rows


async def _save_application(tx: Transaction, one: Application) -> None:
    values = {name: getattr(one, name) for name in _APPLICATION_COLUMNS} | {
        "iso_weeks": list(one.iso_weeks),
        "origin": one.origin.value,
        "refusal_reason": one.refusal_reason and one.refusal_reason.value,
    }
    await tx.execute(
        f"""INSERT INTO application ({", ".join(values)}) VALUES ({", ".join(":" + name for name in values)})
            ON CONFLICT (application_id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in values if name != "application_id")},
                -- Reminders go to the host first, then, from the acceptance on, to the seeker.
                reminder_count = CASE WHEN application.accepted_at IS DISTINCT FROM excluded.accepted_at THEN 0 ELSE application.reminder_count END""",
        **values,
    )


def _application(row: Row[Any]) -> Application:
    values = {name: getattr(row, name) for name in _APPLICATION_COLUMNS}
    return Application(
        **values
        | {
            "iso_weeks": tuple(row.iso_weeks),
            "origin": ApplicationOrigin(row.origin),
            "refusal_reason": RefusalReason(row.refusal_reason) if row.refusal_reason else None,
        }
    )


def description_of(row: Row[Any]) -> Description:
    """The description in a row of `offer`."""
    values = {name: getattr(row, name) for name in _DESCRIPTION_COLUMNS}
    lists = {name: tuple(values[name]) for name in ("rome_codes", "audiences", "partner_uais")}
    return Description(**values | lists | {"kind": OfferKind(row.kind), "placement": placement_of(row.placement)})


def _description_values(description: Description) -> dict[str, Any]:
    return {
        "title": description.title,
        "kind": description.kind.value,
        "rome_codes": list(description.rome_codes),
        "commune_code": description.commune_code,
        "audiences": list(description.audiences),
        "age_min": description.age_min,
        "reserved": json.dumps(dict(description.reserved)),
        "partner_uais": list(description.partner_uais),
        "suspended": description.suspended,
        "placement": json.dumps(asdict(description.placement)),
    }


def _cast(name: str) -> str:
    return f"CAST(:{name} AS jsonb)" if name in ("reserved", "placement") else f":{name}"


def _bound(values: Mapping[str, Any]) -> str:
    return ", ".join(_cast(name) for name in values)
