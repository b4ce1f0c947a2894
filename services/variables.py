"""The environment variables of a service: which field of ServiceSettings each sets, and how it is read."""

from __future__ import annotations

from services.environment import NONE, Variable, number, one_of, whole, yes_or_no
from services.names import ClientName, Distribution, WorkKind

__all__ = ["VARIABLES"]


def _url(text: str) -> str | None:
    return None if text == NONE else text


VARIABLES = (
    Variable("SERVICE_NAME", "service", str, "name of the service, where the command line does not say"),
    Variable(
        "INSTANCE_ID", "instance", str, "a, b … for service1a, service1b …, or a name; else the service's"
    ),
    Variable("SERVICE_INSTANCE", "instance", str, "name of this instance in full; wins over INSTANCE_ID"),
    Variable(
        "SERVICE_HOST",
        "host",
        str,
        "address to listen on; else 127.0.0.1. On all (0.0.0.0) peers have their published names",
    ),
    Variable("SERVICE_PORT", "port", whole, "port to listen on; else the documented 8051 to 8054"),
    Variable("SERVICE_PATH", "path", str, "route to answer; else the documented one"),
    Variable("SERVICE_NEXT_URL", "next_url", _url, "full URL to post to, or none; wins over SERVICE2_URL …"),
    Variable("SERVICE_NEXT", "next_service", str, "name of the next service, for error messages"),
    Variable("SERVICE_HOPS_LEFT", "hops_left", whole, "servers after this one, balancers included"),
    Variable("SERVICE_TIMEOUT_S", "timeout_s", number, "seconds that each hop left may take; else 30"),
    Variable("SERVICE_CLIENT", "client", one_of(ClientName), f"client: {', '.join(ClientName)}; else wire"),
    Variable("SERVICE_WORK", "work.kind", one_of(WorkKind), "io (documented), cpu or text; else io"),
    Variable("SERVICE_WORK_MS", "work.mean_ms", number, "mean service time in ms; else 40"),
    Variable(
        "SERVICE_WORK_DISTRIBUTION",
        "work.distribution",
        one_of(Distribution),
        f"of service times: {', '.join(Distribution)}; else constant",
    ),
    Variable("SERVICE_SLOTS", "work.slots", whole, "requests served at once; else 1"),
    Variable("SERVICE_QUEUE_LIMIT", "work.queue_limit", whole, "requests that may wait for a slot; else 128"),
    Variable("SERVICE_SEED", "work.seed", whole, "seed of the service times; else 0"),
    Variable("SERVICE_BODY_LIMIT_BYTES", "body_limit_bytes", whole, "largest request body; else 67108864"),
    Variable("SERVICE_GRACE_S", "grace_s", number, "seconds to finish once told to stop; else 3"),
    Variable(
        "SERVICE_LEDGER_LIMIT", "ledger_limit", whole, "request ids that GET /ledger remembers; else 0: none"
    ),
    Variable("SERVICE_LEDGER_FILE", "ledger_file", str, "file that the ledger appends ids to; else none"),
    Variable("SERVICE_FAULTS", "faults", yes_or_no, "True if POST /faults may make it fail; else False"),
)
"""Every environment variable of a service, beside `SERVICE2_URL` … `SERVICE4_URL`: the base URL of the next
hop of a documented service, to which its path is added (http://127.0.0.1:8062 where it is a balancer)."""
