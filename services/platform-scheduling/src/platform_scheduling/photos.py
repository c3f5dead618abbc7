"""Photos of platforms: what is kept is written anew, smaller, without what a camera or an attacker put in."""

from __future__ import annotations

import asyncio
import io
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

PHOTOS_MAX = 4
_PIXELS_MAX = 50_000_000
# An unpacked picture may take 150 MB: so many at a time, whoever sends them.
_REWRITING = asyncio.Semaphore(2)
_SIDE_MAX = 1280
_FORMATS = ("JPEG", "PNG", "WEBP")


async def rewritten(content: bytes) -> bytes:
    """The picture as a JPEG of at most 1,280 pixels a side; `ValueError` in French when it is none."""
    async with _REWRITING:
        return await asyncio.to_thread(_rewritten, content)


def _rewritten(content: bytes) -> bytes:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=_FORMATS)
            if image.width * image.height > _PIXELS_MAX:
                raise ValueError("photo trop grande : 50 millions de pixels au plus.")
            image.draft("RGB", (_SIDE_MAX, _SIDE_MAX))
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ValueError("photo illisible : envoyez une image JPEG, PNG ou WebP.") from None
    upright.thumbnail((_SIDE_MAX, _SIDE_MAX))
    out = io.BytesIO()
    upright.save(out, "JPEG", quality=82, optimize=True)
    return out.getvalue()
