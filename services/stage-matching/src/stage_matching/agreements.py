"""The rules of an internship agreement: who signs, who may bring it from one state to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Literal, get_args
from uuid import UUID

from common.failures import Refusal
from common.lifecycle import AFTER, BEFORE, DURING, PHASES, Lifecycle
from common.messages import Message
from stage_matching.messages import (
    AgreementEnded,
    AgreementOutcome,
    AgreementParty,
    AgreementSigned,
    AgreementValidated,
)
from territory.working_time import PARIS, end_of_day

# "school" is whoever accompanies: a school, a prescriber or the agency, as the agreement's parties name them.
Role = Literal["seeker", "guardian", "host", "school", "time"]
AgreementState = Literal["drafted", "signed", "validated", "completed", "interrupted", "cancelled"]
Act = Literal["sign", "record paper", "validate", "change terms", "cancel", "interrupt", "complete"]
# How a signature came: by an account, by the link that only a guardian's address receives, on paper that was recorded.
How = Literal["account", "link", "paper"]
# Why something is done after the last day.
LateReason = Literal["PAPER_SIGNED_IN_TIME", "TOOK_PLACE_AS_AGREED", "DID_NOT_TAKE_PLACE", "BROKEN_OFF"]
LATE_REASONS_FR: dict[LateReason, str] = {
    "PAPER_SIGNED_IN_TIME": "signée à temps sur papier",
    "TOOK_PLACE_AS_AGREED": "le stage a eu lieu comme convenu",
    "DID_NOT_TAKE_PLACE": "le stage n’a pas eu lieu",
    "BROKEN_OFF": "le stage s’est arrêté avant sa fin",
}
LATE_FOR: dict[str, tuple[LateReason, ...]] = {
    "sign": ("PAPER_SIGNED_IN_TIME", "TOOK_PLACE_AS_AGREED"),
    "validate": ("PAPER_SIGNED_IN_TIME", "TOOK_PLACE_AS_AGREED"),
    "interrupt": ("DID_NOT_TAKE_PLACE", "BROKEN_OFF"),
}


def _acts(
    *, each: tuple[Act, ...], host: tuple[Act, ...] = (), school: tuple[Act, ...] = ()
) -> dict[str, frozenset[str]]:
    return {
        "seeker": frozenset(each),
        "guardian": frozenset(each),
        "host": frozenset((*each, *host)),
        "school": frozenset((*each, *school)),
    }


_CHANGE: tuple[Act, ...] = ("change terms",)
# After the last day every act of a party needs a `LateReason`, which is kept.
LIFECYCLE = Lifecycle(
    "agreement",
    get_args(AgreementState),
    frozenset({"completed", "interrupted", "cancelled"}),
    get_args(Role),
    {
        ("drafted", BEFORE): _acts(each=("sign", "cancel"), host=_CHANGE, school=(*_CHANGE, "record paper")),
        ("drafted", DURING): _acts(each=("sign", "interrupt"), host=_CHANGE, school=(*_CHANGE, "record paper")),
        ("drafted", AFTER): _acts(each=("sign", "interrupt"), school=("record paper",)),
        ("signed", BEFORE): _acts(each=("cancel",), host=_CHANGE, school=(*_CHANGE, "validate")),
        ("signed", DURING): _acts(each=("interrupt",), host=_CHANGE, school=(*_CHANGE, "validate")),
        ("signed", AFTER): _acts(each=("interrupt",), school=("validate",)),
        ("validated", BEFORE): _acts(each=("cancel",), host=_CHANGE, school=_CHANGE),
        ("validated", DURING): _acts(each=("interrupt",), host=_CHANGE, school=_CHANGE),
        ("validated", AFTER): {"time": frozenset({"complete"})},
    },
    {
        # "drafted" stays itself while signatures are missing; where nobody accompanies, "signed" is validated at once.
        "sign": frozenset({"drafted", "signed"}),
        "record paper": frozenset({"drafted", "signed"}),
        "validate": frozenset({"validated"}),
        "change terms": frozenset({"drafted"}),
        "cancel": frozenset({"cancelled"}),
        "interrupt": frozenset({"interrupted"}),
        "complete": frozenset({"completed"}),
    },
)

# Who may bring an agreement from where to where, whatever the date: the same table.
TRANSITIONS: dict[tuple[Role, AgreementState], frozenset[str]] = {
    (role, state): frozenset(
        to for phase in PHASES for act in LIFECYCLE.may(state, role, phase) for to in LIFECYCLE.leads[act]
    )
    for role in get_args(Role)
    for state in get_args(AgreementState)
}

STATES_FR: dict[AgreementState, str] = {
    "drafted": "à signer",
    "signed": "signée",
    "validated": "validée",
    "completed": "terminée",
    "interrupted": "interrompue",
    "cancelled": "annulée",
}
PARTIES_FR = {
    "SEEKER": "stagiaire",
    "GUARDIAN": "parent",
    "HOST": "organisme",
    "SCHOOL": "établissement",
    "PRESCRIBER": "prescripteur",
    "AGENCY": "agence",
}
PARTIES: dict[Role, tuple[AgreementParty, ...]] = {
    "seeker": (AgreementParty.SEEKER,),
    "guardian": (AgreementParty.GUARDIAN,),
    "host": (AgreementParty.HOST,),
    "school": (AgreementParty.SCHOOL, AgreementParty.PRESCRIBER, AgreementParty.AGENCY),
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
    # Which terms are to be signed, or were: their number and the hash that every signature names.
    terms_version: int = 1
    terms_sha256: str = ""

    @property
    def missing(self) -> tuple[AgreementParty, ...]:
        """Who has yet to sign."""
        return tuple(party for party in self.parties if party.value not in self.signed)

    @property
    def accompanied(self) -> bool:
        """Whether somebody accompanies, who validates what all have signed."""
        return self.party_of("school") is not None

    def party_of(self, role: Role) -> AgreementParty | None:
        """As which party a role signs, if it is one."""
        return next((party for party in PARTIES.get(role, ()) if party in self.parties), None)

    def phase(self, today: date) -> str:
        """Before the first day, during, or after the last."""
        return BEFORE if today < self.starts_on else DURING if today <= self.ends_on else AFTER


NOT_A_PARTY = Refusal("not_a_party", "Cette convention n’attend pas votre signature.")
TERMS_CHANGED = Refusal(
    "terms_changed", "La convention a changé depuis que vous l’avez lue : relisez-la, puis signez la nouvelle version."
)
Decided = tuple[Agreement, tuple[Message, ...], Refusal | None]


def parties_of(
    age: int, minor_age: int, accompanies: AgreementParty | None = AgreementParty.SCHOOL
) -> tuple[AgreementParty, ...]:
    """Who must sign: a guardian too when the seeker is a minor; who accompanies, if anybody does."""
    guardian = (AgreementParty.GUARDIAN,) if age < minor_age else ()
    accompanying = (accompanies,) if accompanies is not None else ()
    return (AgreementParty.SEEKER, *guardian, AgreementParty.HOST, *accompanying)


def accompanying(candidates: Sequence[str], *, minor: bool, school: bool, prescriber: bool) -> AgreementParty | None:
    """Who accompanies: the first of the policy's candidates for the audience that there is; a minor always has somebody."""
    there = {"SCHOOL": school, "PRESCRIBER": prescriber, "AGENCY": True, "NOBODY": not minor}
    found = next((one for one in candidates or ("SCHOOL", "AGENCY") if there.get(one)), "AGENCY")
    return None if found == "NOBODY" else AgreementParty[found]


