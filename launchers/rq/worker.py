"""Starts three RQ workers. What jobs need is imported here, once, and not in each work horse."""

import os

import shop.jobs
from redis import Redis
from rq import Worker
from rq.worker_pool import WorkerPool

WorkerPool(
    ["default"],
    connection=Redis.from_url(os.environ["REDIS_URL"]),
    num_workers=3,
    worker_class=Worker,
).start()
