"""What theory says of a pipeline: bounds, formulas that are exact, and a simulation where there is none.

Everything here is arithmetic: a `Topology` or plain numbers go in, seconds and requests a second come out.
Nothing takes a clock, opens a socket or starts a process.

1. `bounds` turns a topology into stations (`stations_of`), one for each instance, and bounds throughput and
   response time from their demands alone, whatever the distribution and the policy. Limits on charts and
   the knee are these.
2. `queues` holds formulas of single queues, Lindley's recursion, and what two policies make of the mean.
3. `product_form` computes whole networks of exponential servers from the stations of `bounds`: closed ones by
   convolution, open ones as the sum of their queues.
4. `prediction` picks the formula that fits a topology's work and a load (`predict_closed`, `predict_poisson`,
   `predict_constant`), or none; `lab.measure` puts that into the columns `predicted_…`.
5. `model` turns a topology into stages (`stages_of`), one for each service, for `simulator`, which sends
   requests through them event by event. Its instances are chosen by the very policy objects that the
   balancers run, so it serves where no formula is known: `lab.policy_comparison` compares it with
   measurements.

A station is one queue and its servers; a stage is one service: its instances, each a station, and the
policy that chooses among them.
"""
