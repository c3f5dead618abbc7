"""`estuaire partners`: gives a structure its own Kafka topics and the instructions that its software makers need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from common import contracts
from common.terminal import SCHEMAS, broker_and_registry, console, database_urls, run

app = typer.Typer(help="Partner structures that declare by their own Kafka topic.", no_args_is_help=True)
_SAMPLES = Path(__file__).with_name("samples")
_LANGUAGES = {
    "python": "Python, with confluent-kafka",
    "java": "Java, sans autre bibliothèque que Kafka et Avro",
    "js": "Node",
}


@app.command()
def add(
    structure_id: Annotated[UUID, typer.Argument(help="The structure, as the agency registered it.")],
    instructions_only: Annotated[bool, typer.Option("--instructions-only", help="Only print them again.")] = False,
) -> None:
    """Creates the structure's two topics and prints what its software makers need, with samples."""
    from common.topics import create_topics
    from remediation_seats.partner_topics import REPLIES, SEATS

    kafka, registry = broker_and_registry()
    families = contracts.load(SCHEMAS).families
    seats, replies = families[SEATS].of(structure_id), families[REPLIES].of(structure_id)

    async def work() -> None:
        if not await _name_of(structure_id):
            raise ValueError(f"no structure {structure_id}; the agency registers it with PUT /v1/structures/{{id}}")
        if instructions_only:
            return
        created = await create_topics(kafka, [seats, replies])
        for topic in (seats, replies):
            console.print(f"{topic.name}: {'created' if topic.name in created else 'was there'}")

    run(work())
    print(instructions(kafka, registry, seats.name, replies.name))


def instructions(kafka: str, registry: str, seats: str, replies: str) -> str:
    """What a partner is sent: addresses, rules, samples that run as they stand."""
    samples = "\n\n".join(
        f"--- {title} ---\n\n{(_SAMPLES / f'declare.{suffix}').read_text().strip()}"
        for suffix, title in _LANGUAGES.items()
    )
    text = (_SAMPLES / "instructions.txt").read_text().strip() + "\n\n" + samples
    for name, value in (("KAFKA", kafka), ("REGISTRY", registry), ("SEATS", seats), ("REPLIES", replies)):
        text = text.replace(f"@{name}@", value)
    return text


@app.command("list")
def list_partners() -> None:
    """One line per partner topic: how far it is read, and whether and why it is paused."""

    async def work() -> None:
        rows = await _query(
            """SELECT c.topic, c.next_offset, c.stopped_reason,
                      (SELECT count(*) FROM dead_letter d WHERE d.topic = c.topic AND d.status = 'open') AS letter_count
               FROM consumer_position c ORDER BY c.topic"""
        )
        for row in rows:
            state = f"paused: {row.stopped_reason}; estuaire dead-letters resume {row.topic} 0 -s remediation-seats"
            console.print(
                f"{row.topic}  read up to {row.next_offset}, {row.letter_count} set aside"
                + (f"  {state}" if row.stopped_reason else "")
            )
        if not rows:
            console.print("no partner topic yet; see `estuaire partners add`")

    run(work())


async def _name_of(structure_id: UUID) -> str | None:
    rows = await _query("SELECT structure_name FROM structure WHERE structure_id = :id", id=structure_id)
    return rows[0].structure_name if rows else None


async def _query(sql: str, **values: Any) -> Any:
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine

    urls = database_urls()
    engine = create_async_engine(urls.get("remediation-seats") or next(iter(urls.values())))
    try:
        async with engine.begin() as connection:
            return (await connection.execute(text(sql), values)).all()
    finally:
        await engine.dispose()
