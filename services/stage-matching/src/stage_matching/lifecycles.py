"""The life of every aggregate of this service as a table: who may do what, when; each is read off the rules beside it."""

from __future__ import annotations

from typing import get_args

from common.lifecycle import ALWAYS, BEFORE, PHASES, Lifecycle
from stage_matching import agreements, campaigns, domain
from stage_matching.state import ApplicationState

# What waits is due before its first week begins, so that from then on only time has something to do with it.
_SETTLED = ("confirmed", "refused", "expired", "withdrawn", "released", "cancelled")
APPLICATION = Lifecycle(
    "application",
    get_args(ApplicationState),
    # A confirmed application lives on as its agreement.
    frozenset(_SETTLED),
    get_args(domain.Actor),
    {
        (state, phase): {
            actor: leads
            for (actor, known), leads in domain.TRANSITIONS.items()
            if known == state and (phase == BEFORE or actor == "time")
        }
        for state in get_args(ApplicationState)
        for phase in PHASES
        if any(known == state and (phase == BEFORE or actor == "time") for actor, known in domain.TRANSITIONS)
    },
    {state: frozenset({state}) for state in get_args(ApplicationState)},
)

_WORKING = {"computing": "frozen", "publishing": "computed", "closing": "published"}
_LEADS = {
    "add": "open",
    "freeze": "computing",
    "compute": "computing",
    "publish": "publishing",
    "close": "closing",
    "give_up": "cancelled",
    "stop": "frozen",
}
CAMPAIGN = Lifecycle(
    "campaign",
    (*get_args(campaigns.State), *_WORKING),
    frozenset({"closed", "cancelled"}),
    ("leader", "job", "suspension"),
    {
        **{
            (state, "always"): {
                "leader": frozenset(act for act, states in campaigns.ALLOWED.items() if state in states),
                # The agency suspends a host whose seats it keeps.
                **({"suspension": frozenset({"leave out"})} if state in ("frozen", "computed") else {}),
            }
            for state in get_args(campaigns.State)
            if any(state in states for states in campaigns.ALLOWED.values())
        },
        ("computing", "always"): {
            "leader": frozenset({"stop", "give_up"}),
            "job": frozenset({"compute done"}),
            "suspension": frozenset({"leave out"}),
        },
        # What began to be told goes to its end; the job is begun again for as long as it takes.
        ("publishing", "always"): {"job": frozenset({"publish done"})},
        ("closing", "always"): {"job": frozenset({"close done"})},
    },
    {
        **{act: frozenset({to}) for act, to in _LEADS.items()},
        "compute done": frozenset({"frozen", "computed"}),
        # One that its leader has stopped stays so.
        "leave out": frozenset({"computing", "frozen"}),
        "publish done": frozenset({"published"}),
        "close done": frozenset({"closed"}),
    },
    ALWAYS,
    frozenset({"job"}),
)

OFFER = Lifecycle(
    "offer",
    ("shown", "suspended", "host suspended"),
    # Out of sight nothing waits on it: who had applied is answered, released by the suspension, or settled by time.
    frozenset({"suspended", "host suspended"}),
    ("host", "agency", "time"),
    {
        ("shown", "always"): {
            "host": frozenset({"describe", "suspend"}),
            "agency": frozenset({"suspend the host"}),
            "time": frozenset({"suspend the host"}),
        },
        ("suspended", "always"): {"host": frozenset({"describe", "resume"})},
        ("host suspended", "always"): {"host": frozenset({"reinstate"}), "agency": frozenset({"reinstate"})},
    },
    {
        "describe": frozenset({"shown"}),
        "suspend": frozenset({"suspended"}),
        "suspend the host": frozenset({"host suspended"}),
        "resume": frozenset({"shown"}),
        "reinstate": frozenset({"shown"}),
    },
    ALWAYS,
)

REQUEST = Lifecycle(
    "request",
    ("filed", "in a campaign", "ended"),
    frozenset({"ended"}),
    ("seeker", "leader", "time"),
    {
        ("filed", "always"): {"seeker": frozenset({"file", "withdraw"})},
        # A campaign that closes, or is given up, ends the requests of all its pupils.
        ("in a campaign", "always"): {"leader": frozenset({"close", "give up"})},
    },
    {
        "file": frozenset({"filed"}),
        "withdraw": frozenset({"ended"}),
        "close": frozenset({"ended"}),
        "give up": frozenset({"ended"}),
    },
    ALWAYS,
)

ALL = (agreements.LIFECYCLE, APPLICATION, CAMPAIGN, OFFER, REQUEST)
