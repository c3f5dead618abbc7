"""The rules of cases: state in, new state and messages out. No clock, no database, no HTTP.

Source: fiche 5-1 of the Region's strategy, and the product's policy (see docs/glossary.md).
"""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime, timedelta
from uuid import UUID

from common.failures import Refusal
from common.messages import Message
from dropout_observatory import messages as told
from dropout_observatory.messages import (
    AgeBand,
    CaseCorrected,
    CaseFacts,
    CaseFollowed,
    CaseReported,
    CaseWithdrawn,
    ReportWay,
    StepKind,
    WithdrawalReason,
)
from dropout_observatory.state import Case, Decision, Facts, Policy, Step
from territory.months import month_of, months_after, months_between
from territory.working_time import PARIS

_BANDS = ((16, AgeBand.AGE_16), (17, AgeBand.AGE_17), (20, AgeBand.AGE_18_TO_20), (25, AgeBand.AGE_21_TO_25))
CHECKS = {StepKind.CHECKED_AT_3_MONTHS: 3, StepKind.CHECKED_AT_6_MONTHS: 6}


def age_band(age: int, policy: Policy) -> AgeBand | Refusal:
    """The band of an age in years; who is outside those of the law and of the platforms is refused, and nothing is kept."""
    if age < policy.age_min:
        return Refusal(
            "under_age",
            f"Avant {policy.age_min} ans, l’instruction est obligatoire : rien n’est enregistré ici. "
            "Signalez l’absence à la direction des services départementaux de l’éducation nationale.",
            {"age_min": policy.age_min},
        )
    if age > policy.age_max:
        return Refusal(
            "over_age",
            f"Les plateformes suivent les jeunes jusqu’à {policy.age_max} ans : orientez vers la mission locale ou France Travail.",
            {"age_max": policy.age_max},
        )
    return next((band for highest, band in _BANDS if age <= highest), AgeBand.AGE_26_TO_29)


def report(case: Case, facts: Facts, way: ReportWay, policy: Policy, now: datetime) -> Decision:
    """Somebody left: a new case."""
    assert case.facts is None
    if refusal := _why_not(facts, policy, now):
        return Decision(case, refusal=refusal)
    message = CaseReported(occurred_at=now, source=case.source, way=way, facts=told_facts(facts))
    return Decision(replace(case, facts=facts), (message,))


def correct(case: Case, facts: Facts, policy: Policy, now: datetime) -> Decision:
    """Other facts are known from now on; the same again says nothing."""
    if case.withdrawn is not None:
        return Decision(case, refusal=_WITHDRAWN)
    if facts == case.facts:
        return Decision(case)
    if refusal := _why_not(facts, policy, now) or _steps_before(case, facts):
        return Decision(case, refusal=refusal)
    return Decision(replace(case, facts=facts), (CaseCorrected(occurred_at=now, facts=told_facts(facts)),))


def withdraw(case: Case, reason: WithdrawalReason, duplicate_of: UUID | None, now: datetime) -> Decision:
    """It counts no more from now on; withdrawing it again for the same reason says nothing."""
    if case.withdrawn == reason:
        return Decision(case)
    if case.withdrawn is not None:
        return Decision(case, refusal=_WITHDRAWN)
    if (reason == WithdrawalReason.DUPLICATE) != (duplicate_of is not None) or duplicate_of == case.case_id:
        detail = "Dites de quelle autre situation c’est le double, et seulement pour un double."
        return Decision(case, refusal=Refusal("which_duplicate", detail))
    case = replace(case, withdrawn=reason, duplicate_of=duplicate_of)
    return Decision(case, (CaseWithdrawn(occurred_at=now, reason=reason, duplicate_of=duplicate_of),))


def reinstate(case: Case, now: datetime) -> Decision:
    """A case that was withdrawn by mistake counts again, with the facts and steps that it had."""
    if case.withdrawn is None:
        return Decision(case)
    assert case.facts is not None
    message = CaseCorrected(occurred_at=now, facts=told_facts(case.facts))
    return Decision(replace(case, withdrawn=None, duplicate_of=None), (message,))


def follow(case: Case, step: Step, policy: Policy, now: datetime) -> Decision:
    """A step of the way back is recorded; the same step told again, by whom it may be, says nothing."""
    if any(known.said == step.said for known in case.steps):
        return Decision(case)
    if refusal := _why_not_follow(case, step, policy, now):
        return Decision(case, refusal=refusal)
    return _with_steps(case, (*case.steps, step), now)


def take_back(case: Case, step_id: UUID, now: datetime) -> Decision:
    """A step that was recorded by mistake is taken back; it stays known that it was known."""
    left = tuple(step for step in case.steps if step.step_id != step_id)
    if len(left) == len(case.steps):
        return Decision(case, refusal=Refusal("not_found", "Cette étape n’existe pas, ou plus."))
    if case.withdrawn is not None:
        return Decision(case, refusal=_WITHDRAWN)
    if refusal := _checks_without_admission(left):
        return Decision(case, refusal=refusal)
    return _with_steps(case, left, now)


