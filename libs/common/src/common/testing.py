"""Pytest fixtures over the real parts: one embedded stack per run, on free ports, thrown away at the end."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import json
import os
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
import hypothesis
import pytest
import sqlalchemy
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from common import migrations
from common.commitments import ACCEPTS, WOULD_BREAK
from common.embedded.stack import EmbeddedSettings, Stack
from common.failures import Refusal, sqlstate
from common.runtime import Runtime, build_runtime
from common.services import ServiceSpec
from common.settings import Settings
from common.sweepers import Rounds, Sweeper
from common.transaction import Transaction

Result = TypeVar("Result")
# How long a test waits for what another process brings about: for ever, as far as a machine that works is concerned.
PATIENCE_SECONDS = 300
# How often a command that was given up is sent again: many times what a slow machine needs.
_RETURNS_MAX = 100
_ERRORS_SHOWN_MAX = 20
# What starts the real parts; every other fixture of theirs asks for one of these.
_STACKS = ("stack", "rig")
_numbers = itertools.count(1)
# Made once: each client would read every authority of the machine anew, for 26 ms, and talks plain HTTP.
_TLS = ssl.create_default_context()


# A slow machine is no reason for a test to fail.
hypothesis.settings.register_profile("estuaire", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("estuaire")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files that need no real parts first, then those of the stack, then those of the rig: a mistake shows in seconds.

    Side by side, the rig's begin at once: they are the longest, and one worker has them all.
    """
    needs: dict[Path, int] = {}
    for item in items:
        names = getattr(item, "fixturenames", ())
        need = max((place for place, name in enumerate(_STACKS, 1) if name in names), default=0)
        needs[item.path] = max(needs.get(item.path, 0), need)
    first = len(_STACKS) if hasattr(config, "workerinput") else None
    items.sort(key=lambda item: (needs[item.path] != first, needs[item.path]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Says with a test that fails which errors the services of its stack logged meanwhile: their logs go with the stack."""
    report = yield
    used = getattr(item, "funcargs", {}).values()
    started = next((one for one in used if isinstance(one, Stack)), None)
    if report.failed and started is not None:
        lines = list(_errors_since(started, datetime.fromtimestamp(call.start, UTC)))
        report.sections.append(("errors that the services logged", "\n".join(lines[-_ERRORS_SHOWN_MAX:]) or "none"))
    return report


def _errors_since(started: Stack, since: datetime) -> Iterator[str]:
    for child in started.children.values():
        for line in child.log_path.read_text(errors="replace").splitlines() if child.log_path.exists() else ():
            with suppress(ValueError, KeyError, TypeError):
                told = json.loads(line)
                if told["level"] == "error" and datetime.fromisoformat(told["at"]) >= since:
                    yield f"{child.name}: {line}"


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Kafka, registry, PostgreSQL, development issuer and every service, as `estuaire up` starts them."""
    home = Path(tempfile.mkdtemp(prefix="estuaire-test-", dir=os.environ.get("ESTUAIRE_TEST_DIR")))
    home.chmod(0o755)  # PostgreSQL runs under an account of its own when the tests run as root
    # The tests load one caller as no partner may.
    os.environ["ESTUAIRE_COMMANDS_PER_SECOND_MAX"] = "1000000"
    os.environ["ESTUAIRE_ISSUER_SECONDS_MAX"] = str(PATIENCE_SECONDS)
    started = Stack(EmbeddedSettings.on_free_ports(home), forked=True)
    started.start()
    yield started
    throw_away(started)


def throw_away(stack: Stack) -> None:
    """Ends a stack that nobody starts again and takes its data away, unless ESTUAIRE_KEEP is set: it need not finish anything."""
    for child in (
        *stack.children.values(),
        *(part.child for part in (stack.registry, stack.kafka) if part is not None),
    ):
        child.kill()
    stack.stop()
    if not os.environ.get("ESTUAIRE_KEEP"):
        shutil.rmtree(stack.settings.home, ignore_errors=True)


@pytest.fixture(scope="session")
def parts(stack: Stack) -> Stack:
    """The same stack, for tests that need its PostgreSQL or registry and not the services."""
    return stack


def service_named(stack: Stack, name: str) -> ServiceSpec:
    """One service of the stack."""
    return next(service for service in stack.services if service.name == name)


def url_of(stack: Stack, name: str) -> str:
    """Where a service of the stack listens."""
    return f"http://127.0.0.1:{service_named(stack, name).port(stack.settings)}"


def settings_for(stack: Stack, database_url: str, **changes: Any) -> Settings:
    """Settings of a service that a test runs in its own process."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "kafka_bootstrap_servers": stack.bootstrap_servers,
        "registry_url": f"http://127.0.0.1:{stack.settings.registry_port}/apis/ccompat/v7",
        "issuer_url": stack.issuer_url,
        "development": True,
        "session_secret": "for tests only, thirty-two characters at least",
        "subject_secret": "for tests only too, thirty-two characters at least",
        "http_port": 1,
        "smtp_port": stack.settings.smtp_port,
    }
    return Settings(**values | changes)


async def accepting(tx: Transaction, act: Callable[[], Awaitable[Any]]) -> Any:
    """What comes of a command whose caller is shown what it would break, and goes on."""
    result = await act()
    if isinstance(result, Refusal) and result.reason == WOULD_BREAK:
        tx.accepted = result.facts[ACCEPTS]
        result = await act()
        tx.accepted = None
    return result


async def sent_accepting(client: httpx.AsyncClient, method: str, path: str, **more: Any) -> httpx.Response:
    """The answer to a request whose caller is shown what it would break, and goes on."""
    answer = await client.request(method, path, **more)
    if answer.status_code == 409 and ACCEPTS in answer.json():
        answer = await client.request(method, path, params={ACCEPTS: answer.json()[ACCEPTS]}, **more)
    return answer


FreshRuntime = Callable[..., AbstractAsyncContextManager[Runtime]]


@pytest.fixture(scope="session")
def fresh_runtime(parts: Stack) -> FreshRuntime:
    """Makes a service's runtime on a database of its own, migrated and with its schema ids; nothing of it runs.

    Each is a copy of one that was migrated and has agreed with the registry, made when the first is asked for.
    """
    templates: set[str] = set()

    def build(package: str, name: str, **changes: Any) -> Runtime:
        service = importlib.import_module(f"{package}.app").service
        return build_runtime(service, settings_for(parts, parts.postgres.url(name, role=package), **changes))

    async def make_template(package: str, name: str) -> None:
        parts.postgres.psql(f'CREATE DATABASE "{name}" OWNER "{package}"')
        await migrations.upgrade(parts.postgres.url(name, role=package), package)
        runtime = build(package, name)
        await runtime.schema_ids.agree_with_registry()
        await runtime.close()

    @asynccontextmanager
    async def make(package: str, **changes: Any) -> AsyncIterator[Runtime]:
        template, name = f"template_{package}", f"test_{package}_{next(_numbers)}"
        if template not in templates:
            await make_template(package, template)
            templates.add(template)
        parts.postgres.psql(f'CREATE DATABASE "{name}" TEMPLATE "{template}" OWNER "{package}"')
        runtime = build(package, name, **changes)
        await runtime.schema_ids.load()
        assert runtime.schema_ids.complete
        try:
            yield runtime
        finally:
            await runtime.close()

    return make


async def set_clock(runtime: Runtime, days: float) -> None:
    """Moves the rules' now so many days ahead of the real one; the runtime must be a development one."""
    async with runtime.database.transaction() as tx:
        await tx.execute(
            """INSERT INTO development_clock (id, offset_seconds) VALUES (1, :seconds)
               ON CONFLICT (id) DO UPDATE SET offset_seconds = excluded.offset_seconds""",
            seconds=days * 86400,
        )


async def estuaire(stack: Stack, service: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """The operators' command for a service of a running stack, forked as its services are: status, and what it printed."""
    assert stack.forks is not None
    environment = {
        **stack.environment(service_named(stack, service)),
        "ESTUAIRE_SERVICE": service,
        **environment,
    }
    # In no folder of the stack: tests look there for what must have been forgotten.
    with tempfile.TemporaryFile() as output:
        process = stack.forks.start("common.cli:app", env=environment, log=output, arguments=arguments)
        status = await asyncio.to_thread(process.wait)
        output.seek(0)
        return status, output.read().decode()


Query = Callable[..., Awaitable[list[Any]]]


@pytest.fixture(scope="session")
async def query(stack: Stack) -> AsyncIterator[Query]:
    """Reads a service's database of the running stack by SQL, as an independent eye."""
    engines: dict[str, AsyncEngine] = {}

    async def run(service: str, sql: str, **values: Any) -> list[Any]:
        if service not in engines:
            url = stack.postgres.url(service_named(stack, service).package)
            # Nothing is remembered of a table that may be another tomorrow.
            forgetful = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
            engines[service] = create_async_engine(
                url, pool_size=1, max_overflow=50, pool_pre_ping=True, connect_args=forgetful
            )
        async with engines[service].begin() as connection:
            result = await connection.execute(sqlalchemy.text(sql), values)
            return list(result.all()) if result.returns_rows else []

    yield run
    for engine in engines.values():
        await engine.dispose()


class _ComesBack(httpx.AsyncHTTPTransport):
    """Sends a command again when a service gives it up and says when to come back, as every client is told to do.

    On a slow machine a thousand at once wait longer for a lock than a command may, and again and again.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(_RETURNS_MAX):
            answer = await super().handle_async_request(request)
            if answer.status_code != 503 or request.method == "GET":
                break
            await answer.aread()
            await asyncio.sleep(float(answer.headers["Retry-After"]))
        return answer


def http_client(**options: Any) -> httpx.AsyncClient:
    """A client that waits for an answer as long as a busy machine needs, and with hundreds of requests for its turn."""
    limits = httpx.Limits(max_connections=60, keepalive_expiry=2)
    return httpx.AsyncClient(
        **{
            "transport": _ComesBack(verify=_TLS, limits=limits),
            "timeout": httpx.Timeout(PATIENCE_SECONDS, pool=None),
            **options,
        }
    )


def add_persona(stack: Stack, persona: dict[str, Any]) -> None:
    """Gives the development issuer an account."""
    path = stack.settings.home / "personas.json"
    personas = json.loads(path.read_text()) if path.exists() else {}
    if personas.get(persona["sub"]) != persona:
        unfinished = path.with_suffix(".new")
        unfinished.write_text(json.dumps(personas | {persona["sub"]: persona}))
        unfinished.replace(path)


async def token_of(stack: Stack, persona: dict[str, Any]) -> str:
    """A token of the development issuer for a persona, which is added to its accounts."""
    add_persona(stack, persona)
    async with http_client() as client:
        answer = await client.post(
            f"{stack.issuer_url}/token", data={"grant_type": "client_credentials", "client_id": persona["sub"]}
        )
    return str(answer.json()["access_token"])


async def client_of(stack: Stack, url: str, sub: str, role: str, **claims: Any) -> httpx.AsyncClient:
    """A client of a service that carries the token of a persona with one role."""
    token = await token_of(stack, {"label": sub, "sub": sub, "roles": [role], "email": f"{sub}@example.org", **claims})
    return http_client(base_url=url, headers={"Authorization": f"Bearer {token}"})


def envelope(aggregate_id: UUID, version: int) -> dict[str, Any]:
    """What every record begins with, as somebody writes it who is not of ours; the event's id is new."""
    return {
        "event_id": str(uuid4()),
        "occurred_at": datetime.now(UTC),
        "aggregate_id": str(aggregate_id),
        "aggregate_version": version,
        "correlation_id": str(uuid4()),
        "causation_id": None,
    }


async def swept(runtime: Runtime, *sweepers: Sweeper) -> int:
    """One round of each sweeper, of which no item may fail; how many items were done."""
    done_count = 0
    for sweeper in sweepers:
        rounds = Rounds(sweeper, runtime)
        done_count += await rounds.run()
        assert not rounds.aside, f"{sweeper.name} failed, the log says why"
    return done_count


async def mails_to(runtime: Runtime, write: Sweeper, address: str) -> list[tuple[str, str]]:
    """Subject and body of what an address was written, after a service's sweeper has written all that is owed."""
    await swept(runtime, write)
    async with runtime.database.transaction() as tx:
        rows = await tx.fetch_all("SELECT subject, body FROM mail WHERE recipient = :to ORDER BY id", to=address)
    return [(row.subject, row.body) for row in rows]


async def until_it_waits(tx: Transaction, task: asyncio.Task[Any]) -> None:
    """Returns when another transaction, which `task` drives, waits for a lock of this one, or when the task is done."""
    behind_us = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    while not task.done() and not (await tx.fetch_all(behind_us))[0][0]:
        await asyncio.sleep(0.02)


def never_in_a_circle(work: Callable[[Transaction], Awaitable[Result]]) -> Callable[[Transaction], Awaitable[Result]]:
    """The same work, which fails the test when the database ends a deadlock in it: the edge would try again and hide it."""

    async def watched(tx: Transaction) -> Result:
        try:
            return await work(tx)
        except DBAPIError as error:
            assert sqlstate(error) != "40P01", "two transactions take the same locks in another order"
            raise

    return watched
