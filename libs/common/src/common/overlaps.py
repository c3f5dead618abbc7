"""What somebody already has at the same hour is said in one sentence, and goes on when they say so: it bars nobody.

Each service knows who is one and the same, what is at one hour, and who may be told; nothing is decided here, and nothing is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from common.failures import Refusal
from common.pages import slot

OVERLAPS = "overlaps"
# The field by which a request, sent again, goes on: of its body in the API, hidden in a form.
OVERLAPPING = "overlapping"
_SAID_MAX, _LISTED_MAX = 3, 100


@dataclass(frozen=True)
class Overlap:
    """Something that somebody has at the same hour, as they may see it; `what` is French."""

    kind: str
    id: UUID
    what: str
    starts_at: datetime
    ends_at: datetime

    @property
    def shown(self) -> dict[str, Any]:
        """As an answer has it."""
        return {
            "kind": self.kind,
            "id": str(self.id),
            "what": self.what,
            "starts_at": self.starts_at.isoformat(),
            "ends_at": self.ends_at.isoformat(),
        }


def ask(whom: str, others: Sequence[Overlap]) -> Refusal | None:
    """Asks whether to go on beside what is at the same hour for somebody: « vous », « 3e B »."""
    if not others:
        return None
    facts = {"overlaps": [one.shown for one in others[:_LISTED_MAX]], "confirmed_by": f"{OVERLAPPING}=true"}
    return Refusal(OVERLAPS, sentence(whom, others), facts)


def sentence(whom: str, others: Sequence[Overlap]) -> str:
    """What is at the same hour for somebody, the first few of it."""
    said = " ; ".join(f"{one.what}, {slot(one.starts_at, one.ends_at)}" for one in others[:_SAID_MAX])
    more = len(others) - _SAID_MAX
    return f"À la même heure, pour {whom} : {said}{f' et {more} de plus' if more > 0 else ''}."
