"""Speaks to the services as their users do: a token of the development issuer, HTTP, nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx

from common.commitments import ACCEPTS
from common.embedded.stack import Stack

_TOKEN_SECONDS = 3000
# A first start on a small machine has all its work at once: what is slow is not given up.
_PATIENCE_SECONDS = 600
_PARALLEL_MAX = 8


class Caller:
    """Requests as a persona; open for the time of one `async with`."""

    def __init__(self, stack: Stack, say: Callable[[str], None]) -> None:
        self._stack = stack
        self._say = say
        self._tokens: dict[str, tuple[str, float]] = {}
        self._slots = asyncio.Semaphore(_PARALLEL_MAX)
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Caller:
        self._client = httpx.AsyncClient(timeout=_PATIENCE_SECONDS)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._client is not None
        await self._client.aclose()

    async def call(self, service: str, persona: str, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """One request, of nobody when `persona` is empty; a refusal (409) is part of the play, what else fails is shown: both give None."""
        assert self._client is not None
        found = next(one for one in self._stack.services if one.name == service)
        url = f"http://127.0.0.1:{found.port(self._stack.settings)}{path}"
        async with self._slots:
            try:
                headers = {"Authorization": f"Bearer {await self._token(persona)}"} if persona else {}
                answer = await self._client.request(method, url, json=body, headers=headers, **more)
                if answer.status_code == 409 and ACCEPTS in (shown := answer.json()):
                    # Who plays has seen what it would break, and goes on.
                    more["params"] = {**more.get("params", {}), ACCEPTS: shown[ACCEPTS]}
                    answer = await self._client.request(method, url, json=body, headers=headers, **more)
            except httpx.HTTPError as error:
                self._say(f"demonstration: {method} {path}: {type(error).__name__}")
                return None
        if answer.status_code == 409:
            return None
        if answer.status_code >= 400:
            self._say(f"demonstration: {method} {path}: {answer.status_code} {answer.json().get('detail', '')}")
            return None
        return answer.json()

    async def _token(self, persona: str) -> str:
        token, until = self._tokens.get(persona, ("", 0.0))
        if time.monotonic() > until:
            assert self._client is not None
            answer = await self._client.post(
                f"{self._stack.issuer_url}/token", data={"grant_type": "client_credentials", "client_id": persona}
            )
            token = answer.json()["access_token"]
            self._tokens[persona] = (token, time.monotonic() + _TOKEN_SECONDS)
        return token
