"""Measure the lab's own accuracy and speed against goals, each a figure with its bound.

`accuracy`, `peers` and `placements` are programs (`python -m benchmarks.peers [goal …]`); each maps the
names of its goals to functions. `goals.main` prints the notes of `lab doctor`, runs the goals asked for,
prints each GoalFigure as it is found, writes all to `build/NAME.json`, and ends with 1 if a bound was
missed. A goal gets its servers from `server` (known behaviour), `backends` and `nginx` (next to no cost),
`one_service` and `flaky_instances`, its balancers from `balancers`, and its sweeps from `sweeping`. Goals
compare by interleaved rounds, so that drift hits all alike.

`balancer_inputs` is a program of its own: it writes docs/balancers.md, from `input_kinds` and what balancers
do before a `strict_instance`.
"""
