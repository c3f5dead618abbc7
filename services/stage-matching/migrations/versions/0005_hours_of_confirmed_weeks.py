"""One confirmed internship per seeker and moment: two part-time placements may share a week when their hours do not collide.

An identity of 128 bits is written as an IPv6 address: the equality that a GiST index knows without any extension.
"""

from alembic import op

from common.migrations import run_each

revision = "0005"
down_revision = "0004"

_TABLES = """
ALTER TABLE confirmed_week ADD COLUMN during TSMULTIRANGE DEFAULT '{}' NOT NULL;
ALTER TABLE confirmed_week DROP CONSTRAINT confirmed_week_pkey;
ALTER TABLE confirmed_week ADD PRIMARY KEY (seeker_id, iso_week, application_id);
CREATE INDEX confirmed_week_of_application ON confirmed_week (application_id);
UPDATE confirmed_week SET during = (
    SELECT range_agg(tsrange(monday + day * interval '1 day' + starts, monday + day * interval '1 day' + ends))
    FROM (SELECT to_date(iso_week, 'IYYY"-W"IW') + time '00:00' AS monday) week, generate_series(0, 4) AS day,
        (VALUES (time '09:00', time '12:00'), (time '13:30', time '16:30')) AS stretch (starts, ends))
"""
_CONSTRAINT = r"""ALTER TABLE confirmed_week ADD CONSTRAINT nobody_is_in_two_places EXCLUDE USING gist (
    CAST(regexp_replace(replace(CAST(seeker_id AS text), '-', ''), '(....)(?=.)', '\1:', 'g') AS inet) inet_ops WITH =,
    during WITH &&)"""


def upgrade() -> None:
    run_each(_TABLES)
    op.get_bind().exec_driver_sql(_CONSTRAINT)
