"""The releases that were published, each with the hash of the one before, and the weeks in which there was none."""

from common.migrations import run_each

revision = "0003"
down_revision = "0002"

_TABLES = """
CREATE TABLE published_release (
    number INTEGER NOT NULL,
    known_on DATE NOT NULL,
    sha256 VARCHAR NOT NULL,
    previous VARCHAR,
    text VARCHAR NOT NULL,
    definitions JSONB NOT NULL,
    published_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (number),
    UNIQUE (known_on),
    UNIQUE (sha256),
    UNIQUE (previous),
    CONSTRAINT only_the_first_follows_none CHECK ((number = 1) = (previous IS NULL)),
    FOREIGN KEY (previous) REFERENCES published_release (sha256)
);
CREATE TABLE refused_release (
    known_on DATE NOT NULL,
    reasons JSONB NOT NULL,
    refused_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (known_on)
);
"""


def upgrade() -> None:
    run_each(_TABLES)
