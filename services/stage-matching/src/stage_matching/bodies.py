"""Request bodies and query values: parsed and checked once, before any rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from common.bodies import Body, Email, Text, known
from stage_matching.frozen import CATEGORIES
from stage_matching.hosts import Identity
from stage_matching.messages import Audience, Commitment, HostKind, LabelEndReason, OfferKind, RefusalReason
from stage_matching.requests import Wish, age_on
from stage_matching.state import Description
from stage_matching.terms import USUAL_HOURS, Hours, Placement, why_not_hours
from territory import weeks
from territory.identifiers import siret_is_valid, uai_is_valid
from territory.places import CommuneCode

WISHES_MAX = 10
WEEKS_MAX = 12
WEEKS_OF_OFFER_MAX = 60
SEATS_MAX = 500
AGE_MIN, AGE_MAX = 10, 99
# 2012-05: no day, which no rule needs.
BirthMonth = Annotated[str, StringConstraints(pattern=r"^(19[3-9][0-9]|20[0-9]{2})-(0[1-9]|1[0-2])$")]
Letter = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")]
OptionalText = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$", strip_whitespace=True)]
Clock = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


def _siret(value: str) -> str:
    if not siret_is_valid(value):
        raise ValueError("SIRET incorrect : 14 chiffres dont la clé de Luhn est juste")
    return value


def checked_uai(value: str) -> str:
    """A school's identifier; `ValueError` when its letter does not fit."""
    if not uai_is_valid(value):
        raise ValueError("UAI incorrect : 7 chiffres et leur lettre de contrôle")
    return value


def _week(value: str) -> str:
    weeks.monday(value)
    return value


def _run(value: list[str]) -> list[str]:
    if not weeks.consecutive(value):
        raise ValueError("semaines à donner dans l’ordre, sans trou")
    return value


def wish(value: str) -> str:
    """One wish: an offer's id, or a ROME domain, family or code; `ValueError` otherwise."""
    if len(value) in (1, 3, 5) and "A" <= value[0] <= "N" and (value[1:].isdigit() or not value[1:]):
        return value
    try:
        return str(UUID(value))
    except ValueError:
        raise ValueError(f"vœu « {value[:40]} » : identifiant d’offre ou code ROME (M, M18, M1805) attendu") from None


def _distinct(value: list[str]) -> list[str]:
    if len(set(value)) < len(value):
        raise ValueError("un vœu est répété")
    return value


IsoWeek = Annotated[str, AfterValidator(_week)]
IsoWeeks = Annotated[list[IsoWeek], Field(min_length=1, max_length=WEEKS_MAX), AfterValidator(_run)]
RomeCode = Annotated[str, StringConstraints(pattern=r"^[A-N][0-9]{4}$")]
Wishes = Annotated[
    list[Annotated[str, AfterValidator(wish)]], Field(min_length=1, max_length=WISHES_MAX), AfterValidator(_distinct)
]
Audiences = Annotated[Audience, AfterValidator(known)]


class HostBody(Body):
    """Identity of an organisation."""

    host_name: Text
    siret: Annotated[str, AfterValidator(_siret)]
    kind: Annotated[HostKind, AfterValidator(known)]
    commune_code: CommuneCode
    fictitious: bool = False

    def identity(self) -> Identity:
        """As the rules have it."""
        return Identity(**dict(self))


class CharterBody(Body):
    """What the organisation commits to."""

    commitments: list[Annotated[Commitment, AfterValidator(known)]] = Field(min_length=1, max_length=4)


class LabelEndBody(Body):
    """Why the label ends."""

    reason: Annotated[LabelEndReason, AfterValidator(known)]


class HoursBody(Body):
    """A stretch of presence on one day of every week: ISO weekday, times of the Paris clock."""

    weekday: int = Field(ge=1, le=7)
    starts: Clock
    ends: Clock


class PlacementBody(Body):
    """The days at the host's, for the agreement; what is missing is left as it is."""

    address: OptionalText = ""
    tasks: Letter = ""
    tutor_name: OptionalText = ""
    rules: Letter = ""
    hours: list[HoursBody] = Field(default_factory=list, max_length=28)

    def placement(self) -> Placement:
        """As the terms have it; without hours, the usual."""
        return Placement(**dict(self) | {"hours": _hours(self.hours) or USUAL_HOURS})


