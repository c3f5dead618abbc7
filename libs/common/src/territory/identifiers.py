"""French registry identifiers that carry their own check: SIRET of an establishment, UAI of a school."""

from __future__ import annotations

_LA_POSTE = "356000000"
_UAI_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"


def siret_is_valid(siret: str) -> bool:
    """Fourteen digits whose Luhn sum is a multiple of ten; those of La Poste only sum to a multiple of five (INSEE)."""
    if len(siret) != 14 or not siret.isascii() or not siret.isdigit():
        return False
    digits = [int(one) for one in siret]
    if siret.startswith(_LA_POSTE) and sum(digits) % 5 == 0:
        return True
    doubled = [2 * one - 9 * (2 * one > 9) if place % 2 == 0 else one for place, one in enumerate(digits)]
    return sum(doubled) % 10 == 0


def uai_is_valid(uai: str) -> bool:
    """Seven digits and the letter that their remainder by 23 stands for."""
    number, letter = uai[:7], uai[7:]
    return (
        len(number) == 7
        and number.isascii()
        and number.isdigit()
        and letter != ""
        and _UAI_LETTERS[int(number) % 23] == letter
    )
