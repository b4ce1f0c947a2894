"""The load balancer: what all requests to one service share, whatever their protocol."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Collection
from typing import Protocol

from services.addresses import Address
from services.balancer.counters import Counters
from services.balancer.events import Event, EventKind, EventLog
from services.balancer.health import HealthRules
from services.balancer.http.request import RequestHead
from services.balancer.instance_set import InstanceSet
from services.balancer.instances import InstanceState
from services.balancer.policies import build
from services.balancer.queue import RequestQueue
from services.balancer.retries import RetryBudget, RetryRules
from services.balancer.settings import BalancerSettings
from services.command import descriptor_limit
from services.wire import SHORTAGES, Deadlines, FailureKind, Pool

__all__ = ["Clients", "DuplicateInstance", "LoadBalancer", "UnknownInstance"]

MOST_SHED = 32
"""How many idle clients go for one that comes."""
SPARE_DESCRIPTORS = 8
"""What is kept back beside descriptors for connections, such as for a log."""
_SAFE = frozenset((b"GET", b"HEAD", b"OPTIONS"))
_MAKES_ROOM = frozenset((EventKind.RESTORED, EventKind.EJECTED))


class UnknownInstance(KeyError):  # noqa: N818
    """There is no instance of that name."""


class DuplicateInstance(ValueError):  # noqa: N818
    """There is an instance of that name and port already."""


class Clients(Protocol):
    """All clients of a balancer, as far as it acts on their connections and requests itself."""

    def shed(self) -> bool:
        """Close a client's connection that is idle. Returns False if there is none."""

    def vacate(self, instance: InstanceState) -> None:
        """Have requests go elsewhere that wait for an instance which is down, where that does no harm."""


