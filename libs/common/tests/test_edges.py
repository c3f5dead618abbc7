"""Settings, FastStream's defaults, tables against migrations, mail, identity, the clock: the edges of the core."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse
from uuid import uuid4

import httpx
import pytest
import uvicorn
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from fastapi import FastAPI, Request
from faststream import AckPolicy
from faststream.kafka.subscriber.usecase import BatchSubscriber
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from common import clock, services, tables
from common.app import build_app
from common.avro import Codec
from common.budget import Budget
from common.contracts import full_name
from common.dead_letters import prune_foreign
from common.embedded.parts import fetch, unpacked_registry
from common.embedded.processes import EmbeddedError, free_port
from common.embedded.registry import Registry
from common.embedded.stack import Stack
from common.failures import Unavailable, ended
from common.http import Edge, _without_secrets, add_problem_handlers, prune_idempotency_keys
from common.identity import Identity
from common.links import signed_link
from common.log_view import LogView
from common.mail import MailSender
from common.runtime import Runtime
from common.schema_ids import UNKNOWN_COUNT_MAX, SchemaIds, SchemaMismatch
from common.telemetry import Metrics
from common.testing import PATIENCE_SECONDS, FreshRuntime, http_client, settings_for, token_of

ROOT = Path(__file__).parents[3]


@pytest.fixture
async def runtime(fresh_runtime: FreshRuntime) -> AsyncIterator[Runtime]:
    """The projections service, which has an inbox, on a database of its own."""
    async with fresh_runtime("projections") as made:
        yield made


def test_a_missing_or_wrong_variable_stops_the_start_with_its_name() -> None:
    """One line per variable, exit 78; no traceback."""
    env = {"PATH": os.environ["PATH"], "ESTUAIRE_HTTP_PORT": "99999999", "ESTUAIRE_SESSION_SECRET": "short"}
    done = subprocess.run(
        [Path(sys.executable).with_name("projections")], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 78
    assert "settings: ESTUAIRE_DATABASE_URL: Field required" in done.stderr
    assert "ESTUAIRE_HTTP_PORT" in done.stderr and "ESTUAIRE_SESSION_SECRET" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_development_issuer_stays_home(parts: Stack) -> None:
    """An issuer that is not https is refused unless development is said."""
    with pytest.raises(ValueError, match="ISSUER_URL is not https"):
        settings_for(parts, "postgresql+asyncpg://x", development=False)


async def test_faststreams_dangerous_defaults_are_all_set_otherwise(runtime: Runtime) -> None:
    """Manual acknowledgement, no reset, no topic creation, batches: asserted over every subscriber, so that a new one cannot forget."""
    assert runtime.inbox is not None
    broker = runtime.inbox.build_broker()
    assert broker.subscribers
    for subscriber in broker.subscribers:
        assert subscriber.ack_policy is AckPolicy.MANUAL
        arguments = subscriber._connection_args  # type: ignore[attr-defined]
        assert arguments["auto_offset_reset"] == "none"
        assert arguments["enable_auto_commit"] is False
        assert arguments["group_instance_id"] == "projections-0"
        assert (arguments["session_timeout_ms"], arguments["heartbeat_interval_ms"]) == (6000, 1000)
        assert isinstance(subscriber, BatchSubscriber)
    assert broker.config.broker_config.allow_auto_create_topics is False
    assert broker.config.broker_config.consumer_only is True


@pytest.mark.parametrize("package", [service.package for service in services.load()])
async def test_migrations_and_tables_agree(fresh_runtime: FreshRuntime, package: str) -> None:
    """Alembic finds no difference between the migrated database and tables.py; a planted column is found."""
    declared: Any = [tables.metadata, importlib.import_module(f"{package}.tables").metadata]
    async with fresh_runtime(package) as made, made.database.engine.begin() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), declared)
        )
        assert differences == []
        await connection.exec_driver_sql("ALTER TABLE outbox ADD COLUMN planted int")
        assert await connection.run_sync(lambda sync: compare_metadata(MigrationContext.configure(sync), declared))


async def test_a_mail_is_sent_once_and_a_key_is_mailed_once(runtime: Runtime, parts: Stack) -> None:
    """Two senders, one mail per (message, recipient), and the caught-mail page shows it."""
    async with runtime.database.transaction() as tx:
        for _ in range(2):
            await tx.mail(message_key="reminder/1", recipient="a@example.org", subject="Rappel n°1", body="Bonjour")
    senders = [MailSender(runtime.service, runtime.database, runtime.settings) for _ in range(2)]
    assert sorted(await asyncio.gather(*(sender.send_one() for sender in senders))) == [False, True]
    async with http_client() as client:
        mails = (await client.get(f"http://127.0.0.1:{parts.settings.mail_port}/api/mails")).json()["mails"]
    assert [mail["subject"] for mail in mails if mail["to"] == "a@example.org"] == ["Rappel n°1"]


PERSON = {
    "label": "Camille",
    "sub": "camille",
    "roles": ["prescriber"],
    "email": "camille@example.org",
    "name": "Camille",
}


async def test_tokens_of_others_are_refused(parts: Stack, runtime: Runtime) -> None:
    """Wrong key, wrong issuer, wrong audience, expired, no algorithm: 401 each."""
    identity = Identity(runtime.settings)
    good = await token_of(parts, PERSON)
    assert (await identity.verify(good))["sub"] == "camille"
    foreign = ECKey.generate_key("P-256", auto_kid=True)
    claims = {"iss": parts.issuer_url, "aud": "estuaire", "sub": "camille", "exp": int(time.time()) + 60}
    none = jwt.encode({"alg": "none"}, claims, foreign, algorithms=["none"])
    for token in (jwt.encode({"alg": "ES256"}, claims, foreign), none, good + "x", "..", ""):
        with pytest.raises(Exception, match=r"401|Jeton refusé"):
            await identity.verify(token)
    with pytest.raises(Exception, match=r"401|Jeton refusé"):
        await identity.verify(good, audience="another")
    await identity.close()


async def test_pages_log_in_with_code_and_pkce_and_forms_need_their_csrf_token(parts: Stack, runtime: Runtime) -> None:
    """The whole round by a browser's rules: HttpOnly cookie, wrong state refused, open redirect refused, CSRF checked."""
    await token_of(parts, PERSON)
    app = FastAPI()
    app.state.runtime = runtime
    identity = Identity(settings_for(parts, "postgresql+asyncpg://x", public_url="http://127.0.0.1:1"))
    app.include_router(identity.router())

    async def act_route(request: Request) -> dict[str, str]:
        principal, fields = await identity.checked_form(request)
        return {"who": principal.subject, "did": fields["did"]}

    app.add_api_route("/act", act_route, methods=["POST"])
    add_problem_handlers(app)
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:1") as browser,
        http_client() as outside,
    ):
        assert (await browser.post("/act", data={"did": "x"})).status_code == 401
        sent = await browser.get("/login", params={"next": "https://evil.example/"})
        page = await outside.get(sent.headers["location"])
        assert "Camille" in page.text
        chosen = await outside.get(sent.headers["location"] + "&persona=camille")
        back = parse_qs(urlparse(chosen.headers["location"]).query)
        assert (
            await browser.get("/login/callback", params={"code": back["code"][0], "state": "forged"})
        ).status_code == 400
        done = await browser.get("/login/callback", params={"code": back["code"][0], "state": back["state"][0]})
        assert done.status_code == 303 and done.headers["location"] == "/"
        cookie = next(value for value in done.headers.get_list("set-cookie") if value.startswith("estuaire_session="))
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie
        assert (await browser.post("/act", data={"did": "x", "csrf": "forged"})).status_code == 403
        csrf = jwt.decode(
            browser.cookies["estuaire_session"], OctKey.import_key(runtime.settings.session_secret)
        ).claims["csrf"]
        assert (await browser.post("/act", data={"did": "x", "csrf": csrf})).json() == {"who": "camille", "did": "x"}
    await identity.close()


