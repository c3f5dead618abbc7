"""What this service needs beside the settings of every service."""

from __future__ import annotations

from common.settings import Settings


class CafesSettings(Settings):
    """A parent reads their mail at once: what is owed is written every other second."""

    notice_seconds: float = 2.0
    heal_seconds: float = 3600.0
