"""Start here: the {{ service.name }} service."""

from __future__ import annotations

from fastapi import APIRouter

from common.app import run
from common.runtime import Runtime, Service


def routes(_: Runtime) -> APIRouter:
    """The API and the pages."""
    return APIRouter()


service = Service(name="{{ service.name }}", routes=routes)


def main() -> None:
    """The process."""
    run(service)
