"""`estuaire`: one command line for operators and for the embedded run."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from aiokafka.errors import KafkaError
from rich.console import Console

from common import clock as development_clock
from common import contracts, dead_letters, schema_tools
from common.avro import Registry
from common.failures import Malformed, Unavailable
from common.topics import TopicRefused

app = typer.Typer(
    help="Estuaire: run it, look at it, repair it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
schemas = typer.Typer(help="The Avro contracts of schemas/avro.", no_args_is_help=True)
letters = typer.Typer(
    help="Records that a service set aside: list, show, replay, discard; resume a stopped partition.",
    no_args_is_help=True,
)
app.add_typer(schemas, name="schemas")
app.add_typer(letters, name="dead-letters")
topics = typer.Typer(help="The topics of schemas/avro/topics.yaml.", no_args_is_help=True)
app.add_typer(topics, name="topics")

console = Console(highlight=False, soft_wrap=True)
SCHEMAS = Path(__file__).parents[4] / "schemas" / "avro"


def fail(message: str) -> typer.Exit:
    print(f"estuaire: {message}", file=sys.stderr)
    return typer.Exit(1)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Runs a command; what the person can repair is one line, not a traceback."""
    try:
        asyncio.run(work)
    except (Malformed, Unavailable, ValueError, OSError, KafkaError, TopicRefused) as error:
        raise fail(str(error) or type(error).__name__) from None


# -- the embedded system


@app.command()
def up(
    demonstration: Annotated[
        bool, typer.Option(help="Play the fictitious school year the first time, then a gentle live trickle.")
    ] = True,
) -> None:
    """Starts the whole system and stays until Ctrl-C."""
    from common.embedded.processes import EmbeddedError
    from common.embedded.stack import EmbeddedSettings, Stack, installed_demonstration

    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/dim]  {text}")

    # SIGTERM (`estuaire down`) ends like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = EmbeddedSettings()
    stack = Stack(settings, say=say)
    try:
        entry = installed_demonstration() if demonstration else None
        player = entry.load()(stack, say) if entry is not None else None
        if player is not None:
            player.write_personas()
        stack.start()
        if player is not None:
            player.play_history()
        _announce(stack, began)
        while True:
            if player is not None:
                player.trickle()
            else:
                time.sleep(1)
            stack.heal()
    except KeyboardInterrupt:
        console.print("\nstopping")
    except EmbeddedError as error:
        raise fail(str(error)) from None
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stack.stop()
    console.print("stopped; the data stay in " + str(settings.home))


def _announce(stack: Any, began: float) -> None:
    settings = stack.settings
    console.print(f"\n[bold green]ready[/bold green] in {time.monotonic() - began:.0f} s\n")
    for service in stack.services:
        console.print(f"  {service.name:20} http://127.0.0.1:{service.port(settings)}")
    console.print(f"  {'caught mail':20} http://127.0.0.1:{settings.mail_port}")
    console.print(f"  {'Kafka':20} {stack.bootstrap_servers}      registry http://127.0.0.1:{settings.registry_port}")
    personas = _personas(settings.home)
    if personas:
        console.print("\n  personas, for `.venv/bin/estuaire token <name>`:")
        for key in list(personas)[:8]:
            console.print(f"    {key:24} {personas[key]['label']}")
        if len(personas) > 8:
            console.print(f"    … and {len(personas) - 8} more in {settings.home / 'personas.json'}")
    console.print("\n  Ctrl-C stops everything and keeps the data.\n")


def _personas(home: Path) -> dict[str, dict[str, Any]]:
    path = home / "personas.json"
    personas: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    return personas


