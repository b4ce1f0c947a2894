"""Whatever happens in whatever order, an InstanceSet keeps its promises."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.balancer.events import Event, EventKind
from services.balancer.health import FailureCause, HealthRules, State, TransitionReason
from services.balancer.instance_set import InstanceSet
from services.balancer.instances import InstanceState
from services.balancer.policies import PolicyName, build

RULES = HealthRules(failures=3, backoff_s=1.0, backoff_cap_s=8.0, rise=2, fall=2, panic_threshold=0.5)
LIMIT = 2

which = st.integers(0, 3)


class InstanceSetMachine(RuleBasedStateMachine):
    """Attempts, checks, comings and goings, against what the events alone say of each instance."""

    @initialize(name=st.sampled_from(PolicyName), slow_start_s=st.sampled_from([0.0, 3.0]))
    def build(self, name: PolicyName, slow_start_s: float) -> None:
        self.now = 0.0
        self.everyone = [InstanceState(f"i{n}", "127.0.0.1", 1 + n) for n in range(4)]
        self.running: list[tuple[InstanceState, float, bool]] = []
        self.last: dict[InstanceState, Event] = {}
        self.in_row: dict[InstanceState, int] = {}
        self.strikes: dict[InstanceState, int] = {}
        self.instances = InstanceSet(
            build(name, limit=LIMIT), RULES, slow_start_s=slow_start_s, on_event=self.hear
        )
        for instance in self.everyone:
            self.instances.add(instance)

    def hear(self, event: Event) -> None:
        instance = event.instance
        assert instance is not None
        assert instance in self.instances
        earlier = self.last.get(instance)
        if event.kind is EventKind.RESTORED:
            assert earlier is not None
            assert earlier.kind is EventKind.EJECTED
        elif earlier is not None and earlier.kind is EventKind.EJECTED:
            assert (
                event.reason == TransitionReason.TRIAL
            )  # it was out, and only a trial that failed says so again
        self.last[instance] = event
        self.strikes[instance] = 0

    def ejected(self, instance: InstanceState) -> bool:
        return instance in self.last and self.last[instance].kind is EventKind.EJECTED

    # --- what happens ---

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(tried=st.sets(which))
    def a_request_comes(self, tried: set[int]) -> None:
        been = [self.everyone[n] for n in tried]
        chosen = self.instances.choose(self.now, been)
        last_resort = bool(been) and all(i in been for i in self.instances if not self.ejected(i))
        anyone = self.instances.panicking or last_resort
        open_to = [
            i
            for i in self.instances
            if i not in been and i.in_flight < LIMIT and (anyone or not self.ejected(i))
        ]
        if chosen is None:
            assert not open_to
            return
        assert chosen in self.instances
        assert chosen not in been
        on_trial = False
        if self.ejected(chosen) and not anyone:
            assert self.instances.state(chosen) is State.EJECTED  # and not in its trial already
            assert self.last[chosen].reason != TransitionReason.CHECKS
            assert self.now >= self.last[chosen].at + RULES.backoff_s
            on_trial = True
        self.instances.started(chosen, self.now)
        self.running.append((chosen, self.now, on_trial))

    @precondition(lambda self: self.running)
    @rule(n=st.integers(0, 99), outcome=st.sampled_from([None, "released", *FailureCause]))
    def an_attempt_ends(self, n: int, outcome: str | FailureCause | None) -> None:
        instance, begun, _ = self.running.pop(n % len(self.running))
        errors, was_out = instance.errors, self.ejected(instance)
        match outcome:
            case None:
                self.instances.succeeded(instance, begun, self.now)
                self.strikes[instance] = 0
            case FailureCause():
                if outcome is FailureCause.FAILED and not was_out and begun >= self.returned(instance):
                    self.strikes[instance] = self.strikes.get(instance, 0) + 1
                due_out = (
                    outcome is FailureCause.UNREACHABLE or self.strikes.get(instance, 0) >= RULES.failures
                )
                self.instances.failed(instance, begun, self.now, outcome)
                assert instance.errors == errors + 1
                if instance in self.instances and not was_out and begun >= self.returned(instance):
                    assert self.ejected(instance) == (due_out and outcome is not FailureCause.NONE)
            case _:
                self.instances.released(instance, begun, self.now)
                assert instance.errors == errors

    def returned(self, instance: InstanceState) -> float:
        last = self.last.get(instance)
        return last.at if last is not None and last.kind is EventKind.RESTORED else 0.0

    @rule(n=which, passed=st.booleans())
    def a_check_ends(self, n: int, passed: bool) -> None:
        (self.instances.check_passed if passed else self.instances.check_failed)(self.everyone[n], self.now)

    @rule(n=which)
    def an_instance_leaves(self, n: int) -> None:
        self.instances.remove(self.everyone[n])
        self.last.pop(self.everyone[n], None)
        self.strikes.pop(self.everyone[n], None)

    @rule(n=which)
    def an_instance_comes(self, n: int) -> None:
        # A new process is a new instance: what the old one still has in flight is not its own.
        if self.everyone[n] not in self.instances:
            self.everyone[n] = InstanceState(f"i{n}", "127.0.0.1", 1 + n)
            self.instances.add(self.everyone[n])

    # --- what holds at all times ---

    @invariant()
    def in_flight_is_what_runs_and_never_above_the_limit(self) -> None:
        for instance in self.everyone:
            assert instance.in_flight == sum(one is instance for one, _, _ in self.running)
            assert instance.in_flight <= LIMIT

    @invariant()
    def an_instance_stands_as_its_last_event_says(self) -> None:
        for instance in self.instances:
            assert (self.instances.state(instance) is not State.SERVING) == self.ejected(instance)

    @invariant()
    def it_panics_where_too_few_are_fit(self) -> None:
        fit = sum(not self.ejected(i) for i in self.instances)
        assert self.instances.panicking == (fit < RULES.panic_threshold * len(self.instances))


InstanceSetMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=50)
TestInstanceSetMachine = InstanceSetMachine.TestCase
