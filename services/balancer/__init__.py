"""A balancer: an HTTP/1.1 reverse proxy that chooses between the instances of one service."""
