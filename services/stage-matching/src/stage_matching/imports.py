"""Pupils and offers from a spreadsheet: each line checked alone, so that a wrong one hinders no other, and told in French."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID, uuid5

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from common.bodies import Email, Text
from common.failures import Refusal
from common.spreadsheet import Line, folded, refused_line, same
from stage_matching.bodies import AGE_MAX, AGE_MIN, WEEKS_MAX, BirthMonth, IsoWeek, OfferBody, Wishes, checked_uai
from stage_matching.hosts import Identity
from stage_matching.messages import Audience, HostKind, OfferKind
from stage_matching.requests import Wish, age_on
from stage_matching.state import Description
from territory import places, reference, weeks
from territory.identifiers import siret_is_valid
from territory.places import CommuneCode

PUPIL_COLUMNS = ("uai", "classe", "eleve", "sexe", "age", "commune", "rayon_km", "semaine", "duree", "voeux")
OFFER_COLUMNS = ("siret", "organisme", "type", "intitule", "nature", "rome", "commune", "publics", "age_min", "places")
# Instead of `commune` as people write it, or beside it: what software knows.
OPTIONAL_COLUMNS = ("commune", "commune_insee")
BIRTH_MONTH = "naissance"
# The address to which applications go until the organisation has an account.
OFFER_OPTIONAL_COLUMNS = (*OPTIONAL_COLUMNS, "contact")
PUPIL_LINES_MAX, OFFER_LINES_MAX = 60_000, 1_000

# Organisations and offers that come by a table are known by what they are, so that sending it again changes nothing.
_BY_TABLE = UUID("5b0f3f0e-6c0a-4d0e-9a57-1f6f4e1c2d70")
_SEXES = {"f": "FEMALE", "m": "MALE", "": "UNDECLARED"}
_HOST_KINDS = {
    "entreprise": HostKind.COMPANY,
    "administration": HostKind.ADMINISTRATION,
    "artisan": HostKind.CRAFTSMAN,
    "association": HostKind.ASSOCIATION,
}
_OFFER_KINDS = {
    "observation": OfferKind.OBSERVATION,
    "immersion": OfferKind.IMMERSION,
    "mini-stage": OfferKind.MINI_STAGE,
    "formation": OfferKind.TRAINING_PLACEMENT,
}
_AUDIENCES = {
    "eleve": Audience.PUPIL,
    "etudiant": Audience.STUDENT,
    "jeune": Audience.YOUNG_IN_INSERTION,
    "reconversion": Audience.ADULT_IN_RETRAINING,
    "demandeur": Audience.JOB_SEEKER,
}
_FIELDS = {
    "sex": "sexe",
    "iso_week": "semaine",
    "weeks_count": "duree",
    "wishes": "voeux",
    "pupil_code": "eleve",
    "birth_month": "naissance",
    "radius_km": "rayon_km",
    "class_group": "classe",
    "commune_code": "commune",
    "host_name": "organisme",
    "kind": "nature",
    "title": "intitule",
    "rome_codes": "rome",
    "audiences": "publics",
    "seats": "places",
}


def _word(known: Mapping[str, Any]) -> BeforeValidator:
    def read(value: str) -> Any:
        bare = unicodedata.normalize("NFKD", value).encode("ascii", "ignore").decode().strip().casefold()
        if bare not in known:
            raise ValueError(f"« {value[:30]} » : {', '.join(word for word in known if word)} attendu")
        return known[bare]

    return BeforeValidator(read)


def _listed(value: str) -> list[str]:
    return [one.strip() for one in value.split(",") if one.strip()]


def _seats(value: str) -> dict[str, str]:
    """`2027-W06:3, 2027-W07:2`."""
    pairs = [one.split(":") for one in _listed(value)]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("places par semaine, par exemple 2027-W06:3, 2027-W07:2")
    return {week.strip(): count.strip() for week, count in pairs}


class PupilLine(BaseModel):
    """One pupil of a school: a code of the school's own, no name; the week of their internship, their wishes."""

    model_config = ConfigDict(extra="forbid")

    uai: Annotated[str, AfterValidator(checked_uai)]
    class_group: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,20}$")]
    pupil_code: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,20}$")]
    sex: Annotated[Literal["FEMALE", "MALE", "UNDECLARED"], _word(_SEXES)]
    age: int = Field(ge=AGE_MIN, le=AGE_MAX)
    commune_code: CommuneCode
    radius_km: int = Field(ge=1, le=200)
    iso_week: IsoWeek
    weeks_count: int = Field(ge=1, le=WEEKS_MAX)
    wishes: Annotated[Wishes, BeforeValidator(_listed)]
    # The month of birth from the school's register, instead of an age that somebody typed.
    birth_month: BirthMonth | None = None

    def wish(self) -> Wish:
        """As the rules have it; whether the school is of priority education is known of the school."""
        return Wish(
            audience="PUPIL",
            sex=self.sex,
            age=self.age if self.birth_month is None else age_on(self.birth_month, weeks.monday(self.iso_week)),
            birth_month=self.birth_month,
            commune_code=self.commune_code,
            radius_km=self.radius_km,
            iso_weeks=weeks.span(self.iso_week, self.weeks_count),
            wishes=tuple(self.wishes),
            priority_education=self.uai in reference.priority_schools(),
            uai=self.uai,
            class_group=self.class_group,
            pupil_code=self.pupil_code,
        )


