"""What the pages of every service share: their frame and style, the assets, safe headers, and how French says numbers and times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse, Response
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from common.codes import normalised_code
from common.spreadsheet import TABLE_FILES

PARIS = ZoneInfo("Europe/Paris")
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
MONTHS = (
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
)
# What becomes of a commitment (common.commitments), beside it in a list.
FATES = {"ends": "prend fin", "changes": "tient, autrement", "moves": "est déplacé"}
_SHORT_DAYS = ("lun.", "mar.", "mer.", "jeu.", "ven.", "sam.", "dim.")
_DAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")

# The pages load nothing from elsewhere and run no inline script.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


class Pages:
    """Renders the templates of one package, which extend `frame.html` and may import those of other packages."""

    def __init__(self, package: str, words: Mapping[str, Any], *, shared: Sequence[str] = ()) -> None:
        self._package = package
        self._environment = Environment(
            loader=ChoiceLoader([PackageLoader(name) for name in (package, *shared, "common")]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            TABLE_FILES=TABLE_FILES,
            ago=ago,
            clock=clock,
            count=count,
            day=day,
            duration=duration,
            grouped=grouped,
            hour=hour,
            slot=slot,
            short_day=short_day,
            long_day=long_day,
            menu=menu,
            moment=moment,
            month=month,
            normalised_code=normalised_code,
            when=when,
            FATES=FATES,
            alike=alike,
            **words,
        )

    def text(self, template: str, **facts: Any) -> str:
        """A rendered fragment."""
        return self._environment.get_template(template).render(**facts)

    def page(self, template: str, status: int = 200, **facts: Any) -> Response:
        """A rendered page with its headers."""
        return HTMLResponse(self.text(template, **facts), status, headers=_HEADERS)

    def assets(self) -> APIRouter:
        """`/static/{name}`: the common style and icon, and the package's own files; read once per process."""
        router = APIRouter(include_in_schema=False)

        @router.get("/static/{name}")
        async def asset(name: str) -> Response:
            found = _assets("common") | _assets(self._package)
            if name not in found:
                raise HTTPException(404, "Ce fichier n'existe pas.")
            content, media_type = found[name]
            return Response(content, media_type=media_type, headers={"Cache-Control": "public, max-age=3600"})

        return router


@dataclass(frozen=True)
class Menu:
    """The navigation around a page: the sections, which of them it is in, that section's pages, and which of them it is or is under."""

    sections: Mapping[str, Any]
    section: str
    pages: Sequence[Any]
    page: Any


def menu(navigation: Sequence[Any], path: str) -> Menu:
    """From the links of the settings (`section`, `label`, `icon`, `address`); a section opens on its first page."""
    sections: dict[str, Any] = {}
    for link in navigation:
        sections.setdefault(link.section, link)
    under = [link for link in navigation if f"{path}/".startswith(f"{urlsplit(link.address).path}/")]
    page = max(under, key=lambda link: len(link.address), default=None)
    section = page.section if page is not None else ""
    return Menu(sections, section, [link for link in navigation if link.section == section], page)


@cache
def _assets(package: str) -> dict[str, tuple[bytes, str]]:
    """The files of a package by name; one that has no folder of its own has none."""
    folder = Path(str(files(package) / "static"))
    paths = folder.iterdir() if folder.is_dir() else ()
    return {path.name: (path.read_bytes(), _TYPES[path.suffix]) for path in paths}


def count(number: int, word: str, words: str | None = None) -> str:
    """ "1 place", "2 places", "39 580 élèves"."""
    return f"{grouped(number)}\u202f{word if number < 2 else words or word + 's'}"


def grouped(number: int) -> str:
    """ "39 580": thousands apart, as French writes them."""
    return f"{number:,}".replace(",", "\u202f")


def ago(then: datetime | None, now: datetime) -> str:
    """How long ago, in the unit that a person would use."""
    if then is None:
        return ""
    seconds = max(0, int((now - then).total_seconds()))
    if seconds < 60:
        return "à l’instant"
    if seconds < 3600:
        return f"il y a {seconds // 60}\u202fmin"
    if seconds < 86400:
        return f"il y a {seconds // 3600}\u202fh"
    return f"il y a {count(seconds // 86400, 'jour')}"


def day(value: date) -> str:
    """ "1er février", with the year when it is not near."""
    return f"{'1er' if value.day == 1 else value.day} {MONTHS[value.month - 1]}"


def month(value: date) -> str:
    """ "février 2027"."""
    return f"{MONTHS[value.month - 1]} {value.year}"


def long_day(value: datetime) -> str:
    """ "mardi 24 novembre 2026", in Paris."""
    local = value.astimezone(PARIS)
    return f"{_DAYS[local.weekday()]} {day(local.date())} {local.year}"


def moment(value: datetime) -> str:
    """ "mardi 24 novembre à 14:30", in Paris."""
    local = value.astimezone(PARIS)
    return f"{_DAYS[local.weekday()]} {day(local.date())} à {local:%H:%M}"


def when(iso: str) -> str:
    """When a commitment takes place, as an answer has it: a day, or an instant in Paris."""
    return moment(datetime.fromisoformat(iso)) if "T" in iso else f"le {day(date.fromisoformat(iso))}"


def alike(commitments: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], int]]:
    """Commitments of an answer with how many read the same, in their order."""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for one in commitments:
        found.setdefault((one["what"], one["when"], one["becomes"]), []).append(one)
    return [(same[0], len(same)) for same in found.values()]


def hour(value: datetime) -> str:
    """ "9:30" on the Paris clock."""
    local = value.astimezone(PARIS)
    return f"{local.hour}:{local.minute:02d}"


def slot(starts_at: datetime, ends_at: datetime) -> str:
    """ "jeudi 26 novembre à 14:00 → 16:00", with the day of its end when that is another one."""
    end = ends_at.astimezone(PARIS)
    same = starts_at.astimezone(PARIS).date() == end.date()
    return f"{moment(starts_at)} → {f'{end:%H:%M}' if same else moment(end)}"


def short_day(value: date) -> str:
    """ "jeu. 26 novembre"."""
    return f"{_SHORT_DAYS[value.weekday()]} {day(value)}"


def clock(value: datetime) -> str:
    """ "14:32:08", in Paris."""
    return value.astimezone(PARIS).strftime("%H:%M:%S")


def duration(seconds: float | None) -> str:
    """A lag as people say it."""
    if seconds is None:
        return "inconnu"
    if seconds < 60:
        return f"{seconds:.1f}\u202fs".replace(".", ",")
    if seconds < 3600:
        return f"{int(seconds) // 60}\u202fmin {int(seconds) % 60}\u202fs"
    return f"{int(seconds) // 3600}\u202fh {int(seconds) % 3600 // 60}\u202fmin"
