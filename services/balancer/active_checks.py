"""Active checks: each instance is asked for its /health, whether requests go there or not."""

from __future__ import annotations

import asyncio
import time

from services.addresses import address_of
from services.balancer.balancer import LoadBalancer
from services.balancer.instances import InstanceState
from services.wire import SHORTAGES, WireClient, WireError

__all__ = ["ActiveChecks"]


class ActiveChecks:
    """The checks of one balancer: a task for each instance, so that a frozen one delays no other's checks."""

    def __init__(self, balancer: LoadBalancer) -> None:
        self._balancer = balancer
        settings = balancer.settings
        self._client = WireClient(
            max_connections=1,
            connect_timeout_s=settings.check_timeout_s,
            idle_timeout_s=settings.instance_idle_s,
            max_body_bytes=64 * 1024,
        )
        self._tasks: dict[InstanceState, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Begin to check the instances that there are."""
        await self._client.__aenter__()
        for instance in self._balancer.instances:
            self.add(instance)

    def add(self, instance: InstanceState) -> None:
        """Check this instance too."""
        if self._balancer.settings.check_interval_s:
            self._tasks[instance] = asyncio.ensure_future(self._watch(instance))

    def remove(self, instance: InstanceState) -> None:
        """Check this instance no more."""
        task = self._tasks.pop(instance, None)
        if task is not None:
            task.cancel()

    def close(self) -> None:
        """End all checks."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()
        self._client.close()

    async def check(self, instance: InstanceState) -> None:
        """Ask one instance now, and tell the balancer."""
        url = f"http://{address_of(instance.host, instance.port)}/health"
        try:
            response = await self._client.get(url, timeout_s=self._balancer.settings.check_timeout_s)
            healthy = response.status < 500  # an instance without such a route is alive all the same
        except WireError as error:
            if error.kind in SHORTAGES:  # which says nothing about the instance
                self._balancer.fell_short(error.kind)
                return
            healthy = False
        self._balancer.checked(instance, healthy=healthy, now=time.monotonic())

    async def _watch(self, instance: InstanceState) -> None:
        while True:
            await asyncio.sleep(self._balancer.settings.check_interval_s)
            await self.check(instance)
