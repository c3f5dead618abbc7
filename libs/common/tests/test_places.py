"""Places as people write them: every postal code, every name however spelt, former communes, wrong letters; nothing is guessed."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from territory.places import (
    CommuneCode,
    Place,
    TypedCommune,
    WrittenPlace,
    by_code,
    find,
    of_columns,
    suggested,
)
from territory.reference import Commune, commune_label, communes, former_communes

ROUEN, LE_HAVRE, SAINT_LEONARD = "76540", "76351", "76600"


def bare(text: str) -> str:
    """Without accents."""
    plain = unicodedata.normalize("NFD", text.replace("œ", "oe"))
    return "".join(one for one in plain if not unicodedata.combining(one))


def short(text: str) -> str:
    """With « St » and « Ste » for the saints."""
    for long, abbreviation in (("Sainte", "Ste"), ("Saints", "Sts"), ("Saint", "St")):
        text = text.replace(f"{long}-", f"{abbreviation}-").replace(f"{long} ", f"{abbreviation} ")
    return text


SPELLINGS: dict[str, Callable[[str], str]] = {
    "capitals without accents": lambda name: bare(name).upper(),
    "typographic apostrophes and dashes": lambda name: name.replace("'", "’").replace("-", "–"),
    "decomposed accents, blanks for hyphens": lambda name: unicodedata.normalize("NFD", name.replace("-", " ")),
    "St and Ste": short,
    "careless": lambda name: f"  {bare(name).lower().replace('-', '  ').replace(chr(39), ' ')}. ",
}


def named() -> dict[str, set[str]]:
    """The communes that a name stands for, by the name without accents, hyphens and apostrophes: their own, and former ones'."""
    found: dict[str, set[str]] = defaultdict(set)
    for title, code in (
        *((one.title, one.code) for one in communes().values()),
        *((one.title, one.commune_code) for one in former_communes()),
    ):
        found[bare(title).casefold().replace("-", " ").replace("'", " ")].add(code)
    return found


NAMED = named()


def meant(place: Place) -> set[str]:
    """The codes of the choices."""
    return {one.commune.code for one in place.choices}


def stands_for(title: str) -> set[str]:
    """The communes of a name."""
    return NAMED[bare(title).casefold().replace("-", " ").replace("'", " ")]


def test_every_postal_code_is_read_as_one() -> None:
    """76600 is Le Havre and not the commune with that INSEE code; what several share is asked, the largest first."""
    shared: dict[str, list[Commune]] = defaultdict(list)
    for commune in communes().values():
        for code in commune.postal_codes:
            shared[code].append(commune)
    assert len(shared) == 382 and sum(code in communes() for code in shared) == 230
    for code, its in shared.items():
        place = find(code)
        ranked = [one.code for one in sorted(its, key=lambda one: (-one.population, one.code))]
        assert [one.commune.code for one in place.choices] == ranked, code
        assert place.code == (ranked[0] if len(ranked) == 1 else ""), code
        assert bool(place.problem) == (len(ranked) > 1), code
        assert [one.commune.code for one in suggested(code)][: len(ranked)] == ranked, code
    assert find("76600").code == find("76 600").code == find(" 76600 ").code == LE_HAVRE


def test_a_number_that_is_no_postal_code_is_an_insee_code() -> None:
    """And no digit is ever corrected."""
    assert find(LE_HAVRE).code == LE_HAVRE
    for text in ("75001", "76999", "7660", "766000", "76", "0", "76600 76000"):
        place = find(text)
        assert not place.sure and not place.choices and text in place.problem, text


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_name_is_read_however_it_is_spelt(spelling: str) -> None:
    """Case, accents, hyphens, apostrophes, « St », composed or not; who has the name with others is asked."""
    for title, code in (
        *((one.title, one.code) for one in communes().values()),
        *((one.title, one.commune_code) for one in former_communes()),
    ):
        place = find(SPELLINGS[spelling](title))
        assert code in meant(place) and meant(place) == stands_for(title), title
        assert place.sure == (len(stands_for(title)) == 1), title


