"""Small lakes of cases, drawn: a history of reports, corrections, withdrawals and steps, as messages and as the files of a lake."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from common import contracts
from common.terminal import SCHEMAS
from dropout_observatory.indicators.catalogue import MONTHS
from dropout_observatory.lake.columns import Dataset, datasets
from dropout_observatory.lake.files import MANIFEST, Folder, Part, manifest_of, parts_of
from dropout_observatory.words import ACCOMPANIERS, BANDS, FACTORS, LEVELS, OUTCOMES, PRESENCES, SCHOOL_KINDS
from territory import reference
from territory.months import months_after

_NAMESPACE = "estuaire.dropout_observatory"
_EPOCH, _EPOCH_DAY = datetime(1970, 1, 1, tzinfo=UTC), date(1970, 1, 1)


@dataclass
class History:
    """Messages of cases in the order in which they were told: the record's name and its fields, instants as such."""

    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    told_by: dict[UUID, str] = field(default_factory=dict)


def drawn(
    rng: random.Random, cases: int, first_year: int, years: int, *, organisations: int = 300, withdrawn: float = 0.03
) -> History:
    """So many cases in each school year, in communes by their population, with what happened to each until two years later."""
    communes = list(reference.communes().values())
    weights = [one.population for one in communes]
    # Schools tell of the department that they are in, platforms of a share of everything.
    tellers = {code: [f"school-{code}-{n}" for n in range(organisations // 5)] for code in reference.departments()}
    sizes = [1 / (1 + n) ** 0.5 for n in range(organisations // 5)]
    history, numbers = History(), count(1)
    for begins in range(first_year, first_year + years):
        for _ in range(cases):
            home = rng.choices(communes, weights)[0]
            code = home.department_code
            teller = f"psad-{code}" if rng.random() < 0.2 else rng.choices(tellers[code], sizes)[0]
            case_id = UUID(int=rng.getrandbits(128), version=4)
            history.told_by[case_id] = teller
            history.messages += _case(rng, case_id, home, begins, numbers, withdrawn)
    history.messages.sort(key=lambda one: one[1]["occurred_at"])
    return history


_BY_MONTH = (10, 14, 12, 8, 10, 9, 9, 6, 6, 8, 4, 4)


def _case(
    rng: random.Random, case_id: UUID, home: reference.Commune, begins: int, numbers: Iterator[int], withdrawn: float
) -> Iterator[tuple[str, dict[str, Any]]]:
    left = months_after(date(begins, 9, 1), rng.choices(range(len(MONTHS)), _BY_MONTH)[0])
    told_at = datetime(left.year, left.month, 1, 7, tzinfo=UTC) + timedelta(
        days=rng.randint(3, 75), seconds=rng.randint(0, 40_000)
    )
    version = count(1)

    def message(name: str, at: datetime, **fields: Any) -> tuple[str, dict[str, Any]]:
        identity = {
            "event_id": str(UUID(int=next(numbers) << 64 | rng.getrandbits(62))),
            "occurred_at": at,
            "aggregate_id": str(case_id),
            "aggregate_version": next(version),
            "correlation_id": str(case_id),
            "causation_id": None,
        }
        return name, identity | fields

    facts = {
        "left_month": left,
        "level_left": rng.choices(list(LEVELS), (1, 4, 5, 2, 1))[0],
        "school_kind": rng.choice(list(SCHOOL_KINDS)),
        "school_uai": None,
        "age_band": rng.choice(list(BANDS)),
        "commune_code": home.code,
        "epci_siren": home.epci_siren,
        "department_code": home.department_code,
        "geography_year": reference.GEOGRAPHY_YEAR,
        "factors": sorted(rng.sample(list(FACTORS), rng.choices((1, 2, 3), (5, 3, 1))[0]), key=list(FACTORS).index),
    }
    yield message("CaseReported", told_at, source="REFERENT", way="API", facts=facts)
    at, steps = told_at, _steps(rng, told_at)
    for number in range(1, len(steps) + 1):
        happened = datetime.combine(steps[number - 1]["happened_on"], datetime.min.time(), UTC)
        at = max(at, happened) + timedelta(days=rng.choice((0, 0, 1, 5, 20)), seconds=rng.randint(1, 40_000))
        yield message("CaseFollowed", at, steps=steps[:number])
    if rng.random() < 0.08:
        at += timedelta(days=rng.randint(1, 60))
        yield message("CaseCorrected", at, facts=facts | {"level_left": rng.choice(list(LEVELS))})
    if rng.random() < withdrawn:
        at += timedelta(days=rng.randint(1, 40))
        yield message("CaseWithdrawn", at, reason="MISTAKE", duplicate_of=None)
        if rng.random() < 0.2:
            yield message("CaseCorrected", at + timedelta(days=rng.randint(1, 9)), facts=facts)


def _steps(rng: random.Random, told_at: datetime) -> list[dict[str, Any]]:
    """A way back: each step with a chance, the later ones only after those before."""
    day, steps = told_at.date(), []

    def step(kind: str, days: int, **said: Any) -> None:
        nonlocal day
        day += timedelta(days=days)
        plain = {"accompanier": None, "presence": None, "outcome": None}
        source = "PROFESSIONAL" if rng.random() < 0.7 else "SEAT_HOLD"
        identity = {"step_id": str(UUID(int=rng.getrandbits(128), version=4))}
        steps.append(identity | {"kind": kind, "happened_on": day, "source": source} | plain | said)

    if rng.random() < 0.7:
        step("ACCOMPANIED", rng.randint(0, 40), accompanier=rng.choice(list(ACCOMPANIERS)))
    if rng.random() < 0.6:
        step("OFFERED", int(rng.expovariate(1 / 45)))
        if rng.random() < 0.7:
            step("ADMITTED", rng.randint(1, 40))
            for kind, days in (("CHECKED_AT_3_MONTHS", 92), ("CHECKED_AT_6_MONTHS", 91)):
                if rng.random() < 0.7:
                    step(kind, days, presence=rng.choices(list(PRESENCES), (5, 2, 2))[0])
    if rng.random() < 0.4:
        step("ENDED", rng.randint(10, 120), outcome=rng.choice(list(OUTCOMES)))
    return steps


# -- as files


def case_datasets() -> dict[str, Dataset]:
    """The records of cases, by full name."""
    known = datasets(contracts.load(SCHEMAS))
    return {name: dataset for name, dataset in known.items() if name.startswith(_NAMESPACE)}


def written(folder: Folder, messages: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """The files of a lake that has these messages, in one partition, and its manifest."""
    by_name = {dataset.name: dataset for dataset in case_datasets().values()}
    parts: list[Part] = []
    for name, dataset in by_name.items():
        own = [(offset, fields) for offset, (its, fields) in enumerate(messages) if its == name]
        if own:
            places = [(dataset.topic.name, 0, offset) for offset, _ in own]
            for part, data in parts_of(dataset, dataset.table(places, [_plain(fields) for _, fields in own])):
                folder.write(part.path, data)
                parts.append(part)
    folder.replace(MANIFEST, manifest_of(parts, [], by_name))


def _plain(value: Any) -> Any:
    """As the lake's codec decodes: days since 1970, microseconds since then."""
    if isinstance(value, datetime):
        return (value - _EPOCH) // timedelta(microseconds=1)
    if isinstance(value, date):
        return (value - _EPOCH_DAY).days
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value
