"""Request bodies and query values: parsed and checked once, before any rule."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from common.bodies import Body, Text, known
from stage_matching.frozen import CATEGORIES
from stage_matching.hosts import Identity
from stage_matching.messages import Audience, Commitment, HostKind, LabelEndReason, OfferKind, RefusalReason
from stage_matching.requests import Wish
from stage_matching.state import Description
from territory import weeks
from territory.identifiers import siret_is_valid, uai_is_valid
from territory.places import CommuneCode

WISHES_MAX = 10
WEEKS_MAX = 12
WEEKS_OF_OFFER_MAX = 60
SEATS_MAX = 500
Letter = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")]


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
        )


class RequestBody(Body):
    """A seeker's situation and wishes, best first; radius in kilometres, age in years."""

    audience: Audiences
    age: int = Field(ge=10, le=99)
    commune_code: CommuneCode
    radius_km: int = Field(default=30, ge=1, le=200)
    iso_weeks: IsoWeeks
    wishes: Wishes
    sex: Literal["FEMALE", "MALE", "UNDECLARED"] = "UNDECLARED"
    uai: Annotated[str, AfterValidator(checked_uai)] | None = None

    def wish(self) -> Wish:
        """As the rules have it."""
        return Wish(
            **dict(self)
            | {
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
