"""Avro in the Confluent wire format: a zero byte, the schema id in four bytes, the datum, and nothing after it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.schema import SchemaParseException

from common.contracts import Schema
from common.failures import Malformed, Unavailable
from common.messages import Message

_MAGIC = 0
_HEADER_BYTES = 5
_TIMEOUT_SECONDS = 5


class Registry:
    """The few calls that we need of a Confluent-compatible schema registry."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_SECONDS)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        try:
            answer = await self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise Unavailable(f"schema registry: {type(error).__name__}") from error
        if answer.status_code >= 500:
            raise Unavailable(f"schema registry: HTTP {answer.status_code}")
        return answer

    async def schema_of(self, schema_id: int) -> Schema | None:
        """The schema that an id stands for, or None when the registry does not know it."""
        answer = await self._call("GET", f"/schemas/ids/{schema_id}")
        if answer.status_code == 404:
            return None
        schema: Schema = json.loads(answer.json()["schema"])
        return schema

    async def id_of(self, subject: str, schema: Schema) -> int | None:
        """The id under which this very schema is registered for the subject, or None."""
        answer = await self._call("POST", f"/subjects/{subject}", {"schema": json.dumps(schema)})
        return int(answer.json()["id"]) if answer.status_code == 200 else None

    async def register(self, subject: str, schema: Schema) -> int:
        """Registers a schema; raises `Malformed` with the registry's words when it refuses."""
        answer = await self._call("POST", f"/subjects/{subject}/versions", {"schema": json.dumps(schema)})
        if answer.status_code != 200:
            raise Malformed("schema_refused", f"{subject}: {answer.json().get('message', answer.text)}")
        return int(answer.json()["id"])


@dataclass(frozen=True)
class Decoded:
    """A record read: its full name and its fields, resolved to our own newest schema where we know the record."""

    record: str
    fields: dict[str, Any]


class Codec:
    """Encodes and decodes with schema ids known beforehand; never talks to the network.

    `ids` maps a full record name to the id under which we write it, `writers` an id to the schema that wrote with it.
    """

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self._readers = {name: parse_schema(schema, named_schemas={}) for name, schema in schemas.items()}
        # Id to its record, the schema that wrote, and the newest one where that is another: comparing them for each message
        # takes a fifth of its time.
        self._writers: dict[int, tuple[str, Any, Any]] = {}
        self.ids: dict[str, int] = {}

    def learn(self, schema_id: int, schema: Schema, *, write_as: str | None = None) -> None:
        """Makes an id known; with `write_as`, that record is written with it."""
        try:
            writer = parse_schema(schema, named_schemas={})
        except SchemaParseException as error:
            raise Malformed("schema_unusable", str(error)) from error
        name = str(writer.get("name", "")) if isinstance(writer, dict) else ""
        newest = self._readers.get(name)
        self._writers[schema_id] = name, writer, None if newest == writer else newest
        if write_as is not None:
            self.ids[write_as] = schema_id

    def knows(self, schema_id: int) -> bool:
        """Whether `decode` can read what was written with this id."""
        return schema_id in self._writers

    def encode(self, message: Message) -> bytes:
        """Bytes of a message with its envelope filled; raises `Unavailable` until the id of its schema is known."""
        name = f"{message.namespace}.{message.record_name()}"
        schema_id = self.ids.get(name)
        if schema_id is None:
            # A service that has just started answers before its database or the registry has told it the ids.
            raise Unavailable(f"the schema id of {name} is not known yet")
        out = io.BytesIO()
        out.write(bytes([_MAGIC]) + schema_id.to_bytes(4, "big"))
        schemaless_writer(out, self._readers[name], message.model_dump(), strict_allow_default=True)
        return out.getvalue()

    def decode(self, value: bytes | None) -> Decoded:
        """Reads bytes; raises `Malformed` with the reason, never anything else."""
        schema_id = schema_id_of(value)
        assert value is not None
        if schema_id not in self._writers:
            raise Malformed("unknown_schema_id", str(schema_id))
        name, writer, newest = self._writers[schema_id]
        source = io.BytesIO(value)
        source.seek(_HEADER_BYTES)
        try:
            fields = schemaless_reader(source, writer, newest)
        except Exception as error:  # fastavro raises almost anything on bad bytes
            raise Malformed("undecodable", f"{type(error).__name__}: {error}"[:300]) from error
        if source.tell() != len(value):
            raise Malformed("trailing_bytes", f"{len(value) - source.tell()} bytes after the datum")
        if not isinstance(fields, dict):
            raise Malformed("not_a_record", name)
        return Decoded(name, fields)


def schema_id_of(value: bytes | None) -> int:
    """The schema id in the first five bytes; raises `Malformed` when they are not there."""
    if value is None:
        raise Malformed("empty_value")
    if len(value) < _HEADER_BYTES:
        raise Malformed("too_short", f"{len(value)} bytes")
    if value[0] != _MAGIC:
        raise Malformed(
            "no_magic_byte", "not in the Confluent wire format (a schema GUID in a header is not supported)"
        )
    return int.from_bytes(value[1:_HEADER_BYTES], "big")


def validated(decoded: Decoded, classes: Mapping[str, type[Message]]) -> Message:
    """The typed message; raises `Malformed` when a value breaks its type."""
    try:
        return classes[decoded.record].model_validate(decoded.fields)
    except ValueError as error:
        raise Malformed("invalid_value", str(error)[:300]) from error