class OfferLine(BaseModel):
    """One offer of one organisation."""

    model_config = ConfigDict(extra="forbid")

    siret: str
    host_name: Text
    host_kind: Annotated[HostKind, _word(_HOST_KINDS)]
    title: Text
    kind: Annotated[OfferKind, _word(_OFFER_KINDS)]
    rome_codes: Annotated[list[str], BeforeValidator(_listed)]
    commune_code: CommuneCode
    audiences: Annotated[list[Annotated[Audience, _word(_AUDIENCES)]], BeforeValidator(_listed)]
    age_min: int = Field(ge=10, le=99)
    seats: Annotated[dict[str, int], BeforeValidator(_seats)]
    contact: Email | None

    def host(self, *, fictitious: bool) -> tuple[UUID, Identity]:
        """The organisation, known by its SIRET."""
        identity = Identity(self.host_name, self.siret, self.host_kind, self.commune_code, fictitious)
        return uuid5(_BY_TABLE, self.siret), identity

    def offer(self) -> tuple[UUID, OfferBody]:
        """The offer, known by its organisation, title and place; the same checks as any other way in."""
        body = OfferBody(
            title=self.title,
            kind=self.kind,
            rome_codes=self.rome_codes,
            commune_code=self.commune_code,
            audiences=self.audiences,
            age_min=self.age_min,
            seats=self.seats,
        )
        return uuid5(_BY_TABLE, f"{self.siret}:{folded(self.title)}:{self.commune_code}"), body


Checked = tuple[int, PupilLine | Refusal]


def pupils(lines: Sequence[tuple[int, Line]]) -> list[Checked]:
    """Every line read, or why it cannot be; a pupil who stands twice, and a school in two spans, are refused from the second on."""
    seen: dict[tuple[str, str], int] = {}
    spans: dict[str, tuple[tuple[str, int], int]] = {}
    checked: list[Checked] = []
    for number, cells in lines:
        line = cells if isinstance(cells, Refusal) else _pupil(cells)
        if isinstance(line, PupilLine):
            line = _repeated(line, number, seen, spans) or line
        checked.append((number, line))
    return checked


def _pupil(cells: Mapping[str, str]) -> PupilLine | Refusal:
    try:
        return PupilLine(
            uai=cells["uai"].upper(),
            class_group=cells["classe"],
            pupil_code=cells["eleve"],
            sex=cells["sexe"],
            age=cells["age"],
            birth_month=cells.get(BIRTH_MONTH) or None,
            commune_code=places.of_columns(cells["commune"], cells["commune_insee"]),
            radius_km=cells["rayon_km"],
            iso_week=cells["semaine"],
            weeks_count=cells["duree"] or "1",
            wishes=cells["voeux"],
        )
    except ValidationError as error:
        return refused_line(error, _FIELDS, {"too_long": "dix vœux au plus"})


def _repeated(
    line: PupilLine,
    number: int,
    seen: dict[tuple[str, str], int],
    spans: dict[str, tuple[tuple[str, int], int]],
) -> Refusal | None:
    first = seen.setdefault((line.uai, line.pupil_code), number)
    if first != number:
        return Refusal("duplicate_pupil", f"élève « {line.pupil_code} » : déjà à la ligne {first}")
    span = line.iso_week, line.weeks_count
    known, where = spans.setdefault(line.uai, (span, number))
    if known != span:
        detail = (
            f"semaine : l’établissement part en {known[0]} (ligne {where}) ; un établissement part en une seule fois"
        )
        return Refusal("another_span", detail)
    return None


OfferRead = tuple[OfferLine, UUID, OfferBody]


