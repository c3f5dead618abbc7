"""Alembic enters here; everything is in common.migrations."""

from common.migrations import run_environment

run_environment()
