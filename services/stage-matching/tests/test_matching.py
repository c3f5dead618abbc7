"""The official result: stable, best for seekers, strategy-proof, the same whatever the order; and its alternative."""

from __future__ import annotations

import random
import sys
from array import array
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matching.games import HospitalResident

from small_campaigns import drawn, every_stable_result, instance, is_stable, pools_of
from stage_matching.matching import NO_WISH, Instance, deferred_acceptance, lottery
from stage_matching.most_served import most_served

_rngs = st.integers(0, 2**32).map(random.Random)


@given(_rngs)
@settings(max_examples=400)
def test_the_result_is_stable(rng: random.Random) -> None:
    """With incomplete lists, capacities and overlapping reserves."""
    one = drawn(rng, rng.randint(1, 9), rng.randint(1, 5))
    assert is_stable(one, deferred_acceptance(one))


@given(_rngs)
@settings(max_examples=60)
def test_every_seeker_gets_the_best_that_any_stable_result_gives_them(rng: random.Random) -> None:
    """Against exhaustive search over all results; a result with one seeker worse off would be found."""
    one = drawn(rng, rng.randint(1, 5), rng.randint(1, 3))
    ours, stable = deferred_acceptance(one), every_stable_result(one)
    assert tuple(ours) in stable
    for other in stable:
        for got, elsewhere in zip(ours, other, strict=True):
            assert elsewhere == NO_WISH or (got != NO_WISH and got <= elsewhere)


@given(_rngs)
@settings(max_examples=60)
def test_nobody_gains_by_another_list_than_the_true_one(rng: random.Random) -> None:
    """By brute force: every order and every shortening of one seeker's list."""
    one = drawn(rng, rng.randint(2, 6), rng.randint(1, 4))
    cheat = rng.randrange(one.seeker_count)
    start, end = one.first[cheat], one.first[cheat + 1]
    truth = list(one.pool[start:end])
    honest = pools_of(one, deferred_acceptance(one))[cheat]
    rank = {pool: place for place, pool in enumerate(truth)} | {NO_WISH: len(truth)}
    for length in range(len(truth) + 1):
        for order in permutations(range(start, end), length):
            kept = [*range(start), *order, *range(end, len(one.pool))]
            shorter = end - start - length
            told = Instance(
                array("q", [f if n <= cheat else f - shorter for n, f in enumerate(one.first)]),
                array("i", [one.pool[w] for w in kept]),
                array("q", [one.priority[w] for w in kept]),
                bytes(one.categories[w] for w in kept),
                one.capacity,
                one.reserves,
            )
            assert rank[pools_of(told, deferred_acceptance(told))[cheat]] >= rank[honest]


@given(_rngs)
@settings(max_examples=200)
def test_the_order_of_the_seekers_changes_nothing(rng: random.Random) -> None:
    """The same people listed in another order get the same seats."""
    one = drawn(rng, rng.randint(2, 9), rng.randint(1, 5))
    order = rng.sample(range(one.seeker_count), one.seeker_count)
    wishes = [w for s in order for w in range(one.first[s], one.first[s + 1])]
    first = array("q", [0])
    for s in order:
        first.append(first[-1] + one.first[s + 1] - one.first[s])
    other = Instance(
        first,
        array("i", [one.pool[w] for w in wishes]),
        array("q", [one.priority[w] for w in wishes]),
        bytes(one.categories[w] for w in wishes),
        one.capacity,
        one.reserves,
    )
    ours, theirs = pools_of(one, deferred_acceptance(one)), pools_of(other, deferred_acceptance(other))
    assert theirs == [ours[s] for s in order]


@given(_rngs)
@settings(max_examples=60)
def test_it_agrees_with_the_package_matching(rng: random.Random) -> None:
    """Wherever both apply: no reserves, at least one seat, hosts that rank exactly those who wish for them."""
    seekers, pools = rng.randint(2, 12), rng.randint(1, 5)
    lists = [rng.sample(range(pools), rng.randint(1, pools)) for _ in range(seekers)]
    likes = [rng.sample(range(seekers), seekers) for _ in range(pools)]
    capacity = [rng.randint(1, 4) for _ in range(pools)]
    wished = {p: [s for s in likes[p] if p in lists[s]] for p in range(pools) if any(p in own for own in lists)}
    if len(wished) < pools:
        return
    game = HospitalResident.create_from_dictionaries(dict(enumerate(lists)), wished, dict(enumerate(capacity)))
    theirs = [NO_WISH] * seekers
    for host, people in game.solve(optimal="resident").items():
        for person in people:
            theirs[person.name] = host.name
    one = instance(lists, likes, capacity)
    assert pools_of(one, deferred_acceptance(one)) == theirs


