"""What every request body shares: unknown fields are refused, texts are printable, days are near, nobody sends `UNKNOWN`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, TypeVar

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, StringConstraints

D = TypeVar("D", bound=date)

# Far from where a calendar ends, so that no term or time zone steps over its edge.
YEARS = range(2020, 2101)

# Control characters have no place in a title, and PostgreSQL refuses one of them.
Text = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", strip_whitespace=True)
]


class Body(BaseModel):
    """A request body: unknown fields are refused, so that a typing error is seen."""

    model_config = ConfigDict(extra="forbid")


def known(value: Any) -> Any:
    """A symbol of an enumeration but the default of its schema, which stands for one that a reader does not know."""
    if value == "UNKNOWN":
        raise ValueError("UNKNOWN n'est pas une valeur à envoyer")
    return value


def near(value: D) -> D:
    """A day or an instant of our years."""
    if value.year not in YEARS:
        raise ValueError(f"l’année va de {YEARS[0]} à {YEARS[-1]}")
    return value


# What is said of a kind of mistake; a rule of our own says it in its own words.
_PROBLEMS = {
    "missing": "manque",
    "extra_forbidden": "champ inconnu",
    "json_invalid": "ce n’est pas du JSON",
    "int_parsing": "un nombre entier est attendu",
    "int_type": "un nombre entier est attendu",
    "int_from_float": "un nombre entier est attendu",
    "float_parsing": "un nombre est attendu",
    "float_type": "un nombre est attendu",
    "finite_number": "un nombre est attendu",
    "bool_parsing": "vrai ou faux (true, false) est attendu",
    "bool_type": "vrai ou faux (true, false) est attendu",
    "string_type": "un texte est attendu",
    "list_type": "une liste est attendue",
    "tuple_type": "une liste est attendue",
    "set_type": "une liste est attendue",
    "frozen_set_type": "une liste est attendue",
    "dict_type": "un objet JSON est attendu",
    "model_type": "un objet JSON est attendu",
    "model_attributes_type": "un objet JSON est attendu",
    "greater_than": "trop petit ou trop ancien",
    "greater_than_equal": "trop petit ou trop ancien",
    "less_than": "trop grand",
    "less_than_equal": "trop grand",
    "string_too_short": "manque",
    "string_too_long": "trop long",
    "string_pattern_mismatch": "format incorrect",
    "enum": "valeur inconnue",
    "literal_error": "valeur inconnue",
    "union_tag_invalid": "valeur inconnue",
    "too_short": "manque",
    "too_long": "trop de valeurs",
    "uuid_parsing": "identifiant illisible",
    "uuid_type": "identifiant illisible",
    "date_parsing": "une date (2027-01-31) est attendue",
    "date_from_datetime_parsing": "une date (2027-01-31) est attendue",
    "date_from_datetime_inexact": "une date sans heure est attendue",
    "date_type": "une date (2027-01-31) est attendue",
    "datetime_parsing": "un instant (2027-01-31T14:30:00+01:00) est attendu",
    "datetime_from_date_parsing": "un instant (2027-01-31T14:30:00+01:00) est attendu",
    "datetime_type": "un instant (2027-01-31T14:30:00+01:00) est attendu",
    "timezone_aware": "le décalage horaire manque (2027-01-31T14:30:00+01:00)",
    "time_type": "une heure (14:30) est attendue",
    "time_parsing": "une heure (14:30) est attendue",
}
# What a kind of mistake allows, said after it.
_ALLOWED = {
    "greater_than": ("gt", "plus de"),
    "greater_than_equal": ("ge", "au moins"),
    "less_than": ("lt", "moins de"),
    "less_than_equal": ("le", "au plus"),
    "string_too_long": ("max_length", "au plus"),
    "too_long": ("max_length", "au plus"),
    "string_pattern_mismatch": ("pattern", "attendu"),
    "enum": ("expected", "attendu"),
    "literal_error": ("expected", "attendu"),
}


def problem_words(problem: Any, own: Mapping[str, str] | None = None, *, exact: bool = False) -> str:
    """What is wrong, in French, by pydantic's kind of error; `own` are a page's words, `exact` adds what is allowed, for software."""
    kind = problem["type"]
    said = {**_PROBLEMS, **(own or {})}.get(kind, str(problem["msg"]).removeprefix("Value error, "))
    member, words = _ALLOWED.get(kind, ("", ""))
    allowed = problem.get("ctx", {}).get(member)
    return f"{said} ({words} {allowed})".replace("' or '", "' ou '") if exact and allowed is not None else said


def choices_of(problems: Sequence[Any]) -> dict[str, Any]:
    """The member `choices` of a refusal: what a value may mean that is not understood surely; none for other mistakes."""
    return next(({"choices": one["ctx"]["choices"]} for one in problems if one.get("ctx", {}).get("choices")), {})


def _utc(value: datetime) -> datetime:
    return near(value).astimezone(UTC).replace(microsecond=0)


class Addresses:
    """Which addresses this process can write to: `utf8` when its relay offers SMTPUTF8 (settings)."""

    utf8 = False


def _address(value: str) -> str:
    """An address in the one form that stands for a person; what a mailbox ignores is not ours to guess."""
    try:
        read = validate_email(value.strip(), check_deliverability=False)
    except EmailNotValidError:
        raise ValueError("adresse mail incorrecte") from None
    if not (Addresses.utf8 or read.local_part.isascii()):
        raise ValueError(
            f"nous ne pouvons pas écrire à une adresse avec des accents avant le @ (« {read.local_part} ») ; "
            "donnez-en une autre"
        )
    return read.normalized.lower()


Instant = Annotated[AwareDatetime, AfterValidator(_utc)]
Day = Annotated[date, AfterValidator(near)]
Email = Annotated[str, StringConstraints(max_length=254), AfterValidator(_address)]
