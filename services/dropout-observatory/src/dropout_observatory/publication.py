"""The next weekly release: protected, attacked, and only then a release. Pure; who stores and shows it is elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dropout_observatory.attacker import Finding, audit
from dropout_observatory.release import Cell, Dimension, Key, Release, Rules, Table
from dropout_observatory.secrecy import Knowledge, protect


class NotPublishedError(Exception):
    """The attack narrowed a cell: nothing is published, and the message says which."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)


def next_release(
    earlier: Sequence[str],
    known_on: str,
    dimensions: Sequence[Dimension],
    tables: Sequence[Table],
    cells: Mapping[str, Mapping[Key, Cell]],
    rules: Rules,
    knowledge: Knowledge,
    definitions: Mapping[str, Mapping[str, Any]],
) -> Release:
    """The release that follows the texts of all earlier ones, in order.

    Raises `NotPublishedError`, and `UnprotectableError` where nothing that could be withheld is enough.
    """
    before = [Release.read(text) for text in earlier]
    chained(before)
    previous = before[-1].sha256 if before else None
    head = Release(
        len(before) + 1, known_on, previous, tuple(dimensions), tuple(tables), rules, definitions=definitions
    )
    release = protect(head, cells, before, knowledge)
    publishable([*earlier, release.text()], knowledge)
    return release


def publishable(releases: Sequence[str], knowledge: Knowledge) -> None:
    """Raises `NotPublishedError` unless the last of these texts withstands the attack."""
    if findings := audit(releases, knowledge):
        raise NotPublishedError(findings)


def chained(releases: Sequence[Release]) -> None:
    """Raises `ValueError` unless these are the first releases in order, each with the hash of the one before."""
    previous: str | None = None
    for number, release in enumerate(releases, 1):
        if (release.number, release.previous) != (number, previous):
            raise ValueError(f"release {release.number} does not follow release {number - 1} as it was published")
        previous = release.sha256
