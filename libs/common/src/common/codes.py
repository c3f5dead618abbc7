"""A code that a person keeps on paper or shows at a door: ten characters, one of them a check."""

from __future__ import annotations

import secrets

# Without the characters that a hand confuses: 0 O 1 I L.
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
CODE_LENGTH = 10


def new_code() -> str:
    """A code that stands for somebody; it tells nothing about them."""
    drawn = "".join(secrets.choice(_ALPHABET) for _ in range(CODE_LENGTH - 1))
    return drawn + _check_character(drawn)


def normalised_code(typed: str) -> str | None:
    """The code as it is stored, or None when a character was mistyped (one wrong, or two neighbours swapped, is always seen)."""
    code = "".join(typed.upper().split()).replace("-", "")
    if len(code) != CODE_LENGTH or any(character not in _ALPHABET for character in code):
        return None
    return code if _check_character(code[:-1]) == code[-1] else None


def _check_character(drawn: str) -> str:
    # The alphabet has 31 characters, a prime: weighted sums see every single error and every swap of neighbours.
    return _ALPHABET[
        sum((position + 2) * _ALPHABET.index(character) for position, character in enumerate(drawn)) % len(_ALPHABET)
    ]
