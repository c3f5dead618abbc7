"""The process of one weekly release, started by `weekly.in_a_child`: `python -m dropout_observatory.indicators.release_process DAY`."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from datetime import date

from common import settings, telemetry
from common.runtime import build_runtime
from dropout_observatory.indicators import publishing, weekly
from dropout_observatory.indicators.releases import OvertakenError
from dropout_observatory.lake.app import SERVICE, LakeSettings
from dropout_observatory.lake.columns import datasets
from dropout_observatory.lake.files import Folder

_log = logging.getLogger(__name__)


async def work(known_on: date) -> int:
    """Publishes the release of a day; how it ended."""
    given = settings.load(LakeSettings)
    telemetry.start("dropout-observatory-release", given)
    runtime = build_runtime(SERVICE, given)
    try:
        release = await publishing.publish(
            runtime.database, Folder(given.lake_url), datasets(runtime.contracts), known_on, _log.info
        )
        _log.info("release %d of %s is published: %s", release.number, known_on, release.sha256)
    except publishing.RefusedError:
        return weekly.REFUSED
    except OvertakenError as error:
        _log.info("%s", error)
        return weekly.OVERTAKEN
    finally:
        await runtime.close()
    return weekly.PUBLISHED


if __name__ == "__main__":
    # The lake is written meanwhile: it comes first.
    os.nice(10)
    sys.exit(asyncio.run(work(date.fromisoformat(sys.argv[1]))))
