"""A balancer: an HTTP/1.1 reverse proxy that chooses between the instances of one service.

A client's connection comes in at server.py (BalancerServer), which makes a Downstream of it (downstream.py):

    client ─► Downstream ─► RequestReader ─► Forward ─► Attempt ─► wire.Connection ─► instance
       ◄──────── write/done ────────┴──── ResponseSink ────┘◄──── on_head, on_body … ───┘

1. Downstream feeds the bytes to its RequestReader (http/), which hands back one request at a time.
2. A path of the balancer's own goes to admin.py (Admin): health, stats, metrics, changes of the instances.
   Any other makes a Forward (forward.py), which asks the LoadBalancer for an instance.
3. LoadBalancer (balancer.py) holds what all requests share: InstanceSet, RequestQueue, RetryBudget, Counters,
   EventLog and a wire.Pool for each instance. The gRPC balancer (services.rpc.balancer) uses it too.
4. InstanceSet (instance_set.py) asks the policy (policies/) among the instances that Health (health.py) finds
   fit. While none has room, the request waits in the RequestQueue (queue.py).
5. Forward makes an Attempt (attempt.py) at the instance, over a pooled or a new connection. The Attempt hands
   the response to Downstream as it comes, and reports to Forward how it ended.
6. After a failure, retries.py decides whether the request may go to another instance, which the RetryBudget
   pays for. Every outcome goes to the InstanceSet, which passes failures to Health, and to the Counters.

7. Where a client asked for a websocket and the instance has switched (101), a Tunnel (tunnel.py) takes both
   connections over. The request is answered and counted, and its attempt is in flight until the tunnel ends.

States and their transitions stand with the classes: Downstream, RequestReader (a client's connection),
Forward (a request), Attempt (one try), Health (an instance: SERVING, EJECTED, TRIAL). ActiveChecks
(active_checks.py) asks each instance for its /health and tells Health; what Health and Forward decide beyond
the ordinary is an Event (events.py), which the log and the counters get. settings.py has every setting and
its environment variable; __main__.py runs one balancer on its own.
"""