class TermsBody(PlacementBody):
    """What changes of the terms of an agreement; what is missing stays."""

    title: Text | None = None

    def wanted(self) -> dict[str, Any]:
        """As `terms.changed_by` has it."""
        sent: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        if "hours" in sent:
            sent["hours"] = _hours(self.hours)
        if sent.get("title", "") is None:
            del sent["title"]
        return sent


def _hours(hours: Sequence[HoursBody]) -> tuple[Hours, ...]:
    return tuple(sorted(Hours(one.weekday, one.starts, one.ends) for one in hours))


class OfferBody(Body):
    """An offer: what, where, for whom, and how many seats in each ISO week; ages in years."""

    title: Text
    kind: Annotated[OfferKind, AfterValidator(known)]
    rome_codes: list[RomeCode] = Field(min_length=1, max_length=10)
    commune_code: CommuneCode
    audiences: list[Audiences] = Field(min_length=1, max_length=5)
    age_min: int = Field(default=14, ge=10, le=99)
    seats: dict[IsoWeek, Annotated[int, Field(ge=0, le=SEATS_MAX)]] = Field(max_length=WEEKS_OF_OFFER_MAX)
    reserved: dict[str, Annotated[int, Field(ge=1, le=SEATS_MAX)]] = Field(default_factory=dict)
    partner_uais: list[Annotated[str, AfterValidator(checked_uai)]] = Field(default_factory=list, max_length=50)
    suspended: bool = False
    placement: PlacementBody = Field(default_factory=PlacementBody)

    @field_validator("placement")
    @classmethod
    def _possible_hours(cls, value: PlacementBody) -> PlacementBody:
        if value.hours and (problem := why_not_hours(_hours(value.hours), None)) is not None:
            raise ValueError(problem)
        return value

    @field_validator("reserved")
    @classmethod
    def _known_categories(cls, value: dict[str, int]) -> dict[str, int]:
        if unknown := value.keys() - CATEGORIES.keys():
            raise ValueError(f"catégorie inconnue : {', '.join(sorted(unknown))[:80]}")
        return value

    def description(self) -> Description:
        """As the domain has it."""
        return Description(
            title=self.title,
            kind=self.kind,
            rome_codes=tuple(self.rome_codes),
            commune_code=self.commune_code,
            audiences=tuple(audience.value for audience in self.audiences),
            age_min=self.age_min,
            reserved=self.reserved,
            partner_uais=tuple(sorted(set(self.partner_uais))),
            suspended=self.suspended,
            placement=self.placement.placement(),
        )


class RequestBody(Body):
    """A seeker's situation and wishes, best first; radius in kilometres. The month of birth (2012-05) tells the age in any week.

    Software that does not know it may give the `age` in years on the first day instead.
    """

    audience: Audiences
    birth_month: BirthMonth | None = None
    age: Annotated[int, Field(ge=AGE_MIN, le=AGE_MAX)] | None = None
    commune_code: CommuneCode
    radius_km: int = Field(default=30, ge=1, le=200)
    iso_weeks: IsoWeeks
    wishes: Wishes
    sex: Literal["FEMALE", "MALE", "UNDECLARED"] = "UNDECLARED"
    uai: Annotated[str, AfterValidator(checked_uai)] | None = None
    guardian_email: Email | None = None
    prescriber_id: OptionalText | None = None

    @model_validator(mode="after")
    def _of_an_age(self) -> RequestBody:
        if (self.birth_month is None) == (self.age is None):
            raise ValueError("mois de naissance : manque, ou un âge est donné en plus")
        if not AGE_MIN <= self._age <= AGE_MAX:
            raise ValueError(f"mois de naissance : de {AGE_MIN} à {AGE_MAX} ans le premier jour")
        return self

    @property
    def _age(self) -> int:
        if self.birth_month is not None:
            return age_on(self.birth_month, weeks.monday(self.iso_weeks[0]))
        return self.age or 0

    def wish(self) -> Wish:
        """As the rules have it."""
        return Wish(
            **dict(self)
            | {
                "age": self._age,
                "audience": self.audience.value,
                "iso_weeks": tuple(self.iso_weeks),
                "wishes": tuple(self.wishes),
            }
        )


class ApplicationBody(Body):
    """A candidature; the letter stays between the seeker and the host."""

    offer_id: UUID
    iso_weeks: IsoWeeks
    letter: Letter | None = None


class RefusalBody(Body):
    """Why the host refuses."""

    reason: Annotated[RefusalReason, AfterValidator(known)]
