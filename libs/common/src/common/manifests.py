"""Writes the Strimzi topics and users of `deploy/k8s/base` from `topics.yaml`: who owns a topic writes it, who consumes it reads it."""

from __future__ import annotations

from typing import Any

import yaml

from common.contracts import Contracts, Topic
from common.topics import configuration

_API = "kafka.strimzi.io/v1"
_LABELS = {"strimzi.io/cluster": "estuaire"}
_REPLICAS = 3
_HEAD = "# Generated from schemas/avro/topics.yaml by `make schemas`; do not edit.\n"


def topics(contracts: Contracts) -> str:
    """A KafkaTopic for every topic; a family's topics are made by their command, one partner at a time."""
    return _documents(
        {
            "apiVersion": _API,
            "kind": "KafkaTopic",
            "metadata": {"name": topic.name, "labels": _LABELS},
            "spec": {"partitions": topic.partitions, "replicas": _REPLICAS, "config": configuration(topic)},
        }
        for topic in contracts.topics.values()
    )


def users(contracts: Contracts, services: list[str]) -> str:
    """A KafkaUser for every service, with what it may do and nothing else."""
    return _documents(
        {
            "apiVersion": _API,
            "kind": "KafkaUser",
            "metadata": {"name": service, "labels": _LABELS},
            "spec": {
                "authentication": {"type": "scram-sha-512"},
                "authorization": {"type": "simple", "acls": _acls(contracts, service)},
            },
        }
        for service in services
    )


def _acls(contracts: Contracts, service: str) -> list[dict[str, Any]]:
    found = []
    for topic in contracts.declared:
        operations = []
        if topic.owner == service:
            operations = ["Describe", "Read", "Write"]  # it reads its own topics to compare them with its database
        elif service in topic.consumers:
            operations = ["Describe", "Read"]
        if operations:
            found.append({"resource": _resource(topic), "operations": operations})
    group = {"type": "group", "name": service, "patternType": "literal"}
    return [*found, {"resource": group, "operations": ["Describe", "Read"]}]


def _resource(topic: Topic) -> dict[str, str]:
    if topic.is_family:
        return {"type": "topic", "name": topic.name.partition("{")[0], "patternType": "prefix"}
    return {"type": "topic", "name": topic.name, "patternType": "literal"}


def _documents(found: Any) -> str:
    return _HEAD + yaml.safe_dump_all(found, sort_keys=False, allow_unicode=True, width=120)
