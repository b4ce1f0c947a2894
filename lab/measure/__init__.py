"""From what a run of load recorded to one row of figures, each of which can be believed or is blank.

`factors` goes from a combination of factors to the topology and the load that they stand for, and names
their cell. Before the run, `references` knows what the documents and the theory say of it. After it,
`row.measure` takes the load's result, what the servers used and those references, and fills the groups of
`columns`: `measurement.Measurement` is the row. A percentile below its sample floor (`percentiles`) is
blank. What was seen is then judged by `validity`: where a reason is found, the row is marked with it and
loses its latency. Beside these stand `statistics` (intervals and tests in plain numbers) and `conditions`
(goals as a person types them, held against a row).
"""
