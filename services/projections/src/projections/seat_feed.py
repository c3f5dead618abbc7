"""The open feed of seats: what rarely changes apart from what always does, for anybody's software.

Words: HSDS 3 `service_capacity` (available, maximum, updated), HL7 FHIR R5 Slot status (free, busy); the split, `last_updated`
and `ttl` as in GBFS. No personal data, no contact.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from projections.as_of import AsOf
from projections.rows import Row
from projections.seat_board import STALE

VERSION = "1.0"
INFORMATION_TTL_SECONDS, STATUS_TTL_SECONDS = 3600, 10
_LICENCE = "https://www.etalab.gouv.fr/licence-ouverte-open-licence/"


def index(as_of: AsOf, base_url: str) -> dict[str, Any]:
    """Where the two parts are."""
    feeds = [{"name": name, "url": f"{base_url}/feed/{name}.json"} for name in ("seat_information", "seat_status")]
    return _wrapped(as_of, INFORMATION_TTL_SECONDS, {"feeds": feeds, "license_url": _LICENCE, "language": "fr"})


def information(as_of: AsOf, rows: Sequence[Row]) -> dict[str, Any]:
    """What each open programme is; changes when a structure describes it anew."""
    programmes = [
        {
            "programme_id": row["programme_id"],
            "title": row["title"],
            "structure": {
                "structure_id": row["structure_id"],
                "name": row["structure_name"],
                "kind": row["kind"],
                "commune_code": row["commune_code"],
                "commune": row["commune"],
                "epci_siren": row["epci_siren"],
                "department_code": row["department_code"],
                "fictitious": row["fictitious"],
            },
            "eligibility": {
                "minimum_age": row["age_min"],
                "maximum_age": row["age_max"],
                "level_min": row["level_min"],
            },
            "rome_codes": row["rome_codes"],
            "rncp_code": row["rncp_code"],
            "boarding": row["boarding"],
            "wheelchair_accessible": row["wheelchair_accessible"],
            "intake_on": row["intake_on"],
        }
        for row in rows
    ]
    return _wrapped(as_of, INFORMATION_TTL_SECONDS, {"programmes": programmes})


def status(as_of: AsOf, rows: Sequence[Row]) -> dict[str, Any]:
    """The seats of each open programme now. A declaration of over 30 days says nothing: status unknown, available null."""
    programmes = [
        {
            "programme_id": row["programme_id"],
            "status": _status(row),
            "service_capacity": {
                "available": row["countable_free_count"] if _status(row) != "unknown" else None,
                "maximum": row["total_count"] if row["observed_at"] else None,
                "updated": row["observed_at"],
            },
            "held": row["held_count"],
            "stale_at": row["observed_at"] and row["observed_at"] + STALE,
            "declared": {"source": row["declared_source"], "way": row["declared_way"], "by": row["declared_by"]},
        }
        for row in rows
    ]
    return _wrapped(as_of, STATUS_TTL_SECONDS, {"programmes": programmes})


def _status(row: Row) -> str:
    if row["freshness"] in ("stale", "unknown"):
        return "unknown"
    return "free" if row["countable_free_count"] else "busy"


def _wrapped(as_of: AsOf, ttl_seconds: int, data: dict[str, Any]) -> dict[str, Any]:
    last: datetime | None = as_of.as_of
    return {"version": VERSION, "last_updated": last, "ttl": ttl_seconds, "data": data}
