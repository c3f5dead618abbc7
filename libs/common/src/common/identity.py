"""Who calls: bearer tokens for the APIs, a login with authorization code and PKCE for the pages."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey

from common.failures import Unavailable
from common.links import keyed_hash
from common.settings import Settings

_ALGORITHMS = ["RS256", "ES256"]
_KEYS_SECONDS = 600
_KEYS_AGAIN_SECONDS = 5
_CLOCK_SKEW_SECONDS = 30
_SESSION_SECONDS = 8 * 3600
_LOGIN_SECONDS = 600
_SESSION_COOKIE = "estuaire_session"
_LOGIN_COOKIE = "estuaire_login"


# In place of roles: whoever is logged in.
ANYBODY = "anybody"
# Begins the account of somebody who acts for themselves: an erasure forgets it.
PERSON = "person/"


@dataclass(frozen=True)
class Principal:
    """An authenticated caller. `structure_id` binds a partner; `contact` is a professional address that stays inside.

    `subject_hash` stands for the caller in every service, and in no other place for anybody: it is keyed.
    """

    subject: str
    roles: frozenset[str]
    structure_id: str | None = None
    contact: str | None = None
    display: str | None = None
    csrf: str | None = None
    subject_hash: str = ""

    @classmethod
    def from_claims(cls, claims: dict[str, Any], subject_hash: str = "") -> Principal:
        """Reads our claims: `sub`, `roles`, `structure_id`, `email` unless the issuer says that it is not verified, `name`."""
        roles = claims.get("roles") or []
        return cls(
            subject=str(claims["sub"]),
            roles=frozenset(str(role) for role in roles if isinstance(role, str)),
            structure_id=claims.get("structure_id"),
            contact=claims.get("email") if claims.get("email_verified") is not False else None,
            display=claims.get("name"),
            csrf=claims.get("csrf"),
            subject_hash=subject_hash,
        )

    @property
    def account(self) -> str:
        """For whom a person acts: their structure, so that colleagues see the same, or themselves, which an erasure forgets."""
        return self.structure_id or f"{PERSON}{self.subject}"

    def require(self, *roles: str) -> Principal:
        """The caller, if it has one of the roles, or anybody may; otherwise 403 naming them."""
        if ANYBODY not in roles and self.roles.isdisjoint(roles):
            raise HTTPException(403, f"Ce compte n'a pas le rôle « {' » ou « '.join(roles)} ».")
        return self


class Identity:
    """Verifies tokens with the issuer's published keys, refetched when a key id is new."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = httpx.AsyncClient(timeout=settings.issuer_seconds_max)
        self._keys: KeySet | None = None
        self._keys_at = 0.0
        self._configuration: dict[str, Any] | None = None

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def configuration(self) -> dict[str, Any]:
        """The issuer's discovery document."""
        if self._configuration is None:
            self._configuration = await self._get(f"{self._settings.issuer_url}/.well-known/openid-configuration")
            if self._configuration.get("estuaire_development_issuer") and not self._settings.development:
                self._configuration = None
                raise Unavailable("the development issuer is refused outside development")
        return self._configuration

    async def _get(self, url: str) -> dict[str, Any]:
        try:
            answer = await self._client.get(url)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable(f"token issuer: {type(error).__name__}") from error
        document: dict[str, Any] = answer.json()
        return document

    async def _key_set(self, *, newer_than: float = 0.0) -> KeySet:
        age = time.monotonic() - self._keys_at
        if (
            self._keys is None
            or age > _KEYS_SECONDS
            or (newer_than and self._keys_at < newer_than and age > _KEYS_AGAIN_SECONDS)
        ):
            try:
                self._keys = KeySet.import_key_set(await self._get((await self.configuration())["jwks_uri"]))  # type: ignore[arg-type]
                self._keys_at = time.monotonic()
            except Unavailable:
                if self._keys is None:
                    raise
        return self._keys

    async def verify(self, token: str, *, audience: str | None = None) -> dict[str, Any]:
        """The claims of a valid token; 401 with the reason otherwise."""
        asked = time.monotonic()
        for attempt in range(2):
            keys = await self._key_set(newer_than=asked if attempt else 0.0)
            try:
                claims = jwt.decode(token, keys, algorithms=_ALGORITHMS).claims
                jwt.JWTClaimsRegistry(
                    leeway=_CLOCK_SKEW_SECONDS,
                    iss={"essential": True, "value": self._settings.issuer_url},
                    aud={"essential": True, "value": audience or self._settings.audience},
                    exp={"essential": True},
                    sub={"essential": True},
                ).validate(claims)
            except (JoseError, ValueError, TypeError, KeyError) as error:
                # A rotated key shows as an unknown or failing one: fetch the keys again, once.
                if attempt == 0 and not isinstance(error, KeyError):
                    continue
                raise unauthorized(f"Jeton refusé : {type(error).__name__}.") from error
            return claims
        raise AssertionError("two attempts end in a return or a raise")  # pragma: no cover

    async def bearer(self, request: Request) -> Principal:
        """The caller named by `Authorization: Bearer`, or by the session cookie of our own pages for safe methods."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthorized("Il faut un jeton : en-tête « Authorization: Bearer … ».")
        return self._principal(await self.verify(token.strip()))

    def _principal(self, claims: dict[str, Any]) -> Principal:
        whole = f"{self._settings.issuer_url}\n{claims['sub']}"
        return Principal.from_claims(claims, keyed_hash(self._settings.subject_secret, "subject", whole))

    # -- pages

    def session(self, request: Request) -> Principal | None:
        """The person logged in on the pages, or None."""
        claims = self._unseal(request.cookies.get(_SESSION_COOKIE), "session")
        return self._principal(claims) if claims else None

    async def checked_form(self, request: Request) -> tuple[Principal, dict[str, str]]:
        """The person logged in and the fields of a posted form; 401 without a session, 403 without its CSRF token."""
        principal = self.session(request)
        if principal is None or principal.csrf is None:
            raise unauthorized("Votre session a expiré : connectez-vous à nouveau.")
        fields = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
        if not secrets.compare_digest(fields.get("csrf", "").encode(), principal.csrf.encode()):
            raise HTTPException(403, "Formulaire périmé : rechargez la page puis recommencez.")
        return principal, fields

    def router(self) -> APIRouter:
        """`/login`, `/login/callback` and `/logout`."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/login", self._login, methods=["GET"])
        router.add_api_route("/login/callback", self._callback, methods=["GET"])
        router.add_api_route("/logout", self._logout, methods=["POST"])
        return router

    async def _login(self, request: Request, next: str = "/") -> Response:
        verifier, state, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self._settings.page_client_id,
            "redirect_uri": self._callback_url(),
            "scope": "openid",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        answer = RedirectResponse(f"{(await self.configuration())['authorization_endpoint']}?{urlencode(query)}", 303)
        # Only a path of ours: an absolute address here would be an open redirect.
        back = next if next.startswith("/") and not next.startswith(("//", "/\\")) else "/"
        self._seal(
            answer,
            _LOGIN_COOKIE,
            {"use": "login", "verifier": verifier, "state": state, "nonce": nonce, "next": back},
            _LOGIN_SECONDS,
        )
        return answer

    async def _callback(self, request: Request, code: str = "", state: str = "") -> Response:
        login = self._unseal(request.cookies.get(_LOGIN_COOKIE), "login")
        if login is None or not code or not secrets.compare_digest(state, str(login["state"])):
            raise HTTPException(400, "Connexion interrompue : recommencez depuis la page d'accueil.")
        try:
            claims = await self._claims_for(code, login)
        except Unavailable as away:
            # A code is good once: whoever tries again logs in anew.
            away.again = f"/login?{urlencode({'next': login['next']})}"
            raise
        kept: dict[str, Any] = {
            name: claims[name]
            for name in ("sub", "roles", "structure_id", "email", "email_verified", "name")
            if name in claims
        }
        done = RedirectResponse(str(login["next"]), 303)
        self._seal(
            done, _SESSION_COOKIE, {"use": "session", **kept, "csrf": secrets.token_urlsafe(24)}, _SESSION_SECONDS
        )
        done.delete_cookie(_LOGIN_COOKIE)
        return done

    async def _claims_for(self, code: str, login: dict[str, Any]) -> dict[str, Any]:
        """What the issuer says of the person whom it sent back with this code."""
        configuration = await self.configuration()
        try:
            answer = await self._client.post(
                configuration["token_endpoint"],
                data={
                    "grant_type": "authorization_code",
                    "code": code,
                    "redirect_uri": self._callback_url(),
                    "client_id": self._settings.page_client_id,
                    "code_verifier": login["verifier"],
                },
            )
        except httpx.HTTPError as error:
            raise Unavailable(f"token issuer: {type(error).__name__}") from error
        if answer.status_code >= 500:
            raise Unavailable(f"token issuer: HTTP {answer.status_code}")
        if answer.status_code != 200:
            raise HTTPException(400, "Connexion refusée par le fournisseur d'identité : recommencez.")
        claims = await self.verify(answer.json()["id_token"], audience=self._settings.page_client_id)
        if claims.get("nonce") != login["nonce"]:
            raise HTTPException(400, "Connexion interrompue : recommencez depuis la page d'accueil.")
        return claims

    async def _logout(self, request: Request) -> Response:
        await self.checked_form(request)
        done = RedirectResponse("/", 303)
        done.delete_cookie(_SESSION_COOKIE)
        return done

    def _callback_url(self) -> str:
        return f"{self._settings.public_url}/login/callback"

    def _seal(self, response: Response, cookie: str, claims: dict[str, Any], seconds: int) -> None:
        token = jwt.encode(
            {"alg": "HS256"},
            {**claims, "exp": int(time.time()) + seconds},
            OctKey.import_key(self._settings.session_secret),
        )
        response.set_cookie(
            cookie,
            token,
            max_age=seconds,
            httponly=True,
            samesite="lax",
            secure=self._settings.public_url.startswith("https://"),
        )

    def _unseal(self, token: str | None, use: str) -> dict[str, Any] | None:
        try:
            claims = jwt.decode(
                token or "", OctKey.import_key(self._settings.session_secret), algorithms=["HS256"]
            ).claims
            jwt.JWTClaimsRegistry(exp={"essential": True}, use={"essential": True, "value": use}).validate(claims)
        except (JoseError, ValueError):
            return None
        return claims


def unauthorized(detail: str) -> HTTPException:
    """401 with the challenge that RFC 6750 wants."""
    return HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})


async def caller(request: Request) -> Principal:
    """The caller of an API route, by its bearer token."""
    identity: Identity = request.app.state.runtime.identity
    return await identity.bearer(request)


def caller_as(*roles: str) -> Callable[[Request], Awaitable[Principal]]:
    """A dependency: the caller, who must have one of the roles."""

    async def checked(request: Request) -> Principal:
        return (await caller(request)).require(*roles)

    return checked
