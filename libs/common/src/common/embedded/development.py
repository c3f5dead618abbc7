"""Development only: an OpenID Connect issuer whose login is a page of personas, and the mailbox that catches every mail.

One process for both; neither is ever started outside the embedded run.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import json
import secrets
import sys
import time
from email import policy
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import uvicorn
from aiosmtpd.smtp import SMTP
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

_TOKEN_SECONDS = 3600
_CODE_SECONDS = 120
_MAIL_COUNT_MAX = 2000

Persona = dict[str, Any]


class Issuer:
    """Signs tokens for the personas of one JSON file: {key: {label, sub, roles, structure_id?, email?, name?}}."""

    def __init__(self, url: str, home: Path) -> None:
        self.url = url
        self._key_path = home / "development-issuer.jwk"
        self._personas_path = home / "personas.json"
        self._codes: dict[str, dict[str, Any]] = {}
        if not self._key_path.exists():
            self._key_path.touch(mode=0o600)
            self._key_path.write_text(json.dumps(ECKey.generate_key("P-256", auto_kid=True).as_dict(private=True)))
        self._key = ECKey.import_key(json.loads(self._key_path.read_text()))

    def personas(self) -> dict[str, Persona]:
        """The personas, read anew so that a demonstration can add its own."""
        personas: dict[str, Persona] = (
            json.loads(self._personas_path.read_text()) if self._personas_path.exists() else {}
        )
        return personas

    def token(self, persona: Persona, audience: str, **claims: Any) -> str:
        """A signed token for a persona."""
        now = int(time.time())
        kept = {name: value for name, value in persona.items() if name != "label"}
        return jwt.encode(
            {"alg": "ES256", "kid": self._key.kid},
            {"iss": self.url, "aud": audience, "iat": now, "exp": now + _TOKEN_SECONDS, **kept, **claims},
            self._key,
        )

    def routes(self) -> list[Route]:
        """Discovery, keys, personas page, tokens."""
        return [
            Route("/.well-known/openid-configuration", self._configuration),
            Route("/jwks", self._jwks),
            Route("/authorize", self._authorize, methods=["GET", "POST"]),
            Route("/token", self._token, methods=["POST"]),
        ]

    async def _configuration(self, _: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/jwks",
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
                "code_challenge_methods_supported": ["S256"],
                "estuaire_development_issuer": True,
            }
        )

    async def _jwks(self, _: Request) -> Response:
        return JSONResponse({"keys": [self._key.as_dict(private=False)]})

    async def _authorize(self, request: Request) -> Response:
        query = request.query_params
        chosen = self.personas().get(query.get("persona", ""))
        redirect = query.get("redirect_uri", "")
        if not redirect.startswith(("http://127.0.0.1:", "http://localhost:")):
            return HTMLResponse("redirect_uri must be on this machine", 400)
        if chosen is None:
            return HTMLResponse(
                _page(
                    "Choisir un personnage",
                    "".join(
                        f'<li><a href="?{html.escape(urlencode({**query, "persona": key}))}"><b>{html.escape(str(persona["label"]))}</b></a></li>'
                        for key, persona in sorted(self.personas().items(), key=lambda item: str(item[1]["label"]))
                    ),
                )
            )
        code = secrets.token_urlsafe(24)
        self._codes[code] = {
            "persona": chosen,
            "at": time.monotonic(),
            **{n: query.get(n, "") for n in ("client_id", "redirect_uri", "nonce", "code_challenge")},
        }
        return RedirectResponse(f"{redirect}?{urlencode({'code': code, 'state': query.get('state', '')})}", 303)

    async def _token(self, request: Request) -> Response:
        form = await request.form()
        if form.get("grant_type") == "client_credentials":
            persona = self.personas().get(str(form.get("client_id")))
            if persona is None:
                return JSONResponse({"error": "invalid_client"}, 401)
            return JSONResponse(
                {"access_token": self.token(persona, "estuaire"), "token_type": "Bearer", "expires_in": _TOKEN_SECONDS}
            )
        grant = self._codes.pop(str(form.get("code")), None)
        challenge = (
            base64.urlsafe_b64encode(hashlib.sha256(str(form.get("code_verifier")).encode()).digest())
            .rstrip(b"=")
            .decode()
        )
        if (
            grant is None
            or time.monotonic() - grant["at"] > _CODE_SECONDS
            or challenge != grant["code_challenge"]
            or form.get("client_id") != grant["client_id"]
            or form.get("redirect_uri") != grant["redirect_uri"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse(
            {
                "id_token": self.token(grant["persona"], grant["client_id"], nonce=grant["nonce"]),
                "access_token": self.token(grant["persona"], "estuaire"),
                "token_type": "Bearer",
                "expires_in": _TOKEN_SECONDS,
            }
        )


class Mailbox:
    """Keeps the last mails in memory and shows them on a page."""

    def __init__(self) -> None:
        self._mails: list[dict[str, str]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Receives one mail."""
        mail = BytesParser(policy=policy.default).parsebytes(envelope.content)
        body = mail.get_body(("plain",))
        self._mails.append(
            {
                "to": ", ".join(envelope.rcpt_tos),
                "subject": str(mail["Subject"]),
                "id": str(mail["Message-ID"]),
                "body": str(body.get_content()) if body else "",
            }
        )
        del self._mails[:-_MAIL_COUNT_MAX]
        return "250 OK"

    async def page(self, _: Request) -> Response:
        """The mails, newest first."""
        items = "".join(
            f"<li><b>{html.escape(m['subject'])}</b><br>à {html.escape(m['to'])}<pre>{html.escape(m['body'])}</pre></li>"
            for m in reversed(self._mails)
        )
        return HTMLResponse(_page("Courriels interceptés", items or "<li>Aucun courriel pour l'instant.</li>"))

    async def listing(self, _: Request) -> Response:
        """The mails as JSON, oldest first."""
        return JSONResponse({"mails": self._mails})


def _page(title: str, items: str) -> str:
    return f"""<!doctype html><html lang="fr"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title} · développement</title><style>:root{{color-scheme:light dark}}body{{font:1rem/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}}
li{{margin:.5rem 0}}a{{display:inline-block;padding:.6rem 0}}pre{{white-space:pre-wrap}}</style><h1>{title}</h1><p>Développement seulement.</p><ul>{items}</ul></html>"""


async def _serve(home: Path, issuer_port: int, mail_page_port: int, smtp_port: int) -> None:
    issuer, mailbox = Issuer(f"http://127.0.0.1:{issuer_port}", home), Mailbox()
    await asyncio.get_running_loop().create_server(lambda: SMTP(mailbox, hostname="localhost"), "127.0.0.1", smtp_port)
    servers = [
        uvicorn.Server(uvicorn.Config(Starlette(routes=routes), host="127.0.0.1", port=port, log_level="warning"))
        for routes, port in (
            (issuer.routes(), issuer_port),
            ([Route("/", mailbox.page), Route("/api/mails", mailbox.listing)], mail_page_port),
        )
    ]
    await asyncio.gather(*(server.serve() for server in servers))


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), *(int(port) for port in sys.argv[2:5])))
