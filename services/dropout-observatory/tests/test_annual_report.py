"""The annual report: the same bytes of the same release, no number that its files have not, nothing withheld, pages that hold."""

from __future__ import annotations

import csv
import hashlib
import io
import random
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import polars
import pytest

import small_lakes
from dropout_observatory.annual_report import drawing, rendering, writing
from dropout_observatory.annual_report.document import Document
from dropout_observatory.annual_report.edition import Edition, checked_year
from dropout_observatory.annual_report.parts import Chapter, Number, RegionMap, say
from dropout_observatory.annual_report.region_map import draw
from dropout_observatory.indicators.definitions import definitions
from dropout_observatory.indicators.publishing import Before, prepared
from dropout_observatory.indicators.releases import Head
from dropout_observatory.indicators.shelf import Shelf
from dropout_observatory.lake.files import Folder
from dropout_observatory.release import Figure, Key, Release
from territory import outlines

YEAR, KNOWN_ON, AS_OF = "2026-2027", date(2027, 8, 30), date(2027, 9, 1)
FEW = ("cases-by-month", "first-offer-delay", "outcomes", "cases-waiting", "free-seats")


def edition_of(release: Release) -> Edition:
    """The report's source, as if the release had been published at some time or other."""
    used = {name: {"version": one.version, "sha256": one.sha256} for name, one in definitions().items()}
    known_on = date.fromisoformat(release.known_on)
    head = Head(release.number, known_on, release.sha256, release.previous, used, datetime.now(UTC))
    return Edition(Shelf((head,), head, release, AS_OF), YEAR)


def history_of(cases: int) -> small_lakes.History:
    """What was told, the same each time."""
    return small_lakes.drawn(random.Random(5), cases, 2026, 1, organisations=30)


def released(folder: Path, cases: int, names: Sequence[str]) -> Release:
    """A release by the real publisher, of a lake that is drawn anew each time."""
    lake, history = Folder(str(folder)), history_of(cases)
    small_lakes.written(lake, history.messages)
    chosen = {name: definitions()[name] for name in names}
    before = Before((), history.told_by)
    return prepared(lake, small_lakes.known_datasets(), KNOWN_ON, before, lambda _: None, chosen)


def nothing(done: int, of: int, words: str) -> None:
    """Says how far it is to nobody."""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Of few indicators."""
    return released(tmp_path_factory.mktemp("lake"), 300, FEW)


@pytest.fixture(scope="module")
def files(release: Release) -> dict[str, bytes]:
    """Its report."""
    return writing.made(edition_of(release), nothing)


# -- bytes


def test_the_same_bytes_from_the_same_messages(
    files: dict[str, bytes], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Lake, release and report made anew, in another folder: every file is the same, the PDF too, and each has the sum that is told."""
    again = writing.made(edition_of(released(tmp_path_factory.mktemp("again"), 300, FEW)), nothing)
    for place, made in ((tmp_path / "one", files), (tmp_path / "two", again)):
        writing.write(place, made)
    there = [
        {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}
        for place in (tmp_path / "one", tmp_path / "two")
    ]
    assert sorted(there[0]) == sorted(there[1])
    assert [path for path in there[0] if there[0][path] != there[1][path]] == []
    told = {line.split("  ")[1]: line.split("  ")[0] for line in files[writing.SUMS].decode().splitlines()}
    assert told == {
        path: hashlib.sha256(content).hexdigest() for path, content in there[0].items() if path != writing.SUMS
    }


def test_another_release_makes_another_report(release: Release, files: dict[str, bytes]) -> None:
    """What the comparison of bytes rests on: one number that moves is seen in page, PDF, table and sum."""
    table = f"outcomes/{YEAR}"
    moved = {**release.figures[table], ("OPEN",): Figure(123, 1)}
    other = writing.made(edition_of(replace(release, figures={**release.figures, table: moved})), nothing)
    different = {path for path in files if files[path] != other[path]}
    assert {
        "rapport.html",
        "rapport.pdf",
        "figures/outcomes.csv",
        "figures/outcomes.parquet",
        writing.SUMS,
    } <= different
    assert "figures/cases-by-month.csv" not in different


def test_a_folder_of_somebody_else_is_left_alone(files: dict[str, bytes], tmp_path: Path) -> None:
    """An earlier report is replaced, what it had too much goes; what no report wrote is refused."""
    writing.write(
        tmp_path, {**files, writing.SUMS: files[writing.SUMS] + b"0  figures/old.csv\n", "figures/old.csv": b""}
    )
    writing.write(tmp_path, files)
    assert not (tmp_path / "figures/old.csv").exists()
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"letter\.txt"):
        writing.write(tmp_path, files)


# -- nobody


