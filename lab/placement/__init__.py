"""Bring a topology to life, ask its servers, hurt them, and take it down.

`start` (start.py) is the way in. It takes a `lab.topology.Topology` and the names of a placement and a
balancer, and returns a Running (running.py), which is a context manager:

    not up ──enter──▶ up ──leave, or an error while entering──▶ not up

There are four kinds of Running. Three of them have servers of their own:

- InProcess (in_process.py): all in one background thread (background.py); app_server.py serves applications.
- Processes (processes.py): each in a process of its own. A fork server (fork_server_main.py), started and
  asked by a ForkServerClient (fork_server.py), has imported what they need and forks them. Programs of
  one's own (own_programs.py) run under watchdogs instead (watched_process.py, watchdog.py).
- ExternalBalancers (external.py): nginx and others (proxies/) before the instances of one of the two above.
- Remote (remote.py): what runs elsewhere already; it can be asked and not changed.

On entering the block, Running keeps the thread on its cores (cores.py) and calls `_open` of its kind. That
takes every port first (ports.py), so that a busy one is an error before anything runs. Then it turns each
server of the topology into settings (server_settings.py) and starts it: in a thread by
`ProtocolAdapter.server`, in a process by its environment. A block that cannot come up whole is taken down
and raises.

While it is up, `kill`, `freeze`, `thaw`, `restart`, `add_instance` and `remove_instance` change one server
at a time, under one lock. A server is up or down; a restarted one is another incarnation of its name.
`stats` and `ask` go through the ProtocolAdapter of the topology's protocol (protocol.py; protocol_http.py,
protocol_grpc.py), and `logs` read what logs.py keeps, also of servers that have ended.

startup.py is a program: what one start costs. Names are imported when they are first used, so that
importing this package imports no server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.imports import lazily

if TYPE_CHECKING:
    from lab.names import BalancerName, PlacementName
    from lab.placement.running import Running, Usage
    from lab.placement.start import require_tunable, start

__all__ = ["BalancerName", "PlacementName", "Running", "Usage", "require_tunable", "start"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "lab.names": ("BalancerName", "PlacementName"),
        "lab.placement.running": ("Running", "Usage"),
        "lab.placement.start": ("require_tunable", "start"),
    },
)
