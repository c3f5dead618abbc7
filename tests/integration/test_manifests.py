"""Deployment files are true: valid by their schemas, and of one mind with the topics, the settings and the locks."""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from common import contracts, manifests, services
from common.identity import ANYBODY
from common.settings import Settings
from common.telemetry import Metrics
from dropout_observatory.lake.app import LakeMetrics, LakeSettings

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy" / "k8s" / "base"
KNOWN = contracts.load(ROOT / "schemas" / "avro")
SERVICES = sorted(path.name for path in (ROOT / "services").iterdir() if (path / "pyproject.toml").exists())
# What a service has beside the process that serves, and the settings that each reads.
PROCESSES: dict[str, type[Settings]] = {"dropout-observatory-lake": LakeSettings}
# What operators bring; their schemas are not the Kubernetes API's.
CUSTOM = {
    ("kafka.strimzi.io/v1", "Kafka"),
    ("kafka.strimzi.io/v1", "KafkaNodePool"),
    ("kafka.strimzi.io/v1", "KafkaTopic"),
    ("kafka.strimzi.io/v1", "KafkaUser"),
    ("postgresql.cnpg.io/v1", "Cluster"),
    ("postgresql.cnpg.io/v1", "Database"),
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
}
# Read by the command line, not by a service.
OF_THE_COMMAND = {"ESTUAIRE_SERVICE"}


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object that the base applies, by its file."""
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(path.name for path in BASE.glob("*.yaml") if path.name != "kustomization.yaml")
    for name in listed:
        for document in yaml.safe_load_all((BASE / name).read_text()):
            yield name, document


def problems_of(document: dict[str, Any]) -> str:
    """What the Kubernetes API would say, strictly: also to a field that it does not know."""
    try:
        kubernetes_validate.validate(document, "1.34", strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error)
    return ""


def test_every_object_is_valid_for_the_kubernetes_api() -> None:
    """Strictly, so that a misspelt field is seen; a planted one is."""
    checked = 0
    for name, document in documents():
        if (document["apiVersion"], document["kind"]) not in CUSTOM:
            assert problems_of(document) == "", (name, document["kind"])
            checked += 1
            wrong = json.loads(json.dumps(document))
            wrong["metadata"]["lables"] = {}
            assert problems_of(wrong), name
    assert checked >= 12


def compose() -> dict[str, Any]:
    """docker-compose.yml with its anchors resolved."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def test_compose_follows_its_specification() -> None:
    """By the specification's own schema; a planted field is refused."""
    schema = json.loads((Path(__file__).parent / "schemas" / "compose-spec.json").read_text())
    jsonschema.validate(compose(), schema)
    wrong = compose()
    wrong["services"]["kafka"]["imge"] = "x"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


def test_what_follows_from_services_yaml_is_up_to_date() -> None:
    """Deployment, lint rules and list of services are what the templates make of the entries; every folder has one."""
    assert sorted(service.name for service in services.load()) == SERVICES
    ports = [port for service in services.load() for port in service.ports]
    assert len(ports) == len(set(ports)), "two of them listen at one port"
    for path, text in services.generated().items():
        assert path.read_text() == text, f"{path.name}: make services"


def test_every_service_is_deployed_in_both_ways() -> None:
    """Compose and Kubernetes have the same services as the tree."""
    deployed = {d["metadata"]["name"] for _, d in documents() if d["kind"] == "StatefulSet"}
    assert deployed == {*SERVICES, *PROCESSES}
    assert deployed <= compose()["services"].keys()
    built = {service["build"]["args"]["SERVICE"] for service in compose()["services"].values() if "build" in service}
    assert sorted(built) == SERVICES
    databases = {d["spec"]["name"] for _, d in documents() if d["kind"] == "Database"}
    assert databases == {service.replace("-", "_") for service in SERVICES}
    assert databases <= set((ROOT / "deploy" / "compose" / "databases.sh").read_text().replace(";", " ").split())


def _environment_of_pods() -> Iterator[tuple[str, set[str]]]:
    shared = next(d for _, d in documents() if d["kind"] == "ConfigMap")["data"].keys()
    for _, document in documents():
        if document["kind"] == "StatefulSet":
            (container,) = document["spec"]["template"]["spec"]["containers"]
            own = {entry["name"] for entry in container["env"]}
            yield (
                document["metadata"]["name"],
                {*shared, *own, "ESTUAIRE_SESSION_SECRET", "ESTUAIRE_SUBJECT_SECRET", "ESTUAIRE_HTTP_PORT"},
            )


def test_every_variable_is_a_setting_and_none_is_missing() -> None:
    """What a deployment sets, a service reads; what a service must be told, it is told."""
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    in_image = set(re.findall(r"(ESTUAIRE_[A-Z_]+)=", dockerfile)) - OF_THE_COMMAND
    in_compose = compose()["services"]
    assert {process.full_name for service in services.load() for process in service.processes} == PROCESSES.keys()
    for name, in_pod in _environment_of_pods():
        model = PROCESSES.get(name, Settings)
        settings = {f"ESTUAIRE_{field.upper()}": info for field, info in model.model_fields.items()}
        required = {variable for variable, info in settings.items() if info.is_required()}
        assert in_image <= settings.keys()
        for given in (in_pod, set(in_compose[name]["environment"])):
            assert given <= settings.keys(), (name, given - settings.keys())
            assert required <= given | in_image, (name, required - given)