def test_every_homonym_is_asked() -> None:
    """Forty-seven names belong to several communes of today; none of them takes the first."""
    titles: dict[str, list[str]] = defaultdict(list)
    for commune in communes().values():
        titles[bare(commune.title).casefold().replace("-", " ")].append(commune.code)
    homonyms = {title: codes for title, codes in titles.items() if len(codes) > 1}
    assert len(homonyms) == 47
    for title, codes in homonyms.items():
        place = find(title)
        assert not place.code and meant(place) >= set(codes) and "dites laquelle" in place.problem, title
        for one in place.choices:
            assert find(one.label).code == one.commune.code, one.label


def test_every_label_and_every_address_line_is_sure() -> None:
    """What the pages write is read back; so is a name with its postal code, before or after, its department or its INSEE code."""
    for one in communes().values():
        postal, department = one.postal_codes[0], one.department_code
        for text in (
            commune_label(one.code),
            f"{postal} {one.title.upper()}",
            f"{one.title} ({postal})",
            f"{one.title}, {postal[:2]} {postal[2:]}",
            f"{one.code} {one.title}",
            f"{one.title} {department}",
        ):
            assert find(text).code == one.code, text


def test_every_former_commune_leads_to_that_of_today_and_says_so() -> None:
    """By its name and department, and by an INSEE code that is no longer in force."""
    for former in former_communes():
        today = communes()[former.commune_code]
        if bare(former.title).casefold() != bare(today.title).casefold():
            label = f"{former.title} ({today.department_code})"
            place = find(label)
            assert (place.code, place.label) == (today.code, label)
            assert former.title in place.former and commune_label(today.code) in place.former
        if former.code not in communes():
            assert by_code(former.code).code == today.code, former.code
            assert find(former.code).code in (today.code, "") or former.code in {
                code for one in communes().values() for code in one.postal_codes
            }


def test_one_wrong_letter_is_asked_about() -> None:
    """One more, less, other, or two swapped: the place is offered, and never taken for sure unless another has that very name."""
    rng = Random(76)
    for title in dict.fromkeys(one.title.replace("œ", "oe") for one in communes().values() if len(one.title) > 4):
        letters = [n for n in range(1, len(title) - 1) if title[n].isalpha() and title[n + 1].isalpha()]
        if not letters:
            continue
        n = rng.choice(letters)
        for wrong in (
            title[:n] + title[n + 1 :],
            title[:n] + rng.choice("bdkwz") + title[n:],
            title[:n] + rng.choice("bdkwz") + title[n + 1 :],
            title[:n] + title[n + 1] + title[n] + title[n + 2 :],
        ):
            place = find(wrong)
            if bare(wrong).casefold().replace("-", " ").replace("'", " ") in NAMED:
                continue
            assert not place.sure, wrong
            assert stands_for(title) & meant(place) or place.more_count, (title, wrong)


@pytest.mark.parametrize(
    ("elsewhere", "alike"),
    [("Vitré", "Vire"), ("Lille", "Lilly"), ("Nice", "Nocé"), ("Dreux", "Reux"), ("Fougères", "Feugères")],
)
def test_a_town_of_elsewhere_is_not_taken_for_one_of_here(elsewhere: str, alike: str) -> None:
    """Whoever comes from Vitré is not put at Vire: one letter away is a question."""
    place = find(elsewhere)
    assert not place.code and any(one.label.startswith(alike) for one in place.choices)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("HAVRE (LE)", "Le Havre"),
        ("76085 LE HAVRE CEDEX", "Le Havre"),
        ("Caen cedex 4", "Caen"),
        ("Le Havre, Seine-Maritime", "Le Havre"),
        ("Bretteville s/ Odon", "Bretteville-sur-Odon"),
        ("Mt-St-Aignan", "Mont-Saint-Aignan"),
        ("« Rouen »", "Rouen"),
        ("Rou\u200ben\u00ad", "Rouen"),
        ("L´AIGLE", "L'Aigle"),
        ("Lʼaigle", "L'Aigle"),
        ("14200 Herouville", "Hérouville-Saint-Clair"),
        ("50100 Cherbourg", "Cherbourg-en-Cotentin"),
        ("76000 Rouan", "Rouen"),
    ],
)
def test_what_registers_and_envelopes_write_is_sure(text: str, title: str) -> None:
    """Inverted articles, cedex, departments, abbreviations; a postal code confirms half a name, or one with a wrong letter."""
    assert communes()[find(text).code].title == title


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Cherbourg", "Cherbourg-en-Cotentin (50)"),
        ("laigle", "L'Aigle (61)"),
        ("Havre", "Le Havre (76)"),
        ("Saint", "Saint-Étienne-du-Rouvray (76)"),
        ("76600 Rouen", "Le Havre (76)"),
        ("Beaulieu", "Beaulieu (61)"),
    ],
)
def test_half_a_name_and_what_contradicts_itself_is_asked(text: str, first: str) -> None:
    """The largest is offered first."""
    place = find(text)
    assert not place.code and place.choices[0].label == first and place.problem


