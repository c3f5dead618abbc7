"""A campaign keeps what it proposed as it was: title and host of each offer, and the age from which its hours are lawful.

Of campaigns that were frozen before there is no older copy than the offers as they are now; their hours exclude nobody, as then.
The hours by age get what the law says of rest for the young: a pause of half an hour after 4 h 30 (code du travail L3162-3), 12 h
between two days, 14 before 16 (L3164-1), two days in a row each week, of which Sunday is one (L3164-2, L3132-3).
"""

import json

from alembic import op
from sqlalchemy import text

from common.migrations import run_each

revision = "0006"
down_revision = "0005"

_TABLES = """
ALTER TABLE campaign_offer ADD COLUMN title VARCHAR;
ALTER TABLE campaign_offer ADD COLUMN host_name VARCHAR;
ALTER TABLE campaign_offer ADD COLUMN hours_age_min INTEGER DEFAULT 0 NOT NULL;
UPDATE campaign_offer c SET title = o.title, host_name = h.host_name
    FROM offer o JOIN host h USING (host_id) WHERE o.offer_id = c.offer_id;
ALTER TABLE campaign_offer ALTER COLUMN title SET NOT NULL;
ALTER TABLE campaign_offer ALTER COLUMN host_name SET NOT NULL
"""
_ADULT = 18


def _with_rest(limit):
    """One limit on hours with the rest of its age; what somebody set already stays."""
    age_below = limit["age_below"]
    if age_below is None or age_below > _ADULT:
        return limit
    night_minutes_min = (14 if age_below <= 16 else 12) * 60
    return {"stretch_minutes_max": 270, "night_minutes_min": night_minutes_min, "rest_days_min": 2} | limit


def upgrade() -> None:
    run_each(_TABLES)
    connection = op.get_bind()
    for row in connection.execute(text("SELECT valid_on, limits FROM policy")).all():
        limits = row.limits | {"hours": [_with_rest(one) for one in row.limits["hours"]]}
        connection.execute(
            text("UPDATE policy SET limits = CAST(:limits AS jsonb) WHERE valid_on = :valid_on"),
            {"limits": json.dumps(limits), "valid_on": row.valid_on},
        )
