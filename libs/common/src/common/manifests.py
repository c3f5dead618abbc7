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
    """A KafkaUser for every service, and for who reads the facts, with what each may do and nothing else."""
    of_all = {service: _acls(contracts, service) for service in services}
    # Analysts' consumers name their groups `analyst-…`; the lake is in no group.
    of_all |= {"lake": _reads_facts(contracts), "analyst": [*_reads_facts(contracts), _group("analyst-", "prefix")]}
    return _documents(
        {
            "apiVersion": _API,
            "kind": "KafkaUser",
            "metadata": {"name": name, "labels": _LABELS},
            "spec": {
                "authentication": {"type": "scram-sha-512"},
                "authorization": {"type": "simple", "acls": acls},
            },
        }
        for name, acls in of_all.items()
    )


def _reads_facts(contracts: Contracts) -> list[dict[str, Any]]:
    facts = [topic for topic in contracts.topics.values() if topic.is_facts]
    return [{"resource": _resource(topic), "operations": ["Describe", "Read"]} for topic in facts]


def _group(name: str, pattern: str) -> dict[str, Any]:
    group = {"type": "group", "name": name, "patternType": pattern}
    return {"resource": group, "operations": ["Describe", "Read"]}


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
    return [*found, _group(service, "literal")]


def _resource(topic: Topic) -> dict[str, str]:
    if topic.is_family:
        return {"type": "topic", "name": topic.name.partition("{")[0], "patternType": "prefix"}
    return {"type": "topic", "name": topic.name, "patternType": "literal"}


def _documents(found: Any) -> str:
    return _HEAD + yaml.safe_dump_all(found, sort_keys=False, allow_unicode=True, width=120)