def identities(history: small_lakes.History) -> set[str]:
    """Every word of the messages that stands for one case, organisation, school, hold, group or message; and who told of a case."""
    found = set(history.told_by.values())

    def look(name: str, value: object) -> None:
        if isinstance(value, Mapping):
            for its_name, its in value.items():
                look(its_name, its)
        elif isinstance(value, list):
            for its in value:
                look(name, its)
        elif isinstance(value, str) and name.endswith(("_id", "_ids", "_uai", "uai")):
            found.update((value, value.replace("-", "")))

    for name, message in history.messages:
        look(name, message)
    return found


def given_away(release: Release, files: Mapping[str, bytes], whom: set[str]) -> set[str]:
    """Those that stand in a release or in its report, the values of its Parquet files included."""
    texts = [
        release.text(),
        *(polars.read_parquet(files[path]).write_csv() for path in files if path.endswith(".parquet")),
    ]
    texts += [files[path].decode() for path in files if not path.endswith((".parquet", ".pdf"))]
    words = {word for text in texts for word in re.findall(r"[\w-]+", text)}
    return whom & words


def test_nobody_is_in_it(release: Release, files: dict[str, bytes]) -> None:
    """No case, school, organisation or message of those that it counts; one that is planted is found, in page, table and release."""
    whom = identities(history_of(300))
    assert len(whom) > 2000 and "psad-76" in whom and str(next(iter(history_of(300).told_by))) in whom
    assert given_away(release, files, whom) == set()
    case, school = next(iter(history_of(300).told_by)), next(one for one in sorted(whom) if one.startswith("school-"))
    frame = polars.read_parquet(files["figures/outcomes.parquet"]).with_columns(polars.lit(school).alias("by"))
    frame.write_parquet(planted := io.BytesIO())
    page = files["rapport.html"].replace(b"<td>", f"<td>{case.hex} ".encode(), 1)
    plants = {**files, "rapport.html": page, "figures/outcomes.parquet": planted.getvalue()}
    assert given_away(replace(release, previous=str(case)), plants, whom) == {case.hex, school, str(case)}


# -- numbers


class Page(HTMLParser):
    """What a page says: its elements with their attributes, the texts within each kind of them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str]]] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[tuple[str, ...], dict[str, str], str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = {name: value or "" for name, value in attrs}
        self.tags.append((tag, own))
        if tag not in ("meta", "br", "link", "input", "img"):
            self.open.append((tag, own))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1][0] == tag, f"{tag} closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if data.strip():
            classes = {name: value for _, own in self.open for name, value in own.items()}
            self.texts.append((tuple(tag for tag, _ in self.open), classes, data))


def numbers_in(files: Mapping[str, bytes]) -> set[float]:
    """Every value of the CSV files."""
    found = set()
    for path, content in files.items():
        if path.endswith(".csv"):
            for line in csv.DictReader(io.StringIO(content.decode("utf-8-sig")), delimiter=";"):
                if line.get("value"):
                    found.add(float(line["value"].replace(",", ".")))
    return found


def stray_numbers(page: Page) -> list[str]:
    """Digits in a sentence or a cell that are no number of the report; of sentences what belongs to their words is left out."""
    words = re.compile(
        r"95\u202f%|IPS \D+\d+(?: à \d+)?|\b[36] mois|n’exclut 1|contient pas 1|relevé 1 |\d{4}-\d{4}|\d+ \w+ 20\d\d"
    )
    return [
        text
        for tags, classes, text in page.texts
        if "data" not in tags and "sup" not in tags
        if "td" in tags or classes.get("class") == "said"
        if re.search(r"\d", words.sub("", text))
    ]


def test_every_number_of_the_page_is_in_a_file(files: dict[str, bytes]) -> None:
    """In sentences, tables and key figures, as printed; CSV and Parquet say the same; a number without a file is found."""
    page = Page(files["rapport.html"].decode())
    values = [float(own["value"]) for tag, own in page.tags if tag == "data"]
    assert len(values) > 30 and set(values) <= numbers_in(files)
    assert stray_numbers(page) == []
    planted = files["rapport.html"].decode().replace("<td>", "<td>17", 1)
    assert len(stray_numbers(Page(planted))) == 1
    for path in [path for path in files if path.endswith(".csv")]:
        frame = polars.read_parquet(files[path.replace(".csv", ".parquet")])
        lines = list(csv.DictReader(io.StringIO(files[path].decode("utf-8-sig")), delimiter=";"))
        assert frame.height == len(lines) and frame.columns == list(lines[0])
        if "value" in frame.columns:
            told = [float(one["value"].replace(",", ".")) if one["value"] else None for one in lines]
            assert told == frame["value"].to_list()


def printed(chapter: Chapter) -> dict[tuple[str, str, str], Number]:
    """Each number of a page's tables, by where it stands."""
    return {
        (grid.caption, words, head): one
        for grid in chapter.grids
        for words, cells in grid.rows
        for head, one in zip(grid.head[1:], cells, strict=True)
        if isinstance(one, Number)
    }


