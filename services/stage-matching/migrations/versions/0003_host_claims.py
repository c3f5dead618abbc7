"""Organisations that a table brought, and who asks to be the account behind one."""

from uuid import UUID, uuid5

from alembic import op
from sqlalchemy import text

from common.migrations import run_each

revision = "0003"
down_revision = "0002"

# As tables of offers named organisations when this was written.
_BY_TABLE = UUID("5b0f3f0e-6c0a-4d0e-9a57-1f6f4e1c2d70")

_TABLES = """
ALTER TABLE host ADD COLUMN claimable BOOLEAN DEFAULT false NOT NULL;
CREATE TABLE host_account (
    structure_id UUID NOT NULL,
    host_id UUID NOT NULL UNIQUE REFERENCES host (host_id),
    PRIMARY KEY (structure_id)
);
CREATE TABLE host_claim (
    claim_id UUID NOT NULL,
    host_id UUID NOT NULL REFERENCES host (host_id),
    structure_id UUID NOT NULL,
    contact_email VARCHAR,
    state VARCHAR NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (claim_id)
);
CREATE UNIQUE INDEX host_claim_open ON host_claim (host_id, structure_id) WHERE state = 'asked';
CREATE INDEX host_claim_of_structure ON host_claim (structure_id, asked_at);
"""


def upgrade() -> None:
    run_each(_TABLES)
    connection = op.get_bind()
    hosts = connection.execute(text("SELECT host_id, siret FROM host")).all()
    brought = [host_id for host_id, siret in hosts if host_id == uuid5(_BY_TABLE, siret)]
    connection.execute(text("UPDATE host SET claimable = true WHERE host_id = ANY(:brought)"), {"brought": brought})
