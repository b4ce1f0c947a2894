"""What all requests of one balancer share."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Collection

from services.addresses import Address
from services.balancer.counters import Counters
from services.balancer.events import Event, EventKind, EventLog
from services.balancer.health import HealthRules
from services.balancer.http.request_head import RequestHead
from services.balancer.instance_set import InstanceSet
from services.balancer.instances import InstanceState
from services.balancer.policies import build
from services.balancer.queue import Queued, RequestQueue, WaitingQueue
from services.balancer.retries import RetryBudget, RetryRules
from services.balancer.settings import BalancerSettings
from services.wire import Deadlines, Pool

__all__ = ["DuplicateInstance", "LoadBalancer", "UnknownInstance"]

_SAFE = frozenset((b"GET", b"HEAD", b"OPTIONS"))
_ROOM = frozenset((EventKind.RESTORED, EventKind.EJECTED))


class UnknownInstance(KeyError):  # noqa: N818
    """There is no instance of that name."""


class DuplicateInstance(ValueError):  # noqa: N818
    """There is an instance of that name and port already."""


class LoadBalancer:
    """Instances and their pools, who waits for them, what may be retried, and what is counted.

    Belongs to the running loop. All times are of time.monotonic, which is the loop's clock too, but finer.
    """

    def __init__(self, settings: BalancerSettings) -> None:
        self.settings = settings
        self.loop = asyncio.get_running_loop()
        self.deadlines = Deadlines(self.loop)
        self.counts = Counters()
        self.log = EventLog(settings.name)
        self.roster = InstanceSet(
            build(settings.policy, limit=settings.in_flight_limit or None, seed=settings.seed),
            HealthRules(
                settings.failures,
                settings.backoff_s,
                settings.backoff_cap_s,
                settings.rise,
                settings.fall,
                settings.panic_threshold,
            ),
            slow_start_s=settings.slow_start_s,
            on_event=self.hear,
        )
        self.budget = RetryBudget(time.monotonic(), settings.retry_ratio, settings.retry_per_s)
        queue: WaitingQueue[Queued] = WaitingQueue(settings.queue_limit, settings.queue_timeout_s, self.hear)
        self.line = RequestQueue(queue, self.roster, self.deadlines)
        self.pools: dict[InstanceState, Pool] = {}
        self.draining = self.closed = False
        # What every request asks for, one step nearer.
        self.total_timeout_s = settings.total_timeout_s
        self.try_timeout_s = settings.try_timeout_s
        self.idle_timeout_s = settings.idle_timeout_s
        self.head_limit = settings.head_limit_bytes
        self.body_limit = settings.body_limit_bytes
        self.replay_limit = settings.replay_limit_bytes
        self.retry_statuses = settings.retry_statuses
        self.try_deadline = b"\r\nX-Request-Deadline-Ms: %d" % (settings.try_timeout_s * 1000)
        self.via = b"\r\nVia: 1.%%d %b\r\nX-Request-ID: " % settings.name.encode()
        self._safe = RetryRules(True, settings.retry_statuses)
        self._unsafe = RetryRules(False)
        self._idempotent = frozenset(path.encode() for path in settings.idempotent)
        self._id_prefix = secrets.token_hex(6).encode()
        self._ids = 0
        for address in settings.instances:
            self.add(address)

    def rules(self, head: RequestHead) -> RetryRules:
        """What may be done twice: what declares so, and what HTTP itself calls safe."""
        if head.method in _SAFE or head.path in self._idempotent:
            return self._safe
        return self._unsafe

    def new_id(self) -> bytes:
        """An X-Request-ID for a request that came without."""
        self._ids += 1
        return b"%b-%x" % (self._id_prefix, self._ids)

    def hear(self, event: Event) -> None:
        """Log and count an event. An instance that is back may be what someone waits for.

        So may those that are chosen from again because too few are fit.
        """
        self.log.write(event)
        self.counts.heard(event)
        if event.kind in _ROOM:
            self.loop.call_soon(self.line.move)

    def choose(self, now: float, tried: Collection[InstanceState]) -> InstanceState | None:
        """The instance for a request that comes now, and overtakes nobody in line who could go there."""
        instance = self.roster.choose(now, tried)
        if instance is not None and self.line.anyone:
            self.line.move()
            # What is left is of no use to those in line, who have been there.
            instance = self.roster.choose(now, tried)
        return instance

    def budget_after(self, tried: Collection[InstanceState]) -> RetryBudget | None:
        """What pays for another attempt at a request that has been to `tried`; None if that is everywhere."""
        return None if all(instance in tried for instance in self.roster) else self.budget

    def add(self, address: Address) -> InstanceState:
        """From now on requests may go there. Raises DuplicateInstance."""
        instance = InstanceState(address.name, address.host, address.port, address.weight)
        if any(known.label == instance.label for known in self.roster):
            raise DuplicateInstance(f"there is a {instance.label} already")
        self.pools[instance] = Pool(
            address.host,
            address.port,
            self.deadlines,
            connect_timeout_s=self.settings.connect_timeout_s,
            idle_timeout_s=self.settings.instance_idle_s,
            collect_headers=False,
        )
        self.roster.add(instance)
        self.loop.call_soon(self.line.move)
        return instance

    def remove(self, name: str) -> InstanceState:
        """By name or label: no more requests go there, those in flight end. Raises UnknownInstance."""
        for instance in self.roster:
            if name in (instance.name, instance.label):
                self.roster.remove(instance)
                self.counts.removed(instance)
                self.pools.pop(instance).close()
                return instance
        raise UnknownInstance(f"no instance {name!r}: there are {[i.label for i in self.roster]}")

    def stats(self) -> dict[str, object]:
        """The documented answer to GET /stats."""
        instances = list(self.roster)
        return {
            "instances": [instance.label for instance in instances],
            "stats": {
                instance.label: {"requests": instance.requests, "errors": instance.errors}
                for instance in instances
            },
        }

    def close(self) -> None:
        """Drop idle connections to instances, and all timers. What is in flight was given up before."""
        self.closed = True
        for pool in self.pools.values():
            pool.close()
        self.line.close()
        self.deadlines.close()
