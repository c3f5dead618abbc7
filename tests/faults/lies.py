"""What the tests of every service's checker share: a lie in a world that was true, and the invariants that find it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

from tests.faults.checker.__main__ import INVARIANTS
from tests.faults.checker.world import World


def planted(world: World, lie: Callable[[World], object]) -> World:
    """A copy of a world in which something is not so."""
    other = deepcopy(world)
    lie(other)
    return other


def violated(world: World, service: str) -> set[str]:
    """The invariants of a service, by the letter that their names begin with, that found something."""
    return {name for name, invariant in INVARIANTS.items() if name[0] == service and list(invariant(world))}
