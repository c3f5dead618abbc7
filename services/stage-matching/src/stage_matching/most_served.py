"""The alternative shown beside the official result: as many seekers served as can be, then the best wishes.

It ignores reserves and priorities, and is neither stable nor strategy-proof; its page says so. OR-Tools min-cost flow.
"""

from __future__ import annotations

from array import array

import numpy as np

from stage_matching.matching import NO_WISH, Instance


def most_served(instance: Instance) -> array[int]:
    """The wish that each seeker obtains, as `deferred_acceptance` says it: the most seekers, at the least sum of ranks.

    Raises `RuntimeError` when the solver finds no optimum, which no instance should cause.
    """
    # 25 MB and half a second: only the job that computes a campaign pays for it.
    from ortools.graph.python.min_cost_flow import SimpleMinCostFlow

    first = np.asarray(instance.first, dtype=np.int64)
    pools = np.asarray(instance.pool, dtype=np.int64)
    seekers, pool_count = instance.seeker_count, len(instance.capacity)
    obtained = array("q", [NO_WISH]) * seekers
    if not len(pools):
        return obtained
    wishes = np.diff(first)
    of_seeker = np.repeat(np.arange(seekers), wishes)
    rank = np.arange(len(pools)) - np.repeat(first[:-1], wishes)
    # Being served weighs more than every rank of everybody together cannot: one seeker more may cost each a worse wish.
    unserved = (int(wishes.max()) + 1) * 2 * (seekers + 1)
    source, sink = seekers + pool_count, seekers + pool_count + 1
    capacity = np.asarray(instance.capacity, dtype=np.int64)
    flow = SimpleMinCostFlow()
    chosen = flow.add_arcs_with_capacity_and_unit_cost(
        of_seeker, seekers + pools, np.ones(len(pools), dtype=np.int64), rank
    )
    everyone = np.arange(seekers)
    flow.add_arcs_with_capacity_and_unit_cost(
        np.full(seekers, source), everyone, np.ones(seekers, dtype=np.int64), np.zeros(seekers, dtype=np.int64)
    )
    flow.add_arcs_with_capacity_and_unit_cost(
        everyone, np.full(seekers, sink), np.ones(seekers, dtype=np.int64), np.full(seekers, unserved)
    )
    flow.add_arcs_with_capacity_and_unit_cost(
        seekers + np.arange(pool_count), np.full(pool_count, sink), capacity, np.zeros(pool_count, dtype=np.int64)
    )
    flow.set_node_supply(source, seekers)
    flow.set_node_supply(sink, -seekers)
    status = flow.solve()
    if status != flow.OPTIMAL:
        raise RuntimeError(f"min-cost flow ended with status {status}")
    for wish in np.flatnonzero(flow.flows(chosen)):
        obtained[int(of_seeker[wish])] = int(wish)
    return obtained