@given(st.text(max_size=300))
def test_anything_typed_is_kept_and_never_fails(text: str) -> None:
    """A text means one thing, or says what to do; a blank says nothing."""
    place = find(text)
    assert bool(place.code) == place.sure and not (place.problem and place.sure)
    assert bool(place.problem) == bool(place.typed and not place.sure)
    assert place.typed in "".join(" " if unicodedata.category(one) == "Cc" else one for one in text)
    suggested(text), by_code(text), of_columns(text, text)


def test_what_a_field_proposes_while_one_types() -> None:
    """The very place first, then the largest that have these words; every value that is proposed is sure."""
    for text, first in (
        ("rou", "Rouen (76)"),
        ("766", "Le Havre (76)"),
        ("saint lo", "Saint-Lô (50)"),
        ("eu", "Eu (76)"),
    ):
        found = suggested(text)
        assert found[0].label == first and all(find(one.label).code == one.commune.code for one in found)
    assert suggested("ruoen")[0].label == "Rouen (76)" and suggested("") == [] and suggested("xyz") == []


@pytest.mark.parametrize(
    ("written", "insee_code", "code"),
    [
        ("Le Havre", "", LE_HAVRE),
        ("", ROUEN, ROUEN),
        ("Rouen", ROUEN, ROUEN),
        # The code says which of several; it is there for that.
        ("76400", SAINT_LEONARD, SAINT_LEONARD),
        ("Saint Martin", "76616", "76616"),
        # Both a postal code and another commune's INSEE code; a name and a code that contradict each other.
        ("76600", "", ""),
        (ROUEN, "", ""),
        ("Rouen", LE_HAVRE, ""),
        ("", "99999", ""),
        ("", "Rouen", ""),
        ("Atlantis", "", ""),
        ("", "", ""),
    ],
)
def test_a_line_of_a_table(written: str, insee_code: str, code: str) -> None:
    """`commune` as people write it, `commune_insee` as software knows it; where they leave a doubt the line is asked about."""
    place = of_columns(written, insee_code)
    assert place.code == code and (code or place.problem or not place.typed)
    if written == "76600":
        assert meant(place) == {LE_HAVRE, SAINT_LEONARD} and "commune_insee" in place.problem


def test_software_sends_a_code_in_force_and_nothing_else() -> None:
    """Anything else is refused with what it may mean, and is not repeated in the answer."""
    body: TypeAdapter[str] = TypeAdapter(CommuneCode)
    assert body.validate_python("76600") == SAINT_LEONARD
    for text, codes in (("Rouen", [ROUEN]), ("14002", ["14150"]), ("76000", [ROUEN]), ("99999", []), ("", [])):
        with pytest.raises(ValidationError) as refused:
            body.validate_python(text)
        (error,) = refused.value.errors()
        assert [one["commune_code"] for one in error["ctx"]["choices"]] == codes
        assert text not in ("99999",) or text not in error["msg"]
    assert body.validate_python(find("le havre")) == LE_HAVRE
    with pytest.raises(ValidationError, match="Le Havre"):
        body.validate_python(find("havre"))
    with pytest.raises(ValidationError, match="manque"):
        body.validate_python(find(" "))


def test_a_query_takes_what_a_person_wrote() -> None:
    """A page keeps a text that is not sure; an API of the same address refuses it."""
    page: TypeAdapter[Place] = TypeAdapter(WrittenPlace)
    api: TypeAdapter[str | None] = TypeAdapter(TypedCommune)
    assert page.validate_python("Martigny").typed == "Martigny" and api.validate_python("") is None
    assert page.dump_python(page.validate_python("rouen")) == "Rouen (76)" and api.validate_python("76600") == LE_HAVRE
    with pytest.raises(ValidationError, match="dites laquelle"):
        api.validate_python("Martigny")
