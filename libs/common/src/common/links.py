"""Signed links for people without an account: what one link allows, for whom, until when."""

from __future__ import annotations

import time

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey


def signed_link(secret: str, use: str, subject: str, days: int) -> str:
    """A token for the end of an address; it carries no more than an id."""
    claims = {"use": use, "sub": subject, "exp": int(time.time()) + days * 86400}
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(secret))


def subject_of(secret: str, use: str, token: str) -> str | None:
    """For whom a token is, if it is ours, made for this use, and still good."""
    try:
        claims = jwt.decode(token, OctKey.import_key(secret), algorithms=["HS256"]).claims
        jwt.JWTClaimsRegistry(exp={"essential": True}, use={"essential": True, "value": use}).validate(claims)
    except (JoseError, ValueError):
        return None
    return str(claims["sub"])