def settle(agreement: Agreement, now: datetime) -> Decided:
    """A validated agreement is completed when its last day ends."""
    ended_at = end_of_day(agreement.ends_on)
    if agreement.state == "validated" and ended_at <= now:
        ended = AgreementEnded(occurred_at=ended_at, outcome=AgreementOutcome.COMPLETED)
        return replace(agreement, state="completed"), (ended,), None
    return agreement, (), None


def sign(
    agreement: Agreement,
    role: Role,
    now: datetime,
    *,
    reason: LateReason | None = None,
    seen_sha256: str | None = None,
    paper_of: Role | None = None,
) -> Decided:
    """A party signs the terms that it saw; the last signature makes the agreement signed. Signing twice changes nothing.

    `paper_of`: whoever accompanies records the signature that a guardian, or a pupil without an account, gave on paper.
    """
    act: Act = "sign" if paper_of is None else "record paper"
    party = agreement.party_of(paper_of or role)
    if party is None or agreement.party_of(role) is None:
        return agreement, (), NOT_A_PARTY
    if seen_sha256 is not None and seen_sha256 != agreement.terms_sha256:
        return agreement, (), TERMS_CHANGED
    if party.value in agreement.signed:
        return agreement, (), None
    refusal = _not_allowed(agreement, role, act, _day(now), reason)
    if refusal is not None:
        return agreement, (), refusal
    agreement = replace(agreement, signed={**agreement.signed, party.value: now})
    told: tuple[Message, ...] = (
        AgreementSigned(
            occurred_at=now,
            party=party,
            terms_version=agreement.terms_version,
            terms_sha256=agreement.terms_sha256,
        ),
    )
    if agreement.missing:
        return agreement, told, None
    agreement = replace(agreement, state="signed")
    if agreement.accompanied:
        return agreement, told, None
    agreement, more = _validated(agreement, now)
    return agreement, (*told, *more), None