def roles_asked_for(source: str, names: Mapping[str, Any]) -> Iterator[str]:
    """The roles that a module's routes, commands and pages ask for, written in the call or listed under one of its names."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="command" | "caller_as") | ast.Attribute(attr="require"), args=roles):
                pass
            case ast.Call(func=ast.Attribute(attr="who"), args=[_, *roles]):
                pass
            case _:
                continue
        for role in roles:
            match role:
                case ast.Constant(value=str(word)):
                    yield word
                case ast.Starred(value=ast.Name(id=name)):
                    yield from names[name]
                case ast.Name(id="ANYBODY"):
                    assert names["ANYBODY"] == ANYBODY
                case _:
                    raise AssertionError(f"which role is it? {ast.unparse(node)}")


@pytest.mark.parametrize("service", services.load(), ids=lambda service: service.name)
def test_the_roles_of_an_entry_are_those_that_the_service_asks_for(service: services.ServiceSpec) -> None:
    """An operator's token issuer needs no other and none less; one more or less on either side would be found."""
    folder = ROOT / "services" / service.name / "src" / service.package
    asked: set[str] = set()
    for path in folder.rglob("*.py"):
        module = importlib.import_module(
            f"{service.package}.{'.'.join(path.relative_to(folder).with_suffix('').parts)}"
        )
        asked |= set(roles_asked_for(path.read_text(), vars(module)))
    assert list(service.roles) == sorted(asked)


@pytest.mark.parametrize(
    "asking",
    ["@command('new')\ndef run(): ...", "caller_as('new')", "principal.require('new')", "self.who(request, *MINE)"],
)
def test_a_planted_role_is_seen(asking: str) -> None:
    """By every way of asking for one; how it cannot be read is refused."""
    assert list(roles_asked_for(asking, {"MINE": ("new",)})) == ["new"]
    with pytest.raises(AssertionError, match="which role"):
        list(roles_asked_for("principal.require(role)", {}))


def test_the_navigation_has_every_page_of_every_service() -> None:
    """In both deployments, the links are those that the services name."""
    pages = {(service.section, *page) for service in services.load() for page in service.pages}
    shared = next(d for _, d in documents() if d["kind"] == "ConfigMap")["data"]["ESTUAIRE_NAVIGATION"]
    for text in (shared, compose()["services"]["projections"]["environment"]["ESTUAIRE_NAVIGATION"]):
        links = {
            (one["section"], one["label"], one["icon"], "/" + one["address"].split("/", 3)[3])
            for one in json.loads(text)
        }
        assert links == pages


def test_topics_and_rights_are_those_of_topics_yaml() -> None:
    """The generated files are up to date; a consumer may not write, a stranger may not read."""
    assert (BASE / "topics.yaml").read_text() == manifests.topics(KNOWN)
    assert (BASE / "users.yaml").read_text() == manifests.users(KNOWN, SERVICES)
    rights = {
        (d["metadata"]["name"], acl["resource"]["name"]): acl["operations"]
        for _, d in documents()
        if d["kind"] == "KafkaUser"
        for acl in d["spec"]["authorization"]["acls"]
    }
    assert "Write" in rights["remediation-seats", "remediation-seats.programmes.v1"]
    assert rights["projections", "remediation-seats.programmes.v1"] == ["Describe", "Read"]
    assert ("projections", "partners.seats.") not in rights
    facts = {topic.name for topic in KNOWN.topics.values() if topic.is_facts}
    assert {name for who, name in rights if who == "lake"} == facts
    assert {name for who, name in rights if who == "analyst"} == {*facts, "analyst-"}
    assert not any("case-links" in name for name in facts)
    assert all("Write" not in rights[entry] for entry in rights if entry[0] in ("lake", "analyst"))


def test_alerts_speak_of_metrics_that_exist() -> None:
    """Every name in an expression is one that a service exposes."""
    families = [*Metrics().registry.collect(), *LakeMetrics().registry.collect()]
    known = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    rule = next(d for _, d in documents() if d["kind"] == "PrometheusRule")
    names = re.findall(r"estuaire_[a-z_]+", " ".join(r["expr"] for g in rule["spec"]["groups"] for r in g["rules"]))
    assert names and set(names) <= known


def test_the_image_installs_what_is_tested() -> None:
    """The images' locks are a part of the workspace's, hash by hash; what the Dockerfile copies is there."""

    def pins(path: Path) -> dict[str, str]:
        entries = re.split(r"\n(?=[a-z0-9])", path.read_text())
        return {entry.split("==")[0]: entry.strip() for entry in entries if "==" in entry}

    workspace = pins(ROOT / "requirements.lock")
    for path in (ROOT / "deploy" / "requirements.lock", *(ROOT / "services").glob("*/requirements.lock")):
        image = pins(path)
        assert image and all(workspace.get(name) == entry for name, entry in image.items()), path
    for line in (ROOT / "deploy" / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY") and "--from" not in line:
            for source in line.split()[1:-1]:
                for service in SERVICES:
                    assert (ROOT / source.replace("${SERVICE}", service)).exists(), source


def test_the_parts_are_of_the_versions_that_are_tested() -> None:
    """Compose and Kubernetes run the broker and the registry that the embedded run resolves."""
    lock = (ROOT / "libs/common/src/common/embedded/maven.lock").read_text()
    images = [service["image"] for service in compose()["services"].values()]
    images += [
        container["image"]
        for _, d in documents()
        if d["kind"] == "Deployment"
        for container in d["spec"]["template"]["spec"]["containers"]
    ]
    for image in images:
        name, _, version = image.partition(":")
        if name == "apache/kafka":
            assert f"kafka_2.13:{version}:" in lock
        if name == "apicurio/apicurio-registry":
            assert f"apicurio-registry-app:{version}:" in lock
