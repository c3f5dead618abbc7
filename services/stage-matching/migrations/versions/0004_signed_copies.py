"""What is signed is a copy with a hash; who accompanies, the guardian's own address, days and hours.

An agreement of before gets its first version of terms from the rows as they are now: there is no older copy.
"""

import hashlib
import json
import unicodedata
from datetime import datetime

from alembic import op
from sqlalchemy import text

from common.migrations import run_each

revision = "0004"
down_revision = "0003"

_TABLES = """
ALTER TABLE offer ADD COLUMN placement JSONB DEFAULT '{}' NOT NULL;
ALTER TABLE seeker ADD COLUMN display_name VARCHAR;
ALTER TABLE request ADD COLUMN guardian_email VARCHAR;
ALTER TABLE request ADD COLUMN prescriber_id VARCHAR;
ALTER TABLE request ADD COLUMN birth_month VARCHAR;
ALTER TABLE agreement ADD COLUMN terms_version INTEGER DEFAULT 1 NOT NULL;
ALTER TABLE agreement ADD COLUMN terms_sha256 VARCHAR DEFAULT '' NOT NULL;
ALTER TABLE agreement ADD COLUMN accompanied_by VARCHAR;
CREATE INDEX ix_agreement_accompanied_by ON agreement (accompanied_by);
CREATE TABLE agreement_terms (
    agreement_id UUID NOT NULL,
    version INTEGER NOT NULL,
    sha256 VARCHAR NOT NULL,
    content VARCHAR NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    made_by VARCHAR NOT NULL,
    erased_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (agreement_id, version),
    CONSTRAINT hash_of_the_copy CHECK (erased_at IS NOT NULL OR sha256 = encode(sha256(convert_to(content, 'UTF8')), 'hex')),
    CONSTRAINT one_copy_one_hash UNIQUE (agreement_id, version, sha256),
    FOREIGN KEY(agreement_id) REFERENCES agreement (agreement_id)
);
CREATE TABLE agreement_act (
    agreement_id UUID NOT NULL,
    number INTEGER NOT NULL,
    act VARCHAR NOT NULL,
    party VARCHAR NOT NULL,
    acted_by VARCHAR NOT NULL,
    how VARCHAR NOT NULL,
    terms_version INTEGER NOT NULL,
    terms_sha256 VARCHAR NOT NULL,
    acted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    reason VARCHAR,
    PRIMARY KEY (agreement_id, number),
    FOREIGN KEY(agreement_id, terms_version, terms_sha256) REFERENCES agreement_terms (agreement_id, version, sha256)
);
CREATE TABLE accompanist (
    acts_as VARCHAR NOT NULL,
    display_name VARCHAR NOT NULL,
    contact_email VARCHAR,
    PRIMARY KEY (acts_as)
);
"""

# Who accompanies whom: the first of the list that the seeker named; the agency is always there, NOBODY for adults only.
# Hours: code du travail L3162-1 (8 h a day, 35 a week before 18), L4153-1 and D4153-3 (7 h a day before 16, between 6 and
# 20 h), circulaire 2003-134 (30 h a week before 15, 6 h a day before 14), L3121-18 and -20 (10 h a day, 48 a week).
_POLICY = {
    "accompanied_by": {
        "PUPIL": ["SCHOOL", "AGENCY"],
        "STUDENT": ["SCHOOL", "AGENCY"],
        "YOUNG_IN_INSERTION": ["PRESCRIBER", "SCHOOL", "AGENCY"],
        "ADULT_IN_RETRAINING": ["PRESCRIBER", "SCHOOL", "NOBODY"],
        "JOB_SEEKER": ["PRESCRIBER", "SCHOOL", "NOBODY"],
    },
    "hours": [
        {
            "age_below": 14,
            "day_minutes_max": 360,
            "week_minutes_max": 1800,
            "from_time": "06:00",
            "until_time": "20:00",
        },
        {
            "age_below": 15,
            "day_minutes_max": 420,
            "week_minutes_max": 1800,
            "from_time": "06:00",
            "until_time": "20:00",
        },
        {
            "age_below": 16,
            "day_minutes_max": 420,
            "week_minutes_max": 2100,
            "from_time": "06:00",
            "until_time": "20:00",
        },
        {
            "age_below": 18,
            "day_minutes_max": 480,
            "week_minutes_max": 2100,
            "from_time": "06:00",
            "until_time": "22:00",
        },
        {
            "age_below": None,
            "day_minutes_max": 600,
            "week_minutes_max": 2880,
            "from_time": "00:00",
            "until_time": "23:59",
        },
    ],
}

