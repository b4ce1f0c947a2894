"""How the balancer reads and writes HTTP/1.1: heads, bodies, and what a client may send."""
