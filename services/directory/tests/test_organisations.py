"""The rules of organisations and memberships, every act tried in every state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import product
from pathlib import Path
from uuid import uuid4

import pytest

from common.lifecycle import ALWAYS, observed, written
from directory import domain
from directory.messages import (
    MemberRole,
    MembershipEnded,
    MembershipEndReason,
    MembershipGranted,
    OrganisationDescribed,
    OrganisationKind,
    OrganisationState,
)
from directory.state import ROLES_OF, Decision, Identity, Membership, Organisation, Policy

NOW, TODAY = datetime(2026, 11, 30, 10, 0, tzinfo=UTC), date(2026, 11, 30)
SCHOOL = Identity("Lycée de la Baie", frozenset({OrganisationKind.SCHOOL}), "76540", "21760540100017", "0760001A")
STATES = ("REGISTERED", "VERIFIED", "CLOSED", "MERGED")
OTHER = Organisation(uuid4(), replace(SCHOOL, uai="0760002B"), OrganisationState.VERIFIED, True)


def organisation_in(state: str) -> Organisation:
    """An organisation in a state; one that is closed or merged was verified."""
    merged_into = OTHER.organisation_id if state == "MERGED" else None
    return Organisation(uuid4(), SCHOOL, OrganisationState(state), state != "REGISTERED", merged_into, 3)


ACTS: dict[tuple[str, str], Callable[[Organisation], Decision[Organisation]]] = {
    ("agency", "describe"): lambda one: domain.describe(one, replace(SCHOOL, title="Autre"), NOW, by_agency=True),
    ("agency", "verify"): lambda one: domain.verify(one, NOW),
    ("agency", "doubt"): lambda one: domain.doubt(one, NOW),
    ("agency", "close"): lambda one: domain.close(one, NOW),
    ("agency", "reopen"): lambda one: domain.reopen(one, NOW),
    ("agency", "merge"): lambda one: domain.merge(one, OTHER, NOW),
    ("manager", "describe"): lambda one: domain.describe(one, replace(SCHOOL, title="Autre"), NOW, by_agency=False),
    ("manager", "close"): lambda one: domain.close(one, NOW),
    ("contact", "verify"): lambda one: domain.verify(one, NOW),
}
LEADS = {
    **{("describe", state): state for state in ("REGISTERED", "VERIFIED")},
    ("verify", "REGISTERED"): "VERIFIED",
    ("doubt", "VERIFIED"): "REGISTERED",
    **{("close", state): "CLOSED" for state in ("REGISTERED", "VERIFIED")},
    **{("reopen", state): "VERIFIED" for state in ("CLOSED", "MERGED")},
    **{("merge", state): "MERGED" for state in ("REGISTERED", "VERIFIED")},
}


@pytest.mark.parametrize(("by", "state"), list(product(ACTS, STATES)))
def test_every_act_in_every_state_is_as_the_table_says(by: tuple[str, str], state: str) -> None:
    """One message with the whole that leads where the table says; or a refusal, or nothing, and the organisation as it was."""
    before = organisation_in(state)
    decision = ACTS[by](before)
    if (by[1], state) in LEADS:
        assert decision.refusal is None and decision.after.state.value == LEADS[by[1], state]
        (message,) = decision.messages
        assert isinstance(message, OrganisationDescribed) and message.state is decision.after.state
    else:
        assert (decision.messages, decision.after) == ((), before)


def test_the_readme_has_the_table(request: pytest.FixtureRequest) -> None:
    """What the rules answer is what it says; nothing is ever stuck."""

    def attempt(act: Callable[[Organisation], Decision[Organisation]]) -> Callable[[str, str], str | None]:
        def tried(state: str, _: str) -> str | None:
            decision = act(organisation_in(state))
            return decision.after.state.value if decision.messages else None

        return tried

    table = observed(
        "organisation", STATES, ("CLOSED", "MERGED"), {by: attempt(act) for by, act in ACTS.items()}, phases=ALWAYS
    )
    assert table.problems() == []
    readme = Path(__file__).parents[1] / "README.md"
    text = written(readme.read_text(), table.table())
    assert readme.read_text() == text, f"write it anew:\n{table.table()}"


def test_what_is_described_or_verified_anew() -> None:
    """Another name is no matter; another number, or a kind more, is verified anew, unless the agency says so."""
    one = organisation_in("VERIFIED")
    more = replace(SCHOOL, kinds=SCHOOL.kinds | {OrganisationKind.PLATFORM_OWNER})
    for identity, verified in ((replace(SCHOOL, title="X"), True), (more, False), (replace(SCHOOL, siret=None), False)):
        for by_agency in (True, False):
            state = domain.describe(one, identity, NOW, by_agency=by_agency).after.state
            assert (state is OrganisationState.VERIFIED) is (verified or by_agency)


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        (SCHOOL, None),
        (replace(SCHOOL, siret=None), None),
        (replace(SCHOOL, uai=None), "no_uai"),
        (replace(SCHOOL, uai=None, siret=None), "no_number"),
    ],
)
def test_what_a_number_is_needed_for(identity: Identity, reason: str | None) -> None:
    """A school has a UAI, everybody some number."""
    refusal = domain.register(uuid4(), identity, NOW, verified=False).refusal
    assert (refusal and refusal.reason) == reason


def test_an_organisation_is_merged_into_another_that_is_open() -> None:
    """Not into itself, not into a closed one, not into its own site."""
    one = organisation_in("VERIFIED")
    site = replace(OTHER, identity=replace(OTHER.identity, part_of=one.organisation_id))
    closed = replace(OTHER, state=OrganisationState.CLOSED)
    reasons = [domain.merge(one, into, NOW).refusal for into in (one, closed, site, OTHER)]
    assert [refusal and refusal.reason for refusal in reasons] == ["same", "not_open", "own_site", None]
    assert domain.why_not_part_of(site, 0) is not None and domain.why_not_part_of(OTHER, 1) is not None
    assert domain.why_not_part_of(OTHER, 0) is None


@pytest.mark.parametrize("role", [role for role in MemberRole if role is not MemberRole.UNKNOWN])
def test_a_role_is_given_by_what_has_it_to_give(role: MemberRole) -> None:
    """Every role can be given by some kind, and by no other."""
    for kind in OrganisationKind:
        one = replace(organisation_in("VERIFIED"), identity=replace(SCHOOL, kinds=frozenset({kind})))
        decision = domain.grant(Membership(uuid4(), one.organisation_id, "h", role, TODAY), one, NOW)
        assert (decision.refusal is None) is (role in ROLES_OF.get(kind, ())) is bool(decision.messages)
    assert any(role in roles for roles in ROLES_OF.values())


def test_a_membership_from_its_first_day_to_its_last() -> None:
    """Granted, prolonged, ended; what has ended ends no more, and is not prolonged."""
    one = organisation_in("VERIFIED")
    membership = Membership(uuid4(), one.organisation_id, "hash", MemberRole.SCHOOL, TODAY, date(2026, 12, 2))
    (granted,) = domain.grant(membership, one, NOW).messages
    assert isinstance(granted, MembershipGranted) and granted.until_on == date(2026, 12, 2)
    assert [membership.holds_on(date(2026, 12, day)) for day in (1, 2, 3)] == [True, True, False]
    longer = domain.change(membership, None, True, TODAY, NOW)
    assert longer.after.holds_on(date(2030, 1, 1)) and len(longer.messages) == 1
    assert domain.change(longer.after, None, False, TODAY, NOW).messages == ()
    assert domain.change(membership, date(2026, 11, 29), False, TODAY, NOW).refusal is domain.DAYS
    ended = domain.end(membership, MembershipEndReason.LEFT, NOW)
    assert isinstance(ended.messages[0], MembershipEnded) and not ended.after.holds_on(TODAY)
    assert domain.end(ended.after, MembershipEndReason.WITHDRAWN, NOW).after == ended.after
    assert domain.change(ended.after, None, True, TODAY, NOW).refusal is not None
    assert domain.resume(ended.after, NOW).after == membership


def test_only_a_public_school_has_an_address_that_is_known() -> None:
    """The academy gives each one; a private school, and who only says that it is one, is verified by the agency."""
    policy = Policy(14, 60, "ce.{uai}@ac-normandie.fr")
    assert domain.contact_address(replace(SCHOOL, uai="0140006F"), policy) == "ce.0140006f@ac-normandie.fr"
    assert domain.contact_address(SCHOOL, policy) is None
    assert domain.contact_address(replace(SCHOOL, uai="0140006F"), replace(policy, school_contact="")) is None