def _running_pid(home: Path) -> int | None:
    """The process that holds the data directory's lock, if one does."""
    import fcntl

    with suppress(OSError), (home / "run" / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return int((home / "run" / "pid").read_text())
    return None


@app.command()
def down() -> None:
    """Stops a system that runs in another terminal."""
    from common.embedded.stack import EmbeddedSettings

    home = EmbeddedSettings().home
    pid = _running_pid(home)
    if pid is None:
        console.print("nothing runs")
        return
    os.kill(pid, signal.SIGTERM)
    for _ in range(600):
        if _running_pid(home) is None:
            console.print("stopped")
            return
        time.sleep(0.1)
    raise fail(f"process {pid} did not stop in 60 s; see {home / 'logs'}")


@app.command()
def status() -> None:
    """Says what runs, and how each service feels."""
    import httpx

    from common.embedded.stack import EmbeddedSettings, installed_services

    settings = EmbeddedSettings()
    console.print(f"data in {settings.home}; " + ("running" if _running_pid(settings.home) else "not running"))
    unwell = False
    for service in installed_services():
        url = f"http://127.0.0.1:{service.port(settings)}"
        try:
            answer = httpx.get(f"{url}/readyz", timeout=3)
            word = "ready" if answer.status_code == 200 else f"not ready: {answer.json().get('detail')}"
        except httpx.HTTPError as error:
            word = f"does not answer ({type(error).__name__})"
        unwell |= word != "ready"
        console.print(f"  {service.name:20} {url}  {word}")
    if unwell:
        raise typer.Exit(1)


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Empties the data directory."""
    from common.embedded.stack import EmbeddedSettings

    home = EmbeddedSettings().home
    if _running_pid(home) is not None:
        raise fail("the system is running; stop it first with `make down`")
    if not (home / "run").exists():
        console.print(f"{home} holds no data")
        return
    if not yes:
        typer.confirm(f"Delete everything in {home}?", abort=True)
    # The unpacked parts are not data, and take a minute to make again.
    for path in home.iterdir():
        if path.name != "parts":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    console.print(f"{home} is empty")


@app.command()
def token(persona: Annotated[str, typer.Argument(help="A persona's name; without it they are listed.")] = "") -> None:
    """Prints an access token of the development issuer."""
    import httpx

    from common.embedded.stack import EmbeddedSettings

    settings = EmbeddedSettings()
    personas = _personas(settings.home)
    if persona not in personas:
        for key, known in personas.items():
            print(f"{key:28} {known['label']}", file=sys.stderr)
        raise fail(
            "name one of these personas" if personas else "no persona yet: start the system with `make run` first"
        )
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{settings.issuer_port}/token",
            data={"grant_type": "client_credentials", "client_id": persona},
            timeout=5,
        )
    except httpx.HTTPError:
        raise fail("the development issuer does not answer; start the system with `make run`") from None
    print(answer.json()["access_token"])


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


@app.command()
def clock(
    to: Annotated[
        str, typer.Argument(help="now, +3d, -300d, +6h, or 2027-02-05T09:00 (Paris); without it, says what time it is.")
    ] = "",
) -> None:
    """Development only: shows or sets the clock that the rules see."""

    async def work() -> None:
        urls = list(database_urls().values())
        current = await development_clock.read(urls[0])
        if to:
            offset = 0.0 if to == "now" else development_clock.offset_for(to, current)
            await development_clock.write(urls, offset)
            current = await development_clock.read(urls[0])
        console.print(
            f"{current.now.astimezone(ZoneInfo('Europe/Paris')):%A %d %B %Y %H:%M:%S} (offset {current.offset_seconds / 86400:+.2f} days)"
        )

    run(work())


# -- contracts


@schemas.command("check")
def schemas_check() -> None:
    """Every rule on every schema file; lists what is wrong."""
    problems = schema_tools.check(contracts.load(SCHEMAS), SCHEMAS)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        raise fail(f"{len(problems)} problems")
    console.print(
        f"{len(contracts.load(SCHEMAS).schemas)} records, {len(contracts.load(SCHEMAS).topics)} topics: no problem"
    )


@schemas.command("generate")
def schemas_generate() -> None:
    """Writes messages.py, the AsyncAPI document and the hashes of new versions."""
    for path in schema_tools.write_all(contracts.load(SCHEMAS), SCHEMAS):
        console.print(f"wrote {path}")


@schemas.command("register")
def schemas_register(
    registry_url: Annotated[
        str, typer.Option(envvar="ESTUAIRE_REGISTRY_URL", help="Base of the Confluent-compatible API.")
    ],
) -> None:
    """Registers every version; the deploy job runs this before the services start."""
    schemas_check()

    async def work() -> None:
        registry = Registry(registry_url)
        for line in await schema_tools.register(contracts.load(SCHEMAS), registry):
            console.print(line)
        await registry.close()

    run(work())


@topics.command("create")
def topics_create(
    bootstrap_servers: Annotated[str, typer.Option(envvar="ESTUAIRE_KAFKA_BOOTSTRAP_SERVERS")],
) -> None:
    """Creates what the brokers lack, where no operator does; never changes a topic that exists."""
    from common.topics import create_topics

    async def work() -> None:
        known = contracts.load(SCHEMAS).topics.values()
        created = await create_topics(bootstrap_servers, list(known))
        for topic in known:
            console.print(f"{topic.name}: {'created' if topic.name in created else 'was there'}")

    run(work())


@app.command()
def migrate(
    service: Annotated[str, typer.Argument(help="Service name, such as remediation-seats.")],
    database_url: Annotated[str, typer.Option(envvar="ESTUAIRE_DATABASE_URL")],
) -> None:
    """Brings a service's database to its newest version; the deploy job runs this before the service starts."""
    from common import migrations

    run(migrations.upgrade(database_url, service.replace("-", "_")))
    console.print(f"{service} is migrated")


# -- dead letters

Service = Annotated[
    str, typer.Option("--service", "-s", help="Whose dead letters; without it, every service of the embedded run.")
]


def _on_each(service: str, work: Callable[[str, str], Coroutine[Any, Any, None]]) -> None:
    urls = database_urls()
    if service and service not in urls:
        raise fail(f"unknown service {service}; one of: {', '.join(urls)}")

    async def each() -> None:
        for name, url in urls.items():
            if service in ("", name):
                await work(name, url)

    run(each())


@letters.command("list")
def letters_list(
    service: Service = "", all: Annotated[bool, typer.Option("--all", help="Also the resolved ones.")] = False
) -> None:
    """One line per dead letter, then per stopped partition and parked key."""

    async def work(name: str, url: str) -> None:
        for line in await dead_letters.listing(url, include_resolved=all):
            console.print(f"{name:20} {line}")

    _on_each(service, work)


@letters.command("show")
def letters_show(letter_id: str, service: Service = "") -> None:
    """Everything about one dead letter, bytes in hexadecimal."""

    async def work(name: str, url: str) -> None:
        for line in await dead_letters.show(url, letter_id):
            console.print(line)

    _on_each(service, work)


@letters.command("replay")
def letters_replay(letter_id: str, service: Annotated[str, typer.Option("--service", "-s")]) -> None:
    """The same bytes again, through the same guard; drains what waited behind them."""
    _on_each(service, lambda name, url: _say(dead_letters.replay(name, url, letter_id)))


@letters.command("discard")
def letters_discard(letter_id: str, service: Annotated[str, typer.Option("--service", "-s")]) -> None:
    """Gives the record up: its version is stepped over, and what waited behind it is applied."""
    _on_each(service, lambda name, url: _say(dead_letters.discard(name, url, letter_id)))


@letters.command("resume")
def letters_resume(topic: str, partition: int, service: Annotated[str, typer.Option("--service", "-s")]) -> None:
    """Lets a stopped partition go on from its stored offset."""
    _on_each(service, lambda name, url: _say(dead_letters.resume(name, url, topic, partition)))


# -- after a restore


@app.command()
def reconcile(
    service: Annotated[str, typer.Option("--service", "-s", help="One service; without it, every one.")] = "",
    apply: Annotated[bool, typer.Option("--apply", help="End the difference; without it, it is only listed.")] = False,
) -> None:
    """Compares the topics with the databases after a restore or a loss: lists the difference, and ends it with --apply."""
    import importlib

    from common.app import reconcile as reconcile_service

    kafka, registry = broker_and_registry()
    differing: list[str] = []

    async def work(name: str, url: str) -> None:
        def say(line: str) -> None:
            console.print(f"{name:20} {line}")

        module = importlib.import_module(f"{name.replace('-', '_')}.app")
        if await reconcile_service(module.service, url, kafka, registry, say, apply=apply):
            say("the log and the database agree")
        else:
            differing.append(name)

    _on_each(service, work)
    if differing:
        raise fail(f"{', '.join(differing)}: the log and the database differ; run it again with --apply")


@app.command()
def rebuild(
    name: Annotated[str, typer.Argument(help="The read model, such as seat-board.")],
    service: Annotated[str, typer.Option("--service", "-s")] = "projections",
    accept: Annotated[
        bool, typer.Option("--accept-differences", help="Switch although rows differ, once you have looked.")
    ] = False,
    discard: Annotated[bool, typer.Option("--discard", help="Throw away what an earlier run has filled.")] = False,
) -> None:
    """Folds a read model anew from the first offset, beside the live one, and switches when both are the same."""
    import importlib

    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from common.app import rebuild as rebuild_service

    kafka, registry = broker_and_registry()
    outcome: list[bool] = []

    async def work(owner: str, url: str) -> None:
        module = importlib.import_module(f"{owner.replace('-', '_')}.app")
        columns = (TextColumn(f"folding {name}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bar(*columns, console=console) as bar:
            task = bar.add_task("records")
            outcome.append(
                await rebuild_service(
                    module.service,
                    name,
                    (url, kafka, registry),
                    console.print,
                    lambda done, total: bar.update(task, completed=done, total=total),
                    accept=accept,
                    drop=discard,
                )
            )

    _on_each(service, work)
    if not all(outcome):
        raise fail(f"{name}: the rebuilt rows differ from the live ones")


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


async def _say(work: Coroutine[Any, Any, str]) -> None:
    console.print(await work)


def main() -> None:
    """Entry point; other members add subcommands under the group `estuaire.commands`."""
    import importlib.metadata

    for entry in importlib.metadata.entry_points(group="estuaire.commands"):
        app.add_typer(entry.load(), name=entry.name)
    app()
