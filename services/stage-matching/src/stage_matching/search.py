"""Search for an internship around a place."""

from __future__ import annotations

from typing import Any

from common.transaction import Transaction
from stage_matching import store
from territory import reference, weeks
from territory.working_time import PARIS

_PUBLIC = (
    "offer_id",
    "host_id",
    "title",
    "kind",
    "rome_codes",
    "commune_code",
    "audiences",
    "age_min",
    "reserved",
    "suspended",
)


def shown(row: Any) -> dict[str, Any]:
    """An offer's row as JSON, with its weeks."""
    return {name: getattr(row, name) for name in _PUBLIC} | {"weeks": row.weeks or []}


async def offers(
    tx: Transaction, commune_code: str, radius_km: int, *, rome: str, iso_week: str | None, audience: str | None
) -> dict[str, Any]:
    """Offers in sight with a seat left in a week to come: nearest first, kilometres as the crow flies."""
    now = await tx.now()
    next_week = weeks.following(now.astimezone(PARIS).date())
    near = {code: km for km, code in reference.communes_within(commune_code, radius_km)}
    rows = await store.offers_near(
        tx, communes=list(near), rome=rome, iso_week=iso_week, audience=audience, first_week=next_week
    )
    found = [
        shown(row)
        | {
            "host_name": row.host_name,
            "host_kind": row.host_kind,
            "fictitious": row.fictitious,
            # Otherwise nobody would read an application: an import brought it, without an address.
            "reachable": row.reachable,
            "labelled": row.label_ends_on is not None and row.label_ends_on >= now.astimezone(PARIS).date(),
            "distance_km": near[row.commune_code],
            "weeks": [week for week in row.weeks if week["iso_week"] >= next_week],
        }
        for row in rows
    ]
    found.sort(key=lambda offer: (offer["distance_km"], str(offer["offer_id"])))
    return {"as_of": now, "offers": found}
