"""Outreach events in the play: the fair of February in Rouen with groups of real collèges, a year of events, who comes, kits, ambassadors."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from demonstration import cast, region
from demonstration.caller import Caller
from territory import reference
from territory.school_calendar import school_holiday
from territory.working_time import PARIS, is_working_day

SERVICE = "events"
_AHEAD_DAYS, _ANNOUNCED_DAYS = 120, 45
# Department, and the town around which its coordinator organises.
_TOWNS = {"14": "14118", "27": "27229", "50": "50502", "61": "61001", "76": "76540"}
_FAIR_PLACE = {"place_title": "Parc des expositions de Rouen", "commune_code": "76322"}
_FAIR_TALKS = (
    ("Choisir après la troisième", "Hall 1, scène"),
    ("L’apprentissage, comment ça marche", "Hall 1, scène"),
    ("Les métiers de la mer et de l’éolien", "Hall 4"),
    ("Filles et numérique : elles racontent", "Hall 4"),
    ("Parcoursup sans stress", "Hall 1, scène"),
    ("Garçons dans le soin : pourquoi pas moi", "Hall 4"),
)
_KINDS: tuple[tuple[str, str, int, tuple[str, ...], int], ...] = (
    # Kind, title, seats, audiences, share.
    ("OPEN_DAY", "Porte ouverte, lycée des métiers", 120, ("eleves", "familles"), 6),
    ("COMPANY_VISIT", "Visite d’entreprise", 18, ("eleves", "jeunes", "adultes"), 8),
    ("CAREERS_FORUM", "Forum des métiers", 200, ("eleves", "familles", "groupes"), 4),
    ("THEMATIC_DAY", "Une journée pour les métiers de l’industrie", 80, ("eleves", "jeunes", "familles"), 4),
    ("FAMILY_CONFERENCES", "Accompagner l’orientation de son enfant", 40, ("familles",), 3),
    ("IMMERSION_DAY", "Immersion : une journée en CFA", 15, ("professionnels",), 2),
    ("PROFESSIONAL_WORKSHOP", "Atelier : parler des métiers sans clichés", 20, ("professionnels",), 2),
)
_KITS = (
    ("Kit mécanique : démonter un moteur", ("I1604",)),
    ("Kit cuisine : dresser une assiette", ("G1602",)),
    ("Kit soin : gestes qui sauvent", ("J1501",)),
    ("Kit numérique : programmer un robot", ("M1805",)),
    ("Kit bois : assembler sans clou", ("H2206",)),
)


@dataclass
class Session:
    """A session as the play remembers it."""

    session_id: UUID
    on: date
    seats: int | None
    groups_only: bool = False


@dataclass
class Event:
    """An event of the play: who organises it, when it is announced, how many ask for a seat."""

    event_id: UUID
    persona: str
    body: dict[str, Any]
    sessions: list[tuple[Session, dict[str, Any]]]
    announced_on: date
    wanted: float
    is_announced: bool = False


def personas() -> dict[str, dict[str, Any]]:
    """A coordinator for each department."""
    return {
        f"coordinator-{code}": {
            "label": f"Coordination territoriale, {reference.departments()[code].title} (fictif)",
            "sub": f"coordinator-{code}",
            "roles": ["coordinator"],
            "email": f"coordination-{code}@agence.example",
            "name": f"Coordination {reference.departments()[code].title}",
        }
        for code in _TOWNS
    }


class Outreach:
    """What happens around events, day by day."""

    def __init__(self, caller: Caller, seed: int = cast.SEED) -> None:
        self._caller = caller
        self._seed = seed
        self._draw = random.Random(seed + 11)  # noqa: S311 - a play, not a secret
        self._events: list[Event] = []
        self._number = 0
        # What a case may be attached to since the last time: who may, and where.
        self.attachable: list[tuple[str, str]] = []

    # -- what is planned

    async def register(self, first_day: date, today: date) -> None:
        """The whole year is planned at once, kits and ambassadors are there from its first day."""
        day, last = first_day + timedelta(days=20), today + timedelta(days=_AHEAD_DAYS)
        while day < last:
            if is_working_day(day) and not school_holiday(day) and self._draw.random() < 0.36:
                self._events.append(self._event(day, first_day))
            day += timedelta(days=1)
        for year in (today.year, today.year + 1):
            fair = self._fair(_first_thursday(year), first_day)
            if first_day + timedelta(days=15) < fair.sessions[0][0].on < last:
                self._events.append(fair)
        await asyncio.gather(self._kits(), self._ambassadors())

    def _event(self, on: date, first_day: date) -> Event:
        (kind, title, seats, audiences, _), code = (
            self._draw.choices(_KINDS, [one[4] for one in _KINDS])[0],
            self._draw.choice(sorted(_TOWNS)),
        )
        near = [one for km, one in reference.communes_within(_TOWNS[code], 35)]
        towns = [one for one in near if reference.communes()[one].population > 2500] or [_TOWNS[code]]
        town = self._draw.choice(towns)
        trade, rome_code, *_ = self._draw.choice(region.TRADES)
        place = reference.communes()[town].title
        body: dict[str, Any] = {
            "organiser_title": f"Agence régionale, {reference.departments()[code].title}",
            "kind": kind,
            "title": f"{title}\u00a0: {trade.lower()}" if kind == "COMPANY_VISIT" else f"{title}, {place}",
            "summary": "Des professionnels, des démonstrations, du temps pour poser ses questions. Entrée gratuite.",
            "commune_code": town,
            "place_title": trade if kind == "COMPANY_VISIT" else "Salle des fêtes",
            "audiences": list(audiences),
            "rome_codes": [rome_code],
            "under_represented": self._draw.random() < 0.35,
            "access": "PROFESSIONALS" if "professionnels" in audiences else "OPEN",
            "fictitious": True,
        }
        if kind == "COMPANY_VISIT":
            body["host_siret"] = region.siret(700_000 + self._draw.randrange(90))
        hour = 18 if kind == "FAMILY_CONFERENCES" else self._draw.choice((9, 10, 14))
        evenings = 3 if kind == "FAMILY_CONFERENCES" else 1
        sessions = [
            self._session(
                f"Soirée {nth + 1}" if evenings > 1 else "Rendez-vous",
                on + timedelta(days=7 * nth),
                hour,
                2,
                purpose="CONFERENCE" if evenings > 1 else "VISIT",
                seats=seats,
            )
            for nth in range(evenings)
        ]
        announced = max(first_day, on - timedelta(days=_ANNOUNCED_DAYS))
        return Event(
            self._id(), f"coordinator-{code}", body, sessions, announced, self._draw.choice((0.3, 0.5, 0.8, 1.3))
        )

    def _fair(self, thursday: date, first_day: date) -> Event:
        """Three days: opening hours, arrival slots of groups on school days, conferences of 300 seats, stands."""
        sessions = []
        for nth, name in enumerate(("jeudi", "vendredi", "samedi")):
            on = thursday + timedelta(days=nth)
            sessions.append(self._session(f"Entrée, {name}", on, 9, 9, purpose="OPENING", seats=None))
            for slot in (9, 10, 11, 13, 14) if nth < 2 else ():
                sessions.append(
                    self._session(
                        f"Arrivée de groupes, {slot} h", on, slot, 1, purpose="ARRIVAL", seats=200, groups_only=True
                    )
                )
            for talk, (title, hall) in enumerate(_FAIR_TALKS[2 * nth : 2 * nth + 2]):
                sessions.append(self._session(title, on, 11 + 4 * talk, 1, seats=300, hall=hall))
        body = {
            "organiser_title": "Agence régionale de l’orientation",
            "kind": "REGIONAL_FAIR",
            "title": f"Salon régional de l’orientation {thursday.year}",
            "summary": "Trois jours avec toutes les branches : plus de cinq cents métiers à essayer, des conférences, "
            "des conseillers. Les collèges et les lycées viennent par créneaux.",
            **_FAIR_PLACE,
            "audiences": ["eleves", "etudiants", "familles", "jeunes", "adultes", "groupes"],
            "rome_codes": sorted({trade[1] for trade in region.TRADES})[:30],
            "under_represented": True,
            "stands": [
                {
                    "title": f"{trade[0]}, branche et centres de formation",
                    "hall": f"Hall {1 + n % 7}",
                    "rome_codes": [trade[1]],
                }
                for n, trade in enumerate(region.TRADES)
            ],
            "fictitious": True,
        }
        return Event(self._id(), "coordinator-76", body, sessions, max(first_day, thursday - timedelta(days=85)), 0.35)

    def _session(
        self, title: str, on: date, hour: int, hours: int, *, seats: int | None, groups_only: bool = False, **more: Any
    ) -> tuple[Session, dict[str, Any]]:
        begin = datetime.combine(on, time(hour), PARIS)
        body = {
            "title": title,
            "starts_at": begin.isoformat(),
            "ends_at": (begin + timedelta(hours=hours)).isoformat(),
            "capacity_count": seats,
            "admission": "GROUPS" if groups_only else "EVERYONE",
            **more,
        }
        return Session(self._id(), on, seats, groups_only), body

    def _id(self) -> UUID:
        self._number += 1
        return cast.identity("event", self._seed, self._number)

    # -- day by day

    async def play_days(self, day: date) -> None:
        """Announcements, then who registers or gives up, then the doors of what took place."""
        for event in self._events:
            if not event.is_announced and event.announced_on <= day:
                await self._announce(event)
        # Drawn first, then sent: one after the other within an event, so that the machine changes nothing.
        wishes = [
            (one, self._wishes(one, day)) for one in self._events if one.is_announced and one.sessions[-1][0].on > day
        ]
        await asyncio.gather(*(self._send(event, wished) for event, wished in wishes))
        for event in self._events:
            for session, _ in event.sessions:
                if event.is_announced and day - timedelta(days=2) <= session.on < day:
                    await self._open_the_door(event, session)

    async def play_today(self, today: date) -> None:
        """What is still open on the last day: a loan that waits for its answer, visits that schools wish for."""
        await self.play_days(today)
        schools = self._draw.sample([one for one in reference.schools() if one.grade9_count > 60], 16)
        for n, school in enumerate(schools[:4], 1):
            body = {
                "rome_code": _KITS[n % len(_KITS)][1][0],
                "commune_code": school.commune_code,
                "visit_on": f"{today + timedelta(days=30 + n)}",
                "details": "Une classe de troisième, une heure.",
            }
            await self._call(f"group-{n:02d}", "POST", "/v1/visits", body)
        for n in range(4):
            first = today + timedelta(days=10 + 5 * n)
            body = {"first_on": f"{first}", "last_on": f"{first + timedelta(days=2)}"}
            kit_id = cast.identity("kit", self._seed, n % len(_KITS))
            await self._call(f"group-{n + 5:02d}", "POST", f"/v1/kits/{kit_id}/loans", body)

    async def _announce(self, event: Event) -> None:
        path = f"/v1/events/{event.event_id}"
        event.is_announced = True
        await self._call(event.persona, "PUT", path, event.body)
        for session, body in event.sessions:
            await self._call(event.persona, "PUT", f"{path}/sessions/{session.session_id}", body)
        await self._call(event.persona, "POST", f"{path}/publication")

    def _wishes(self, event: Event, day: date) -> list[tuple[str, str, dict[str, Any]]]:
        """Some families, and for a fair some groups of collèges: who asks, where, for what; more as it comes nearer."""
        open_sessions = [one for one, _ in event.sessions if one.on > day and one.seats]
        public = [one for one in open_sessions if not one.groups_only]
        seats = sum(one.seats or 0 for one in public)
        found: list[tuple[str, str, dict[str, Any]]] = []
        if event.body.get("access", "OPEN") == "OPEN" and public:
            left = max(1, (event.sessions[0][0].on - day).days)
            count = min(4, round(self._draw.random() * 2 * event.wanted * seats / 2.5 / (left + 12)))
            found += [("", "registrations", self._family(event, public)) for _ in range(count)]
        slots = [one for one in open_sessions if one.groups_only]
        for _ in range(2 if slots else 0):
            group, size = self._draw.randint(1, 16), self._draw.randint(22, 58)
            body = {
                "title": f"3e {self._draw.choice('ABCD')}",
                "seat_count": size,
                "female_count": size // 2,
                "male_count": size - size // 2,
                "session_ids": [str(self._draw.choice(slots).session_id)],
                "wait": True,
            }
            found.append((f"group-{group:02d}", "groups", body))
        return found

    async def _send(self, event: Event, wishes: list[tuple[str, str, dict[str, Any]]]) -> None:
        for persona, collection, body in wishes:
            answer = await self._call(persona, "POST", f"/v1/events/{event.event_id}/{collection}", body)
            if answer is not None and collection == "groups":
                one = answer["registrations"][0]["registration_id"]
                self.attachable.append((persona, f"/v1/groups/{one}/case"))

    def _family(self, event: Event, public: list[Session]) -> dict[str, Any]:
        number, people = self._draw.randrange(100_000), self._draw.choice((1, 1, 2, 2, 3, 4))
        is_cycle = event.body["kind"] == "FAMILY_CONFERENCES"
        chosen = public if is_cycle else [self._draw.choice(public)]
        women = self._draw.randint(0, people)
        return {
            "email": f"famille-{number:05d}@familles.example",
            "seat_count": people,
            "female_count": women,
            "male_count": people - women,
            "session_ids": [str(one.session_id) for one in chosen],
            "wait": True,
        }

    async def _open_the_door(self, event: Event, session: Session) -> None:
        """Most of those who are registered come."""
        path = f"/v1/sessions/{session.session_id}"
        rows = await self._call(event.persona, "GET", f"{path}/registrations") if session.seats else None
        at = datetime.combine(session.on, time(10), PARIS).isoformat()
        readings = [
            {"code": row["code"], "at": at}
            for row in rows or []
            if row["state"] == "registered" and self._draw.random() < 0.86
        ]
        if readings:
            await self._call(event.persona, "POST", f"{path}/check-ins", {"check_ins": readings[:500]})

    # -- what is lent, and who tells

    async def _kits(self) -> None:
        for number, (title, rome_codes) in enumerate(_KITS):
            town = _TOWNS[sorted(_TOWNS)[number % len(_TOWNS)]]
            body = {"title": title, "rome_codes": list(rome_codes), "commune_code": town, "fictitious": True}
            body["contents"] = "Une malle, des fiches, de quoi occuper un groupe de douze pendant une heure."
            kit_id = cast.identity("kit", self._seed, number)
            await self._call(f"coordinator-{sorted(_TOWNS)[number % len(_TOWNS)]}", "PUT", f"/v1/kits/{kit_id}", body)

    async def _ambassadors(self) -> None:
        for number in range(20):
            trade, rome_code, *_ = self._draw.choice(region.TRADES)
            code = self._draw.choice(sorted(_TOWNS))
            near = [one for _, one in reference.communes_within(_TOWNS[code], 25)]
            is_parent = self._draw.random() < 0.4
            body = {
                "email": f"ambassade-{number:02d}@metiers.example",
                "title": f"{'Parent témoin' if is_parent else 'Ambassade'} {number:02d}, {trade.lower()} (fictif)",
                "kind": "PARENT_WITNESS" if is_parent else "AMBASSADOR",
                "rome_codes": [rome_code, _KITS[number % len(_KITS)][1][0]],
                "commune_code": self._draw.choice(near),
                "radius_km": self._draw.choice((30, 50, 80)),
                "fictitious": True,
            }
            ambassador_id = cast.identity("ambassador", self._seed, number)
            await self._call(f"coordinator-{code}", "PUT", f"/v1/ambassadors/{ambassador_id}", body)

    async def _call(self, persona: str, method: str, path: str, body: Any = None) -> Any:
        return await self._caller.call(SERVICE, persona, method, path, body)


def _first_thursday(year: int) -> date:
    """The Thursday of the fair: the first of February."""
    first = date(year, 2, 1)
    return first + timedelta(days=(3 - first.weekday()) % 7)
