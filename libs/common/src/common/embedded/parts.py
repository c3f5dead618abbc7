"""Fetches the Java parts once per user through jgo, each checked against the SHA-256 in `maven.lock`."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from common.embedded.processes import EmbeddedError

_LOCK = Path(__file__).with_name("maven.lock")
_TIMEOUT_SECONDS = 60

Progress = Callable[[str], None]


def cached() -> bool:
    """Whether the user's Maven cache has the large parts already."""
    return (_cache() / "io" / "apicurio" / "apicurio-registry-app").exists()


def _cache() -> Path:
    return Path(os.environ.get("M2_REPO", Path.home() / ".m2" / "repository"))


def fetch(part: str, progress: Progress) -> list[Path]:
    """Paths of every file of a part ("kafka" or "registry"), downloaded where the user's Maven cache lacks them."""
    # jgo takes 0.3 s to import and only this start needs it.
    from jgo.maven import MavenContext, PythonResolver
    from requests import RequestException

    lines = [line.split() for line in _LOCK.read_text().splitlines()]
    wanted = [(coordinate.split(":"), digest) for name, coordinate, digest in lines if name == part]

    @contextmanager
    def say(filename: str, size: int) -> Iterator[Callable[[int], None]]:
        if size > 1_000_000:
            progress(f"downloading {filename} ({size / 1e6:.0f} MB)")
        yield lambda _: None

    context = MavenContext(resolver=PythonResolver(progress_callback=say), timeout=_TIMEOUT_SECONDS)

    def one(item: tuple[list[str], str]) -> Path:
        (group, artifact, version, classifier, packaging), digest = item
        wanted_file = (
            context.project(group, artifact).at_version(version).artifact(classifier=classifier, packaging=packaging)
        )
        for _attempt in range(2):
            try:
                path = Path(wanted_file.resolve())
            except (RequestException, RuntimeError, OSError) as error:
                raise EmbeddedError(
                    f"{artifact} {version} could not be downloaded from Maven Central ({type(error).__name__}); "
                    "check the network or the proxy, then run this again"
                ) from None
            if hashlib.sha256(path.read_bytes()).hexdigest() == digest:
                return path
            path.unlink()  # a download cut short, or tampered with: fetch it once more
        raise EmbeddedError(f"{artifact} {version} does not match the SHA-256 of {_LOCK.name}; do not run it")

    # Two first runs at once would each take the other's half of a file for a bad one.
    with _alone(part), ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, wanted))


@contextmanager
def _alone(part: str) -> Iterator[None]:
    cache = _cache()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / f".estuaire-{part}.lock").open("w")
    except OSError as error:
        raise EmbeddedError(f"{cache} cannot be written: {error.strerror}; set M2_REPO to another folder") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def unpacked_registry(home: Path, archive: Path) -> Path:
    """The folder of the unpacked registry, unpacked the first time (written beside, then renamed)."""
    target = home / "parts" / archive.name.removesuffix("-all.tar.gz")
    if not target.exists():
        unfinished = target.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        with tarfile.open(archive) as tar:
            # Python 3.11.2, Debian 12's, has no filters yet; the archive's SHA-256 is checked either way.
            if hasattr(tarfile, "data_filter"):
                tar.extraction_filter = tarfile.data_filter
            tar.extractall(unfinished)  # noqa: S202
        unfinished.rename(target)
    return target
