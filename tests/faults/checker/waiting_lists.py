"""What the invariants of services with waiting lists have in common: who has which seats by the log and by the table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.faults.checker.judged import disagreements, first_occurrences, stamped
from tests.faults.checker.log import Record
from tests.faults.checker.world import Row, World

_COUNTED = ("registered", "offered", "waiting")
# Registration to where it stands and its seats; before them its holder, where messages name one.
Live = dict[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Lists:
    """Where a service keeps its lists, and which messages tell of them."""

    service: str
    topic: str
    # Whose rows have the seats, and the column that names one.
    table: str
    key: str
    # What tells the seats of a list; what puts somebody in which state; what changes or ends one registration, ends all,
    # or says who came.
    described: str
    states: Mapping[str, str]
    resized: str
    left: str
    emptied: Collection[str]
    checked_in: str
    # Columns of a registration: among those that are alike in them, a holder is there once.
    once_in: Sequence[str]
    # The field that names a registration's holder.
    holder: str | None = None

    def lives(self, records: Iterable[Record]) -> Iterator[tuple[Record, Live, Live, int]]:
        """After each message of a list: the message, who is what there before it and after it, and the list's seats."""
        known: dict[str, Live] = defaultdict(dict)
        capacity: dict[str, int] = {}
        for record in records:
            fields, key = record.fields or {}, record.key_text
            before = dict(known[key])
            mine, one = known[key], str(fields.get("registration_id"))
            if record.name == self.described:
                capacity[key] = fields["capacity_count"] or 0
            elif record.name in self.states:
                who = (str(fields[self.holder]),) if self.holder is not None else ()
                mine[one] = *who, self.states[record.name], fields["seat_count"]
            elif record.name == self.resized:
                mine[one] = *mine[one][:-1], fields["seat_count"]
            elif record.name == self.left:
                mine.pop(one, None)
            elif record.name in self.emptied:
                mine.clear()
            yield record, before, mine, capacity.get(key, 0)

    def wrong_counts(self, records: Iterable[Record]) -> Iterator[str]:
        """More seats taken than there are at some version; counts that are not the sums."""
        for record, _, mine, capacity in self.lives(records):
            sums = Counter[str]()
            for *_, state, seats in mine.values():
                sums[state] += seats
            if sums["registered"] + sums["offered"] > capacity:
                yield f"{record.key_text} v{record.version}: {sums['registered'] + sums['offered']} of {capacity} seats are taken"
            fields = record.fields or {}
            if "registered_count" in fields:
                told = tuple(fields[f"{name}_count"] for name in _COUNTED)
                if told != tuple(sums[name] for name in _COUNTED):
                    yield f"{record.key_text} v{record.version} tells {told}, the sums are {[sums[name] for name in _COUNTED]}"

    def wrong_rows(self, world: World) -> Iterator[str]:
        """Lists that have more seats taken than there are, or count others than their registrations have."""
        taken: Counter[str] = Counter()
        for row in world.databases[self.service]["registration"]:
            if row["state"] in ("registered", "offered", "attended", "absent"):
                taken[str(row[self.key])] += row["seat_count"]
        for row in world.databases[self.service][self.table]:
            key = str(row[self.key])
            if taken[key] != row["taken_count"] or taken[key] > (row["capacity_count"] or 0):
                yield f"table: {key} has {row['taken_count']} taken, its rows have {taken[key]} of {row['capacity_count']}"

    def in_log(self, records: Iterable[Record]) -> Live:
        """Every live registration at the end of the log."""
        last = {record.key_text: mine for record, _, mine, _ in self.lives(records)}
        return {one: facts for mine in last.values() for one, facts in mine.items()}

    def in_table(self, rows: Iterable[Row]) -> Live:
        """The same from the table."""
        return {
            str(row["registration_id"]): (
                *((str(row["holder_id"]),) if self.holder is not None else ()),
                "registered" if row["state"] in ("attended", "absent") else row["state"],
                row["seat_count"],
            )
            for row in rows
            if row["state"] != "ended"
        }

    def table_and_log_disagree(self, world: World) -> Iterator[str]:
        """Live registrations that are not where, and what, the log tells."""
        table = self.in_table(world.databases[self.service]["registration"])
        yield from disagreements("registration", table, self.in_log(first_occurrences(world, self.topic)))

    def twice(self, world: World) -> Iterator[str]:
        """Who is there more than once, and who holds more than one pending offer."""
        places: Counter[tuple[str, ...]] = Counter()
        offers: Counter[str] = Counter()
        for row in world.databases[self.service]["registration"]:
            if row["state"] != "ended":
                places[*(str(row[name]) for name in self.once_in), str(row["holder_id"])] += 1
            offers[str(row["holder_id"])] += row["state"] == "offered"
        yield from (f"{place[-1]} is {n} times in {place[-2]}" for place, n in places.items() if n > 1)
        yield from (f"{holder} holds {n} offers" for holder, n in offers.items() if n > 1)

    def folded(self, row: Row, record: Record) -> Row:
        """A list's row in the read model after one more message: counts, pending offers, who came, and where it was told."""
        fields, name = record.fields or {}, record.name
        now: Row = {f"{n}_count": fields[f"{n}_count"] for n in _COUNTED if f"{n}_count" in fields}
        offers, one = dict(row["offers"]), str(fields.get("registration_id"))
        if name == self.checked_in:
            now["attended_count"] = fields["attended_count"]
        else:
            offers.pop(one, None)
        if self.states.get(name) == "offered":
            offers[one] = {"seats": fields["seat_count"], "until": fields["expires_at"].isoformat()}
        elif name in self.emptied:
            offers = {}
            now |= {f"{n}_count": 0 for n in _COUNTED}
        if name == self.described or name in self.emptied:
            now |= {"described_at": fields["occurred_at"], "described_version": record.version}
        return row | now | {"offers": offers} | stamped(record)