def test_what_a_release_withholds_no_page_works_out(release: Release) -> None:
    """Each number in turn is withheld: it is no more on its page, and nothing stands there that did not before it was, or of delays
    only what leaves more open."""
    full = {one.key: printed(one) for one in Document(edition_of(release)).chapters}
    tried, opened = 0, 0
    for name in FEW:
        table = f"{name}/{YEAR}"
        for key in [key for key, figure in release.figures[table].items() if figure.value is not None]:
            figures: dict[Key, Figure] = {**release.figures[table], key: Figure()}
            document = Document(edition_of(replace(release, figures={**release.figures, table: figures})))
            chapter = next(one for one in document.chapters if one.key == name)
            left = printed(chapter)
            for (caption, words, head), one in left.items():
                before = full[name][caption, words, head]
                if name == "first-offer-delay" and one.text != before.text:
                    rises = one.value >= before.value
                    least, most = left[caption, words, "De"], left[caption, words, "À"]
                    assert (head != "De" or not rises) and (head != "À" or rises), key
                    assert least.value <= one.value <= most.value and most.value - least.value > 0, key
                    opened += 1
                else:
                    assert one.text == before.text, key
            tried += left != full[name]
            beside = [release.figures[f"{one}/{YEAR}"] for one in chapter.names if one != name]
            public = {figure.value for its in (figures, *beside) for figure in its.values()}
            assert {one.value for one in chapter.numbers if not one.how} <= public
    assert tried > 10 and opened > 10


def test_what_is_secret_is_said_so(release: Release) -> None:
    """A sentence names what is withheld, a total that is withheld has no shares, a median that rests on it is not computed."""

    def without(name: str, *keys: Key) -> Chapter:
        table = f"{name}/{YEAR}"
        figures = {**release.figures[table], **dict.fromkeys(keys, Figure())}
        document = Document(edition_of(replace(release, figures={**release.figures, table: figures})))
        return next(one for one in document.chapters if one.key == name)

    region = ("region",)
    month = without("cases-by-month", (*region, "10")).said.text
    assert re.search("Dits « secret » : .*octobre", month) and month.startswith(
        "Parmi les nombres publiés, mois le plus"
    )
    assert "%" not in without("cases-by-month", (*region, "all")).said.text
    assert "closes" not in without("outcomes", ("OPEN",)).said.text
    assert "non calculé" not in without("first-offer-delay").said.text
    delay = without("first-offer-delay", (*region, "offered:0-2"))
    assert "secret" in delay.said.text and not delay.said.numbers
    every = [key for key in release.figures[f"cases-by-month/{YEAR}"] if key[0] == "region"]
    assert without("cases-by-month", *every).said.text == "Aucun nombre n’est publié : tous sont dits « secret »."


def test_a_secret_place_is_hatched_on_the_map() -> None:
    """Never tinted as if it counted nobody; a place that counts nobody is."""
    some, other, *rest = outlines.outlines().epcis
    svg = draw(RegionMap({some: Figure(), other: Figure(0, 1), **{siren: Figure(40, 1) for siren in rest}}, "jeunes"))
    shapes = dict(re.findall(r'fill="([^"]+)"[^>]*><title>[^<]* : ([^<]+)</title>', svg))
    assert shapes["url(#secret)"] == "secret"
    assert sum("url(#secret)" in path and "<title>" in path for path in re.findall(r"<path[^>]*><title>", svg)) == 1
    assert any(said == "0 jeunes" and fill.startswith("#") for fill, said in shapes.items())


# -- pages


def faults(text: str) -> list[str]:
    """What is wrong with a page: headings out of order, a plot without words, a name twice or of nothing, anything from elsewhere."""
    page = Page(text)
    found = []
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    if levels.count(1) != 1 or any(after > before + 1 for before, after in pairwise(levels)):
        found.append("headings")
    ids = [own["id"] for _, own in page.tags if "id" in own]
    if len(ids) != len(set(ids)):
        found.append("ids")
    asked = [
        one
        for _, own in page.tags
        for name in ("aria-labelledby", "aria-describedby")
        for one in own.get(name, "").split()
    ]
    asked += [own["href"][1:] for _, own in page.tags if own.get("href", "").startswith("#")]
    asked += re.findall(r"url\(#([^)]+)\)", text)
    if not set(asked) <= set(ids):
        found.append("references")
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        if not re.match(r"<svg[^>]*><title[^>]*>[^<]+</title>", svg) or 'role="img"' not in svg[: svg.index(">")]:
            found.append("plot")
    if any(tag in ("script", "link", "img", "iframe") for tag, _ in page.tags) or re.search(
        r"url\((?!#)|@import|(?:src|href)=\"(?!#)", text
    ):
        found.append("elsewhere")
    if not all(own.get("scope") in ("col", "row") for tag, own in page.tags if tag == "th"):
        found.append("table heads")
    return found


