"""Checks, registers and generates from `schemas/avro`: our own rules on top of the registry's FULL_TRANSITIVE.

The registry lets pass a changed decimal scale, micros turned into millis and a removed enum symbol; these rules do not.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import manifests
from common.avro import Registry
from common.contracts import Contracts, Schema, full_name
from common.messages import ENVELOPE_FIELDS

_REGISTERED_AT_ONCE_MAX = 8
# Words that name an attribute of a person. A field whose words contain one is refused, with the exceptions below.
_PERSONAL = {
    "name",
    "firstname",
    "lastname",
    "surname",
    "birth",
    "birthdate",
    "birthday",
    "born",
    "email",
    "mail",
    "phone",
    "mobile",
    "telephone",
    "address",
    "street",
    "gender",
    "sex",
    "nationality",
    "ine",
    "nir",
    "iban",
    "photo",
    "comment",
    "note",
    "remark",
    "message",
    "contact",
    "guardian",
    "parent",
    "login",
    "password",
    "ip",
}
# Commands that foreign software writes: they have no envelope, and their topic says who wrote them.
_FOREIGN = "estuaire.partners"

_MESSAGES_HEAD = '"""Generated from schemas/avro by `make schemas`; do not edit."""'

# What is not about a person although a word says so.
_IMPERSONAL_FIELDS = {"structure_name", "host_name"}


def lint(schema: Schema) -> list[str]:
    """What our own rules refuse in one schema, a sentence each; an empty list when nothing."""
    problems: list[str] = []
    _lint(schema, full_name(schema), (), problems)
    if schema["namespace"] == _FOREIGN:
        return problems
    names = [field["name"] for field in schema["fields"][: len(ENVELOPE_FIELDS)]]
    if tuple(names) != ENVELOPE_FIELDS:
        problems.append(f"{full_name(schema)}: the first fields must be the envelope: {', '.join(ENVELOPE_FIELDS)}")
    return problems


def _lint(node: Any, path: str, inside: tuple[str, ...], problems: list[str]) -> None:
    if isinstance(node, str) and node in inside:
        problems.append(f"{path}: recursive type {node}: a deep datum kills the interpreter")
    if isinstance(node, list):
        for branch in node:
            _lint(branch, path, inside, problems)
    if not isinstance(node, dict):
        return
    match node["type"]:
        case "record":
            if not node.get("doc"):
                problems.append(f"{path}: record without doc")
            if not node["fields"]:
                problems.append(f"{path}: record without fields takes no bytes")
            for field in node["fields"]:
                where = f"{path}.{field['name']}"
                if not field.get("doc"):
                    problems.append(f"{where}: field without doc")
                if field["name"] not in _IMPERSONAL_FIELDS and _PERSONAL & set(
                    re.sub(r"(?<=[a-z])(?=[A-Z])", "_", field["name"]).lower().split("_")
                ):
                    problems.append(f"{where}: named like an attribute of a person; no personal data travels on Kafka")
                _lint(field["type"], where, (*inside, node["name"], full_or_name(node)), problems)
        case "enum":
            if node.get("default") != "UNKNOWN" or node["symbols"][0] != "UNKNOWN":
                problems.append(f"{path}: enum {node['name']} must have UNKNOWN as first symbol and as default")
        case "array" | "map":
            items = node.get("items", node.get("values"))
            if items == "null" or (isinstance(items, dict) and items.get("fields") == []):
                problems.append(f"{path}: items that take no bytes let five bytes claim millions of them")
            _lint(items, path, inside, problems)
        case nested if not isinstance(nested, str):
            _lint(nested, path, inside, problems)


def full_or_name(node: Schema) -> str:
    """The full name of a named type, or its bare name inside its parent's namespace."""
    return f"{node['namespace']}.{node['name']}" if "namespace" in node else str(node["name"])


def incompatibilities(old: Schema, new: Schema) -> list[str]:
    """Why readers and writers of the two versions could not understand each other, both ways; empty when they can."""
    return _compare(old, new, full_name(new))


def _compare(old: Any, new: Any, path: str) -> list[str]:
    old_kind, new_kind = _kind(old), _kind(new)
    if old_kind != new_kind:
        return [f"{path}: type changed from {old_kind} to {new_kind}"]
    problems: list[str] = []
    if isinstance(old, list):
        if [_kind(branch) for branch in old] != [_kind(branch) for branch in new]:
            return [f"{path}: union changed"]
        for before, after in zip(old, new, strict=True):
            problems += _compare(before, after, path)
    if not isinstance(old, dict) or not isinstance(new, dict):
        return problems
    for attribute in ("logicalType", "scale", "precision", "size"):
        if old.get(attribute) != new.get(attribute):
            problems.append(f"{path}: {attribute} changed from {old.get(attribute)} to {new.get(attribute)}")
    match old_kind:
        case "record":
            problems += _compare_fields(old, new, path)
        case "enum":
            problems += [
                f"{path}: enum symbol {symbol} removed" for symbol in old["symbols"] if symbol not in new["symbols"]
            ]
        case "array":
            problems += _compare(old["items"], new["items"], path)
        case "map":
            problems += _compare(old["values"], new["values"], path)
    return problems


