"""The rules of trade kits and their loans: state in, new state and messages out. That no two loans overlap is the database's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

from common.failures import Refusal
from common.messages import Message
from events.messages import KitDescribed, KitTakenOut, LoanEnded, LoanEndReason, LoanRequested, LoanReserved

LoanState = Literal["requested", "reserved", "out", "ended"]
Actor = Literal["borrower", "keeper", "event", "time"]
# A day between two loans, to look the kit over and to carry it.
GAP_DAYS = 1

# Who may bring a loan from where to where.
TRANSITIONS: dict[tuple[Actor, LoanState], frozenset[LoanState]] = {
    ("keeper", "requested"): frozenset({"reserved", "ended"}),
    ("keeper", "reserved"): frozenset({"out", "ended"}),
    ("keeper", "out"): frozenset({"ended"}),
    ("borrower", "requested"): frozenset({"ended"}),
    ("borrower", "reserved"): frozenset({"ended"}),
    ("event", "requested"): frozenset({"ended"}),
    ("event", "reserved"): frozenset({"ended"}),
    ("time", "requested"): frozenset({"ended"}),
}
STATES_FR: dict[str, str] = {
    "requested": "demandé",
    "reserved": "réservé",
    "out": "sorti",
    "late": "en retard",
    "returned": "rendu",
    "damaged": "rendu abîmé",
    "refused": "refusé",
    "cancelled": "annulé",
    "expired": "sans réponse",
    "ended": "clos",
}


@dataclass(frozen=True)
class KitDescription:
    """What a kit shows, what is in it, and where it is kept."""

    title: str
    contents: str
    rome_codes: tuple[str, ...]
    commune_code: str
    withdrawn: bool = False
    fictitious: bool = False


@dataclass(frozen=True)
class Loan:
    """A loan of a kit, both days included."""

    loan_id: UUID
    borrower_id: UUID
    first_on: date
    last_on: date
    state: LoanState
    event_id: UUID | None = None
    end_reason: LoanEndReason | None = None
    late: bool = False
    damaged: bool = False

    @property
    def free_on(self) -> date:
        """From which day on the kit may go out again."""
        return self.last_on + timedelta(days=1 + GAP_DAYS)

    def shown_as(self, today: date) -> str:
        """A word of `STATES_FR`: a kit that is out after its last day is late, whoever has looked."""
        if self.state == "out" and today > self.last_on:
            return "late"
        if self.state != "ended" or self.end_reason is None:
            return self.state
        return "damaged" if self.damaged else self.end_reason.value.lower()


@dataclass(frozen=True)
class Kit:
    """The aggregate: a kit with its loans that are not over."""

    kit_id: UUID
    keeper: str
    description: KitDescription
    out_of_order: bool = False
    loans: tuple[Loan, ...] = ()
    version: int = 0


@dataclass(frozen=True)
class KitDecision:
    """A new state of a kit, the messages that tell of it, or why not."""

    kit: Kit
    messages: tuple[Message, ...] = ()
    refusal: Refusal | None = None
    loan: Loan | None = None


def describe(kit: Kit, description: KitDescription, now: datetime) -> KitDecision:
    """A keeper describes, changes or withdraws a kit; with one that is withdrawn end the loans that have not begun."""
    changed = replace(kit, description=description)
    if kit.version > 0 and changed == kit:
        return KitDecision(kit)
    decision = KitDecision(changed, (described(changed, now),))
    if description.withdrawn and not kit.description.withdrawn:
        for loan in kit.loans:
            if loan.state != "out":
                ended = end(decision.kit, loan, "keeper", now)
                decision = replace(ended, messages=(*decision.messages, *ended.messages), loan=None)
    return decision


def described(kit: Kit, now: datetime) -> KitDescribed:
    """The whole public description of a kit."""
    what = kit.description
    return KitDescribed(
        occurred_at=now,
        title=what.title,
        rome_codes=list(what.rome_codes),
        commune_code=what.commune_code,
        withdrawn=what.withdrawn,
        out_of_order=kit.out_of_order,
        fictitious=what.fictitious,
    )


def request(
    kit: Kit,
    borrower_id: UUID,
    first_on: date,
    last_on: date,
    *,
    event_id: UUID | None,
    at_once: bool,
    days_max: int,
    now: datetime,
    today: date,
) -> KitDecision:
    """Somebody asks for a kit; `at_once` reserves it, for an event of those who keep the kits."""
    loan = Loan(uuid4(), borrower_id, first_on, last_on, "reserved" if at_once else "requested", event_id)
    if kit.description.withdrawn or kit.out_of_order:
        return KitDecision(kit, refusal=Refusal("kit_unavailable", "Ce kit n’est pas prêté en ce moment."))
    if not today <= first_on <= last_on or (last_on - first_on).days >= days_max:
        detail = f"Un prêt va d’aujourd’hui au plus tôt, sur {days_max} jours au plus."
        return KitDecision(kit, refusal=Refusal("dates", detail, {"days_max": days_max}))
    if (taken := _in_the_way(kit, loan)) is not None:
        return KitDecision(kit, refusal=_taken(taken))
    return KitDecision(replace(kit, loans=(*kit.loans, loan)), (state_message(loan, now),), loan=loan)


def reserve(kit: Kit, loan: Loan, now: datetime) -> KitDecision:
    """The keeper agrees."""
    refusal = _not_allowed("keeper", loan, "reserved")
    if refusal is None and (taken := _in_the_way(kit, loan)) is not None:
        refusal = _taken(taken)
    if refusal is not None:
        return KitDecision(kit, refusal=refusal)
    loan = replace(loan, state="reserved")
    return KitDecision(_with(kit, loan), (state_message(loan, now),), loan=loan)


def take_out(kit: Kit, loan: Loan, today: date, now: datetime) -> KitDecision:
    """The keeper hands the kit over, from its first day on; one kit is with one borrower."""
    refusal = _not_allowed("keeper", loan, "out")
    if refusal is None and today < loan.first_on:
        refusal = Refusal("too_early", "Ce prêt n’a pas encore commencé.")
    if refusal is None and any(one.state == "out" for one in kit.loans):
        refusal = Refusal("still_out", "Le kit n’est pas encore revenu du prêt d’avant.")
    if refusal is None and kit.out_of_order:
        refusal = Refusal("kit_unavailable", "Le kit est abîmé : remettez-le en état d’abord.")
    if refusal is not None:
        return KitDecision(kit, refusal=refusal)
    loan = replace(loan, state="out")
    return KitDecision(_with(kit, loan), (KitTakenOut(occurred_at=now, loan_id=loan.loan_id),), loan=loan)


def give_back(kit: Kit, loan: Loan, *, damaged: bool, today: date, now: datetime) -> KitDecision:
    """The kit came back; a damaged one is lent again once it is mended."""
    if loan.state != "out":
        return KitDecision(kit, refusal=_state_refusal(loan))
    late = today > loan.last_on
    kit = replace(kit, out_of_order=kit.out_of_order or damaged)
    decision = _end(kit, replace(loan, late=late, damaged=damaged), LoanEndReason.RETURNED, now)
    return replace(decision, messages=(*decision.messages, described(kit, now))) if damaged else decision


def mend(kit: Kit, now: datetime) -> KitDecision:
    """The kit is in order again."""
    if not kit.out_of_order:
        return KitDecision(kit)
    kit = replace(kit, out_of_order=False)
    return KitDecision(kit, (described(kit, now),))


def end(kit: Kit, loan: Loan, by: Actor, now: datetime) -> KitDecision:
    """Refused by its keeper, given up by its borrower or its event, or unanswered on its first day."""
    refusal = _not_allowed(by, loan, "ended")
    if refusal is None and loan.state == "out":
        refusal = _state_refusal(loan)
    if refusal is not None:
        return KitDecision(kit, refusal=refusal)
    reason = LoanEndReason.EXPIRED if by == "time" else LoanEndReason.CANCELLED
    if by == "keeper" and loan.state == "requested":
        reason = LoanEndReason.REFUSED
    return _end(kit, loan, reason, now)


def state_message(loan: Loan, now: datetime) -> Message:
    """A loan that is asked for or agreed, whole."""
    facts = {
        "occurred_at": now,
        "loan_id": loan.loan_id,
        "borrower_id": loan.borrower_id,
        "for_event_id": loan.event_id,
        "first_on": loan.first_on,
        "last_on": loan.last_on,
    }
    return (LoanRequested if loan.state == "requested" else LoanReserved).model_validate(facts)


def _in_the_way(kit: Kit, loan: Loan) -> Loan | None:
    for one in kit.loans:
        if one.state not in ("reserved", "out") or one.loan_id == loan.loan_id:
            continue
        if one.first_on < loan.free_on and loan.first_on < one.free_on:
            return one
    return None


def _taken(one: Loan) -> Refusal:
    detail = f"Le kit est pris du {one.first_on:%d/%m/%Y} au {one.last_on:%d/%m/%Y}, plus un jour pour le vérifier."
    return Refusal("kit_taken", detail, {"first_on": one.first_on, "free_on": one.free_on})


def _end(kit: Kit, loan: Loan, reason: LoanEndReason, now: datetime) -> KitDecision:
    loan = replace(loan, state="ended", end_reason=reason)
    message = LoanEnded(occurred_at=now, loan_id=loan.loan_id, reason=reason, late=loan.late, damaged=loan.damaged)
    return KitDecision(_with(kit, loan), (message,), loan=loan)


def _with(kit: Kit, loan: Loan) -> Kit:
    known = {one.loan_id: one for one in kit.loans} | {loan.loan_id: loan}
    return replace(kit, loans=tuple(known.values()))


def _not_allowed(actor: Actor, loan: Loan, to: LoanState) -> Refusal | None:
    return None if to in TRANSITIONS.get((actor, loan.state), frozenset()) else _state_refusal(loan)


def _state_refusal(loan: Loan) -> Refusal:
    detail = f"Ce prêt est « {STATES_FR[loan.shown_as(loan.first_on)]} » : l’action n’est plus possible."
    return Refusal("loan_state", detail, {"state": loan.state})