def validate(
    agreement: Agreement,
    role: Role,
    now: datetime,
    *,
    reason: LateReason | None = None,
    seen_sha256: str | None = None,
) -> Decided:
    """Whoever accompanies validates what all have signed."""
    if seen_sha256 is not None and seen_sha256 != agreement.terms_sha256:
        return agreement, (), TERMS_CHANGED
    refusal = _not_allowed(agreement, role, "validate", _day(now), reason)
    if refusal is not None:
        return agreement, (), refusal
    agreement, told = _validated(agreement, now)
    return agreement, told, None


def _validated(agreement: Agreement, now: datetime) -> tuple[Agreement, tuple[Message, ...]]:
    told: tuple[Message, ...] = (AgreementValidated(occurred_at=now),)
    if agreement.phase(_day(now)) != AFTER:
        return replace(agreement, state="validated"), told
    # Validated late, it is over at once.
    ended = AgreementEnded(occurred_at=now, outcome=AgreementOutcome.COMPLETED)
    return replace(agreement, state="completed"), (*told, ended)


def change_terms(agreement: Agreement, role: Role, sha256: str, now: datetime) -> tuple[Agreement, Refusal | None]:
    """Other terms are to be signed: a new version of them, and every signature falls; the caller tells who must sign again."""
    if sha256 == agreement.terms_sha256:
        return agreement, None
    refusal = _not_allowed(agreement, role, "change terms", _day(now), None)
    if refusal is not None:
        return agreement, refusal
    changed = replace(
        agreement, state="drafted", signed={}, terms_version=agreement.terms_version + 1, terms_sha256=sha256
    )
    return changed, None


def end(
    agreement: Agreement,
    role: Role,
    outcome: Literal["interrupted", "cancelled"],
    today: date,
    now: datetime,
    reason: LateReason | None = None,
) -> Decided:
    """Cancelled before the internship begins, interrupted from then on; after its last day with a reason."""
    act: Act = "cancel" if outcome == "cancelled" else "interrupt"
    refusal = _not_allowed(agreement, role, act, today, reason)
    if refusal is not None:
        return agreement, (), refusal
    message = AgreementEnded(occurred_at=now, outcome=AgreementOutcome[outcome.upper()])
    return replace(agreement, state=outcome), (message,), None


def _day(now: datetime) -> date:
    return now.astimezone(PARIS).date()


def _not_allowed(agreement: Agreement, role: Role, act: Act, today: date, reason: LateReason | None) -> Refusal | None:
    """Why the table, or a missing reason, says no."""
    if agreement.party_of(role) is None:
        return NOT_A_PARTY
    phase = agreement.phase(today)
    if act not in LIFECYCLE.may(agreement.state, role, phase):
        other = [each for each in PHASES if act in LIFECYCLE.may(agreement.state, role, each)]
        if other and act == "cancel":
            return Refusal("internship_begun", "Le stage a commencé : il peut être interrompu, plus annulé.")
        if other and act == "interrupt" and phase == BEFORE:
            return Refusal("internship_not_begun", "Le stage n’a pas commencé : annulez-le plutôt.")
        if other:
            return Refusal("internship_over", "Le stage est terminé : cette action n’est plus possible.")
        detail = f"La convention est « {STATES_FR[agreement.state]} » : cette action n’est pas possible."
        return Refusal("agreement_state", detail, {"state": agreement.state})
    reasons = LATE_FOR["sign" if act == "record paper" else act] if phase == AFTER else ()
    if phase == AFTER and reason not in reasons:
        words = ", ".join(f"« {LATE_REASONS_FR[one]} »" for one in reasons)
        return Refusal("reason_needed", f"Le stage est terminé : dites pourquoi ({words}).", {"reasons": list(reasons)})
    return None
