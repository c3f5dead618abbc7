"""What every service is told by its environment; a missing or wrong variable stops the start with its name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal, NoReturn, Self, TypeVar

from pydantic import BaseModel, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_PREFIX = "ESTUAIRE_"
_EXIT_CONFIGURATION = 78  # EX_CONFIG of sysexits.h


class Link(BaseModel):
    """An entry of the pages' navigation: a page, in the section that its service has."""

    section: str
    label: str
    icon: str
    address: str


S = TypeVar("S", bound=BaseSettings)


class Settings(BaseSettings):
    """Addresses and limits of one service process; each field is read from `ESTUAIRE_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="ignore")

    database_url: str = Field(description="postgresql+asyncpg://role:password@host:port/database")
    kafka_bootstrap_servers: str
    registry_url: str = Field(description="Base of the Confluent-compatible API, without a trailing slash")
    issuer_url: str = Field(description="OpenID Connect issuer; its keys are read from its discovery document")
    issuer_seconds_max: float = Field(default=5.0, description="How long a login or a token waits for an answer of it")
    audience: str = "estuaire"
    public_url: str = Field(default="", description="Where a browser reaches this service; the login comes back here")
    navigation: list[Link] = Field(default_factory=list, description="JSON; the same for every service's pages")
    page_client_id: str = "estuaire-pages"
    session_secret: str = Field(min_length=32, description="Signs the cookies of the pages")
    subject_secret: str = Field(
        min_length=32,
        description="The same for every service, and never changed: makes the keyed hash that stands for whoever the issuer names",
    )
    development: bool = Field(default=False, description="Accepts the development issuer and the development clock")
    instance: str = Field(default="0", description="Ordinal of this replica: static member of its consumer group")
    http_host: str = "127.0.0.1"
    http_port: int = Field(ge=1, le=65535)
    schemas_dir: Path = Path(__file__).parents[4] / "schemas" / "avro"
    smtp_host: str = "127.0.0.1"
    smtp_port: int = 25
    smtp_username: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_tls: Literal["auto", "starttls", "always", "never"] = Field(
        default="auto",
        description="auto: STARTTLS where the relay offers it; always: TLS from the first byte (port 465)",
    )
    smtp_utf8: bool = Field(default=False, description="The relay offers SMTPUTF8: accents before the @ are accepted")
    mail_from: str = "ne-pas-repondre@estuaire.example"
    otlp_endpoint: str | None = Field(default=None, description="OTLP/HTTP collector; traces stay inside when unset")

    database_pool_max: int = Field(default=20, ge=2)
    request_bytes_max: int = 1_000_000
    commands_per_second_max: float = Field(default=100, gt=0, description="Of one caller, in each replica")
    commands_burst_max: int = Field(default=500, ge=1)
    message_bytes_max: int = 900_000
    outbox_page_count_max: int = Field(default=500, ge=1)
    outbox_poll_seconds: float = 0.1
    outbox_lease_seconds: float = 5.0
    outbox_retention_days: int = 7
    produce_timeout_seconds: float = 10.0
    consume_batch_count_max: int = Field(default=500, ge=1)
    retry_count_max: int = Field(default=5, ge=1)
    retry_delay_seconds_max: float = 2.0
    handler_attempt_count_max: int = 3
    dead_letter_run_max: int = Field(default=100, description="Dead letters in a row that stop a partition")
    dead_letter_window_count: int = 10_000
    dead_letter_window_ratio_max: float = 0.01
    dead_letter_published_bytes_max: int = 200_000
    decode_memory_bytes_max: int = Field(default=512_000_000, description="Address space of the guarding child process")
    frozen_after_seconds: float = 60.0
    sweep_seconds: float = 30.0
    sweep_retry_seconds_min: float = Field(
        default=30.0, description="An item that failed is set aside so long, then twice as long"
    )
    sweep_retry_seconds_max: float = 3600.0
    health_report_seconds: float = 5.0
    drain_seconds_max: float = 15.0
    mail_attempt_count_max: int = Field(default=24, ge=1, description="The last of them some 14 hours after the first")
    mail_poll_seconds: float = 2.0
    idempotency_key_days: int = Field(
        default=30, ge=1, description="How long a repeated request gets its first answer again"
    )

    @model_validator(mode="after")
    def _development_issuer_stays_home(self) -> Self:
        if self.issuer_url.startswith("http://") and not self.development:
            raise ValueError(
                "ISSUER_URL is not https: only the development issuer may be, with ESTUAIRE_DEVELOPMENT=true"
            )
        return self


def load(settings: type[S]) -> S:
    """Reads the environment; on an error prints one line per variable and exits with 78."""
    try:
        return settings()
    except ValidationError as error:
        _stop(error)


def _stop(error: ValidationError) -> NoReturn:
    for problem in error.errors(include_url=False, include_input=False):
        name = _PREFIX + "_".join(str(part) for part in problem["loc"]).upper() if problem["loc"] else _PREFIX + "*"
        print(f"settings: {name}: {problem['msg']}", file=sys.stderr)
    sys.exit(_EXIT_CONFIGURATION)
