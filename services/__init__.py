"""The specimen, which the lab measures: four services, their balancers, and both over gRPC.

A request comes in at service1 and passes, in each service, these files in this order:

    pipeline      HttpHandler reads its budget of time and its body (over gRPC: rpc/service)
    instance      ServiceInstance.execute takes the message through the instance
    slots         Slots.serve waits for a slot; in the slot:
    stages            the real work, pure functions: clean, count or report
    work              then the service time, waited or burnt; the slot is given back
    clients       Client.post calls the next service, or its balancer
    pipeline      relay makes the response of the next hop's answer, or of its failure
    server_timing writes what the request waited and worked here before what the next hop wrote

A request is waiting, in a slot, or beyond. It leaves early with 503 where the queue is full, and with 504
where its budget ends, in any of the three.

An instance comes alive as `python -m services 1` (__main__: `settings` reads the environment, which
`variables` lists, by the rules of `environment`, `command` opens the socket, uvicorn serves), or under the
lab, which makes ServiceSettings from a topology and serves `pipeline.create_app`. Without settings,
`documented` says ports, routes and next hops, and `limits` how large a message may be. `description` is what
/openapi.json says.

`balancer` stands between one service and the instances of the next. `rpc` is both over gRPC, with the same
instance and the same balancing. `wire` is the HTTP client connection of balancers, of the load generator and
of the client named `wire`. Nothing here imports lab.
"""