def test_a_reserved_seat_goes_to_its_category_and_to_others_when_nobody_asks() -> None:
    """Two seats, one reserved; the reserved one opens when no member wishes for it."""
    for bits, expected in (([0, 0, 1], [0, NO_WISH, 0]), ([0, 0, 0], [0, 0, NO_WISH]), ([1, 0, 0], [0, 0, NO_WISH])):
        one = instance([[0], [0], [0]], [[0, 1, 2]], [2], {0: ((1, 1),)}, bits)
        assert pools_of(one, deferred_acceptance(one)) == expected


def test_whoever_counts_in_two_categories_takes_one_seat() -> None:
    """A member of both takes the first category's seat; the second stays for another member."""
    one = instance([[0], [0], [0]], [[0, 1, 2]], [2], {0: ((1, 1), (2, 1))}, [3, 0, 2])
    assert pools_of(one, deferred_acceptance(one)) == [0, NO_WISH, 0]


def test_no_long_chain_overflows() -> None:
    """The last newcomer pushes everybody one pool further: the peer's recursion stops at a thousand."""
    count = sys.getrecursionlimit() * 3
    lists = [*([n, n + 1] for n in range(count)), [0]]
    first, pool, priority = array("q", [0]), array("i"), array("q")
    for seeker, wishes in enumerate(lists):
        pool.extend(wishes)
        priority.extend([(seeker + 1) % len(lists)] * len(wishes))
        first.append(len(pool))
    chain = Instance(first, pool, priority, bytes(len(pool)), [1] * (count + 1))
    assert pools_of(chain, deferred_acceptance(chain)) == [*range(1, count + 1), 0]


@given(_rngs)
@settings(max_examples=60)
def test_the_alternative_serves_the_most_that_can_be(rng: random.Random) -> None:
    """Against a search by augmenting paths; never less than the official result, never over capacity."""
    one = drawn(rng, rng.randint(1, 9), rng.randint(1, 5), reserved=False)
    flow, official = most_served(one), deferred_acceptance(one)
    used = [sum(1 for w in flow if w != NO_WISH and one.pool[w] == p) for p in range(len(one.capacity))]
    assert all(used[p] <= one.capacity[p] for p in range(len(used)))
    assert all(w == NO_WISH or one.first[s] <= w < one.first[s + 1] for s, w in enumerate(flow))
    served = sum(w != NO_WISH for w in flow)
    assert served == _most_by_augmenting_paths(one) >= sum(w != NO_WISH for w in official)


def _most_by_augmenting_paths(one: Instance) -> int:
    has: list[list[int]] = [[] for _ in one.capacity]

    def seat(seeker: int, seen: set[int]) -> bool:
        for pool in one.pool[one.first[seeker] : one.first[seeker + 1]]:
            if pool in seen:
                continue
            seen.add(pool)
            if len(has[pool]) < one.capacity[pool]:
                has[pool].append(seeker)
                return True
            for other in list(has[pool]):
                if seat(other, seen):
                    has[pool].remove(other)
                    has[pool].append(seeker)
                    return True
        return False

    return sum(seat(seeker, set()) for seeker in range(one.seeker_count))


def test_the_lottery_can_be_drawn_again_by_anyone() -> None:
    """Places are those of `sha256sum` of "seed:key"; another seed gives another order; who else is listed only shifts them."""
    keys = [f"seeker-{n}" for n in range(50)]
    drawn_once, other = lottery("a seed", keys), lottery("another seed", keys)
    assert sorted(drawn_once.values()) == list(range(50)) and drawn_once != other
    assert drawn_once == lottery("a seed", reversed(keys))
    fewer = lottery("a seed", keys[:20])
    assert sorted(fewer, key=lambda k: fewer[k]) == sorted(keys[:20], key=lambda k: drawn_once[k])


def test_a_run_can_be_stopped() -> None:
    """What the listener raises ends the run."""

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deferred_acceptance(drawn(random.Random(1), 5, 3), stop)
