"""A place as people write it: postal code, name, former commune; read without regard to how it is spelt, and never guessed.

What is ambiguous, or only looks like a place, comes back as choices: pages offer them, tables and the API refuse with them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Annotated, Any

from fastapi.responses import JSONResponse, Response
from pydantic import BeforeValidator, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError
from rapidfuzz import process
from rapidfuzz.distance import OSA

from territory.reference import Commune, commune_label, communes, departments, former_communes

_TYPED_LENGTH_MAX = 100
# What only looks like the text is offered up to this many; what has this very name or postal code, whole.
_ALIKE_MAX = 10
_SUGGESTED_MAX = 10
_NAMED_IN_MESSAGE = 5
_ABBREVIATIONS = {"st": "saint", "ste": "sainte", "sts": "saints", "stes": "saintes", "mt": "mont"}
_ARTICLES = {"le", "la", "les", "l"}
_POSTAL_LENGTH = 5


@dataclass(frozen=True)
class Meaning:
    """One commune that a text may mean; `former` is the former commune by which it was named, a part of it today."""

    commune: Commune
    former: str = ""
    former_code: str = ""

    @property
    def label(self) -> str:
        """ "Rouen (76)": what `find` reads as this and nothing else."""
        return f"{self.former or self.commune.title} ({self.commune.department_code})"

    @property
    def words(self) -> str:
        """As a choice says it: "Airan, aujourd’hui Valambray (14)"."""
        return f"{self.former}, aujourd’hui {commune_label(self.commune.code)}" if self.former else self.label

    def agrees(self, number: str) -> bool:
        """Whether a number beside the name is its postal code, INSEE code or department."""
        its = (self.commune.code, self.former_code, self.commune.department_code, *self.commune.postal_codes)
        return number in its

    def is_coded_only(self, number: str) -> bool:
        """Whether a number is its INSEE code and no postal code of it."""
        return number == self.commune.code and number not in self.commune.postal_codes


@dataclass(frozen=True)
class Place:
    """What somebody wrote, and what it may mean: one thing surely, one of several, or nothing that we know."""

    typed: str = ""
    choices: tuple[Meaning, ...] = ()
    # The only choice is what was written, and not just something like it.
    sure: bool = False
    # Whether the choices have the name or the number that was written.
    exact: bool = False
    # How many more there are than the choices.
    more_count: int = 0

    @property
    def code(self) -> str:
        """The INSEE code; empty unless the text surely means one commune."""
        return self.choices[0].commune.code if self.sure else ""

    @property
    def label(self) -> str:
        """What a field shows: the place, or what was typed where it is not sure."""
        return self.choices[0].label if self.sure else self.typed

    @property
    def former(self) -> str:
        """What a former commune is today, as a sentence; empty for any other place."""
        one = self.choices[0] if self.sure and self.choices[0].former else None
        return f"{one.former} fait aujourd’hui partie de {commune_label(one.commune.code)}." if one else ""

    @property
    def problem(self) -> str:
        """What is wrong with a text that is not sure; empty for one that is, and for none."""
        if self.sure or not self.typed:
            return ""
        written = f"«\u00a0{self.typed}\u00a0»"
        if self.exact and any(one.is_coded_only(self.typed) for one in self.choices):
            return f"{written} est un code postal et aussi un code INSEE : écrivez le nom, ou mettez le code INSEE dans commune_insee."
        if self.exact:
            return f"{written} peut être plusieurs communes : dites laquelle."
        if self.choices:
            return f"Nous ne connaissons pas de commune {written}. Vouliez-vous dire :"
        if self.typed.isdecimal():
            return (
                f"{written} n’est le code d’aucune commune de Normandie : vérifiez-le, ou écrivez le nom de la commune."
            )
        return f"Nous ne connaissons pas de commune {written} en Normandie : écrivez son nom ou son code postal."

    @property
    def choices_words(self) -> str:
        """The first choices in one line, for a report that has no list to choose from."""
        named = [one.words for one in self.choices[:_NAMED_IN_MESSAGE]]
        rest = len(self.choices) + self.more_count - len(named)
        return " ; ".join([*named, *([f"et {rest} de plus"] if rest else [])])


NOWHERE = Place()


def find(text: str) -> Place:
    """What a text that a person wrote means. A bare number of five digits is a postal code, if there is such a code."""
    shown = "".join(" " if unicodedata.category(one) == "Cc" else one for one in text[: 2 * _TYPED_LENGTH_MAX])
    return _find(shown.strip()[:_TYPED_LENGTH_MAX])


@lru_cache(maxsize=1 << 14)
def _find(typed: str) -> Place:
    name, numbers = _parts(typed)
    postal = [number for number in numbers if len(number) == _POSTAL_LENGTH]
    if not name:
        return _exactly(typed, _numbered(postal[0]) if len(numbers) == len(postal) == 1 else ())

    def agreeing(meanings: Iterable[Meaning]) -> list[Meaning]:
        return [one for one in meanings if all(one.agrees(number) for number in numbers)]

    named = _names().get(name, ())
    if agreeing(named):
        return _exactly(typed, agreeing(named))
    alike = [*(named or (*_beginning(name), *_misspelt(name)))]
    # A postal code and a part of a name, or a name with one wrong letter, confirm each other.
    if postal and agreeing(alike):
        return _exactly(typed, agreeing(alike))
    ranked = _ranked([*alike, *(_numbered(postal[0]) if postal else ())])
    return Place(typed, tuple(ranked[:_ALIKE_MAX]), more_count=max(0, len(ranked) - _ALIKE_MAX))


def by_code(text: str) -> Place:
    """What an INSEE code means, a former one too; any other text is not sure, whatever it means as people write it."""
    typed = text.strip()
    if typed in communes():
        return _exactly(typed, [Meaning(communes()[typed])])
    if typed in _formers():
        return _exactly(typed, [_formers()[typed]])
    return replace(find(text), sure=False, exact=False)


def of_columns(written: str, insee_code: str) -> Place:
    """The place of a table's line: `commune` as people write it, `commune_insee` as software knows it, or both.

    A bare number in `commune` is ambiguous when it is a postal code of some and the INSEE code of another: tables have both.
    """
    place, coded = find(written), by_code(insee_code)
    if insee_code.strip():
        says_another = place.exact and coded.code not in {one.commune.code for one in place.choices}
        return _exactly(place.typed, [*place.choices, *coded.choices]) if coded.sure and says_another else coded
    if place.typed in communes() and place.typed != place.code:
        return _exactly(place.typed, [*place.choices, Meaning(communes()[place.typed])])
    return place


def suggested(text: str) -> list[Meaning]:
    """What a text that is still being written may become: this very place first, then the largest."""
    name, numbers = _parts(text[:_TYPED_LENGTH_MAX])
    place = find(text)
    if name:
        begun = [one for one in _beginning(name) if all(_begins(one, number) for number in numbers)]
    else:
        begun = [one for code, its in _postal_codes().items() if numbers and code.startswith(numbers[0]) for one in its]
    first = place.choices if place.exact else ()
    found = list(dict.fromkeys([*first, *_ranked(begun), *place.choices]))
    return found[: max(len(first), _SUGGESTED_MAX)]


async def suggestions(q: str = "") -> Response:
    """`/communes?q=`: what a field offers while a person types; the value is what the field will send."""
    found = [{"value": one.label, "text": one.words} for one in suggested(q)]
    return JSONResponse(found, headers={"Cache-Control": "public, max-age=3600"})


# -- reading a text


def _plain(text: str) -> str:
    """Without case, accents, ligatures and what is not seen."""
    plain = unicodedata.normalize("NFKD", text).casefold().replace("œ", "oe").replace("æ", "ae")
    return "".join(one for one in plain if unicodedata.category(one) not in ("Mn", "Cf"))


def _folded(words: Iterable[str]) -> str:
    return " ".join(_ABBREVIATIONS.get(word, word) for word in words)


def _parts(text: str) -> tuple[str, list[str]]:
    """The name in a text, folded, and the numbers beside it; hyphens, apostrophes and other signs are blanks."""
    plain = _plain(text)
    plain = re.sub(r"\bs\s*/", " sur ", plain)
    # "76 600" is one number.
    plain = re.sub(r"\b([0-9]{2})[ .]([0-9]{3})\b", r"\1\2", plain)
    if "cedex" in plain:
        # Such a code is a large addressee's own; the name beside it is the place.
        plain = re.sub(r"\bcedex\b\s*[0-9]*|\b[0-9]{5}\b", " ", plain)
    words = re.findall("[a-z]+|[0-9]+", plain)
    names, numbers = [word for word in words if word.isalpha()], [word for word in words if word.isdecimal()]
    if len(names) > 1 and names[-1] in _ARTICLES:
        # "HAVRE (LE)", as registers write it.
        names = [names[-1], *names[:-1]]
    name = _folded(names)
    for department in departments().values():
        bare = name.removesuffix(f" {_plain(department.title).replace('-', ' ')}")
        if name not in _names() and bare in _names():
            return bare, [*numbers, department.code]
    return name, numbers


def _numbered(number: str) -> Iterable[Meaning]:
    """The communes of a postal code; where there is no such code, that of the INSEE code."""
    if number in _postal_codes():
        return _postal_codes()[number]
    if number in communes():
        return (Meaning(communes()[number]),)
    return (_formers()[number],) if number in _formers() else ()


def _beginning(name: str) -> list[Meaning]:
    """What has these words in its name, the last one perhaps not finished."""
    return [one for key, its in _names().items() if f" {name}" in f" {key}" for one in its]


def _misspelt(name: str) -> list[Meaning]:
    """What has one letter more, less or other than the text, or two letters swapped."""
    near = [key for length in (-1, 0, 1) for key in _names_by_length().get(len(name) + length, ())]
    alike = process.extract(name, near, scorer=OSA.distance, score_cutoff=1, limit=None)
    return [one for key, _, _ in alike for one in _names()[key]]


def _begins(one: Meaning, number: str) -> bool:
    its = (one.commune.code, one.commune.department_code, *one.commune.postal_codes)
    return any(code.startswith(number) for code in its)


def _ranked(meanings: Iterable[Meaning]) -> list[Meaning]:
    """Each commune once by its own name, the largest first, then those that are named by what was one of their parts."""
    unique = set(meanings)
    own = {one.commune.code for one in unique if not one.former}
    kept = [one for one in unique if not one.former or one.commune.code not in own]
    return sorted(kept, key=lambda one: (one.former != "", -one.commune.population, one.commune.code, one.former))


def _exactly(typed: str, meanings: Iterable[Meaning]) -> Place:
    """What has the very name or number that was written: sure when it is one."""
    ranked = _ranked(meanings)
    return Place(typed, tuple(ranked), sure=len({one.commune.code for one in ranked}) == 1, exact=bool(ranked))


@cache
def _names() -> dict[str, tuple[Meaning, ...]]:
    """Everything that has a name, by its folded name."""
    found: dict[str, list[Meaning]] = {}
    for one in (*map(Meaning, communes().values()), *_former_meanings()):
        words = re.findall("[a-z]+", _plain(one.former or one.commune.title))
        found.setdefault(_folded(words), []).append(one)
    return {name: tuple(_ranked(its)) for name, its in found.items()}


@cache
def _names_by_length() -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for name in _names():
        found.setdefault(len(name), []).append(name)
    return found


@cache
def _postal_codes() -> dict[str, tuple[Meaning, ...]]:
    found: dict[str, list[Meaning]] = {}
    for commune in communes().values():
        for code in commune.postal_codes:
            found.setdefault(code, []).append(Meaning(commune))
    return {code: tuple(its) for code, its in found.items()}


@cache
def _formers() -> dict[str, Meaning]:
    """Former communes by an INSEE code that is no longer in force."""
    return {one.former_code: one for one in _former_meanings() if one.former_code not in communes()}


@cache
def _former_meanings() -> tuple[Meaning, ...]:
    return tuple(Meaning(communes()[one.commune_code], one.title, one.code) for one in former_communes())


# -- fields of bodies, queries and tables


def _refused(place: Place, said: str) -> PydanticCustomError:
    choices: list[dict[str, Any]] = [
        {"commune_code": one.commune.code, "label": commune_label(one.commune.code)}
        | ({"former_commune": one.former} if one.former else {})
        for one in place.choices
    ]
    return PydanticCustomError("commune", "{said}", {"said": said, "choices": choices})


def _code(value: Any) -> Any:
    """What a person wrote, read before; or what software sends, which is a code in force and nothing else."""
    if isinstance(value, Place):
        if value.sure:
            return value.code
        said = value.problem or "manque"
        raise _refused(value, f"{said} {value.choices_words}".strip())
    if not isinstance(value, str) or value in communes():
        return value
    place = by_code(value)
    said = "ce n’est pas le code INSEE d’une commune de Normandie en vigueur (COG 2026)"
    raise _refused(place, f"{said} ; est-ce {place.choices_words} ?" if place.choices else said)


# The INSEE code of a commune: a form or a table gives the `Place` that was written, software the code.
CommuneCode = Annotated[
    str,
    BeforeValidator(_code),
    WithJsonSchema({"type": "string", "pattern": "^[0-9][0-9AB][0-9]{3}$", "description": "INSEE code in force"}),
]
# The same of a query that has what a person wrote; a blank is none.
TypedCommune = Annotated[CommuneCode | None, BeforeValidator(lambda typed: find(typed) if typed.strip() else None)]
# A place as a person writes it and reads it in an address.
WrittenPlace = Annotated[Place, PlainValidator(find), PlainSerializer(lambda one: one.label, return_type=str)]
