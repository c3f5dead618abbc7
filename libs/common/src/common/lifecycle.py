"""The life of an aggregate as a table: in each state and phase, which role may do what. It finds the states without a way out.

Pure: a service declares its table beside its rules, tests them against it by generation, and writes it into its README.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

# One column for what has no dates of its own.
ALWAYS = ("always",)
BEFORE, DURING, AFTER = "before", "during", "after"
PHASES = (BEFORE, DURING, AFTER)


@dataclass(frozen=True)
class Lifecycle:
    """Which acts a role may do in a state and phase; what is not in `acts` is refused. `leads` tells where an act may lead."""

    name: str
    states: tuple[str, ...]
    final: frozenset[str]
    roles: tuple[str, ...]
    acts: Mapping[tuple[str, str], Mapping[str, frozenset[str]]]
    leads: Mapping[str, frozenset[str]]
    phases: tuple[str, ...] = PHASES
    # Roles that act by themselves, sooner or later: time, a job.
    machines: frozenset[str] = frozenset({"time"})

    def may(self, state: str, role: str, phase: str) -> frozenset[str]:
        """What a role may do."""
        return self.acts.get((state, phase), {}).get(role, frozenset())

    def cells(self) -> list[tuple[str, str, str]]:
        """Every (state, role, phase), to test by generation."""
        return list(product(self.states, self.roles, self.phases))

    def exits(self, state: str, phase: str) -> frozenset[tuple[str, str]]:
        """(role, act) of every act that ends a state, by itself or with what a machine does after it."""
        return frozenset(
            (role, act)
            for role in self.roles
            for act in self.may(state, role, phase)
            if self._ends(role, act, phase, ())
        )

    def _ends(self, role: str, act: str, phase: str, seen: tuple[str, ...]) -> bool:
        if self.leads[act] & self.final:
            return True
        for state in self.leads[act] - set(seen):
            # A machine leads on by itself; after a person's act only a machine may have to follow.
            followers = self.roles if role in self.machines else self.machines
            if any(
                self._ends(other, each, phase, (*seen, state))
                for other in followers
                for each in self.may(state, other, phase)
            ):
                return True
        return False

    def stuck(self) -> list[tuple[str, str]]:
        """(state, phase) of every state that is not final and that nobody can end in that phase."""
        live = [state for state in self.states if state not in self.final]
        return [(state, phase) for state, phase in product(live, self.phases) if not self.exits(state, phase)]

    def problems(self) -> list[str]:
        """What is wrong with the table: unknown names, states without a way out."""
        found = [f"{state}, {phase}: nobody can end it" for state, phase in self.stuck()]
        for (state, phase), by_role in self.acts.items():
            if state not in self.states or phase not in self.phases or not set(by_role) <= set(self.roles):
                found.append(f"{state}, {phase}: unknown state, phase or role")
            acts = frozenset().union(*by_role.values())
            found += [f"{state}, {phase}: unknown act {act}" for act in sorted(acts - set(self.leads))]
        return found

    def table(self) -> str:
        """As Markdown, for a README: a line for each state and phase in which anything is left to do; then the count."""
        lines = [
            f"| {self.name} | phase | {' | '.join(self.roles)} |",
            "|---" * (len(self.roles) + 2) + "|",
        ]
        for state, phase in product(self.states, self.phases):
            if state in self.final and not self.acts.get((state, phase)):
                continue
            cells = [
                ", ".join(
                    f"**{act}**" if (role, act) in self.exits(state, phase) else act
                    for act in sorted(self.may(state, role, phase))
                )
                for role in self.roles
            ]
            lines.append(f"| {state} | {phase} | {' | '.join(cell or '–' for cell in cells)} |")
        count = len(self.cells())
        allowed = sum(len(self.may(*cell)) for cell in self.cells())
        final = ", ".join(sorted(self.final)) or "none"
        lines.append("")
        lines.append(
            f"{self.name}: {len(self.states)} states × {len(self.roles)} roles × {len(self.phases)} phases = {count} cells, "
            f"{allowed} acts allowed, {len(self.stuck())} stuck. Final: {final}. Bold: ends it."
        )
        return "\n".join(lines)


def written(before: str, tables: str) -> str:
    """A README with what stands between its markers replaced by the tables; `ValueError` when it has no markers."""
    start, end = "<!-- lifecycles -->", "<!-- /lifecycles -->"
    head, found, rest = before.partition(start)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no {start} … {end}")
    return f"{head}{start}\n{tables}\n{end}{tail}"


# Runs the rules on a fresh aggregate in a state, at an instant of a phase: the state that follows, or None when they refuse.
Attempt = Callable[[str, str], str | None]


def observed(
    name: str,
    states: Sequence[str],
    final: Collection[str],
    attempts: Mapping[tuple[str, str], Attempt],
    *,
    phases: Sequence[str] = PHASES,
    machines: Collection[str] = ("time",),
) -> Lifecycle:
    """The table that rules turn out to have when every act of every role is tried in every state and phase."""
    acts: dict[tuple[str, str], dict[str, frozenset[str]]] = {}
    leads: dict[str, frozenset[str]] = {act: frozenset() for _, act in attempts}
    for (role, act), state, phase in product(attempts, states, phases):
        if (after := attempts[role, act](state, phase)) is not None:
            cell = acts.setdefault((state, phase), {})
            cell[role] = cell.get(role, frozenset()) | {act}
            leads[act] |= {after}
    roles = tuple(dict.fromkeys(role for role, _ in attempts))
    return Lifecycle(name, tuple(states), frozenset(final), roles, acts, leads, tuple(phases), frozenset(machines))
