"""Starts a service with one seeded bug: `python -m tests.faults.mutated <bug> <service>`.

Each bug replaces a text of a module while it is imported; a text that is not there any more stops the start, so that a
bug cannot quietly become none.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType


@dataclass(frozen=True)
class Bug:
    """A seeded bug, the cell that must catch it, and the replacements: (module, text, text with the bug)."""

    title: str
    cell: str
    replacements: tuple[tuple[str, str, str], ...]


BUGS: dict[str, Bug] = {
    "cursor-relay": Bug(
        "the relay remembers the last id that it saw",
        "14",
        (
            ("common.outbox", "WHERE published_at IS NULL AND key NOT IN", "WHERE id > :cursor AND key NOT IN"),
            (
                "common.outbox",
                "_NEXT_PAGE, limit=self._settings.outbox_page_count_max)",
                "_NEXT_PAGE, limit=self._settings.outbox_page_count_max, cursor=getattr(self, 'cursor', 0))\n"
                "            self.cursor = page[-1].id if page else getattr(self, 'cursor', 0)",
            ),
        ),
    ),
    "mark-before-send": Bug(
        "messages are marked as published, then sent",
        "02",
        (
            (
                "common.outbox",
                "        sent, failed, acknowledged = await self._send(page)\n",
                "        async with self._database.transaction() as tx:\n"
                "            await self._mark(tx, page, {})\n"
                "        sent, failed, acknowledged = await self._send(page)\n",
            ),
        ),
    ),
    "skip-locked": Bug(
        "several relays share the outbox by SKIP LOCKED instead of one lease",
        "10",
        (
            ("common.outbox", "ORDER BY id LIMIT :limit\n", "ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED\n"),
            (
                "common.outbox",
                "_NEXT_PAGE, limit=self._settings.outbox_page_count_max)\n",
                "_NEXT_PAGE, limit=7)\n"
                "            sent, failed, acknowledged = await self._send(page)\n"
                "            await self._mark(tx, sent, acknowledged)\n",
            ),
            ("common.outbox", "        sent, failed, acknowledged = await self._send(page)\n        if", "        if"),
            ("common.outbox", "await self._hold_lease() and await self._agrees() and", "await self._agrees() and"),
            (
                "common.outbox",
                "SELECT 1 FROM outbox_lease WHERE id = 1 AND owner = :owner AND epoch = :epoch",
                "SELECT 1 WHERE :owner <> '' AND CAST(:epoch AS int) IS NULL",
            ),
        ),
    ),
    "no-compare-and-set": Bug(
        "the position is written whatever it was",
        "09",
        (
            (
                "common.verdicts",
                "position.next_offset != expected or position.stopped_reason",
                "position.stopped_reason",
            ),
        ),
    ),
    "believed-position": Bug(
        "the position in memory is believed, whatever the database says",
        "49",
        (
            (
                "common.verdicts",
                "position.next_offset != expected or position.stopped_reason",
                "position.next_offset > records[0].offset or position.stopped_reason",
            ),
            (
                "common.positions",
                "        if self.expected.pop(partition, None) is not None:\n            self._pause(partition)\n",
                "        if partition in self.expected:\n            self.seek(partition, self.expected[partition])\n",
            ),
        ),
    ),
    "offset-before-effect": Bug(
        "the position is committed before the effects",
        "03",
        (
            (
                "common.inbox",
                "            async with self._database.transaction() as tx:\n                batch = self.batch(tx, partition.topic)\n",
                "            async with self._database.transaction() as tx:\n"
                "                await tx.execute('UPDATE consumer_position SET next_offset = :n WHERE topic = :t AND partition = :p',\n"
                "                    n=records[-1].offset + 1, t=partition.topic, p=partition.partition)\n"
                "            async with self._database.transaction() as tx:\n                batch = self.batch(tx, partition.topic)\n",
            ),
            (
                "common.verdicts",
                "position.next_offset != expected or position.stopped_reason",
                "position.stopped_reason",
            ),
        ),
    ),
    "dedup-window": Bug(
        "duplicates are known by a window of recent event ids instead of the version",
        "02",
        (
            ("common.verdicts", "        elif version <= seen.version:\n", "        elif event_id == seen.event_id:\n"),
            ("common.verdicts", "        elif version > seen.version + 1:\n", "        elif False:\n"),
        ),
    ),
    "swallowed-parser-error": Bug(
        "a record that cannot be decoded is logged and forgotten",
        "23",
        (
            (
                "common.verdicts",
                "                await self._set_aside(record, malformed)\n",
                "                _log.warning('skipped: %s', malformed)\n",
            ),
        ),
    ),
    "read-then-write": Bug(
        "a programme is read without its lock",
        "01",
        (("remediation_seats.store", "ORDER BY programme_id FOR UPDATE", "ORDER BY programme_id"),),
    ),
    "unkept-withdrawal": Bug(
        "a case that is withdrawn or reinstated is told, and its facts stay as they were known",
        "48",
        (
            (
                "dropout_observatory.store",
                "if (before.facts, before.withdrawn) != (after.facts, after.withdrawn):",
                "if before.facts != after.facts:",
            ),
        ),
    ),
    "lost-unpark": Bug(
        "what waited behind a missing version is never applied",
        "22",
        (
            (
                "common.verdicts",
                "        if key in self._waiting:\n            await self._drain",
                "        if False:\n            await self._drain",
            ),
        ),
    ),
    "no-version-guard": Bug(
        "the projection applies whatever comes",
        "02",
        (
            ("common.verdicts", "        elif version <= seen.version:\n", "        elif False:\n"),
            ("common.verdicts", "        elif version > seen.version + 1:\n", "        elif False:\n"),
        ),
    ),
}


class _Loader(SourceFileLoader):
    """Loads a module's source with its replacements."""

    def __init__(self, name: str, path: str, replacements: Sequence[tuple[str, str]]) -> None:
        super().__init__(name, path)
        self._replacements = replacements

    def get_code(self, fullname: str) -> CodeType:
        """Compiles the changed text; the cached byte code of the true one is not read."""
        source = self.get_data(self.path).decode()
        for text, changed in self._replacements:
            if source.count(text) != 1:
                sys.exit(f"the seeded bug no longer fits {fullname}: {text!r} is there {source.count(text)} times")
            source = source.replace(text, changed)
        return self.source_to_code(source.encode(), self.path)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, bug: Bug) -> None:
        self._bug = bug

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Takes the modules that the bug changes; the others go their usual way."""
        replacements = [(text, changed) for module, text, changed in self._bug.replacements if module == fullname]
        if not replacements:
            return None
        sys.meta_path.remove(self)
        found = importlib.util.find_spec(fullname)
        sys.meta_path.insert(0, self)
        assert found is not None and found.origin is not None
        return importlib.util.spec_from_file_location(
            fullname, found.origin, loader=_Loader(fullname, found.origin, replacements)
        )


def main() -> None:
    """Seeds the bug, then runs the service."""
    bug, service = BUGS[sys.argv[1]], sys.argv[2]
    sys.meta_path.insert(0, _Finder(bug))
    if service == "estuaire":
        sys.argv = ["estuaire", *sys.argv[3:]]
        importlib.import_module("common.cli").app()
        return
    module = "tests.faults.ledger" if service == "ledger" else f"{service.replace('-', '_')}.app"
    importlib.import_module("common.app").run(importlib.import_module(module).service)


if __name__ == "__main__":
    main()
