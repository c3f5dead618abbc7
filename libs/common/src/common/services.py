"""The services of `services/services.yaml`, and what is written from it: every template of `templates/repository`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import yaml

if TYPE_CHECKING:
    from common.embedded.stack import EmbeddedSettings

ROOT = Path(__file__).parents[4]


@dataclass(frozen=True)
class ServiceSpec:
    """A service: its name, which is also its script's, where it listens, and its pages by label, icon and path."""

    name: str
    default_port: int
    section: str = ""
    pages: Sequence[tuple[str, str, str]] = ()
    about: str = ""
    host: str = ""
    resources: Mapping[str, str] = field(default_factory=dict)

    @property
    def package(self) -> str:
        """Python package, which is also the database and its role."""
        return self.name.replace("-", "_")

    @property
    def module(self) -> str:
        """Python module whose `main` is the process."""
        return f"{self.package}.app"

    def port(self, settings: EmbeddedSettings) -> int:
        """Where it listens in an embedded run."""
        return settings.service_ports.get(self.name) or int(
            os.environ.get(f"ESTUAIRE_{self.package.upper()}_PORT", self.default_port)
        )


def load(root: Path = ROOT) -> list[ServiceSpec]:
    """Every service, in the order of the file."""
    entries = yaml.safe_load((root / "services" / "services.yaml").read_text())
    return [ServiceSpec(name, entry.pop("port"), **entry) for name, entry in entries.items()]


def generated(root: Path = ROOT) -> dict[Path, str]:
    """The files that follow from services.yaml, each where its template stands below `templates/repository`."""
    templates = root / "templates" / "repository"
    services = load(root)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - configuration, not HTML
    )
    environment.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
    found = {}
    for path in sorted(path for path in templates.rglob("*") if path.is_file()):
        name = path.relative_to(templates).as_posix()
        found[root / name] = environment.get_template(name).render(services=services, template=f"repository/{name}")
    return found


def write_all(root: Path = ROOT) -> list[Path]:
    """Writes what is generated; returns what changed."""
    wanted = generated(root)
    changed = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in changed:
        path.write_text(wanted[path])
    return changed