class LoadBalancer:
    """The instances of one service and their pools, the queue before them, the retry budget, the counters.

    A LoadBalancer belongs to the running loop. All times are of time.monotonic, which is the loop's clock
    too, but finer.
    """

    def __init__(self, settings: BalancerSettings, clients: Clients) -> None:
        self.settings = settings
        self._clients = clients
        self.loop = asyncio.get_running_loop()
        self.deadlines = Deadlines(self.loop)
        self.counters = Counters()
        self.log = EventLog(settings.name)
        self.instances = InstanceSet(
            build(settings.policy, limit=settings.in_flight_limit or None, seed=settings.policy_seed),
            HealthRules(
                settings.failures,
                settings.backoff_s,
                settings.backoff_cap_s,
                settings.rise,
                settings.fall,
                settings.panic_threshold,
            ),
            slow_start_s=settings.slow_start_s,
            on_event=self.on_event,
        )
        self.budget = RetryBudget(time.monotonic(), settings.retry_ratio, settings.retry_per_s)
        self.queue = RequestQueue(
            settings.queue_limit, settings.queue_timeout_s, self.instances, self.deadlines, self.on_event
        )
        self.pools: dict[InstanceState, Pool] = {}
        self.draining = self.closed = False
        # What every request asks for, one step nearer.
        self.descriptors = descriptor_limit()
        self.total_timeout_s = settings.total_timeout_s
        self.try_timeout_s = settings.try_timeout_s
        self.idle_timeout_s = settings.idle_timeout_s
        self.head_limit = settings.head_limit_bytes
        self.body_limit = settings.request_limit_bytes
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
        """Return what may be done twice: routes that declare so, and methods that HTTP itself calls safe."""
        if head.method in _SAFE or head.path in self._idempotent:
            return self._safe
        return self._unsafe

    def new_id(self) -> bytes:
        """Return an X-Request-ID for a request that came without one."""
        self._ids += 1
        return b"%b-%x" % (self._id_prefix, self._ids)

    def on_event(self, event: Event) -> None:
        """Log and count an event. After one that may have made room, try to dispatch the queue.

        A restored instance makes room; an ejection may, where so few are fit that all are chosen from again.
        """
        self.log.write(event)
        self.counters.count(event)
        if event.kind in _MAKES_ROOM:
            self.loop.call_soon(self.queue.dispatch)

    def choose(self, now: float, tried: Collection[InstanceState]) -> InstanceState | None:
        """Choose the instance for a request that comes now; it overtakes no queued one that could go there.

        Returns None if there is none that was not `tried`, or none with room.
        """
        instance = self.instances.choose(now, tried)
        if instance is not None and self.queue.nonempty:
            self.queue.dispatch()
            # What is left is of no use to those in the queue, which have been there.
            instance = self.instances.choose(now, tried)
        return instance

    def budget_after(self, tried: Collection[InstanceState]) -> RetryBudget | None:
        """Return what pays for another attempt at a request that was `tried`; None if it was everywhere."""
        return None if all(instance in tried for instance in self.instances) else self.budget

    def checked(self, instance: InstanceState, *, healthy: bool, now: float) -> None:
        """Take note of an active check. Requests do not wait for an instance that checks find down."""
        self.descriptors = descriptor_limit()  # which may be changed from outside
        if healthy:
            self.instances.check_passed(instance, now)
            return
        self.instances.check_failed(instance, now)
        if self.instances.down_by_checks(instance):
            self._clients.vacate(instance)

    def fell_short(self, kind: FailureKind) -> str:
        """Take note that the balancer itself ran out of something. Return what that is, in words."""
        self.descriptors = descriptor_limit()
        words = SHORTAGES[kind]
        self.on_event(Event(EventKind.SHORT, time.monotonic(), None, words))
        return f"the balancer is {words}"

    def make_room(self) -> bool:
        """Close a connection that is idle, so that its descriptor is free. Returns False if there is none."""
        return any(pool.shed() for pool in self.pools.values()) or self._clients.shed()

    def admits(self, descriptor: int, clients: int) -> bool:
        """Decide whether a client may stay whose connection has this descriptor, as one of so many.

        The system gives out the lowest number that is free, so those above are what is left. One is kept back
        for the request of each client that has none at an instance yet, and for each instance's checks:
        clients that are idle go before these run out.
        """
        at_instances = sum(each.in_flight + len(pool) for each, pool in self.pools.items())
        kept_back = max(0, clients - at_instances) + len(self.pools) + SPARE_DESCRIPTORS
        if descriptor + kept_back < self.descriptors:
            return True
        self.fell_short(FailureKind.NO_DESCRIPTOR)
        # Each that goes frees its descriptor and the one kept back for it. Many may have come at once.
        missing = min(1 + (descriptor + kept_back - self.descriptors) // 2, MOST_SHED)
        return missing <= 0 or sum(self._clients.shed() for _ in range(missing)) > 0

    def add(self, address: Address) -> InstanceState:
        """Add an instance, to which requests may go from now on. Raises DuplicateInstance."""
        instance = InstanceState(address.name, address.host, address.port, address.weight)
        if any(known.label == instance.label for known in self.instances):
            raise DuplicateInstance(f"there is a {instance.label} already")
        self.pools[instance] = Pool(
            address.host,
            address.port,
            self.deadlines,
            connect_timeout_s=self.settings.connect_timeout_s,
            idle_timeout_s=self.settings.instance_idle_s,
            collect_headers=False,
        )
        self.instances.add(instance)
        self.loop.call_soon(self.queue.dispatch)
        return instance

    def remove(self, name: str) -> InstanceState:
        """Remove the instance of this name or label; requests in flight there end. Raises UnknownInstance."""
        for instance in self.instances:
            if name in (instance.name, instance.label):
                self.instances.remove(instance)
                self.counters.removed(instance)
                self.pools.pop(instance).close()
                return instance
        raise UnknownInstance(f"no instance {name!r}: there are {[i.label for i in self.instances]}")

    def stats(self) -> dict[str, object]:
        """Return the documented answer to GET /stats."""
        instances = list(self.instances)
        return {
            "instances": [instance.label for instance in instances],
            "stats": {
                instance.label: {"requests": instance.requests, "errors": instance.errors}
                for instance in instances
            },
        }

    def close(self) -> None:
        """Drop idle connections to instances, and all timers. Give up requests in flight before."""
        self.closed = True
        for pool in self.pools.values():
            pool.close()
        self.queue.close()
        self.deadlines.close()
