"""Signed links for people without an account, and keyed hashes of what they are known by."""

from __future__ import annotations

import hashlib
import hmac
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


def keyed_hash(secret: str, use: str, text: str) -> str:
    """What stands for a text, for one use: the same for the same text, and nobody makes or undoes it without the secret."""
    return hmac.new(secret.encode(), f"{use}\n{text}".encode(), hashlib.sha256).hexdigest()
