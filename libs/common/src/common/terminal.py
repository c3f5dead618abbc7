"""What every command of `estuaire` needs: the console, errors in one line, and where the databases and brokers are."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import typer
from aiokafka.errors import KafkaError
from rich.console import Console

from common.failures import Malformed, Unavailable
from common.topics import TopicRefused

console = Console(highlight=False, soft_wrap=True)
SCHEMAS = Path(__file__).parents[4] / "schemas" / "avro"


def fail(message: str) -> typer.Exit:
    """Says what is wrong in one line; the caller raises what this returns."""
    print(f"estuaire: {message}", file=sys.stderr)
    return typer.Exit(1)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Runs a command; what the person can repair is one line, not a traceback."""
    try:
        asyncio.run(work)
    except (Malformed, Unavailable, ValueError, OSError, KafkaError, TopicRefused) as error:
        raise fail(str(error) or type(error).__name__) from None


def database_urls() -> dict[str, str]:
    """Service name to database address: of the embedded run, or of the one service whose environment this is."""
    if "ESTUAIRE_DATABASE_URL" in os.environ:
        return {os.environ.get("ESTUAIRE_SERVICE", "service"): os.environ["ESTUAIRE_DATABASE_URL"]}
    from common.embedded.stack import EmbeddedSettings, Stack

    stack = Stack(EmbeddedSettings())
    if not (stack.settings.home / "postgres.password").exists():
        raise fail(
            "no embedded data; start the system with `make run`, or set ESTUAIRE_DATABASE_URL and ESTUAIRE_SERVICE"
        )
    return {service.name: stack.postgres.url(service.package) for service in stack.services}


def session_secret() -> str:
    """What signs links and keys hashes: from the environment beside ESTUAIRE_DATABASE_URL, or of the embedded run."""
    if "ESTUAIRE_DATABASE_URL" in os.environ:
        try:
            return os.environ["ESTUAIRE_SESSION_SECRET"]
        except KeyError:
            raise fail("set ESTUAIRE_SESSION_SECRET beside ESTUAIRE_DATABASE_URL") from None
    from common.embedded.stack import EmbeddedSettings

    return (EmbeddedSettings().home / "session.secret").read_text()


def public_url(service: str) -> str:
    """Where browsers reach a service: from the environment beside ESTUAIRE_DATABASE_URL, or of the embedded run."""
    if "ESTUAIRE_DATABASE_URL" in os.environ:
        try:
            return os.environ["ESTUAIRE_PUBLIC_URL"]
        except KeyError:
            raise fail("set ESTUAIRE_PUBLIC_URL beside ESTUAIRE_DATABASE_URL: links in mails lead there") from None
    from common.embedded.stack import EmbeddedSettings, Stack

    stack = Stack(EmbeddedSettings())
    return next(stack.environment(one)["ESTUAIRE_PUBLIC_URL"] for one in stack.services if one.name == service)


def broker_and_registry() -> tuple[str, str]:
    """Their addresses: from the environment beside ESTUAIRE_DATABASE_URL, or of the embedded run."""
    if "ESTUAIRE_DATABASE_URL" in os.environ:
        try:
            return os.environ["ESTUAIRE_KAFKA_BOOTSTRAP_SERVERS"], os.environ["ESTUAIRE_REGISTRY_URL"]
        except KeyError as missing:
            raise fail(f"set {missing.args[0]} beside ESTUAIRE_DATABASE_URL") from None
    from common.embedded.stack import EmbeddedSettings, Stack

    stack = Stack(EmbeddedSettings())
    return stack.bootstrap_servers, f"http://127.0.0.1:{stack.settings.registry_port}/apis/ccompat/v7"