def offers(lines: Sequence[tuple[int, Line]]) -> list[tuple[int, OfferRead | Refusal]]:
    """Every line read, or why it cannot be; an offer that stands twice, and an organisation of two names, are refused from the second on."""
    seen: dict[UUID, int] = {}
    names: dict[str, tuple[OfferLine, int]] = {}
    checked: list[tuple[int, OfferRead | Refusal]] = []
    for number, cells in lines:
        read = cells if isinstance(cells, Refusal) else _offer(cells)
        if not isinstance(read, Refusal):
            line, offer_id, _ = read
            first, (known, where) = seen.setdefault(offer_id, number), names.setdefault(line.siret, (line, number))
            if first != number:
                read = Refusal(
                    "duplicate_offer",
                    f"intitulé « {line.title} » : déjà à la ligne {first}, pour cet organisme et cette commune",
                )
            elif not same(known.host_name, line.host_name) or known.host_kind != line.host_kind:
                read = Refusal(
                    "another_host",
                    f"organisme : le SIRET {line.siret} est « {known.host_name} », {_word_of(_HOST_KINDS, known.host_kind)}, à la ligne {where}",
                )
        checked.append((number, read))
    return checked


def _offer(cells: Mapping[str, str]) -> tuple[OfferLine, UUID, OfferBody] | Refusal:
    if not siret_is_valid(cells["siret"].replace(" ", "")):
        return Refusal("invalid_siret", f"siret « {cells['siret'][:20]} » : 14 chiffres dont la clé de Luhn est juste")
    try:
        line = OfferLine(
            siret=cells["siret"].replace(" ", ""),
            host_name=cells["organisme"],
            host_kind=cells["type"],
            title=cells["intitule"],
            kind=cells["nature"],
            rome_codes=cells["rome"],
            commune_code=places.of_columns(cells["commune"], cells["commune_insee"]),
            audiences=cells["publics"],
            age_min=cells["age_min"] or "14",
            seats=cells["places"],
            contact=cells["contact"] or None,
        )
        offer_id, body = line.offer()
    except ValidationError as error:
        return refused_line(error, _FIELDS, {})
    return line, offer_id, body


def pupil_changes(known: Wish, new: Wish) -> str:
    """What a line would change of a pupil whom another brought, in French; nothing where it says the same."""
    said = {
        "classe": (known.class_group or "", new.class_group or ""),
        "sexe": (_word_of(_SEXES, known.sex), _word_of(_SEXES, new.sex)),
        "age": (known.age, new.age),
        "naissance": (known.birth_month or "", new.birth_month or ""),
        "commune": (reference.commune_label(known.commune_code), reference.commune_label(new.commune_code)),
        "rayon_km": (known.radius_km, new.radius_km),
        "semaine": (" ".join(known.iso_weeks), " ".join(new.iso_weeks)),
        "voeux": (", ".join(known.wishes), ", ".join(new.wishes)),
    }
    return _changes(said)


def host_changes(known: Identity, contact: str | None, new: Identity, new_contact: str | None) -> str:
    """The same of an organisation. Where it is stays as its first line said: its offers may be elsewhere."""
    said = {
        "organisme": (known.host_name, new.host_name),
        "type": (_word_of(_HOST_KINDS, known.kind), _word_of(_HOST_KINDS, new.kind)),
    }
    # An address that was not known is no change, and one that a line leaves out is kept.
    return _changes(said | ({"contact": (contact, new_contact)} if contact and new_contact else {}))


def offer_changes(known: Description, seats: Mapping[str, int], new: Description, new_seats: Mapping[str, int]) -> str:
    """The same of an offer, whose organisation, title and place are what it is known by."""

    def audiences(of: Description) -> str:
        return ", ".join(_word_of(_AUDIENCES, Audience(one)) for one in sorted(of.audiences))

    said = {
        "nature": (_word_of(_OFFER_KINDS, known.kind), _word_of(_OFFER_KINDS, new.kind)),
        "rome": (", ".join(sorted(known.rome_codes)), ", ".join(sorted(new.rome_codes))),
        "publics": (audiences(known), audiences(new)),
        "age_min": (known.age_min, new.age_min),
        "places": (_weeks(seats), _weeks(new_seats)),
    }
    return _changes(said)


def _changes(said: Mapping[str, tuple[Any, Any]]) -> str:
    changed = {name: pair for name, pair in said.items() if not same(str(pair[0]), str(pair[1]))}
    return " ; ".join(f"{name} : « {was} » deviendrait « {becomes} »" for name, (was, becomes) in changed.items())


def _weeks(seats: Mapping[str, int]) -> str:
    return ", ".join(f"{week}:{count}" for week, count in sorted(seats.items()) if count)


def _word_of(words: Mapping[str, Any], value: Any) -> str:
    return next((word for word, meant in words.items() if meant == value), str(value))


def report(checked: Sequence[tuple[int, Any]]) -> list[dict[str, Any]]:
    """What is wrong, line by line; with the choices where a place may be one of several."""
    return [
        {"line": number, "reason": line.reason, "detail": line.detail, **line.facts}
        for number, line in checked
        if isinstance(line, Refusal)
    ]
