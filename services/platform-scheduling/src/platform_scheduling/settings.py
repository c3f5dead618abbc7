"""What this service needs beside the settings of every service."""

from __future__ import annotations

from common.settings import Settings


class SchedulingSettings(Settings):
    """A photo of a telephone has 3 to 5 MB."""

    request_bytes_max: int = 6_000_000
