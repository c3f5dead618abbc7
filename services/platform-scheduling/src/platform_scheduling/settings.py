"""What this service needs beside the settings of every service."""

from __future__ import annotations

from pydantic import Field

from common.settings import Settings


class SchedulingSettings(Settings):
    """A photo of a telephone has 3 to 5 MB; a record consumed is a command, which locks platforms that people wait for."""

    request_bytes_max: int = 6_000_000
    consume_batch_count_max: int = Field(default=50, ge=1)
