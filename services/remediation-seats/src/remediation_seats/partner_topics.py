"""The way in by a partner's own Kafka topic: each record is a declaration, each gets an answer on the topic beside it.

The structure is in the topic's name, because an ACL can bind a partner to a topic but not to a key.
"""

from __future__ import annotations

from uuid import UUID, uuid5

from aiokafka import ConsumerRecord

from common.failures import Malformed
from common.transaction import Transaction
from common.verdicts import Consumes, Delivery
from remediation_seats import declarations
from remediation_seats.declarations import DeclarationLine, Receipt
from remediation_seats.messages import (
    DeclarationAnswered,
    DeclarationOutcome,
    DeclarationSource,
    DeclarationWay,
    DeclareSeats,
)

SEATS = "partners.seats.{structure_id}.v1"
REPLIES = "partners.seat-replies.{structure_id}.v1"

_NAMESPACE = UUID("0f5e8a3c-9d6b-4d0a-8f3e-2b7c1a9d4e60")
PAUSED = "dead_letter_limit"
_ADVICE = {
    PAUSED: "Trop d’enregistrements illisibles de suite : corrigez votre logiciel, puis reprenez la lecture depuis « Mes places ».",
    "no_magic_byte": "Écrivez au format Avro de Confluent : un octet nul, l’identifiant du schéma, puis les données.",
    "too_short": "Écrivez au format Avro de Confluent : un octet nul, l’identifiant du schéma, puis les données.",
    "empty_value": "L’enregistrement est vide.",
    "unknown_schema_id": "Ce numéro de schéma n’est pas au registre : utilisez celui de estuaire.partners.DeclareSeats.",
    "unexpected_record": "Écrivez avec le schéma estuaire.partners.DeclareSeats.",
    "trailing_bytes": "Il reste des octets après les données : vérifiez le schéma avec lequel vous écrivez.",
    "undecodable": "Les octets ne correspondent pas au schéma annoncé.",
    "invalid_value": "Une valeur n’est pas du type attendu.",
}


def structure_of(topic: str) -> UUID:
    """The structure whose topic this is."""
    return UUID(topic.removeprefix("partners.seats.").removesuffix(".v1"))


async def declare(tx: Transaction, delivery: Delivery) -> None:
    """One record: declared by the same handler as every other way in, and answered."""
    message, structure_id = delivery.message, structure_of(delivery.topic)
    assert isinstance(message, DeclareSeats)
    line = message.model_dump(include=set(DeclarationLine.model_fields))
    (receipt,) = await declarations.declare(tx, structure_id, [line], DeclarationWay.TOPIC, DeclarationSource.SYSTEM)
    await _answer(tx, structure_id, delivery.offset, receipt | {"programme_id": message.programme_id})


async def tell(tx: Transaction, record: ConsumerRecord, malformed: Malformed) -> None:
    """Why a record was set aside, or why nothing more is read."""
    status = "paused" if malformed.reason == PAUSED else "unreadable"
    receipt = {"status": status, "reason": malformed.reason, "detail": _ADVICE.get(malformed.reason)}
    await _answer(tx, structure_of(record.topic), record.offset, receipt)


async def _answer(tx: Transaction, structure_id: UUID, offset: int, receipt: Receipt) -> None:
    seats = receipt.get("seats")
    answer = DeclarationAnswered(
        occurred_at=await tx.now(),
        offset=offset,
        outcome=DeclarationOutcome(receipt["status"].upper()),
        programme_id=receipt.get("programme_id"),
        reason=receipt.get("reason"),
        advice=receipt.get("detail"),
        free_count=seats and seats["free_count"],
    )
    await tx.emit(
        [answer],
        aggregate_id=uuid5(_NAMESPACE, str(structure_id)),
        version=offset,
        topic=REPLIES.format(structure_id=structure_id),
    )


CONSUMES = {SEATS: Consumes(handlers={DeclareSeats: declare}, tell=tell)}
