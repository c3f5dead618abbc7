"""A report as it comes in: the same check for every way in, the lines of a table, a receipt for each. Closed values only."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from common.bodies import Body, known
from common.failures import Refusal
from common.spreadsheet import read_table, refused_line
from common.transaction import Transaction
from dropout_observatory import domain, handlers
from dropout_observatory.handlers import Repeated
from dropout_observatory.messages import DropoutFactor, LevelLeft, ReportSource, ReportWay, SchoolKind
from dropout_observatory.state import Facts, Policy
from dropout_observatory.store import Viewer
from dropout_observatory.words import FACTORS, LEVELS, SCHOOL_KINDS
from territory import places, reference
from territory.identifiers import uai_is_valid
from territory.places import CommuneCode

LINES_MAX = 1_000
COLUMNS = ("mois", "niveau", "etablissement", "age", "commune", "facteurs")
OPTIONAL_COLUMNS = ("commune", "commune_insee", "uai")
FIELDS = {
    "left_month": "mois",
    "level_left": "niveau",
    "school_kind": "établissement",
    "school_uai": "UAI",
    "age": "âge",
    "commune_code": "commune",
    "factors": "facteurs",
    "happened_on": "jour",
    "kind": "étape",
    "accompanier": "accompagné par",
    "presence": "présence",
    "outcome": "issue",
    "reason": "raison",
}
PROBLEMS = {"string_pattern_mismatch": "un mois est attendu, par exemple 2026-11", "too_short": "cochez-en au moins un"}

Receipt = dict[str, Any]


def _uai(value: str) -> str:
    if not uai_is_valid(value.upper()):
        raise ValueError("UAI incorrect : 7 chiffres et leur lettre de contrôle")
    return value.upper()


def _each_once(value: list[DropoutFactor]) -> list[DropoutFactor]:
    return [factor for factor in DropoutFactor if factor in value]


Month = Annotated[str, StringConstraints(pattern=r"^20[2-9][0-9]-(0[1-9]|1[0-2])$")]


class ReportBody(Body):
    """What is said of somebody who left. No name, no address, no text: closed values, and an age of which a band is kept."""

    left_month: Month
    level_left: Annotated[LevelLeft, AfterValidator(known)]
    school_kind: Annotated[SchoolKind, AfterValidator(known)]
    school_uai: Annotated[str, AfterValidator(_uai)] | None = None
    age: int = Field(ge=0, le=120)
    commune_code: CommuneCode
    factors: Annotated[
        list[Annotated[DropoutFactor, AfterValidator(known)]],
        Field(min_length=1, max_length=20),
        AfterValidator(_each_once),
    ]

    def facts(self, policy: Policy) -> Facts | Refusal:
        """As the domain has it, in the geography of today; or why somebody of this age is not recorded."""
        band = domain.age_band(self.age, policy)
        if isinstance(band, Refusal):
            return band
        commune = reference.communes()[self.commune_code]
        return Facts(
            left_month=date.fromisoformat(f"{self.left_month}-01"),
            level_left=self.level_left,
            school_kind=self.school_kind,
            school_uai=self.school_uai,
            age_band=band,
            commune_code=commune.code,
            epci_siren=commune.epci_siren,
            department_code=commune.department_code,
            geography_year=reference.GEOGRAPHY_YEAR,
            factors=tuple(self.factors),
        )


Read = ReportBody | Refusal


async def report_each(
    tx: Transaction, viewer: Viewer, source: ReportSource, lines: Sequence[Read], way: ReportWay, repeated: Repeated
) -> list[Receipt]:
    """One receipt for each line, in their order. What one line wrote before it was refused is undone.

    Lines alike are as many people. Of those that were reported before, `SKIP` leaves out as many as are known.
    """
    policy = await handlers.policy(tx)
    read = [line if isinstance(line, Refusal) else line.facts(policy) for line in lines]
    known = await handlers.reported_counts(tx, viewer, [one for one in read if isinstance(one, Facts)])
    receipts: list[Receipt] = []
    for facts in read:
        if isinstance(facts, Refusal):
            receipts.append(_refused(facts))
            continue
        asked = repeated if known[facts.likeness] > 0 else Repeated.REPORT
        async with tx.step() as step:
            result = await handlers.report(tx, viewer, source, facts, way, asked)
            step.undo = isinstance(result, Refusal)
        if asked is Repeated.SKIP:
            known[facts.likeness] -= 1
        receipts.append(_refused(result) if isinstance(result, Refusal) else handlers.answered(result))
    return receipts


def _refused(refusal: Refusal) -> Receipt:
    return {"status": "refused", "reason": refusal.reason, "detail": refusal.detail, **refusal.facts}


async def report_table(
    tx: Transaction,
    viewer: Viewer,
    source: ReportSource,
    table: Sequence[tuple[int, Read]],
    repeated: Repeated,
    *,
    dry_run: bool,
) -> dict[str, Any]:
    """All lines or none, with a report on each; a rehearsal is the same, undone."""
    async with tx.step() as step:
        receipts = await report_each(tx, viewer, source, [line for _, line in table], ReportWay.TABLE, repeated)
        refused = sum(receipt["status"] == "refused" for receipt in receipts)
        step.undo = dry_run or refused > 0
    if step.undo:
        # No such case was kept, and no code stands for it.
        receipts = [
            {name: value for name, value in one.items() if one["status"] != "reported" or name in ("status", "alike")}
            for one in receipts
        ]
    return {
        "dry_run": dry_run,
        "lines_count": len(receipts),
        "refused_count": refused,
        "kept_count": 0 if step.undo else sum(receipt["status"] == "reported" for receipt in receipts),
        "receipts": [{"line": number, **receipt} for (number, _), receipt in zip(table, receipts, strict=True)],
    }


# -- tables


def read_reports(content: bytes) -> list[tuple[int, Read]]:
    """(line number in the file, line) of a table of reports. Raises `UnreadableTable`."""
    lines = read_table(content, COLUMNS, lines_max=LINES_MAX, optional=OPTIONAL_COLUMNS)
    return [(number, line if isinstance(line, Refusal) else _line(line)) for number, line in lines]


def checked(raw: Mapping[str, Any]) -> Read:
    """A line of a batch, or what is wrong with it."""
    try:
        return ReportBody.model_validate(raw)
    except ValidationError as error:
        return refused_line(error, FIELDS, PROBLEMS)


def _line(cells: Mapping[str, str]) -> Read:
    try:
        return ReportBody.model_validate(
            {
                "left_month": _written_month(cells["mois"]),
                "level_left": _symbol(cells["niveau"], LEVELS, "niveau"),
                "school_kind": _symbol(cells["etablissement"], SCHOOL_KINDS, "établissement"),
                "school_uai": cells["uai"] or None,
                "age": cells["age"],
                "commune_code": places.of_columns(cells["commune"], cells["commune_insee"]),
                "factors": [_symbol(one, FACTORS, "facteurs") for one in cells["facteurs"].split(",") if one.strip()],
            }
        )
    except ValidationError as error:
        return refused_line(error, FIELDS, PROBLEMS)
    except ValueError as error:
        return Refusal("invalid_line", str(error))


def _written_month(text: str) -> str:
    """`2026-11` of `11/2026`, `01/11/2026` or itself."""
    parts = text.split("/")
    return f"{parts[-1]}-{parts[-2].zfill(2)}" if len(parts) in (2, 3) else text[:7] if len(text) == 10 else text


def _symbol(text: str, words: Mapping[str, str], column: str) -> str:
    """The symbol of a closed list that a cell names, by its French word or as software has it."""
    wanted = _bare(text)
    for symbol, word in words.items():
        if wanted in (_bare(word), _bare(symbol)):
            return symbol
    raise ValueError(f"{column} : « {text[:40]} » n’est pas de la liste ({', '.join(words.values())})")


def _bare(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().casefold()
    return " ".join(plain.replace("_", " ").replace("-", " ").split())
