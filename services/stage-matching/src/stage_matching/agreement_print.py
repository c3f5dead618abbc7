"""The agreement on paper: a tagged PDF (PDF/UA-1) of the signed copy, its hash, and who signed when."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from stage_matching import words
from stage_matching.agreements import LATE_REASONS_FR
from stage_matching.terms import Terms, hours_words
from territory import reference


def pdf(terms: Terms, row: Any, acts: Sequence[Any]) -> bytes:
    """The document; takes some tenths of a second of a processor, so call it in a thread."""
    import typst  # its compiler and fonts are 40 MB, which only who prints needs

    source = files("stage_matching").joinpath("templates/agreement.typ").read_bytes()
    made = typst.compile(source, format="pdf", sys_inputs={"told": told(terms, row, acts)}, pdf_standards="ua-1")
    assert isinstance(made, bytes)
    return made


def told(terms: Terms, row: Any, acts: Sequence[Any]) -> str:
    """What the document says, as JSON."""
    state = words.AGREEMENT_STATES[row.state]
    return json.dumps(
        {
            "heading": f"Convention de stage : {terms.title}",
            "host_name": terms.host_name,
            "state": f"État : {state}.",
            "version_line": f"Version {row.terms_version} de la convention {row.agreement_id}{_replaced(row)}",
            "sha256": row.terms_sha256,
            "terms": [[name, value] for name, value in _terms(terms) if value],
            "parties": [
                [
                    words.PARTIES.get(one.party, one.party).capitalize(),
                    one.display_name,
                    _signature(one.party, row, acts),
                ]
                for one in terms.parties
            ],
            "acts": [
                f"{words.stamp(act.acted_at)} : {words.ACTS[act.act]}, {words.PARTIES.get(act.party, act.party)}, "
                f"version {act.terms_version}, {words.HOWS[act.how]}{_why(act)}"
                for act in acts
            ],
        },
        ensure_ascii=False,
    )


def _terms(terms: Terms) -> list[tuple[str, str]]:
    placement = terms.placement
    place = terms.commune or reference.commune_label(terms.commune_code)
    young = f", moins de {terms.age_below} ans" if terms.age_below is not None else ""
    return [
        ("Stage", terms.title),
        ("Nature", words.OFFER_KINDS.get(terms.kind, terms.kind)),
        ("Organisme", f"{terms.host_name}, SIRET {terms.siret}"),
        ("Lieu", f"{placement.address}, {place}" if placement.address else place),
        ("Période", f"du {terms.starts_on:%d/%m/%Y} au {terms.ends_on:%d/%m/%Y}"),
        ("Jours et heures", hours_words(placement.hours)),
        ("Public", f"{words.AUDIENCES.get(terms.audience, terms.audience)}{young}"),
        ("Activités", placement.tasks),
        ("Tuteur", placement.tutor_name),
        ("Règles", placement.rules),
    ]


def _signature(party: str, row: Any, acts: Sequence[Any]) -> str:
    for act in acts:
        if (act.act, act.party, act.terms_version) == ("sign", party, row.terms_version):
            return f"{words.stamp(act.acted_at)}, {words.HOWS[act.how]}{_why(act)}"
    return "à venir"


def _replaced(row: Any) -> str:
    return "" if row.terms_version == row.current_version else f", remplacée par la version {row.current_version}"


def _why(act: Any) -> str:
    return f" ({LATE_REASONS_FR[act.reason]})" if act.reason else ""
