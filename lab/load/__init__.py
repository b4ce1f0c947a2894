"""Load from processes of its own: schedules, pacing, the generator, and what it recorded.

A `LoadSpec` (spec.py) comes in: a URL, a load model (lab/arrivals.py) and how to run it. A `LoadResult`
(result.py) goes out.

In the caller's process, run.py checks the spec, which looks up the URL's host, and starts `processes`
generators, each by `lab.children` as `lab.load.child`. Lines of JSON over their stdin and stdout agree on one
start, on one window once every user of a closed loop has had an answer, and bring back what was recorded.

In each generator's process, child.py turns the spec into parts and hands them to a `Generator`
(generator.py): an endpoint to connect to (endpoints.py, which makes connections of
http_connection.py; grpc_endpoint.py; addresses.py races what its name stands for), a renderer of requests
(requests.py), and the generator's share of the schedule.

A request's way: the `Pacer` (pacer.py) hands out its intended start when the `Timer` (timers.py) expires;
the `WorkerPool` (workers.py) gives it to an idle `Worker`, or has it wait and spawns one more, with a new
connection; the worker sends it and, at its end, appends its times and outcome (outcomes.py) to the `Recorder`
(recorder.py). The worker is then released for what waits. In a closed loop without think time it sends the
next request itself. Every few milliseconds the generator flushes the recorder; about once a slice it samples
what the process used (process_limits.py).

A run goes through warm-up, window and drain: sending ends with the window, and what is in flight then is
waited for, little longer than `read_timeout_s`. The recorder bins all by slice, as histograms (histogram.py)
and as a timeline (timeline.py), from which any window can be read, and adds up what Server-Timing said
(timing_values.py); with warm-up mode `auto`, run.py chooses
the begin of the window from the timeline (`mser5`).
"""
