"""What the rules speak of: a case, its facts as they are known now, the steps of its way back, and what a decision is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

from common.failures import Refusal
from common.messages import Message
from dropout_observatory.messages import (
    Accompanier,
    AgeBand,
    DropoutFactor,
    LevelLeft,
    Outcome,
    Presence,
    ReportSource,
    SchoolKind,
    StepKind,
    StepSource,
    WithdrawalReason,
)

CaseState = Literal["reported", "accompanied", "offered", "admitted", "ended", "withdrawn"]


@dataclass(frozen=True)
class Policy:
    """Limits that the law or the Region can change; read for the instant of the decision from the `policy` table.

    `age_min` is the end of compulsory schooling (code de l'éducation, L131-1); `age_max` the last age that the platforms follow.
    `report_months_max`: how long after somebody left they may still be reported. `news_days`: after how many days without
    news a case is due. `check_tolerance_days`: how much too early a presence may be told.
    """

    age_min: int
    age_max: int
    report_months_max: int
    news_days: int
    check_tolerance_days: int


@dataclass(frozen=True)
class Facts:
    """What is said of a case: closed values, true for the month of leaving. Communes are those of `geography_year`."""

    left_month: date
    level_left: LevelLeft
    school_kind: SchoolKind
    school_uai: str | None
    age_band: AgeBand
    commune_code: str
    epci_siren: str
    department_code: str
    geography_year: int
    factors: tuple[DropoutFactor, ...]

    @property
    def likeness(self) -> str:
        """What two sources would say alike of the same person: the closed facts that neither judges."""
        return "/".join(
            (self.left_month.isoformat(), self.commune_code, self.level_left, self.school_kind, self.age_band)
        )


@dataclass(frozen=True)
class Step:
    """A dated step of the way back: `happened_on` is when it was true, the message that brought it says when it was known."""

    step_id: UUID
    kind: StepKind
    happened_on: date
    source: StepSource = StepSource.PROFESSIONAL
    accompanier: Accompanier | None = None
    presence: Presence | None = None
    outcome: Outcome | None = None
    # What it was learnt from, such as a hold of the seats service: told to nobody, or a case could be joined to its hold.
    subject_id: UUID | None = None

    @property
    def said(self) -> tuple[object, ...]:
        """All but its identity: the same step told again says this."""
        return self.kind, self.happened_on, self.accompanier, self.presence, self.outcome


@dataclass(frozen=True)
class Case:
    """The aggregate. `facts` are None until it is reported; `account` is the organisation that reported it."""

    case_id: UUID
    account: str
    source: ReportSource
    facts: Facts | None = None
    steps: tuple[Step, ...] = ()
    withdrawn: WithdrawalReason | None = None
    # The case that stays, where this one was its double.
    duplicate_of: UUID | None = None
    version: int = 0

    @property
    def state(self) -> CaseState:
        """Where it is on its way: the furthest step."""
        if self.withdrawn is not None:
            return "withdrawn"
        kinds = {step.kind for step in self.steps}
        reached: dict[CaseState, set[StepKind]] = {
            "ended": {StepKind.ENDED},
            "admitted": {StepKind.ADMITTED, StepKind.CHECKED_AT_3_MONTHS, StepKind.CHECKED_AT_6_MONTHS},
            "offered": {StepKind.OFFERED},
            "accompanied": {StepKind.ACCOMPANIED},
        }
        return next((state for state, its in reached.items() if kinds & its), "reported")


@dataclass(frozen=True)
class Decision:
    """A new state, the messages that tell of it, and a refusal when the rule said no."""

    case: Case
    messages: tuple[Message, ...] = ()
    refusal: Refusal | None = None