_LIVE = """SELECT g.*, clock_timestamp() AS now, a.iso_weeks, a.seeker_id, o.title, o.kind, o.host_id, o.commune_code, h.host_name, h.siret,
        h.contact_email AS host_email, s.contact_email AS seeker_email, r.audience, r.age, r.uai
    FROM agreement g JOIN application a USING (application_id) JOIN offer o USING (offer_id) JOIN host h USING (host_id)
        JOIN seeker s USING (seeker_id)
        LEFT JOIN request r ON r.seeker_id = a.seeker_id AND r.campaign_id IS NOT DISTINCT FROM a.campaign_id"""


def upgrade() -> None:
    run_each(_TABLES)
    connection = op.get_bind()
    connection.execute(text("UPDATE policy SET limits = CAST(:more AS jsonb) || limits"), {"more": json.dumps(_POLICY)})
    for row in connection.execute(text(_LIVE)).all():
        _copy(connection, row)


def _copy(connection, row) -> None:
    known = {
        "SEEKER": (str(row.seeker_id), "", row.seeker_email),
        "GUARDIAN": ("", "", None),
        "HOST": (str(row.host_id), row.host_name, row.host_email),
        "SCHOOL": (row.uai or "", row.uai or "", None),
    }
    hours = [
        {"weekday": day, "starts": starts, "ends": ends}
        for day in range(1, 6)
        for starts, ends in (("09:00", "12:00"), ("13:30", "16:30"))
    ]
    terms = {
        "title": row.title,
        "kind": row.kind,
        "host_name": row.host_name,
        "siret": row.siret,
        "commune_code": row.commune_code,
        "commune": "",
        "iso_weeks": row.iso_weeks,
        "starts_on": row.starts_on.isoformat(),
        "ends_on": row.ends_on.isoformat(),
        "audience": row.audience or "",
        "age_below": 18 if "GUARDIAN" in row.parties else None,
        "parties": [
            dict(zip(("party", "acts_as", "display_name", "email"), (party, *known[party]), strict=True))
            for party in row.parties
        ],
        "placement": {"address": "", "tasks": "", "tutor_name": "", "rules": "", "hours": hours},
    }
    content = unicodedata.normalize("NFC", json.dumps(terms, sort_keys=True, ensure_ascii=False, separators=(",", ":")))
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    connection.execute(
        text(
            """INSERT INTO agreement_terms (agreement_id, version, sha256, content, made_at, made_by)
               VALUES (:id, 1, :sha256, :content, :now, 'migration')"""
        ),
        {"id": row.agreement_id, "sha256": sha256, "content": content, "now": row.now},
    )
    connection.execute(
        text("UPDATE agreement SET terms_sha256 = :sha256, accompanied_by = :uai WHERE agreement_id = :id"),
        {"id": row.agreement_id, "sha256": sha256, "uai": row.uai if "SCHOOL" in row.parties else None},
    )
    for number, (party, at) in enumerate(sorted(row.signed.items()), 1):
        connection.execute(
            text(
                """INSERT INTO agreement_act (agreement_id, number, act, party, acted_by, how, terms_version, terms_sha256, acted_at)
                   VALUES (:id, :number, 'sign', :party, '', :how, 1, :sha256, :at)"""
            ),
            {
                "id": row.agreement_id,
                "number": number,
                "party": party,
                "how": "link" if party == "GUARDIAN" else "account",
                "sha256": sha256,
                "at": datetime.fromisoformat(at),
            },
        )
