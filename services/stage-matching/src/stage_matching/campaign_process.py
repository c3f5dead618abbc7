"""The process of one campaign's job, started by `campaign_job.watch`: `python -m stage_matching.campaign_process ID EPOCH`."""

from __future__ import annotations

import asyncio
import logging
import sys
from uuid import UUID

from common import settings, telemetry
from common.runtime import build_runtime
from stage_matching.app import service
from stage_matching.campaign_job import Job, Stopped


async def work(campaign_id: UUID, epoch: int) -> None:
    """Does what the campaign asks for, under one epoch of its lease."""
    given = settings.load(service.settings)
    telemetry.start(service.name, given)
    runtime = build_runtime(service, given)
    try:
        await runtime.schema_ids.load()
        await Job(runtime, campaign_id, epoch).run()
    except Stopped:
        logging.getLogger(__name__).info("the job of campaign %s was stopped", campaign_id)
    finally:
        await runtime.close()


if __name__ == "__main__":
    asyncio.run(work(UUID(sys.argv[1]), int(sys.argv[2])))
