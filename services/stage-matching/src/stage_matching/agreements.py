"""The rules of an internship agreement: who signs, who may bring it from one state to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from common.failures import Refusal
from common.messages import Message
from stage_matching.messages import (
    AgreementEnded,
    AgreementOutcome,
    AgreementParty,
    AgreementSigned,
    AgreementValidated,
)
from territory.working_time import end_of_day

Role = Literal["seeker", "guardian", "host", "school", "time"]
AgreementState = Literal["drafted", "signed", "validated", "completed", "interrupted", "cancelled"]

# Who may bring an agreement from where to where; "drafted" stays itself while signatures are missing.
TRANSITIONS: dict[tuple[Role, AgreementState], frozenset[AgreementState]] = {
    ("seeker", "drafted"): frozenset({"drafted", "signed", "cancelled"}),
    ("guardian", "drafted"): frozenset({"drafted", "signed", "cancelled"}),
    ("host", "drafted"): frozenset({"drafted", "signed", "cancelled"}),
    ("school", "drafted"): frozenset({"drafted", "signed", "cancelled"}),
    ("seeker", "signed"): frozenset({"cancelled"}),
    ("guardian", "signed"): frozenset({"cancelled"}),
    ("host", "signed"): frozenset({"cancelled"}),
    ("school", "signed"): frozenset({"validated", "cancelled"}),
    ("host", "validated"): frozenset({"interrupted", "cancelled"}),
    ("school", "validated"): frozenset({"interrupted", "cancelled"}),
    ("seeker", "validated"): frozenset({"cancelled"}),
    ("time", "validated"): frozenset({"completed"}),
}

_STATES_FR: dict[AgreementState, str] = {
    "drafted": "à signer",
    "signed": "signée",
    "validated": "validée",
    "completed": "terminée",
    "interrupted": "interrompue",
    "cancelled": "annulée",
}
_PARTIES: dict[Role, AgreementParty] = {
    "seeker": AgreementParty.SEEKER,
    "guardian": AgreementParty.GUARDIAN,
    "host": AgreementParty.HOST,
    "school": AgreementParty.SCHOOL,
}


@dataclass(frozen=True)
class Agreement:
    """The convention of one confirmed application; `signed` tells when each party did."""

    agreement_id: UUID
    application_id: UUID
    parties: tuple[AgreementParty, ...]
    starts_on: date
    ends_on: date
    state: AgreementState = "drafted"
    signed: Mapping[str, datetime] = field(default_factory=dict)
    version: int = 0

    @property
    def missing(self) -> tuple[AgreementParty, ...]:
        """Who has yet to sign."""
        return tuple(party for party in self.parties if party.value not in self.signed)


Decided = tuple[Agreement, tuple[Message, ...], Refusal | None]


def parties_of(age: int, minor_age: int) -> tuple[AgreementParty, ...]:
    """Who must sign: a guardian too when the seeker is a minor."""
    guardian = (AgreementParty.GUARDIAN,) if age < minor_age else ()
    return (AgreementParty.SEEKER, *guardian, AgreementParty.HOST, AgreementParty.SCHOOL)


def settle(agreement: Agreement, now: datetime) -> Decided:
    """A validated agreement is completed when its last day ends."""
    ended_at = end_of_day(agreement.ends_on)
    if agreement.state == "validated" and ended_at <= now:
        ended = AgreementEnded(occurred_at=ended_at, outcome=AgreementOutcome.COMPLETED)
        return replace(agreement, state="completed"), (ended,), None
    return agreement, (), None


def sign(agreement: Agreement, role: Role, now: datetime) -> Decided:
    """A party signs; the last signature makes the agreement signed. Signing twice changes nothing."""
    party = _PARTIES.get(role)
    if party not in agreement.parties:
        return agreement, (), Refusal("not_a_party", "Cette convention n’attend pas votre signature.")
    if party.value in agreement.signed:
        return agreement, (), None
    refusal = _not_allowed(agreement, role, "drafted")
    if refusal is not None:
        return agreement, (), refusal
    agreement = replace(agreement, signed={**agreement.signed, party.value: now})
    agreement = replace(agreement, state="drafted" if agreement.missing else "signed")
    return agreement, (AgreementSigned(occurred_at=now, party=party),), None


def validate(agreement: Agreement, role: Role, now: datetime) -> Decided:
    """The school or the prescriber validates what all have signed."""
    refusal = _not_allowed(agreement, role, "validated")
    if refusal is not None:
        return agreement, (), refusal
    return replace(agreement, state="validated"), (AgreementValidated(occurred_at=now),), None


def end(
    agreement: Agreement, role: Role, outcome: Literal["interrupted", "cancelled"], today: date, now: datetime
) -> Decided:
    """Cancelled before the internship begins, interrupted from then on."""
    refusal = _not_allowed(agreement, role, outcome)
    begun = today >= agreement.starts_on
    if refusal is None and begun != (outcome == "interrupted"):
        refusal = Refusal(
            "internship_begun" if begun else "internship_not_begun",
            "Le stage a commencé : il peut être interrompu, plus annulé."
            if begun
            else "Le stage n’a pas commencé : annulez-le plutôt.",
        )
    if refusal is not None:
        return agreement, (), refusal
    message = AgreementEnded(occurred_at=now, outcome=AgreementOutcome[outcome.upper()])
    return replace(agreement, state=outcome), (message,), None


def _not_allowed(agreement: Agreement, role: Role, to: AgreementState) -> Refusal | None:
    if to in TRANSITIONS.get((role, agreement.state), frozenset()):
        return None
    detail = f"La convention est « {_STATES_FR[agreement.state]} » : cette action n’est pas possible."
    return Refusal("agreement_state", detail, {"state": agreement.state})
