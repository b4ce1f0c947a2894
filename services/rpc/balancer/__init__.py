"""The gRPC balancer: the policies, health and retries of the HTTP one, on bytes that it does not read."""
