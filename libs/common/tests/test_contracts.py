"""Contracts: lint, own compatibility rules, registry's rule, immutability, drift, wire format, AsyncAPI."""

from __future__ import annotations

import copy
import io
import json
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema
import pytest
from confluent_kafka.schema_registry import Schema as ConfluentSchema
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from fastavro import json_reader, schemaless_reader, schemaless_writer

from common import contracts, schema_tools, services
from common.avro import Codec, Registry
from common.embedded.stack import Stack
from common.failures import Malformed
from common.generated import ServiceHealthReported
from common.messages import ENVELOPE_FIELDS
from common.schema_ids import read_by
from common.settings import Settings
from common.testing import FreshRuntime

FOLDER = Path(Settings.model_fields["schemas_dir"].default)
KNOWN = contracts.load(FOLDER)
ENVELOPE = KNOWN.latest("common/ServiceHealthReported")["fields"][: len(ENVELOPE_FIELDS)]


def schema(*fields: dict[str, Any], name: str = "Probe") -> dict[str, Any]:
    """A well-formed record with these fields after the envelope."""
    return {
        "type": "record",
        "name": name,
        "namespace": "estuaire.probe",
        "doc": "For tests.",
        "fields": [*ENVELOPE, *fields],
    }


def field(type_: Any, name: str = "thing", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, "doc": "A field.", **more}


DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2}
ENUM = {"type": "enum", "name": "Colour", "doc": "c", "symbols": ["UNKNOWN", "RED", "BLUE"], "default": "UNKNOWN"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}

INCOMPATIBLE = {
    "removed field": (schema(field("int"), field("int", "other")), schema(field("int"))),
    "changed scale": (schema(field(DECIMAL)), schema(field({**DECIMAL, "scale": 3}))),
    "micros to millis": (schema(field(MICROS)), schema(field({**MICROS, "logicalType": "timestamp-millis"}))),
    "removed enum symbol": (schema(field(ENUM)), schema(field({**ENUM, "symbols": ["UNKNOWN", "RED"]}))),
    "new field without default": (schema(field("int")), schema(field("int"), field("int", "other"))),
    "changed type": (schema(field("int")), schema(field("string"))),
    "int to long": (schema(field("int")), schema(field("long"))),
}
# What FULL_TRANSITIVE lets pass: the reason for having rules of our own.
REGISTRY_LETS_PASS = {"changed scale", "micros to millis", "removed enum symbol"}


def test_the_published_contracts_are_sound() -> None:
    """Lint, compatibility, immutability and topics: no problem."""
    assert schema_tools.check(KNOWN, FOLDER) == []


@pytest.mark.parametrize("case", INCOMPATIBLE)
def test_our_own_checker_refuses(case: str) -> None:
    """Each incompatible change is named."""
    old, new = INCOMPATIBLE[case]
    assert schema_tools.incompatibilities(old, new)
    assert schema_tools.incompatibilities(old, old) == []


def test_our_own_checker_accepts_what_is_compatible() -> None:
    """A new field with a default and a new enum symbol are fine."""
    assert (
        schema_tools.incompatibilities(
            schema(field("int")), schema(field("int"), field(["null", "int"], "other", default=None))
        )
        == []
    )
    assert (
        schema_tools.incompatibilities(
            schema(field(ENUM)), schema(field({**ENUM, "symbols": [*ENUM["symbols"], "GREEN"]}))
        )
        == []
    )


@pytest.mark.parametrize("case", INCOMPATIBLE)
async def test_the_registry_refuses_what_full_transitive_covers(case: str, parts: Stack) -> None:
    """The real registry, with its global rule; what it lets pass is exactly what our own rules add."""
    registry = Registry(f"http://127.0.0.1:{parts.settings.registry_port}/apis/ccompat/v7")
    subject = f"estuaire.probe.P{uuid4().hex}"
    old, new = (copy.deepcopy(version) for version in INCOMPATIBLE[case])
    try:
        await registry.register(subject, old)
        if case in REGISTRY_LETS_PASS:
            await registry.register(subject, new)
        else:
            with pytest.raises(Malformed, match="schema_refused"):
                await registry.register(subject, new)
    finally:
        await registry.close()


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (field("string", "first_name"), "named like an attribute of a person"),
        (field("string", "contactEmail"), "named like an attribute of a person"),
        (field({"type": "array", "items": "null"}), "take no bytes"),
        (field({"type": "enum", "name": "E", "symbols": ["A"]}), "UNKNOWN"),
        ({"name": "thing", "type": "int"}, "without doc"),
        (
            field(
                {
                    "type": "record",
                    "name": "Tree",
                    "doc": "t",
                    "fields": [field(["null", "Tree"], "child", default=None)],
                }
            ),
            "recursive",
        ),
        (field({"type": "record", "name": "Empty", "doc": "e", "fields": []}), "takes no bytes"),
    ],
)
def test_the_linter_refuses(bad: dict[str, Any], words: str) -> None:
    """Each forbidden shape is named."""
    assert any(words in problem for problem in schema_tools.lint(schema(bad)))
    assert schema_tools.lint(schema(field("int"))) == []


