"""Small lakes, drawn: cases with corrections, withdrawals and steps, seats, internships and groups, as messages and as the files of a lake."""

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

# What indicators count from.
_NAMESPACES = ("dropout_observatory", "remediation_seats", "stage_matching", "events")
_EPOCH, _EPOCH_DAY = datetime(1970, 1, 1, tzinfo=UTC), date(1970, 1, 1)


@dataclass
class History:
    """Messages in the order in which they were told: the record's name and its fields, instants as such; and who told of each case."""

    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    told_by: dict[UUID, str] = field(default_factory=dict)


def drawn(
    rng: random.Random, cases: int, first_year: int, years: int, *, organisations: int = 300, withdrawn: float = 0.03
) -> History:
    """So many cases in each school year, in communes by their population, with what happened to each until two years later.

    In proportion to them seats, pupils with an internship and groups of schools.
    """
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
    for begins in range(first_year, first_year + years):
        history.messages += [*_internships(rng, begins, cases), *_groups(rng, begins, cases)]
    history.messages += _seats(rng, first_year, years, cases)
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


# -- what the other services told


class _Log:
    """The messages of one aggregate, numbered."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.version = rng, count(1)
        self.aggregate_id = _identity(rng)

    def told(self, name: str, at: datetime, **fields: Any) -> tuple[str, dict[str, Any]]:
        """The next one."""
        identity = {
            "event_id": _identity(self.rng),
            "occurred_at": at,
            "aggregate_id": self.aggregate_id,
            "aggregate_version": next(self.version),
            "correlation_id": self.aggregate_id,
            "causation_id": None,
        }
        return name, identity | fields


def _identity(rng: random.Random) -> str:
    return str(UUID(int=rng.getrandbits(128), version=4))


def _school(rng: random.Random) -> reference.School:
    """A collège, of priority education more often than they are, so that both kinds are in small lakes."""
    wanted = rng.random() < 0.5
    return rng.choice([one for one in reference.schools() if one.priority_education is wanted])


def _moments(rng: random.Random, begins: datetime, days: int, number: int) -> list[datetime]:
    """So many instants in so many days, in order."""
    return sorted(begins + timedelta(seconds=second) for second in rng.sample(range(days * 86_400), number))


def _seats(rng: random.Random, first_year: int, years: int, cases: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Structures with a programme each: declared often or hardly ever, held, moved, closed."""
    communes = list(reference.communes().values())
    weights = [one.population for one in communes]
    for _ in range(6 + cases // 20):
        structure, programme, start = _Log(rng), _Log(rng), datetime(first_year, 9, 1, 6, tzinfo=UTC)
        moments = _moments(rng, start, 365 * years, rng.choice((4, 12, 30)) * years)
        for at in [moments[0] - timedelta(hours=1)] + [one for one in moments if rng.random() < 0.03]:
            home = rng.choices(communes, weights)[0]
            yield structure.told(
                "StructureDescribed", at, structure_name="Atelier", kind="E2C", commune_code=home.code, fictitious=True
            )
        seats = _counts(0, 0, 0, None)
        for number, at in enumerate(moments):
            if number == 0 or rng.random() < 0.05:
                described: dict[str, Any] = {
                    "structure_id": structure.aggregate_id,
                    "title": "Atelier",
                    "rome_codes": [],
                    "rncp_code": None,
                    "age_min": 16,
                    "age_max": 25,
                    "level_min": "NO_DIPLOMA",
                    "boarding": False,
                    "wheelchair_accessible": True,
                    "intake_on": None,
                    "open": number == 0 or rng.random() < 0.6,
                }
                yield programme.told("ProgrammeDescribed", at, **described, seats=seats)
            elif seats["observed_at"] is None or rng.random() < 0.7:
                total = rng.randint(5, 30)
                seats = _counts(total, rng.randint(0, total), 0, at - timedelta(minutes=rng.randint(0, 600)))
                yield programme.told("SeatsDeclared", at, way="PAGE", sequence=None, source="PERSON", seats=seats)
            elif seats["free_count"]:
                seats = _counts(
                    seats["total_count"], seats["taken_count"], seats["held_count"] + 1, seats["observed_at"]
                )
                hold = {"hold_id": _identity(rng), "young_person_id": _identity(rng)}
                yield programme.told("SeatHeld", at, **hold, expires_at=at + timedelta(days=3), seats=seats)


def _counts(total: int, taken: int, held: int, observed_at: datetime | None) -> dict[str, Any]:
    return {
        "total_count": total,
        "taken_count": taken,
        "admitted_count": 0,
        "held_count": held,
        "free_count": max(0, total - taken - held),
        "excess_count": 0,
        "observed_at": observed_at,
    }


def _internships(rng: random.Random, begins: int, cases: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Internships confirmed in campaigns of schools, of a territory, and without any; some of them cancelled."""
    start = datetime(begins, 9, 20, 8, tzinfo=UTC)
    for number in range(4 + cases // 20):
        school = _school(rng)
        campaign, offer = _Log(rng), _Log(rng)
        direct, of_school = number % 5 == 1, number % 5 != 2
        if not direct:
            scope, uai = ("SCHOOL", school.uai) if of_school else ("TERRITORY", None)
            yield campaign.told("CampaignOpened", start, scope=scope, uai=uai, seed_sha256="0" * 64)
        for at in _moments(rng, start + timedelta(days=1), 200, rng.randint(3, 25)):
            seeker: dict[str, Any] = {"application_id": _identity(rng), "seeker_id": _identity(rng), "origin": "DIRECT"}
            seeker |= {"campaign_id": None} if direct else {"campaign_id": campaign.aggregate_id, "origin": "CAMPAIGN"}
            # The week may be of the school year that follows.
            year, week, _ = (at + timedelta(days=rng.choice((20, 60, 180)))).isocalendar()
            yield offer.told("ApplicationConfirmed", at, **seeker, iso_weeks=[f"{year}-W{week:02}"], weeks=[])
            if rng.random() < 0.15:
                ended: dict[str, Any] = {
                    "reason": "AGREEMENT_CANCELLED",
                    "refusal_reason": None,
                    "seat_freed": True,
                    "weeks": [],
                }
                yield offer.told("ApplicationEnded", at + timedelta(seconds=30), **seeker, **ended)


def _groups(rng: random.Random, begins: int, cases: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Events of two sessions: groups of schools in one or both of them and individuals; resized, given up, lost, cancelled."""
    counts = {"registered_count": 0, "offered_count": 0, "waiting_count": 0}
    for _ in range(4 + cases // 25):
        start = datetime(begins, 9, 10, 8, tzinfo=UTC) + timedelta(days=rng.randint(0, 250))
        sessions = [_Log(rng), _Log(rng)]
        for session in sessions:
            described: dict[str, Any] = {
                "for_event_id": _identity(rng),
                "title": "Forum",
                "purpose": "ARRIVAL",
                "hall": None,
            }
            described |= {"starts_at": start + timedelta(days=60), "ends_at": start + timedelta(days=60, hours=2)}
            described |= {"admission": "EVERYONE", "capacity_count": 500, "allocation": "FIRST_COME", "open": True}
            yield session.told("SessionDescribed", start, **described, **counts)
        made: dict[str, list[str]] = {session.aggregate_id: [] for session in sessions}
        for at in _moments(rng, start + timedelta(hours=1), 40, 8):
            is_group = rng.random() < 0.85
            party: dict[str, Any] = {"party_id": _identity(rng), "party_kind": "GROUP" if is_group else "INDIVIDUAL"}
            party |= {"school_uai": _school(rng).uai if is_group else None}
            for session in sessions if rng.random() < 0.3 else sessions[:1]:
                registration, seats = _identity(rng), rng.randint(8, 40) if is_group else 2
                kept = made[session.aggregate_id]
                kept.append(registration)
                yield session.told(
                    "RegistrationMade", at, registration_id=registration, **party, seat_count=seats, **counts
                )
                if rng.random() < 0.2:
                    yield session.told(
                        "RegistrationResized",
                        at + timedelta(seconds=5),
                        registration_id=registration,
                        seat_count=seats + 3,
                        **counts,
                    )
                if rng.random() < 0.15:
                    kept.remove(registration)
                    ended = {"registration_id": registration, "reason": "CANCELLED_BY_REGISTRANT"}
                    yield session.told("RegistrationEnded", at + timedelta(seconds=9), **ended, **counts)
        if rng.random() < 0.2:
            for session in sessions:
                ids = made[session.aggregate_id][1:]
                restated = {"registration_ids": ids, "held": False, "attended_count": 0}
                yield session.told("RegistrationsRestated", start + timedelta(days=45), **restated, **counts)
        if rng.random() < 0.15:
            yield sessions[1].told("SessionCancelled", start + timedelta(days=50))


# -- as files


def known_datasets() -> dict[str, Dataset]:
    """The records that indicators count from, by full name."""
    known = datasets(contracts.load(SCHEMAS))
    return {name: dataset for name, dataset in known.items() if name.split(".")[1] in _NAMESPACES}


def written(folder: Folder, messages: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """The files of a lake that has these messages, in one partition, and its manifest."""
    by_name = {dataset.name: dataset for dataset in known_datasets().values()}
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