def learn(case: Case, step: Step, now: datetime) -> Decision:
    """A step that another service tells: a fact, also of a case that is closed. What a professional noted of the same is kept.

    Told again otherwise, it replaces what was learnt of the same before. Two holds of a case that say the same are two steps:
    either may be detached.
    """
    assert case.facts is not None
    before = [known for known in case.steps if (known.subject_id, known.kind) == (step.subject_id, step.kind)]
    others = tuple(known for known in case.steps if known not in before)
    by_hand = [known for known in others if known.subject_id is None]
    noted = any(known.said == step.said or (step.kind in CHECKS and known.kind == step.kind) for known in by_hand)
    same = any(known.said == step.said for known in before)
    if case.withdrawn is not None or same or noted or step.happened_on < case.facts.left_month:
        return Decision(case)
    return _with_steps(case, (*others, step), now)


def forget(case: Case, subject_id: UUID, now: datetime) -> Decision:
    """What was learnt from something that is attached no more."""
    left = tuple(step for step in case.steps if step.subject_id != subject_id)
    return Decision(case) if left == case.steps else _with_steps(case, left, now)


_WITHDRAWN = Refusal("withdrawn", "Cette situation est retirée : rétablissez-la d’abord.")


def _why_not(facts: Facts, policy: Policy, now: datetime) -> Refusal | None:
    this_month = month_of(now)
    if facts.left_month > this_month:
        return Refusal("month_to_come", "Le mois de la sortie est dans le futur.")
    if months_between(facts.left_month, this_month) > policy.report_months_max:
        return Refusal(
            "too_long_ago",
            f"Une sortie se signale dans les {policy.report_months_max} mois.",
            {"report_months_max": policy.report_months_max},
        )
    return None


def _why_not_follow(case: Case, step: Step, policy: Policy, now: datetime) -> Refusal | None:
    assert case.facts is not None
    if case.withdrawn is not None:
        return _WITHDRAWN
    if case.state == "ended":
        return Refusal("ended", "Cette situation est close : retirez d’abord l’étape qui la clôt.")
    if step.happened_on > now.astimezone(PARIS).date():
        return Refusal("day_to_come", "Ce jour est dans le futur : notez l’étape quand elle a eu lieu.")
    if step.happened_on < case.facts.left_month:
        return Refusal("before_leaving", "Ce jour est avant le mois de la sortie.")
    if step.kind in CHECKS:
        return _why_not_check(case, step, policy)
    return None


def _why_not_check(case: Case, step: Step, policy: Policy) -> Refusal | None:
    admitted = [one.happened_on for one in case.steps if one.kind == StepKind.ADMITTED]
    months = CHECKS[step.kind]
    if not admitted:
        return _NOT_ADMITTED
    if any(one.kind == step.kind for one in case.steps):
        return Refusal("already_checked", f"La présence à {months} mois est déjà notée : retirez-la pour la changer.")
    if step.happened_on < months_after(min(admitted), months) - timedelta(days=policy.check_tolerance_days):
        return Refusal("too_early", f"La présence à {months} mois se note {months} mois après l’entrée.")
    return None


_NOT_ADMITTED = Refusal("not_admitted", "Aucune entrée n’est notée : notez d’abord quand le jeune est entré.")


def _checks_without_admission(steps: tuple[Step, ...]) -> Refusal | None:
    kinds = {step.kind for step in steps}
    if kinds & CHECKS.keys() and StepKind.ADMITTED not in kinds:
        return Refusal("still_checked", "Une présence est notée après cette entrée : retirez-la d’abord.")
    return None


def _steps_before(case: Case, facts: Facts) -> Refusal | None:
    if any(step.happened_on < facts.left_month for step in case.steps):
        return Refusal("steps_before", "Une étape est notée avant ce mois : retirez-la d’abord, ou vérifiez le mois.")
    return None


def _with_steps(case: Case, steps: tuple[Step, ...], now: datetime) -> Decision:
    case = replace(case, steps=tuple(sorted(steps, key=lambda step: (step.happened_on, step.step_id))))
    return Decision(case, (followed(case, now),))


# -- what is told


def followed(case: Case, now: datetime) -> CaseFollowed:
    """Every step as it is known now."""
    named = told.Step.model_fields
    steps = [{name: value for name, value in asdict(step).items() if name in named} for step in case.steps]
    return CaseFollowed(occurred_at=now, steps=[told.Step(**step) for step in steps])


def told_facts(facts: Facts) -> CaseFacts:
    """The facts as a message has them."""
    return CaseFacts(**asdict(facts) | {"factors": list(facts.factors)})


def restated(case: Case, now: datetime) -> tuple[Message, ...]:
    """What tells the whole of a case anew."""
    assert case.facts is not None
    messages: tuple[Message, ...] = (CaseCorrected(occurred_at=now, facts=told_facts(case.facts)), followed(case, now))
    if case.withdrawn is not None:
        withdrawn = CaseWithdrawn(occurred_at=now, reason=case.withdrawn, duplicate_of=case.duplicate_of)
        messages = (*messages, withdrawn)
    return messages
