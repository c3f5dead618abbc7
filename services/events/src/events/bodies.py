"""Request bodies: parsed and checked once, before any rule."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field, HttpUrl, StringConstraints, TypeAdapter, model_validator

from common.bodies import Body, Day, Email, Instant, Text, known
from common.case_links import CaseCode
from events.ambassadors import AmbassadorDescription
from events.kits import KitDescription
from events.messages import (
    Admission,
    Allocation,
    AmbassadorKind,
    AttendanceMode,
    EventAccess,
    EventKind,
    SessionPurpose,
)
from events.state import CheckIn, Description, Plan, PlatformNeed, Stand
from events.words import AUDIENCES
from territory.equipment import checked_habilitation
from territory.identifiers import siret_is_valid
from territory.places import CommuneCode
from territory.rome import FAMILIES

CAPACITY_MAX, STANDS_MAX, CHECK_INS_MAX, SESSIONS_MAX = 50_000, 400, 500, 40
_URL: TypeAdapter[HttpUrl] = TypeAdapter(HttpUrl)

Paragraph = Annotated[
    str, StringConstraints(max_length=2000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$", strip_whitespace=True)
]
Short = Annotated[str, StringConstraints(max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$", strip_whitespace=True)]


def _https(value: str) -> str:
    if not value.startswith("https://"):
        raise ValueError("un lien commence par https://")
    return str(_URL.validate_python(value))


def _siret(value: str) -> str:
    if not siret_is_valid(value):
        raise ValueError("SIRET incorrect : quatorze chiffres dont la clé est juste")
    return value


def _rome(value: str) -> str:
    if value[:3] not in FAMILIES:
        raise ValueError(f"métier inconnu : {value[:10]}")
    return value


Url = Annotated[str, StringConstraints(max_length=500), AfterValidator(_https)]
Siret = Annotated[str, AfterValidator(_siret)]
RomeCode = Annotated[str, StringConstraints(pattern=r"^[A-N][0-9]{2}([0-9]{2})?$"), AfterValidator(_rome)]
Seats = Annotated[int, Field(ge=1, le=CAPACITY_MAX)]


def _audience(value: str) -> str:
    if value not in AUDIENCES:
        raise ValueError(f"public inconnu : {value[:40]}")
    return value


class StandBody(Body):
    """A stand; of a virtual fair, with its links."""

    title: Text
    hall: Short = ""
    rome_codes: list[RomeCode] = Field(default_factory=list, max_length=10)
    url: Url | None = None
    chat_url: Url | None = None

    def stand(self) -> Stand:
        """As the rules have it."""
        return Stand(self.title, self.hall, tuple(self.rome_codes), self.url or "", self.chat_url or "")


class EventBody(Body):
    """An event as its organiser describes it."""

    organiser_title: Text
    kind: Annotated[EventKind, AfterValidator(known)]
    title: Text
    summary: Paragraph = ""
    access: Annotated[EventAccess, AfterValidator(known)] = EventAccess.OPEN
    attendance_mode: Annotated[AttendanceMode, AfterValidator(known)] = AttendanceMode.ON_SITE
    place_title: Text | None = None
    commune_code: CommuneCode | None = None
    audiences: list[Annotated[str, AfterValidator(_audience)]] = Field(default_factory=list, max_length=10)
    rome_codes: list[RomeCode] = Field(default_factory=list, max_length=40)
    under_represented: bool = False
    host_siret: Siret | None = None
    online_url: Url | None = None
    chat_url: Url | None = None
    test_url: Url | None = None
    stands: list[StandBody] = Field(default_factory=list, max_length=STANDS_MAX)
    fictitious: bool = False

    def description(self) -> Description:
        """As the rules have it."""
        facts: dict[str, Any] = {name: getattr(self, name) for name in type(self).model_fields}
        facts |= {name: tuple(dict.fromkeys(facts[name])) for name in ("audiences", "rome_codes")}
        return Description(**facts | {"stands": tuple(one.stand() for one in self.stands)})


class SessionBody(Body):
    """A session of an event."""

    title: Text
    purpose: Annotated[SessionPurpose, AfterValidator(known)] = SessionPurpose.CONFERENCE
    starts_at: Instant
    ends_at: Instant
    hall: Short | None = None
    speaker: Short | None = None
    online_url: Url | None = None
    admission: Annotated[Admission, AfterValidator(known)] = Admission.EVERYONE
    capacity_count: Seats | None = None
    allocation: Annotated[Allocation, AfterValidator(known)] = Allocation.FIRST_COME
    draw_at: Instant | None = None
    opens_at: Instant | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> SessionBody:
        if self.starts_at >= self.ends_at:
            raise ValueError("la fin doit suivre le début")
        if (self.ends_at - self.starts_at).days > 0:
            raise ValueError("une séance dure un jour au plus : faites une séance par jour")
        if (self.allocation == Allocation.LOTTERY) != (self.draw_at is not None):
            raise ValueError("un tirage au sort a une date, et lui seul")
        if self.draw_at is not None and self.capacity_count is None:
            raise ValueError("un tirage au sort répartit un nombre de places")
        if self.draw_at is not None and self.draw_at >= self.starts_at:
            raise ValueError("le tirage précède la séance")
        return self

    def plan(self) -> Plan:
        """As the rules have it."""
        return Plan(**dict(self))


class NeedBody(Body):
    """The technical platform that an event needs."""

    platform_id: UUID
    starts_at: Instant
    ends_at: Instant
    group_size: int = Field(ge=1, le=500)
    habilitation_codes: list[Annotated[str, AfterValidator(checked_habilitation)]] = Field(
        default_factory=list, max_length=10
    )

    @model_validator(mode="after")
    def _it_lasts(self) -> NeedBody:
        if self.starts_at >= self.ends_at:
            raise ValueError("la fin doit suivre le début")
        return self

    def need(self) -> PlatformNeed:
        """As the rules have it."""
        facts = dict(self) | {"habilitation_codes": tuple(dict.fromkeys(self.habilitation_codes))}
        return PlatformNeed(**facts)


class PeopleBody(Body):
    """How many come, and of which sex as far as they wish to say: counted in sums, never told of one party."""

    seat_count: Seats = 1
    female_count: int = Field(default=0, ge=0, le=CAPACITY_MAX)
    male_count: int = Field(default=0, ge=0, le=CAPACITY_MAX)
    session_ids: list[UUID] = Field(min_length=1, max_length=SESSIONS_MAX)
    wait: bool = False
    # What is at the same hour was shown, and they come all the same.
    overlapping: bool = False

    @model_validator(mode="after")
    def _no_more_than_come(self) -> PeopleBody:
        if self.female_count + self.male_count > self.seat_count:
            raise ValueError("plus de personnes décrites que de places demandées")
        return self


class RegistrationBody(PeopleBody):
    """A family registers: an address, how many come, for one session or several of an event."""

    email: Email
    title: Short = ""
    invitation: str | None = Field(default=None, max_length=1000)


class GroupBody(PeopleBody):
    """A school registers a group; its UAI is in the token."""

    title: Text
    # Of the dropout observatory, where it is for one of its cases.
    case_code: CaseCode | None = None


class CheckInBody(Body):
    """One reading at the door, by the clock of the device; its id, which the device draws, is the same whenever it is sent."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    visitor_count: int | None = Field(default=None, ge=0, le=CAPACITY_MAX)
    at: Instant
    reading_id: UUID | None = None

    def reading(self) -> CheckIn:
        """As the rules have it."""
        return CheckIn(self.code, self.visitor_count, self.at, self.reading_id)


