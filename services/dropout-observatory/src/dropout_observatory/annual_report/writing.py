"""The report as a folder: every file made first, then written, with the SHA-256 of each beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from dropout_observatory.annual_report.document import Document
from dropout_observatory.annual_report.edition import Edition
from dropout_observatory.indicators import downloads

SUMS = "SHA256SUMS"
# Step done of how many, and what comes next.
Progress = Callable[[int, int, str], None]


def made(edition: Edition, progress: Progress) -> dict[str, bytes]:
    """The files of a report by path: the same bytes for the same release, school year and day. Some seconds of a processor."""
    from dropout_observatory.annual_report import drawing, rendering  # matplotlib and typst, which no service loads

    document = Document(edition)
    pictures = [(one.key, one.picture) for one in document.chapters if one.picture is not None]
    tables = list(document.figures())
    steps = len(pictures) + len(tables) + 2
    done = 0

    def step(words: str) -> None:
        nonlocal done
        progress(done, steps, words)
        done += 1

    drawings: dict[str, str] = {}
    for key, picture in pictures:
        step(picture.title)
        drawings[key] = drawing.draw(picture.plot)
    found: dict[str, bytes] = {}
    for name, lines in tables:
        step(f"figures/{name}")
        found[f"figures/{name}.csv"] = downloads.csv(lines)
        found[f"figures/{name}.parquet"] = downloads.parquet(lines)
    step("rapport.html")
    found["rapport.html"] = rendering.html(document, drawings)
    step("rapport.pdf")
    found["rapport.pdf"] = rendering.pdf(document, drawings)
    progress(steps, steps, "")
    sums = "".join(f"{hashlib.sha256(found[path]).hexdigest()}  {path}\n" for path in sorted(found))
    return {**found, SUMS: sums.encode()}


def write(folder: Path, found: dict[str, bytes]) -> None:
    """Puts the files there in place of an earlier report. Raises `ValueError` where something else lies there."""
    strangers = sorted(_there(folder) - _named(folder))
    if strangers:
        raise ValueError(f"{folder} has files that no report wrote ({strangers[0]}, …): give another folder by --to")
    for path in _there(folder) - set(found):
        (folder / path).unlink()
    for path, content in found.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def _there(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _named(folder: Path) -> set[str]:
    """What an earlier report says that it wrote."""
    sums = folder / SUMS
    return {SUMS, *_paths(sums.read_text(encoding="utf-8"))} if sums.is_file() else set()


def _paths(sums: str) -> Iterator[str]:
    return (line.partition("  ")[2] for line in sums.splitlines())
