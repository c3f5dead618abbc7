"""The services of `services/services.yaml`, and what is written from it: every template of `templates/repository`."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import yaml

if TYPE_CHECKING:
    from common.embedded.stack import EmbeddedSettings

ROOT = Path(__file__).parents[4]
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_FIRST_PORT = 8000
_ENTRY = """
{name}:
  about: what it owns, in a line
  port: {port}
  host: {name}.example
  section: {name}
  pages: []
  roles: []
  resources: {{cpu: 100m, memory: 192Mi, memory_max: 512Mi}}
"""
_TOPIC = """{name}.pipeline.v1:
  owner: {name}
  consumers: [projections]
  partitions: 1
  retention_days: 30
  guard: latest
  data_class: public
  records: [common/ServiceHealthReported, common/RecordDeadLettered]
"""


@dataclass(frozen=True)
class ProcessSpec:
    """A process of a service beside the one that serves, by the script's argument, such as `dropout-observatory lake`.

    It has files of its own: `ESTUAIRE_<PROCESS>_URL` says where.
    """

    service: str
    name: str
    default_port: int
    about: str
    disk: str
    resources: Mapping[str, str]

    @property
    def full_name(self) -> str:
        """As it is deployed: `dropout-observatory-lake`."""
        return f"{self.service}-{self.name}"

    @property
    def variable(self) -> str:
        """What tells it where its files are."""
        return f"ESTUAIRE_{self.name.upper()}_URL"

    def port(self, settings: EmbeddedSettings) -> int:
        """Where it listens in an embedded run, for its probes and metrics."""
        return _port(settings, self.full_name, self.default_port)


@dataclass(frozen=True)
class ServiceSpec:
    """A service: its name, which is also its script's, where it listens, its pages by label, icon and path, its roles."""

    name: str
    default_port: int
    section: str = ""
    pages: Sequence[tuple[str, str, str]] = ()
    roles: Sequence[str] = ()
    about: str = ""
    host: str = ""
    resources: Mapping[str, str] = field(default_factory=dict)
    processes: Sequence[ProcessSpec] = ()

    @property
    def process_names(self) -> list[str]:
        """The processes that it has beside the one that serves."""
        return [process.full_name for process in self.processes]

    @property
    def ports(self) -> list[int]:
        """Where its processes listen, if nothing says otherwise."""
        return [self.default_port, *(process.default_port for process in self.processes)]

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
        return _port(settings, self.name, self.default_port)


def port_variable(name: str) -> str:
    """The environment variable that moves one of them to another port."""
    return f"ESTUAIRE_{name.upper().replace('-', '_')}_PORT"


def _port(settings: EmbeddedSettings, name: str, default: int) -> int:
    return settings.service_ports.get(name) or int(os.environ.get(port_variable(name), default))


def load(root: Path = ROOT) -> list[ServiceSpec]:
    """Every service, in the order of the file."""
    entries = yaml.safe_load((root / "services" / "services.yaml").read_text())
    return [
        ServiceSpec(name, entry.pop("port"), processes=_processes(name, entry.pop("processes", {})), **entry)
        for name, entry in entries.items()
    ]


def _processes(service: str, entries: Mapping[str, dict[str, Any]]) -> tuple[ProcessSpec, ...]:
    return tuple(ProcessSpec(service, name, entry.pop("port"), **entry) for name, entry in entries.items())


def generated(root: Path = ROOT) -> dict[Path, str]:
    """The files that follow from services.yaml, each where its template stands below `templates/repository`."""
    rendered = _rendered(root / "templates" / "repository", services=load(root))
    return {root / name: text for name, text in rendered.items()}


def write_all(root: Path = ROOT) -> list[Path]:
    """Writes what is generated; returns what changed."""
    wanted = generated(root)
    changed = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in changed:
        path.write_text(wanted[path])
    return changed


def add(name: str, root: Path = ROOT) -> list[Path]:
    """Makes a new service that starts and does nothing: its folder, its entry, the topic on which it says how it is.

    Returns the files of the folder; raises `ValueError` for a name that cannot be a service's. What follows from the
    entries is written by the caller.
    """
    known = load(root)
    package = name.replace("-", "_")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r}: a service is named in kebab-case, such as stage-matching")
    if (root / "services" / name).exists() or importlib.util.find_spec(package) is not None:
        raise ValueError(f"{name}: there is a service or a library of this name")
    taken = {port for service in known for port in service.ports}
    port = next(port for port in itertools.count(_FIRST_PORT) if port not in taken)
    with (root / "services" / "services.yaml").open("a") as file:
        file.write(_ENTRY.format(name=name, port=port))
    with (root / "schemas" / "avro" / "topics.yaml").open("a") as file:
        file.write(_TOPIC.format(name=name))
    made = []
    for path, text in _rendered(root / "templates" / "service", service=load(root)[-1]).items():
        file_path = root / "services" / name / path.replace("__package__", package)
        file_path.parent.mkdir(parents=True, exist_ok=True)
        file_path.write_text(text)
        made.append(file_path)
    return made


def _rendered(templates: Path, **values: object) -> dict[str, str]:
    """Path below the folder to text, of every template in it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - configuration and code, not HTML
    )
    environment.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
    names = sorted(path.relative_to(templates).as_posix() for path in templates.rglob("*") if path.is_file())
    return {
        name: environment.get_template(name).render(values, template=f"{templates.name}/{name}")
        for name in names
        if "__pycache__" not in name
    }
