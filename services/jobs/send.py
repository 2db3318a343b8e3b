"""From SQL into the streams: what is due and has a place is sent to the workers."""

import logging
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from services.jobs.dispatch import dispatch

if TYPE_CHECKING:
    from services.context import Services

log = logging.getLogger(__name__)


def send(services: "Services") -> None:
    """Dispatch, then put the messages in. While Redis is away they stay `queued`, to be put in later."""
    with services.database.write() as session:
        chosen = dispatch(session, services.settings.queues)
    try:
        for queue, run_id in chosen:
            services.streams.put(queue, run_id)
    except RedisError as e:
        log.warning("Redis is away (%s); what is due is sent when it is back", e)