class CheckInsBody(Body):
    """What a device has read since it last had a network; sending it again changes nothing."""

    check_ins: list[CheckInBody] = Field(min_length=1, max_length=CHECK_INS_MAX)


class KitBody(Body):
    """A trade kit."""

    title: Text
    contents: Paragraph = ""
    rome_codes: list[RomeCode] = Field(min_length=1, max_length=20)
    commune_code: CommuneCode
    withdrawn: bool = False
    fictitious: bool = False

    def description(self) -> KitDescription:
        """As the rules have it."""
        return KitDescription(**dict(self) | {"rome_codes": tuple(dict.fromkeys(self.rome_codes))})


class LoanBody(Body):
    """When a kit is wished for, both days included; for an event of the borrower or not."""

    first_on: Day
    last_on: Day
    event_id: UUID | None = None


class ReturnBody(Body):
    """How a kit came back."""

    damaged: bool = False


class AmbassadorBody(Body):
    """Somebody of the directory."""

    email: Email
    title: Text
    kind: Annotated[AmbassadorKind, AfterValidator(known)] = AmbassadorKind.AMBASSADOR
    rome_codes: list[RomeCode] = Field(min_length=1, max_length=10)
    commune_code: CommuneCode
    radius_km: int = Field(default=30, ge=1, le=200)
    host_siret: Siret | None = None
    kit_id: UUID | None = None
    withdrawn: bool = False
    fictitious: bool = False

    def description(self) -> AmbassadorDescription:
        """As the rules have it."""
        facts = dict(self)
        for name in ("email", "title"):
            facts.pop(name)
        return AmbassadorDescription(**facts | {"rome_codes": tuple(dict.fromkeys(self.rome_codes))})


class VisitBody(Body):
    """Whom a school or an organiser wishes to hear, when and where."""

    rome_code: RomeCode
    kind: AmbassadorKind | None = None
    commune_code: CommuneCode
    visit_on: Day
    details: Paragraph = ""
    event_id: UUID | None = None
