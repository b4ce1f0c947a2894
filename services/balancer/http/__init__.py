"""How a balancer reads and writes HTTP/1.1. Bytes in, bytes out: no socket, no clock.

- request_reader.py cuts a client's bytes into requests: a head for parse_head, and the body behind it, by its
  length or by ChunkDecoder. It hands each request to a RequestHandler (Downstream), and pieces of a long body
  as they come.
- request.py reads and checks a head (parse_head, RequestHead, Refusal), keeps what goes on to the instance,
  and frames a body that is passed on in pieces (Upload).
- response.py rewrites an instance's head for the client (rewrite_head, ResponseHead), passes on a body that
  comes in pieces (Download), and writes the balancer's own responses (local_response).
"""
