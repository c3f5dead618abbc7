"""Search for a place that fits: pure functions over the catalogue's rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from remediation_seats.domain import freshness, misfits
from remediation_seats.messages import StructureKind
from remediation_seats.state import Policy, Profile
from remediation_seats.store import conditions_of
from territory import reference

_PUBLIC = (
    "programme_id",
    "structure_id",
    "structure_name",
    "kind",
    "commune_code",
    "fictitious",
    "title",
    "rome_codes",
    "rncp_code",
    "age_min",
    "age_max",
    "level_min",
    "boarding",
    "wheelchair_accessible",
    "intake_on",
    "open",
    "total_count",
    "taken_count",
    "admitted_count",
    "observed_at",
)


def free_count(row: Any) -> int:
    """Seats free now: holds that time has ended count as free, whether they were swept or not."""
    return max(0, int(row.total_count - row.taken_count - row.admitted_count - (row.held_count - row.due_count)))


def shown(row: Any) -> dict[str, Any]:
    """A catalogue row as JSON."""
    return {name: getattr(row, name) for name in _PUBLIC} | {
        "held_count": row.held_count - row.due_count,
        "free_count": free_count(row),
    }


def own(row: Any, policy: Policy, now: datetime) -> dict[str, Any]:
    """The same for its structure: with its freshness, and how many holds a lower declaration leaves without a seat."""
    state = freshness(row.observed_at, policy, now)
    return shown(row) | {"freshness": state, "excess_count": max(0, row.excess_count - row.due_count)}


def places(
    rows: Sequence[Any],
    profile: Profile,
    policy: Policy,
    now: datetime,
    *,
    commune_code: str | None,
    radius_km: float,
    kind: StructureKind | None,
) -> dict[str, Any]:
    """`fits`: nearest first (kilometres as the crow flies), then most free; `misfits`: the others, each with its reasons."""
    home = reference.communes()[commune_code] if commune_code else None
    fits, others = [], []
    for row in rows:
        place = shown(row)
        state = freshness(row.observed_at, policy, now)
        place["freshness"] = state
        reasons = [
            {"reason": reason.reason, "detail": reason.detail, **reason.facts}
            for reason in misfits(conditions_of(row), profile)
        ]
        commune = reference.communes().get(row.commune_code)
        if home is not None and commune is not None:
            place["distance_km"] = round(home.km_to(commune), 1)
            if place["distance_km"] > radius_km:
                reasons.append(
                    {
                        "reason": "distance",
                        "detail": f"À {place['distance_km']:.0f} km, au-delà de {radius_km:.0f} km.",
                        "distance_km": place["distance_km"],
                    }
                )
        if kind is not None and row.kind != kind:
            reasons.append({"reason": "kind", "detail": "Un autre type de structure."})
        if state in ("stale", "unknown"):
            reasons.append(
                {
                    "reason": f"declaration_{state}",
                    "detail": "La structure n'a pas déclaré ses places récemment : demandez-lui une mise à jour.",
                }
            )
        elif free_count(row) == 0:
            reasons.append({"reason": "no_free_seat", "detail": "Il n'y a pas de place libre."})
        if reasons:
            others.append(place | {"reasons": reasons})
        else:
            fits.append(place)
    near = [(place.get("distance_km", 0.0), -place["free_count"], str(place["programme_id"]), place) for place in fits]
    rejected = [
        (len(place["reasons"]), place.get("distance_km", 0.0), str(place["programme_id"]), place) for place in others
    ]
    return {
        "as_of": now,
        "fits": [place for *_, place in sorted(near)],
        "misfits": [place for *_, place in sorted(rejected)],
    }