def _compare_fields(old: Schema, new: Schema, path: str) -> list[str]:
    before = {field["name"]: field for field in old["fields"]}
    after = {field["name"]: field for field in new["fields"]}
    problems = [
        f"{path}.{name}: field removed" for name in before.keys() - after.keys() if "default" not in before[name]
    ]
    problems += [
        f"{path}.{name}: new field without default"
        for name in after.keys() - before.keys()
        if "default" not in after[name]
    ]
    for name in before.keys() & after.keys():
        problems += _compare(before[name]["type"], after[name]["type"], f"{path}.{name}")
    return sorted(problems)


def _kind(node: Any) -> str:
    if isinstance(node, list):
        return "union"
    if isinstance(node, dict):
        return str(node["type"]) if isinstance(node["type"], str) else _kind(node["type"])
    return str(node)


def check(contracts: Contracts, folder: Path) -> list[str]:
    """Every rule on every file: lint, each version against each earlier one, published hashes, topics' records."""
    problems: list[str] = []
    for path, versions in contracts.schemas.items():
        for version, schema in sorted(versions.items()):
            problems += [f"{path}.v{version}: {problem}" for problem in lint(schema)]
            for earlier in range(1, version):
                problems += [
                    f"{path}.v{version} against v{earlier}: {p}" for p in incompatibilities(versions[earlier], schema)
                ]
    for topic in contracts.declared:
        problems += [
            f"topics.yaml: {topic.name}: no schema {record}"
            for record in topic.records
            if record not in contracts.schemas
        ]
    published = published_hashes(folder)
    for name, digest in published.items():
        file = folder / name
        if not file.exists() or file_hash(file) != digest:
            problems.append(f"{name}: published versions are immutable; add a new version instead")
    problems += [
        f"{file.relative_to(folder)}: not listed in published.sha256; run `estuaire schemas generate`"
        for file in sorted(folder.glob("*/*.avsc"))
        if str(file.relative_to(folder)) not in published
    ]
    return problems


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def published_hashes(folder: Path) -> dict[str, str]:
    """File name to SHA-256 of every published version."""
    lines = (folder / "published.sha256").read_text().splitlines() if (folder / "published.sha256").exists() else []
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


async def register(contracts: Contracts, registry: Registry) -> list[str]:
    """Registers every version, subject by record name: the versions of one in order, the subjects side by side; lines to print."""
    turn = asyncio.Semaphore(_REGISTERED_AT_ONCE_MAX)

    async def in_order(versions: Mapping[int, Schema]) -> list[str]:
        async with turn:
            return [
                f"{full_name(schema)}: id {await registry.register(full_name(schema), schema)}"
                for _, schema in sorted(versions.items())
            ]

    lines: list[str] = []
    # What fails is told when every answer is in: nothing goes on behind the caller's back.
    for found in await asyncio.gather(*map(in_order, contracts.schemas.values()), return_exceptions=True):
        if isinstance(found, BaseException):
            raise found
        lines += found
    return lines


def generated_messages(contracts: Contracts, service: str) -> str:
    """The source of a service's `messages.py`: what it consumes and emits, nothing else."""
    paths = {
        record
        for topic in contracts.declared
        if topic.owner == service or service in topic.consumers
        for record in topic.records
    }
    return _generate(contracts, sorted(path for path in paths if not path.startswith("common/")))


def generated_common(contracts: Contracts) -> str:
    """The source of `common/generated.py`: the records that every service may emit about itself."""
    return _generate(contracts, sorted(path for path in contracts.schemas if path.startswith("common/")))


def _generate(contracts: Contracts, paths: list[str]) -> str:
    if not paths:  # a service that has only just been made
        return _MESSAGES_HEAD + "\n"
    named: set[str] = set()
    union = [_without_envelope(contracts.latest(path), named) for path in paths]
    top = {contracts.latest(path)["name"]: contracts.latest(path)["namespace"] for path in paths}
    nested = dict.fromkeys(named - set(top), "common.messages.Part")
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch) / "messages.avsc", Path(scratch) / "messages.py"
        source.write_text(json.dumps(union))
        subprocess.run(
            [
                Path(sys.executable).with_name("datamodel-codegen"),
                "--input",
                source,
                "--input-file-type",
                "avro",
                "--output",
                target,
                "--output-model-type",
                "pydantic_v2.BaseModel",
                "--base-class",
                "common.messages.Message",
                "--base-class-map",
                json.dumps(nested),
                "--strict-nullable",
                "--use-standard-collections",
                "--use-union-operator",
                "--use-subclass-enum",
                "--target-python-version",
                "3.11",
                "--use-schema-description",
                "--use-field-description",
                "--formatters",
                "builtin",
                "--custom-file-header",
                _MESSAGES_HEAD,
            ],
            check=True,
            capture_output=True,
        )
        code = target.read_text()
    code = re.sub(r"\n\n\nclass Model\(.*\Z", "\n", code, flags=re.DOTALL).replace(", RootModel", "")
    if "Field(" not in code:
        code = code.replace("from pydantic import Field\n", "").replace(", Field\n", "\n")
    for name, namespace in top.items():
        code = re.sub(
            rf'(class {name}\(Message\):\n    """.*?"""\n)',
            rf'\1\n    namespace = "{namespace}"\n',
            code,
            flags=re.DOTALL,
            count=1,
        )
    return code.rstrip() + "\n"