def test_the_page_holds_by_itself(files: dict[str, bytes]) -> None:
    """Headings in order, every plot with its title and words, nothing from elsewhere, no script; each fault is found when planted."""
    text = files["rapport.html"].decode()
    assert faults(text) == []
    assert "prefers-color-scheme:dark" in text and "@media print" in text
    for planted, fault in (
        (text.replace("<h2 ", "<h4 ", 1).replace("</h2>", "</h4>", 1), "headings"),
        (text.replace('id="h-methode"', 'id="h-limites"'), "ids"),
        (text.replace('href="#essentiel"', 'href="#nowhere"'), "references"),
        (re.sub(r'(<svg[^>]*class="plot"[^>]*>)<title.*?</title>', r"\1", text, count=1), "plot"),
        (text.replace("</body>", '<script src="x.js"></script></body>'), "elsewhere"),
        (text.replace('<th scope="row">', "<th>", 1), "table heads"),
    ):
        assert fault in faults(planted), fault


def test_the_report_says_what_it_is_of(release: Release, files: dict[str, bytes]) -> None:
    """Hash, days and command stand in it; what the release has not got is said to be missing."""
    text = files["rapport.html"].decode()
    assert release.sha256 in text and "1er septembre 2027" in text and "30 août 2027" in text
    assert "estuaire observatory report --school-year 2026-2027 --as-of 2027-09-01" in text
    missing = len([one for one in Document(edition_of(release)).chapters if one.picture is None])
    assert missing == text.count("Pas de relevé") + text.count("n’est pas dans ce relevé") > 5


def test_the_pdf_has_a_page_for_each_idea(release: Release, files: dict[str, bytes]) -> None:
    """It is one, tagged and dated by the release; no page runs over into the next."""
    assert files["rapport.pdf"].startswith(b"%PDF-") and b"/MarkInfo" in files["rapport.pdf"]
    # 00:00 in Paris.
    assert b"D:20270829220000" in files["rapport.pdf"]
    assert pages_of(Document(edition_of(release))) == 0


def pages_of(document: Document) -> int:
    """How many pages there are beyond one for the title, the key figures, each idea, four texts and the annex."""
    drawings = {one.key: drawing.draw(one.picture.plot) for one in document.chapters if one.picture}
    pages = rendering.compiled(document, drawings, "png", ppi=9)
    return len(pages) - (2 + len(document.chapters) + 4 + (document.annex is not None))


def loaded_by(code: str) -> set[str]:
    """Which of the heavy libraries are there after some code ran."""
    heavy = ("duckdb", "highspy", "matplotlib", "ortools", "polars", "pyarrow", "pyiceberg", "typst")
    ask = f"{code}\nimport sys\nprint(*[name for name in {heavy} if name in sys.modules])"
    return set(subprocess.run([sys.executable, "-c", ask], check=True, capture_output=True, text=True).stdout.split())


def test_no_service_loads_what_it_has_no_use_for() -> None:
    """The pages' process none of them, the lake's what writes it: a release and a report have processes of their own. A plant is found."""
    assert loaded_by("import dropout_observatory.app") == set()
    assert loaded_by("import dropout_observatory.lake.app") == {"duckdb", "pyarrow"}
    assert not loaded_by("import dropout_observatory.indicators.commands") & {"matplotlib", "typst"}
    assert loaded_by("import dropout_observatory.app, dropout_observatory.annual_report.drawing") == {"matplotlib"}


def test_words() -> None:
    """A sentence reads as its parts; a school year is two years that follow."""
    assert say("De {a} à {b}.", a=Number(1234.4), b="secret").text == "De 1\u202f234 à secret."
    assert checked_year("2026-2027") == "2026-2027"
    for wrong in ("2026", "2026-2028", "2026-27"):
        with pytest.raises(ValueError, match="2026-2027"):
            checked_year(wrong)


# The release of every table is attacked for a quarter of a minute.
@pytest.mark.long
def test_the_whole_report(tmp_path: Path) -> None:
    """Every definition, 3,000 cases: no page runs over, no number is without a file, no page without numbers."""
    release = released(tmp_path, 3_000, list(definitions()))
    edition = edition_of(release)
    files = writing.made(edition, nothing)
    text = files["rapport.html"].decode()
    page = Page(text)
    assert faults(text) == [] and stray_numbers(page) == []
    assert {float(own["value"]) for tag, own in page.tags if tag == "data"} <= numbers_in(files)
    document = Document(edition)
    # The definitions of all fill a second page.
    assert all(one.picture is not None for one in document.chapters) and pages_of(document) == 1
    assert {f"figures/{name}.csv" for name in definitions()} <= set(files)
