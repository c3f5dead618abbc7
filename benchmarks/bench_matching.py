"""Deferred acceptance against the package `matching` and OR-Tools' min-cost flow, its growth and its memory.

Every figure is a ratio in one run, or a peak of a process of its own. Run: python benchmarks/bench_matching.py
"""

from __future__ import annotations

import math
import random
import subprocess
import sys
import time
from array import array
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from stage_matching.candidates import expand
from stage_matching.explanations import explain
from stage_matching.frozen import CampaignPolicy, FrozenOffer, FrozenSeeker
from stage_matching.matching import NO_WISH, Instance, deferred_acceptance
from stage_matching.most_served import most_served
from territory import reference

T = TypeVar("T")
WISHES = 10


def drawn(seekers: int, pools: int, reach: int | None = None) -> Instance:
    """A random instance: ten wishes each, seats for nearly everybody, three tiers of priority and one lottery.

    With a reach, a seeker wishes for pools among so many around their own place, as people do.
    """
    rng = random.Random(1)
    first, pool, priority = array("q", [0]), array("i"), array("q")
    place = rng.sample(range(seekers), seekers)
    for seeker in range(seekers):
        near = range(pools)
        if reach is not None and reach < pools:
            start = min(max(0, seeker * pools // seekers - reach // 2), pools - reach)
            near = range(start, start + reach)
        for one in rng.sample(near, WISHES):
            pool.append(one)
            priority.append(rng.randrange(3) * seekers + place[seeker])
        first.append(len(pool))
    capacity = array("i", (max(1, rng.randrange(2 * seekers // pools)) for _ in range(pools)))
    return Instance(first, pool, priority, bytes(len(pool)), capacity)


def timed(work: Callable[[], T], times: int = 1) -> tuple[float, T]:
    """Seconds of the fastest of some runs, and what it gave."""
    best, found = math.inf, None
    for _ in range(times):
        started = time.perf_counter()
        found = work()
        best = min(best, time.perf_counter() - started)
    assert found is not None
    return best, found


def against_matching() -> None:
    """1,000 seekers, 100 offers, ten wishes: the same result, and how much faster."""
    from matching.games import HospitalResident

    one = drawn(1000, 100)
    lists = {s: list(one.pool[one.first[s] : one.first[s + 1]]) for s in range(1000)}
    asked: dict[int, list[tuple[int, int]]] = {p: [] for p in range(100)}
    for seeker in range(1000):
        for wish in range(one.first[seeker], one.first[seeker + 1]):
            asked[one.pool[wish]].append((one.priority[wish], seeker))
    likes = {p: [s for _, s in sorted(own)] for p, own in asked.items()}
    seats = dict(enumerate(one.capacity))
    sys.setrecursionlimit(100_000)  # at the default limit the peer stops with a RecursionError

    def theirs() -> dict[int, int]:
        game = HospitalResident.create_from_dictionaries(lists, likes, seats)
        return {person.name: host.name for host, people in game.solve(optimal="resident").items() for person in people}

    peer, expected = timed(theirs)
    ours, obtained = timed(lambda: deferred_acceptance(one), times=20)
    got = {s: one.pool[w] for s, w in enumerate(obtained) if w != NO_WISH}
    print(
        f"1,000 x 100 x 10   matching {peer * 1e3:.0f} ms, ours {ours * 1e3:.2f} ms: {peer / ours:.0f} x faster; same result: {got == expected}"
    )


def against_flow() -> None:
    """100,000 seekers, 20,000 offers: our time as a share of the flow's, which pursues another aim."""
    one = drawn(100_000, 20_000)
    ours, obtained = timed(lambda: deferred_acceptance(one), times=3)
    flow, most = timed(lambda: most_served(one))
    counts = [sum(w != NO_WISH for w in found) for found in (obtained, most)]
    print(
        f"100,000 x 20,000   flow {flow:.2f} s, ours {ours:.2f} s: {ours / flow:.3f} of its time; served {counts[0]}, at most {counts[1]}"
    )


def growth(reach: int | None, words: str) -> None:
    """Ten wishes each, one offer for ten seekers, from a thousand to a million."""
    sizes, seconds = (10**3, 10**4, 10**5, 10**6), []
    for size in sizes:
        one = drawn(size, size // 10, reach)
        seconds.append(timed(partial(deferred_acceptance, one), times=3)[0])
    steps = ", ".join(f"{size:,} {spent:.4f} s" for size, spent in zip(sizes, seconds, strict=True))
    exponent = math.log(seconds[-1] / seconds[0]) / math.log(sizes[-1] / sizes[0])
    print(f"growth             {words}: {steps}: exponent {exponent:.2f}")


def _solve() -> None:
    deferred_acceptance(drawn(100_000, 20_000))


def _campaign() -> None:
    """Expansion, solution and explanations of 100,000 seekers and 20,000 offers in real communes, ROME families as wishes."""
    rng = random.Random(1)
    communes = sorted(reference.communes())
    weights = [reference.communes()[code].population for code in communes]
    rome = [f"{letter}{n:02d}{m:02d}" for letter in "ABCDEFGHIJKLMN" for n in range(11, 19) for m in (1, 2)]
    offers = [
        FrozenOffer(
            UUID(int=rng.getrandbits(128)),
            code,
            (rng.choice(rome),),
            frozenset({"PUPIL"}),
            14,
            {"2027-W06": rng.randint(1, 8)},
        )
        for code in rng.choices(communes, weights, k=20_000)
    ]
    seekers = [
        FrozenSeeker(
            UUID(int=rng.getrandbits(128)),
            "PUPIL",
            code,
            30,
            ("2027-W06",),
            tuple(one[:3] for one in rng.sample(rome, WISHES)),
            14,
        )
        for code in rng.choices(communes, weights, k=100_000)
    ]
    policy = CampaignPolicy(WISHES, 10, (10, 30), {"M18": "FEMALE"})
    started = time.perf_counter()
    found = expand(offers, seekers, policy, "seed")
    expanded = time.perf_counter()
    obtained = deferred_acceptance(found.instance)
    solved = time.perf_counter()
    told = sum(1 for own in explain(found, obtained, [WISHES] * len(seekers)) if own)
    print(
        f"campaign           100,000 x 20,000, {len(found.instance.pool):,} candidate pairs: expansion {expanded - started:.1f} s, "
        f"solution {solved - expanded:.2f} s, {told:,} explanations {time.perf_counter() - solved:.1f} s"
    )


def peak_megabytes() -> int:
    """Peak of resident memory of this process since it began its program; a fork's inheritance does not count."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) // 1024


if __name__ == "__main__":
    if len(sys.argv) > 1:
        {"solve": _solve, "campaign": _campaign}[sys.argv[1]]()
        print(f"memory             {sys.argv[1]}: peak {peak_megabytes()} MB, interpreter and instance included")
    else:
        against_matching()
        against_flow()
        growth(100, "wishes near home")
        growth(None, "wishes anywhere")
        for part in ("solve", "campaign"):
            subprocess.run([sys.executable, __file__, part], check=True)
