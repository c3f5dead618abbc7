"""What this service needs beside the settings of every service."""

from __future__ import annotations

from common.settings import Settings


class MatchingSettings(Settings):
    """A whole region's table of pupils has 2.6 MB."""

    request_bytes_max: int = 8_000_000