def test_a_published_version_is_immutable(tmp_path: Path) -> None:
    """A planted edit of a published file is seen."""
    copied = tmp_path / "avro"
    shutil.copytree(FOLDER, copied)
    assert schema_tools.check(contracts.load(copied), copied) == []
    file = next(copied.glob("remediation-seats/SeatHeld.v1.avsc"))
    file.write_text(file.read_text().replace("A prescriber holds", "A prescriber really holds"))
    assert any("immutable" in problem for problem in schema_tools.check(contracts._read(copied), copied))


def test_generated_files_are_up_to_date() -> None:
    """messages.py of every service and the AsyncAPI document are what the schemas generate."""
    root = FOLDER.parents[1]
    assert (root / "libs/common/src/common/generated.py").read_text() == schema_tools.generated_common(KNOWN)
    for service in services.load():
        path = root / "services" / service.name / "src" / service.package / "messages.py"
        assert path.read_text() == schema_tools.generated_messages(KNOWN, service.name)
    assert json.loads((FOLDER / "asyncapi.json").read_text()) == schema_tools.asyncapi(KNOWN)


def test_the_asyncapi_document_follows_its_own_schema() -> None:
    """Checked with the vendored JSON Schema of AsyncAPI 3.0.0; a planted error is seen."""
    validator = jsonschema.Draft7Validator(
        json.loads(Path(__file__).with_name("asyncapi-3.0.0.schema.json").read_text())
    )
    document = schema_tools.asyncapi(KNOWN)
    assert list(validator.iter_errors(document)) == []
    del document["info"]["title"]
    assert list(validator.iter_errors(document))


def test_every_record_has_a_golden_example_that_reads_back() -> None:
    """schemas/avro/examples/<Record>.v<N>.json: encoded, decoded, the same."""
    for path, versions in KNOWN.schemas.items():
        for version, known in versions.items():
            example = FOLDER / "examples" / f"{path.split('/')[1]}.v{version}.json"
            (read,) = list(json_reader(io.StringIO(json.dumps(json.loads(example.read_text()))), known))
            out = io.BytesIO()
            schemaless_writer(out, known, read)
            assert schemaless_reader(io.BytesIO(out.getvalue()), known, None) == read


async def test_our_bytes_are_those_of_the_confluent_serializer(parts: Stack, fresh_runtime: FreshRuntime) -> None:
    """The independent referee of the wire format: same bytes, and each reads the other's."""
    async with fresh_runtime("projections") as runtime:
        message = ServiceHealthReported(
            service="x",
            outbox_depth=1,
            outbox_age_seconds=0.5,
            lag_count=2,
            dead_letter_count=0,
            parked_key_count=0,
            stopped_partition_count=0,
            event_id=uuid4(),
            aggregate_id=uuid4(),
            correlation_id=uuid4(),
        )
        ours = runtime.schema_ids.codec.encode(message)
        client = SchemaRegistryClient({"url": f"http://127.0.0.1:{parts.settings.registry_port}/apis/ccompat/v7"})
        serializer = AvroSerializer(
            client,
            ConfluentSchema(json.dumps(KNOWN.latest("common/ServiceHealthReported")), "AVRO"),
            conf={
                "auto.register.schemas": False,
                "use.latest.version": True,
                "subject.name.strategy": lambda _, __: "estuaire.common.ServiceHealthReported",
            },
        )
        theirs = serializer(message.model_dump(), SerializationContext("t", MessageField.VALUE))
        assert ours == theirs
        assert runtime.schema_ids.codec.decode(theirs).fields["service"] == "x"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty_value"),
        (b"", "too_short"),
        (b"\x00\x00", "too_short"),
        (b"\x01\x00\x00\x00\x01x", "no_magic_byte"),
        (b"\x00\x7f\xff\xff\xffx", "unknown_schema_id"),
        (b"\x00\x00\x00\x00\x07\x02", "undecodable"),
        (b"\x00\x00\x00\x00\x07\x06abcd", "trailing_bytes"),
    ],
)
def test_bad_bytes_are_malformed_with_a_reason(value: bytes | None, reason: str) -> None:
    """Nothing but Malformed ever leaves the decoder."""
    codec = Codec({})
    codec.learn(7, {"type": "string"})
    with pytest.raises(Malformed) as caught:
        codec.decode(value)
    assert caught.value.reason == reason


async def test_ids_of_what_is_read_are_known_before_it_is_met(fresh_runtime: FreshRuntime) -> None:
    """A record that comes for the first time while the registry is away must not stop its consumer."""
    async with fresh_runtime("projections") as runtime:
        async with runtime.database.transaction() as tx:
            rows = await tx.fetch_all("SELECT schema_id, avro FROM known_schema")
        names = {f"{schema['namespace']}.{schema['name']}": row for row in rows for schema in [json.loads(row.avro)]}
        wanted = read_by(KNOWN, "projections")
        assert "estuaire.remediation_seats.HoldEnded" in wanted and set(wanted) <= names.keys()
        assert all(runtime.schema_ids.codec.knows(names[name].schema_id) for name in wanted)
