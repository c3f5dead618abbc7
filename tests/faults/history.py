"""The history of a cell: one JSON line per command, answer, fault, planted record and sample, in the order seen."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import IO, Any


class History:
    """Appends entries; the checker reads the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] = path.open("w", buffering=1)
        self._began = time.monotonic()
        self.faults: list[str] = []

    def add(self, kind: str, **facts: Any) -> None:
        """Writes one entry with its instant in seconds since the beginning."""
        line = {"kind": kind, "at": round(time.monotonic() - self._began, 4), **facts}
        self._file.write(json.dumps(line, default=str) + "\n")
        if kind == "fault":
            self.faults.append(facts["fault"])

    def close(self) -> None:
        """Ends the file."""
        self._file.close()
