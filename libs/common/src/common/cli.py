"""`estuaire`: one command line for operators and for the embedded run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from importlib.metadata import entry_points
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from common import contracts, dead_letters, mail, schema_tools, services
from common.avro import Registry
from common.embedded.commands import app as embedded_run
from common.terminal import SCHEMAS, broker_and_registry, console, database_urls, fail, run
from common.transaction import Transaction

_members = {entry.name: entry for entry in entry_points(group="estuaire.commands")}


class MembersCommands(TyperGroup):
    """Adds the subcommands of other members (group `estuaire.commands`), each imported when it is asked for only."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *sorted(_members)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in _members:
            group = typer.main.get_group(_members[cmd_name].load())
            group.name = cmd_name
            return group
        return super().get_command(ctx, cmd_name)


app = typer.Typer(
    cls=MembersCommands,
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
app.add_typer(embedded_run)
app.add_typer(schemas, name="schemas")
app.add_typer(letters, name="dead-letters")
mails = typer.Typer(help="Mails that wait or could not be delivered: list, show, retry, discard.", no_args_is_help=True)
app.add_typer(mails, name="mails")
topics = typer.Typer(help="The topics of schemas/avro/topics.yaml.", no_args_is_help=True)
app.add_typer(topics, name="topics")

members = typer.Typer(help="The services of services/services.yaml.", no_args_is_help=True)
app.add_typer(members, name="services")

# -- services


@members.command("generate")
def services_generate() -> None:
    """Writes what follows from services.yaml: deployment, lint rules, the list of services."""
    for path in services.write_all():
        console.print(f"wrote {path}")


@members.command("new")
def services_new(name: Annotated[str, typer.Argument(help="In kebab-case, such as stage-matching.")]) -> None:
    """Makes an empty service that starts, is deployed and is seen on the pipeline page."""
    try:
        made = services.add(name)
    except ValueError as error:
        raise fail(str(error)) from None
    for path in [*made, *services.write_all(), *schema_tools.write_all(contracts.load(SCHEMAS), SCHEMAS)]:
        console.print(f"wrote {path}")
    console.print(f"next: say in services/services.yaml what {name} owns, then make services, make run")


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
    """Creates what the brokers lack, where no operator does; configures what exists, partners' topics too, as it is declared."""
    from common.topics import create_topics

    async def work() -> None:
        declared = contracts.load(SCHEMAS)
        known = list(declared.topics.values())
        created = await create_topics(bootstrap_servers, known, families=list(declared.families.values()))
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

Service = Annotated[str, typer.Option("--service", "-s", help="Whose; without it, every service of the embedded run.")]
OneService = Annotated[str, typer.Option("--service", "-s")]


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


# -- mails


def _in_transaction(service: str, work: Callable[[str, Transaction], Coroutine[Any, Any, None]]) -> None:
    async def each(name: str, url: str) -> None:
        async with dead_letters.runtime_of(name, url) as runtime, runtime.database.transaction() as tx:
            await work(name, tx)

    _on_each(service, each)


@mails.command("list")
def mails_list(
    service: Service = "",
    all: Annotated[bool, typer.Option("--all", help="Also delivered and discarded ones.")] = False,
) -> None:
    """One line per mail that waits or failed, without whom it is for."""

    async def work(name: str, tx: Transaction) -> None:
        for line in await mail.listing(tx, everything=all):
            console.print(f"{name:20} {line}")

    _in_transaction(service, work)


@mails.command("show")
def mails_show(mail_id: int, service: OneService) -> None:
    """Everything about one mail but its text."""

    async def work(_: str, tx: Transaction) -> None:
        for line in await mail.show(tx, mail_id):
            console.print(line)

    _in_transaction(service, work)


@mails.command("retry")
def mails_retry(mail_id: int, service: OneService) -> None:
    """Sends a mail again, from its first try."""
    _in_transaction(service, lambda _, tx: _say(mail.retry(tx, mail_id)))


@mails.command("discard")
def mails_discard(mail_id: int, service: OneService) -> None:
    """Gives a mail up and forgets its text."""
    _in_transaction(service, lambda _, tx: _say(mail.discard(tx, mail_id)))


# -- after a restore


@app.command()
def reconcile(
    service: Annotated[str, typer.Option("--service", "-s", help="One service; without it, every one.")] = "",
    apply: Annotated[bool, typer.Option("--apply", help="End the difference; without it, it is only listed.")] = False,
) -> None:
    """Compares the topics with the databases after a restore or a loss: lists the difference, and ends it with --apply."""
    import importlib

    from common.repair import reconcile as reconcile_service

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

    from common.repair import rebuild as rebuild_service

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


async def _say(work: Coroutine[Any, Any, str]) -> None:
    console.print(await work)
