"""What was promised to somebody and stands behind what a command changes: what it would break is shown first, and accepted or not.

A service has one table, change × commitment, of what becomes of a commitment; nothing is decided here, and nothing is stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar
from uuid import UUID

from common.failures import Refusal

WOULD_BREAK = "would_break_commitments"
# The field by which a request, sent again, accepts what it was shown: of an address in the API, hidden in a form.
ACCEPTS = "broken_commitments"
# So many are listed; all are counted, and all are in what is accepted.
_LISTED_MAX = 100

C = TypeVar("C", bound=StrEnum)
K = TypeVar("K", bound=StrEnum)


class Fate(StrEnum):
    """What becomes of a commitment by a change."""

    # It holds as it was made, and nobody has to be told.
    STAYS = "stays"
    # It holds, otherwise than it was made: its persons are told, and may give it up.
    CHANGES = "changes"
    # It moves by the service's own rule, as down in a line: its persons are told.
    MOVES = "moves"
    # It is over: its persons are told what happened, and what they can do.
    ENDS = "ends"
    # The change is refused while there is one.
    BARS = "bars"


ASKED = frozenset({Fate.CHANGES, Fate.MOVES, Fate.ENDS})


@dataclass(frozen=True)
class Commitment:
    """Something promised that a change would break, as its caller may see it; `what` is French and names nobody."""

    kind: str
    id: UUID
    # When it takes place; what has no time of its own has none.
    when: datetime | date | None
    what: str
    becomes: Fate = Fate.ENDS

    @property
    def shown(self) -> dict[str, Any]:
        """As an answer has it."""
        when = self.when.isoformat() if self.when else None
        return {
            "kind": self.kind,
            "id": str(self.id),
            "when": when,
            "what": self.what,
            "becomes": self.becomes.value,
        }


@dataclass(frozen=True)
class Table(Generic[C, K]):
    """What becomes of every kind of commitment by every kind of change; a row a change, in the order of `kinds`."""

    changes: type[C]
    kinds: type[K]
    rows: Mapping[C, Sequence[Fate]] = field(hash=False)

    def fate(self, change: C, kind: K) -> Fate:
        """One cell."""
        return self.rows[change][list(self.kinds).index(kind)]

    def fate_of(self, changes: Sequence[C], kind: K) -> Fate:
        """The worst that several changes at once do to a commitment."""
        return max((self.fate(change, kind) for change in changes), key=list(Fate).index, default=Fate.STAYS)

    @property
    def cells(self) -> list[tuple[C, K]]:
        """Every cell that there must be."""
        return [(change, kind) for change in self.changes for kind in self.kinds]

    @property
    def missing(self) -> list[tuple[C, K]]:
        """Cells that nobody wrote."""
        kinds = list(self.kinds)
        return [(change, kind) for change, kind in self.cells if kinds.index(kind) >= len(self.rows.get(change, ()))]

    def markdown(self) -> str:
        """The table of the README, and how many cells it has."""
        head = ["", *(kind.value.replace("_", " ") for kind in self.kinds)]
        lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
        for change in self.changes:
            fates = [self.fate(change, kind).value for kind in self.kinds]
            lines.append(f"| {' | '.join([change.value.replace('_', ' '), *fates])} |")
        return "\n".join(
            [f"{len(self.changes)} changes × {len(self.kinds)} commitments, {len(self.cells)} cells:", "", *lines]
        )


def ask(broken: Sequence[Commitment], accepted: str | None) -> Refusal | None:
    """Lists what a change would break, unless exactly this was shown before and is `accepted`.

    What came in between is in nobody's list: then it asks again.
    """
    asked = [one for one in broken if one.becomes in ASKED]
    if not asked:
        return None
    listed = sorted((one.shown for one in asked), key=lambda one: (one["when"] or "", one["kind"], one["id"]))
    digest = hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:32]
    if accepted == digest:
        return None
    return Refusal(
        WOULD_BREAK,
        sentence(asked),
        {"count": len(asked), "commitments": listed[:_LISTED_MAX], ACCEPTS: digest},
    )


def sentence(asked: Sequence[Commitment]) -> str:
    """How many end, and how many hold otherwise than they were made."""
    ended = sum(one.becomes is Fate.ENDS for one in asked)
    changed = len(asked) - ended
    parts = []
    if ended:
        parts.append(f"{ended} engagement{'s seraient rompus' if ended > 1 else ' serait rompu'}")
    if changed:
        noun = f"{changed} engagement{'s' if changed > 1 else ''}" if not ended else f"{changed}"
        parts.append(f"{noun} {'changeraient' if changed > 1 else 'changerait'}")
    return f"{', '.join(parts)}."
