"""Reads a topic of facts from its first record to its present end; prints how many there are, and the last one.

pip install confluent-kafka fastavro; python facts.py remediation-seats.programmes.v1
"""

import io
import json
import os
import sys
import urllib.request
from functools import cache
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
from fastavro import parse_schema, schemaless_reader


def settings() -> dict[str, Any]:
    """What the client is told; without a password, as in a run on one machine, nobody asks for a user."""
    found = {
        "bootstrap.servers": os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"),
        "group.id": "analyst-sample-python",  # the user `analyst` has no other groups
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,  # nothing is kept: the next run begins at the first record again
    }
    if password := os.environ.get("KAFKA_PASSWORD"):
        found |= {
            "security.protocol": os.environ.get("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "analyst",
            "sasl.password": password,
        }
    return found


@cache
def schema(schema_id: int) -> Any:
    """The schema that a record was written with."""
    address = os.environ.get("REGISTRY_URL", "http://localhost:8081/apis/ccompat/v7")
    with urllib.request.urlopen(f"{address}/schemas/ids/{schema_id}") as answer:  # noqa: S310 (an operator's address)
        return parse_schema(json.loads(json.load(answer)["schema"]))


def decoded(value: bytes) -> Any:
    """A record is a zero, the id of its schema in four bytes, then Avro (the Confluent wire format)."""
    return schemaless_reader(io.BytesIO(value[5:]), schema(int.from_bytes(value[1:5], "big")), None)


def main(topic: str) -> None:
    """Every partition from its beginning to where it ends now."""
    consumer = Consumer(settings())
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    ends = {
        number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30)[1] for number in partitions
    }
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    left = {number for number, end in ends.items() if end > 0}
    count, last = 0, None
    while left:
        record = consumer.poll(30)
        if record is None:
            sys.exit("nothing came for 30 seconds")
        if record.error():
            raise KafkaException(record.error())
        count, last = count + 1, decoded(record.value())
        if record.offset() + 1 >= ends[record.partition()]:
            left.discard(record.partition())
    consumer.close()
    print(count)
    print(json.dumps(last, default=str, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "remediation-seats.programmes.v1")