def _without_envelope(node: Any, named: set[str]) -> Any:
    """The schema less its envelope, each named type defined once over the whole union."""
    if isinstance(node, list):
        return [_without_envelope(branch, named) for branch in node]
    if not isinstance(node, dict):
        return node
    if node["type"] in ("record", "enum"):
        if node["name"] in named:
            return node["name"]
        named.add(node["name"])
    copy = dict(node)
    if "fields" in node:
        copy["fields"] = [
            {**field, "type": _without_envelope(field["type"], named)}
            for field in node["fields"]
            if field["name"] not in ENVELOPE_FIELDS
        ]
    if "items" in node:
        copy["items"] = _without_envelope(node["items"], named)
    return copy


def asyncapi(contracts: Contracts) -> dict[str, Any]:
    """An AsyncAPI 3 document of every topic, its records and who sends and receives them."""
    messages = {
        full_name(contracts.latest(path)): {
            "name": contracts.latest(path)["name"],
            "title": contracts.latest(path)["name"],
            "summary": contracts.latest(path)["doc"],
            "contentType": "application/vnd.apache.avro+binary",
            **(
                {}
                if contracts.latest(path)["namespace"] == _FOREIGN
                else {"headers": {"$ref": "#/components/schemas/CloudEventsHeaders"}}
            ),
            "payload": {"schemaFormat": "application/vnd.apache.avro;version=1.9.0", "schema": contracts.latest(path)},
        }
        for path in contracts.schemas
    }
    channels, operations = {}, {}
    for topic in contracts.declared:
        key = re.sub(r"[.{}-]", "_", topic.name)
        names = [full_name(contracts.latest(path)) for path in topic.records]
        channels[key] = {
            "address": topic.name,
            "description": f"Owned by {topic.owner}; data class {topic.data_class}; "
            + ("one topic for each partner." if topic.is_family else "order per key, key = aggregate_id."),
            **(
                {"parameters": {name: {"description": "Whose topic it is."} for name in _parameters(topic.name)}}
                if topic.is_family
                else {}
            ),
            "messages": {name.rsplit(".", 1)[1]: {"$ref": f"#/components/messages/{name}"} for name in names},
            "bindings": {"kafka": {"bindingVersion": "0.5.0", "topic": topic.name, "partitions": topic.partitions}},
        }
        operations[f"{topic.owner}.send.{key}"] = {"action": "send", "channel": {"$ref": f"#/channels/{key}"}}
        for consumer in topic.consumers:
            operations[f"{consumer}.receive.{key}"] = {"action": "receive", "channel": {"$ref": f"#/channels/{key}"}}
    header = {"type": "string"}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Estuaire",
            "version": "1.0.0",
            "description": "Generated from schemas/avro by `make schemas`. At-least-once delivery, exactly-once effect, ordered per key.",
        },
        "defaultContentType": "application/vnd.apache.avro+binary",
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": {
                "CloudEventsHeaders": {
                    "type": "object",
                    "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time"],
                    "properties": dict.fromkeys(
                        ("ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "traceparent"),
                        header,
                    ),
                }
            },
        },
    }


def _parameters(name: str) -> list[str]:
    return re.findall(r"\{([a-z_]+)\}", name)


def write_all(contracts: Contracts, folder: Path) -> list[Path]:
    """Writes messages.py of every service, the AsyncAPI document, Strimzi's topics and users, the hashes of new versions.

    Returns what changed.
    """
    root = folder.parents[1]
    changed = []
    services = {topic.owner for topic in contracts.declared if (root / "services" / topic.owner).is_dir()}
    wanted = {root / "libs/common/src/common/generated.py": generated_common(contracts)}
    for service in sorted(services):
        package = service.replace("-", "_")
        wanted[root / "services" / service / "src" / package / "messages.py"] = generated_messages(contracts, service)
    wanted[folder / "asyncapi.json"] = json.dumps(asyncapi(contracts), indent=1, ensure_ascii=False) + "\n"
    hashes = {str(file.relative_to(folder)): file_hash(file) for file in sorted(folder.glob("*/*.avsc"))}
    wanted[folder / "published.sha256"] = "".join(
        f"{d}  {n}\n" for n, d in sorted((hashes | published_hashes(folder)).items())
    )
    base = root / "deploy" / "k8s" / "base"
    wanted |= {
        base / "topics.yaml": manifests.topics(contracts),
        base / "users.yaml": manifests.users(contracts, sorted(services)),
    }
    for path, text in wanted.items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            changed.append(path)
    return changed