async def test_a_login_that_the_issuer_left_open_begins_anew(runtime: Runtime, parts: Stack) -> None:
    """A code is good once: « Réessayer » leads to a new login and then to the page that was asked for, not to the code again."""
    port, nobody = free_port(), free_port()
    issuer = f"http://127.0.0.1:{port}"
    configuration = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"http://127.0.0.1:{nobody}/token",
        "jwks_uri": f"{issuer}/jwks",
    }
    discovery = Starlette(
        routes=[Route("/.well-known/openid-configuration", lambda _: JSONResponse(configuration), methods=["GET"])]
    )
    server = uvicorn.Server(uvicorn.Config(discovery, port=port, log_level="critical"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    given = settings_for(parts, "postgresql+asyncpg://x", public_url="http://127.0.0.1:1", issuer_url=issuer)
    identity = Identity(given)
    app = FastAPI()
    app.state.runtime = runtime
    app.add_middleware(Edge, settings=given, metrics=Metrics())
    add_problem_handlers(app)
    app.include_router(identity.router())

    async def send_route() -> None:
        raise Unavailable("the database is away")

    app.add_api_route("/send", send_route, methods=["POST"])
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:1", headers={"Accept": "text/html"}
    ) as browser:
        sent = await browser.get("/login", params={"next": "/mes-places?n=2"})
        state = parse_qs(urlparse(sent.headers["location"]).query)["state"][0]
        answered = await browser.get("/login/callback", params={"code": "once", "state": state})
        assert answered.status_code == 503 and "momentanément indisponible" in answered.text
        assert 'href="/login?next=%2Fmes-places%3Fn%3D2"' in answered.text and "once" not in answered.text
        # A form is sent again from its own page: its address answers nobody who only follows a link.
        refused = await browser.post("/send")
        assert refused.status_code == 503 and 'href="/send"' not in refused.text
        assert "page précédente" in refused.text
    await identity.close()
    server.should_exit = True
    await serving


def test_a_registry_that_ends_while_it_starts_is_started_again(parts: Stack, tmp_path: Path) -> None:
    """It may do so by itself, when the broker does not know its topic yet; one that keeps ending is given up with its words."""
    folder = unpacked_registry(tmp_path, fetch("registry", lambda _: None)[0])
    ports = {"port": free_port(), "management_port": free_port()}
    registry = Registry(tmp_path, folder, **ports, bootstrap_servers=parts.bootstrap_servers)
    registry.start()
    registry.child.kill()
    registry.wait()
    assert registry.child.running
    registry.child.kill()
    hopeless = Registry(tmp_path, tmp_path, **ports, bootstrap_servers=parts.bootstrap_servers)
    hopeless.start()
    with pytest.raises(EmbeddedError, match="stopped while starting"):
        hopeless.wait()


async def test_the_development_clock_shifts_what_rules_see_and_nothing_else(runtime: Runtime) -> None:
    """`tx.now` moves; the database's own clock, on which leases and tokens run, does not."""
    url = str(runtime.database.engine.url.render_as_string(hide_password=False))
    current = await clock.read(url)
    await clock.write([url], clock.offset_for("-300d", current))
    async with runtime.database.transaction() as tx:
        now = await tx.now()
        row = await tx.fetch_one("SELECT clock_timestamp() AS real")
    assert row is not None and round((row.real - now).total_seconds() / 86400) == 300
    with pytest.raises(ValueError, match="write now"):
        clock.offset_for("yesterday-ish", current)


def test_nothing_in_common_knows_a_domain_word() -> None:
    """The delivery core serves every service: no word of any domain in its code."""
    words = re.compile(
        r"\b(seats?|holds?_|structure_id|programme|prescriber|internship|booking|cafe|remediation|young)\b",
        re.IGNORECASE,
    )
    allowed = {
        "identity.py",
        "cli.py",
        "schema_tools.py",
        "testing.py",
        "development.py",
    }  # claims of tokens, an example of a name
    found = [
        f"{path.name}:{number}"
        for path in (ROOT / "libs/common/src/common").rglob("*.py")
        if path.name not in allowed
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if words.search(line)
    ]
    assert found == []


async def test_liveness_sees_a_frozen_consumer_and_forgives_a_waiting_one(runtime: Runtime) -> None:
    """Lag and no attempt for a minute is dead; a stopped partition, or a part that is away and retried, is not."""
    inbox = runtime.inbox
    assert inbox is not None
    assert not inbox.frozen
    inbox.positions.lag, inbox._attempted_at = 5, time.monotonic() - 61
    assert inbox.frozen
    # Whatever comes of a batch, even of one that waits for the registry, it was an attempt.
    await inbox._on_batch([])
    assert not inbox.frozen
    inbox._attempted_at -= 61
    inbox.positions.stopped.add(TopicPartition("t", 0))
    assert not inbox.frozen


async def test_a_registry_that_does_not_know_yet_is_asked_again(runtime: Runtime) -> None:
    """Just started, it answers before it has read its topic: nobody stops for that, unless it never comes to know."""
    schema = {"type": "record", "namespace": "estuaire.planted", "name": f"Late{uuid4().hex[:8]}", "fields": []}
    known = replace(runtime.contracts, schemas={**runtime.contracts.schemas, "planted/Late": {1: schema}})

    def asking() -> SchemaIds:
        name = full_name(schema)
        codec = Codec({name: schema})
        codec.learn(70_000, schema, write_as=name)
        return SchemaIds(codec, database=runtime.database, registry=runtime.registry, contracts=known, written=(name,))

    never, late = asking(), asking()
    for _ in range(UNKNOWN_COUNT_MAX):
        with pytest.raises(Unavailable, match="is it reading its topic"):
            await never.agree_with_registry()
    with pytest.raises(SchemaMismatch):
        await never.agree_with_registry()
    with pytest.raises(Unavailable):
        await late.agree_with_registry()
    schema_id = await runtime.registry.register(full_name(schema), schema)
    # Another id is a contradiction at once.
    with pytest.raises(SchemaMismatch, match=f"has id {schema_id} in the registry and 70000"):
        await late.agree_with_registry()


async def test_a_schema_id_that_the_registry_contradicts_stops_the_service(runtime: Runtime, parts: Stack) -> None:
    """Another registry, or one that lost its storage: the process says so and ends; nothing is written with a wrong id."""
    async with runtime.database.transaction() as tx:
        await tx.execute("UPDATE known_schema SET schema_id = schema_id + 5000")
    settings = {
        f"ESTUAIRE_{name.upper()}": str(getattr(runtime.settings, name))
        for name in ("kafka_bootstrap_servers", "registry_url", "issuer_url", "session_secret", "subject_secret")
    }
    url = str(runtime.database.engine.url.render_as_string(hide_password=False))
    env = {
        **os.environ,
        **settings,
        "ESTUAIRE_DATABASE_URL": url,
        "ESTUAIRE_DEVELOPMENT": "true",
        "ESTUAIRE_HTTP_PORT": str(free_port()),
        "ESTUAIRE_INSTANCE": "9",
    }
    done = await asyncio.to_thread(
        subprocess.run,
        [Path(sys.executable).with_name("projections")],
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert "another registry, or one that lost its storage" in done.stderr
    async with runtime.database.transaction() as tx:
        assert await tx.fetch_all("SELECT record FROM outbox") == []


async def test_what_is_not_there_yet_is_a_503_and_not_an_error(fresh_runtime: FreshRuntime, parts: Stack) -> None:
    """A command before the schema ids are known, before the database is, or its tables: asked to come back, nothing is kept."""
    from remediation_seats.app import service

    async with fresh_runtime("remediation_seats") as made:
        url = str(made.database.engine.url.render_as_string(hide_password=False))
        persona = {"label": "A", "sub": "early-agency", "roles": ["agency"], "email": "early-agency@example.org"}
        headers = {"Authorization": f"Bearer {await token_of(parts, persona)}"}
        body = {"structure_name": "Trop tôt", "kind": "CFA", "commune_code": "76540", "fictitious": True}
        parts.postgres.psql('CREATE DATABASE "not_migrated_yet" OWNER "remediation_seats"')
        server = url.rpartition("/")[0]
        for database_url in (url, f"{server}/not_restored_yet", f"{server}/not_migrated_yet"):
            # Nobody runs its lifespan, so nothing is loaded: the service as it is in its first instant.
            app = build_app(service, settings_for(parts, database_url))
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers) as client:
                answer = await client.put(f"/v1/structures/{uuid4()}", json=body)
                assert (answer.status_code, answer.json()["reason"]) == (503, "unavailable"), answer.text
                assert answer.headers["retry-after"] == "2"
                ready = await client.get("/readyz")
                assert ready.status_code == 503 and ready.headers["retry-after"]
            for part in (app.state.runtime.identity, app.state.runtime.registry, app.state.runtime.database):
                await part.close()
        async with made.database.transaction() as tx:
            assert await tx.fetch_all("SELECT 1 FROM structure UNION ALL SELECT 1 FROM outbox") == []


async def test_a_task_that_swallows_its_cancellation_ends_all_the_same() -> None:
    """As Python 3.11's `wait_for` makes tasks do: without asking again, a stop would wait until it is killed."""
    asked: list[int] = []

    async def deaf() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                asked.append(1)
                if len(asked) == 2:
                    raise

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await ended([task])
    assert task.cancelled() and len(asked) == 2


def test_a_caller_who_floods_slows_itself_alone() -> None:
    """A burst passes, then so many a second; another caller's bucket is full; the wait that is told is enough."""
    now = [0.0]
    budget = Budget(per_second=10, burst=5, clock=lambda: now[0])
    assert [budget.seconds_to_wait("one") for _ in range(6)] == [0, 0, 0, 0, 0, 1]
    assert budget.seconds_to_wait("other") == 0
    now[0] += 0.1
    assert [budget.seconds_to_wait("one") for _ in range(2)] == [0, 1]
    now[0] += 1
    assert [budget.seconds_to_wait("one") for _ in range(6)] == [0] * 5 + [1]
    for number in range(20_000):
        budget.seconds_to_wait(f"caller-{number}")
        now[0] += 0.001
    assert len(budget._buckets) < 10_002


async def test_what_is_old_is_forgotten_and_the_rest_kept(runtime: Runtime) -> None:
    """Answers to repeated requests after their days; partners' unreadable bytes after their topic's retention."""
    (family,) = (f for f in runtime.contracts.families.values() if f.data_class == "partner")
    old = "clock_timestamp() - interval '31 days'"
    async with runtime.database.transaction() as tx:
        for key, at in (("old", old), ("new", "clock_timestamp()")):
            await tx.execute(
                f"INSERT INTO idempotency_key (caller, key, request_sha256, status, created_at) VALUES ('c', :k, '', 200, {at})",
                k=key,
            )
        for number, (topic, at) in enumerate(((family.of("a").name, old), (family.of("a").name, "now()"), ("t", old))):
            await tx.execute(
                f"""INSERT INTO dead_letter (id, topic, partition, "offset", headers, reason, detail, status, created_at)
                    VALUES (gen_random_uuid(), :t, 0, :n, '[]', 'r', '', 'open', {at})""",
                t=topic,
                n=number,
            )
    for work in (prune_idempotency_keys(runtime.database, 30), prune_foreign(runtime.database, family)):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(work, 1)  # it goes on until cancelled
    async with runtime.database.transaction() as tx:
        assert [row.key for row in await tx.fetch_all("SELECT key FROM idempotency_key WHERE caller = 'c'")] == ["new"]
        kept = await tx.fetch_all("""SELECT "offset" FROM dead_letter ORDER BY "offset" """)
    assert [row.offset for row in kept] == [1, 2]


def test_a_signed_link_is_in_no_trace_and_no_log() -> None:
    """What opens somebody's page is left out of the path that spans and errors name; ids and words stay."""
    token = signed_link("for tests only, thirty-two characters", "party", str(uuid4()), 5)
    session = f"/seances/{uuid4()}/pointage"
    assert _without_secrets(f"/inscription/{token}/annulation") == "/inscription/…/annulation"
    assert _without_secrets(session) == session


async def test_a_hundred_topics_are_looked_up_as_fast_as_one(parts: Stack) -> None:
    """A service finds its place in every partner's topic within the time that an answer may take, however many there are."""
    admin = AIOKafkaAdminClient(bootstrap_servers=parts.bootstrap_servers)
    await admin.start()
    names = [f"many.{uuid4()}.v1" for _ in range(100)]
    await admin.create_topics([NewTopic(name, 1, 1) for name in names])
    partitions = [TopicPartition(name, 0) for name in names]

    async def all_at_once() -> bool:
        # By a connection that knows none of them: what failed is looked up by another one.
        view = LogView(parts.bootstrap_servers)
        try:
            return await view.bounds(partitions) == (dict.fromkeys(partitions, 0), dict.fromkeys(partitions, 0))
        except (TimeoutError, KafkaError):
            return False  # a broker that has just made them does not lead them all yet
        finally:
            await view.drop()

    began = time.monotonic()
    try:
        while not await all_at_once():
            assert time.monotonic() - began < PATIENCE_SECONDS, "the answers never come in time"
    finally:
        await admin.delete_topics(names)
        await admin.close()
