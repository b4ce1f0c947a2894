"""The gRPC balancer: the policies, health, retries and queue of the HTTP one, on bytes that it does not read.

A call of any method that is not the balancer's own comes to server.py (GrpcBalancerServer), which makes a
GrpcForward of it (call.py). GrpcForward goes the way that services.balancer's Forward goes: it asks the
LoadBalancer to choose an instance, waits in its queue as a QueuedCall while none has room, calls the instance
on its channel, and reports how the attempt ended; what failed is tried elsewhere as services.balancer.retries
decides. The instance's response or failure goes back with its metadata.

balancer.py (GrpcLoadBalancer) joins a LoadBalancer with an InstanceChannel and a health check (the standard
one) for each instance. The balancer answers two methods itself: the documented stats, and, through `Ask`, the
routes of services.balancer.admin.
"""
