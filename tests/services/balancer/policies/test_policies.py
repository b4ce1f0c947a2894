"""What every policy promises, and what each of them does."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.instances import InstanceState
from services.balancer.policies import (
    LeastConnections,
    PeakEwma,
    Policy,
    PolicyName,
    PowerOfTwo,
    Random,
    RoundRobin,
    WeightedRoundRobin,
    build,
)

every_policy = pytest.mark.parametrize("name", PolicyName)


def instances(count: int, weights: list[int] | None = None) -> list[InstanceState]:
    return [InstanceState(f"i{n}", "127.0.0.1", 1 + n, weights[n] if weights else 1) for n in range(count)]


def filled(policy: Policy, members: list[InstanceState]) -> Policy:
    for instance in members:
        policy.add(instance)
    return policy


def choices(policy: Policy, count: int) -> list[InstanceState]:
    chosen = [policy.choose(0.0) for _ in range(count)]
    return [instance for instance in chosen if instance is not None]


# --- all of them ---


@every_policy
def test_without_instances_there_is_no_choice(name: PolicyName) -> None:
    assert build(name).choose(0.0) is None


@every_policy
@given(data=st.data())
def test_a_choice_is_always_a_member_that_was_not_tried(name: PolicyName, data: st.DataObject) -> None:
    everyone = instances(6)
    policy = build(name, limit=3)
    members: set[InstanceState] = set()
    running: list[tuple[InstanceState, float]] = []
    for now in range(data.draw(st.integers(1, 40))):
        match data.draw(st.sampled_from(["add", "remove", "choose", "choose", "choose", "finish", "fail"])):
            case "add":
                instance = data.draw(st.sampled_from(everyone))
                members.add(instance)
                policy.add(instance)
            case "remove":
                instance = data.draw(st.sampled_from(everyone))
                members.discard(instance)
                policy.remove(instance)
            case "choose":
                tried = data.draw(st.lists(st.sampled_from(everyone), max_size=6))
                chosen = policy.choose(float(now), tried)
                free = {i for i in members if i.in_flight < (1 if name == "central_queue" else 3)} - set(
                    tried
                )
                if name is PolicyName.CENTRAL_QUEUE:
                    free = {i for i in members if i.in_flight < 3} - set(tried)
                assert (chosen is None) == (not free)
                assert policy.saturated(tried) == any(i.in_flight >= 3 for i in members - set(tried))
                if chosen is not None:
                    assert chosen in free
                    policy.started(chosen, float(now))
                    running.append((chosen, float(now)))
            case outcome if running:
                instance, begun = running.pop(data.draw(st.integers(0, len(running) - 1)))
                policy.finished(instance, float(now), now - begun if outcome == "finish" else None)
        assert sum(i.in_flight for i in everyone) == len(running)
        assert all(0 <= i.in_flight <= 3 for i in everyone)


@every_policy
def test_each_instance_is_tried_once_and_then_there_is_none(name: PolicyName) -> None:
    members = instances(9)
    policy = filled(build(name), members)
    tried: list[InstanceState] = []
    while (instance := policy.choose(0.0, tried)) is not None:
        policy.started(instance, 0.0)
        policy.finished(instance, 0.0, None)
        tried.append(instance)
    assert len(tried) == 9
    assert set(tried) == set(members)


@every_policy
def test_the_same_seed_and_calls_give_the_same_choices(name: PolicyName) -> None:
    def run() -> list[str]:
        policy = filled(build(name, seed=7), instances(5))
        names = []
        for now in range(50):
            instance = policy.choose(float(now))
            assert instance is not None
            policy.started(instance, float(now))
            policy.finished(instance, float(now), 0.1 * (now % 3))
            names.append(instance.name)
        return names

    assert run() == run()


@every_policy
def test_adding_twice_is_adding_once(name: PolicyName) -> None:
    members = instances(2)
    policy = filled(filled(build(name), members), members)
    policy.remove(members[0])
    assert {policy.choose(0.0) for _ in range(20)} == {members[1]}


@every_policy
def test_an_instance_that_is_removed_and_added_while_busy_is_chosen_again(name: PolicyName) -> None:
    (instance,) = instances(1)
    policy = filled(build(name, limit=5), [instance])
    policy.started(instance, 0.0)
    policy.remove(instance)
    assert policy.choose(0.0) is None
    policy.finished(instance, 1.0, 1.0)
    policy.add(instance)
    assert policy.choose(1.0) is instance
    assert instance.in_flight == 0


# --- round robin ---


@given(
    changes=st.lists(st.tuples(st.booleans(), st.integers(0, 7))),
    start=st.integers(0, 30),
    length=st.integers(0, 60),
)
def test_in_any_window_over_a_stable_set_round_robin_is_even_to_one(
    changes: list[tuple[bool, int]], start: int, length: int
) -> None:
    everyone = instances(8)
    policy = RoundRobin()
    members = {everyone[0]}
    policy.add(everyone[0])
    for joins, n in changes:
        policy.choose(0.0)
        (policy.add if joins else policy.remove)(everyone[n])
        (members.add if joins else members.discard)(everyone[n])
    counts = Counter(choices(policy, start + length)[start:])
    if members:
        assert max(counts[m] for m in members) - min(counts[m] for m in members) <= 1


def test_a_new_instance_comes_last_in_turn() -> None:
    a, b, c = instances(3)
    policy = filled(RoundRobin(), [a, b])
    assert choices(policy, 1) == [a]
    policy.add(c)
    assert choices(policy, 4) == [b, a, c, b]


# --- weighted round robin ---

weights = st.lists(st.integers(1, 30), min_size=1, max_size=8)


@given(weights=weights, start=st.integers(0, 200))
def test_weighted_is_exact_in_any_window_as_long_as_a_cycle(weights: list[int], start: int) -> None:
    members = instances(len(weights), weights)
    policy = filled(WeightedRoundRobin(), members)
    cycle = sum(weights)
    counts = Counter(choices(policy, start + cycle)[start:])
    assert [counts[m] for m in members] == weights


@given(weights=weights, joins=st.lists(st.tuples(st.booleans(), st.integers(0, 7), st.integers(0, 9))))
def test_weighted_is_exact_again_at_once_after_changes(
    weights: list[int], joins: list[tuple[bool, int, int]]
) -> None:
    everyone = instances(len(weights), weights)
    policy = filled(WeightedRoundRobin(), everyone)
    members = set(everyone)
    for adds, n, between in joins:
        choices(policy, between)
        instance = everyone[n % len(everyone)]
        (policy.add if adds else policy.remove)(instance)
        (members.add if adds else members.discard)(instance)
    counts = Counter(choices(policy, sum(m.weight for m in members)))
    assert counts == {m: m.weight for m in members}


def test_weighted_is_exact_also_with_one_that_comes_late_with_a_weight_of_its_own() -> None:
    a, b, late = instances(3, [3, 5, 49])
    policy = filled(WeightedRoundRobin(), [a, b])
    choices(policy, 1000)
    policy.add(late)
    assert Counter(choices(policy, 57)) == {a: 3, b: 5, late: 49}


def test_weighted_spreads_a_heavy_instance_between_many_light_ones() -> None:
    heavy, *light = instances(101, [100] + [1] * 100)
    chosen = choices(filled(WeightedRoundRobin(), [*light, heavy]), 2000)
    at = [n for n, instance in enumerate(chosen) if instance is heavy]
    assert max(later - earlier for earlier, later in pairwise(at)) <= 5  # 2 on average


def test_weighted_gives_a_light_instance_its_turns_evenly_apart() -> None:
    light, *heavy = instances(4, [1, 7, 7, 7])
    chosen = choices(filled(WeightedRoundRobin(), [light, *heavy]), 220)
    at = [n for n, instance in enumerate(chosen) if instance is light]
    assert {later - earlier for earlier, later in pairwise(at)} == {22}


def test_weighted_forgets_those_that_came_and_went() -> None:
    stays, *passing = instances(1000)
    policy = filled(WeightedRoundRobin(), [stays])
    for instance in passing:
        policy.add(instance)
        policy.remove(instance)
    assert len(policy._turns) < 100
    assert choices(policy, 3) == [stays] * 3


# --- least connections ---


@given(st.lists(st.tuples(st.sampled_from(["start", "finish", "add", "remove"]), st.integers(0, 5))))
def test_least_connections_never_chooses_a_busier_one(calls: list[tuple[str, int]]) -> None:
    everyone = instances(6)
    policy, members = LeastConnections(), set()
    for call, n in calls:
        instance = everyone[n]
        match call:
            case "start":
                policy.started(instance, 0.0)
            case "finish" if instance.in_flight:
                policy.finished(instance, 0.0, 1.0)
            case "add":
                policy.add(instance)
                members.add(instance)
            case "remove":
                policy.remove(instance)
                members.discard(instance)
        chosen = policy.choose(0.0)
        if members:
            assert chosen in members
            assert chosen.in_flight == min(m.in_flight for m in members)
        else:
            assert chosen is None


def test_least_connections_gives_idle_instances_their_turns() -> None:
    members = instances(4)
    policy = filled(LeastConnections(), members)
    chosen = []
    for _ in range(8):
        instance = policy.choose(0.0)
        assert instance is not None
        policy.started(instance, 0.0)
        policy.finished(instance, 0.0, 0.1)
        chosen.append(instance)
    assert chosen == members * 2


# --- by chance ---


def test_random_chooses_each_as_often_within_chance() -> None:
    members = instances(5)
    n = 20_000
    counts = Counter(choices(filled(Random(seed=3), members), n))
    chi_square = sum((counts[m] - n / 5) ** 2 / (n / 5) for m in members)
    assert chi_square < 23.5  # 1 in 10,000 for 4 degrees of freedom; the seed is fixed


def test_random_chooses_evenly_among_those_not_tried() -> None:
    members = instances(5)
    policy = filled(Random(seed=5), members)
    n = 20_000
    counts = Counter(policy.choose(0.0, (members[1], members[4])) for _ in range(n))
    assert set(counts) == {members[0], members[2], members[3]}
    assert sum((c - n / 3) ** 2 / (n / 3) for c in counts.values()) < 18.4  # 1 in 10,000 for 2


@given(st.lists(st.integers(0, 9), min_size=2, max_size=9), st.integers(0, 1000))
def test_power_of_two_takes_the_less_busy_of_the_two_it_drew(loads: list[int], seed: int) -> None:
    members = instances(len(loads))
    for instance, load in zip(members, loads, strict=True):
        instance.in_flight = load
    chooses, draws = filled(PowerOfTwo(seed), members), filled(PowerOfTwo(seed), members)
    chosen = chooses.choose(0.0)
    drawn = draws.draw_two(())
    assert drawn is not None
    assert drawn[0] is not drawn[1]
    assert chosen in drawn
    assert chosen.in_flight == min(i.in_flight for i in drawn)


def test_power_of_two_draws_every_pair() -> None:
    policy = filled(PowerOfTwo(seed=1), instances(4))
    pairs = Counter(tuple(sorted(i.name for i in policy.draw_two(()))) for _ in range(6_000))
    assert len(pairs) == 6
    assert sum((c - 1000) ** 2 / 1000 for c in pairs.values()) < 25.8  # 1 in 10,000 for 5


# --- peak EWMA ---


def test_peak_ewma_believes_a_peak_at_once_and_a_fall_slowly() -> None:
    a, b = instances(2)
    policy = filled(PeakEwma(decay_s=10.0), [a, b])
    for instance, elapsed in ((a, 0.1), (b, 0.2)):
        policy.started(instance, 0.0)
        policy.finished(instance, 0.0, elapsed)
    assert {policy.choose(0.0) for _ in range(20)} == {a}
    policy.started(a, 0.0)
    policy.finished(a, 0.1, 5.0)
    assert {policy.choose(0.1) for _ in range(20)} == {b}
    policy.started(a, 0.2)
    policy.finished(a, 0.3, 0.1)
    assert {policy.choose(0.3) for _ in range(20)} == {b}


def test_peak_ewma_forgets_what_was_slow_long_ago() -> None:
    a, b = instances(2)
    policy = filled(PeakEwma(decay_s=1.0), [a, b])
    policy.started(a, 0.0)
    policy.finished(a, 0.0, 1.0)
    for now in range(10):
        policy.started(b, float(now))
        policy.finished(b, float(now), 0.1)
    # The slow one's second has faded to exp(-9) of it, far below the tenth of the other.
    assert {policy.choose(9.0) for _ in range(20)} == {a}


def test_peak_ewma_multiplies_the_estimate_by_what_is_in_flight() -> None:
    a, b = instances(2)
    policy = filled(PeakEwma(), [a, b])
    for instance, elapsed in ((a, 0.1), (b, 0.25)):
        policy.started(instance, 0.0)
        policy.finished(instance, 0.0, elapsed)
    policy.started(a, 0.0)
    assert policy.choose(0.0) is a  # 0.1 × 2 < 0.25
    policy.started(a, 0.0)
    assert policy.choose(0.0) is b  # 0.1 × 3 > 0.25


def test_peak_ewma_asks_an_unknown_instance_one_thing_at_a_time() -> None:
    known, unknown = instances(2)
    policy = filled(PeakEwma(), [known, unknown])
    policy.started(known, 0.0)
    policy.finished(known, 0.0, 0.1)
    assert policy.choose(0.0) is unknown
    policy.started(unknown, 0.0)
    assert policy.choose(0.0) is known


def test_peak_ewma_learns_nothing_of_speed_from_a_failure() -> None:
    a, b = instances(2)
    policy = filled(PeakEwma(), [a, b])
    for instance, elapsed in ((a, 0.1), (b, 0.2), (a, None), (b, None)):
        policy.started(instance, 0.0)
        policy.finished(instance, 0.0, elapsed)
    assert {policy.choose(0.0) for _ in range(20)} == {a}


def test_peak_ewma_needs_a_time_to_fade_in() -> None:
    with pytest.raises(ValueError, match="decay_s"):
        PeakEwma(decay_s=0.0)


# --- the limit, and the central queue ---


def test_the_central_queue_gives_each_instance_one_request_at_a_time() -> None:
    members = instances(3)
    policy = filled(build(PolicyName.CENTRAL_QUEUE), members)
    for _ in range(3):
        instance = policy.choose(0.0)
        assert instance is not None
        policy.started(instance, 0.0)
    assert policy.choose(0.0) is None
    assert policy.saturated()
    policy.finished(members[1], 1.0, 1.0)
    assert policy.choose(1.0) is members[1]
    assert not policy.saturated([m for m in members if m is not members[1]])


def test_a_limit_does_not_bring_back_one_that_was_removed() -> None:
    a, b = instances(2)
    policy = filled(build(PolicyName.ROUND_ROBIN, limit=1), [a, b])
    policy.remove(a)
    policy.started(a, 0.0)
    policy.started(b, 0.0)
    assert not policy.saturated([b])
    policy.finished(a, 1.0, 1.0)
    assert policy.choose(1.0) is None


def test_peak_ewma_remembers_times_of_instances_that_were_full_for_a_while() -> None:
    a, b = instances(2)
    policy = filled(build(PolicyName.PEAK_EWMA, limit=1), [a, b])
    for instance, elapsed in ((a, 0.1), (b, 0.2)):
        policy.started(instance, 0.0)
        policy.finished(instance, 0.0, elapsed)
    assert {policy.choose(0.0) for _ in range(20)} == {a}


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="limit"):
        build(PolicyName.RANDOM, limit=0)


# --- how much it costs ---


class Watched(InstanceState):
    """An instance that counts how often any of them is looked up in an index or asked for its load."""

    looks = 0

    def __hash__(self) -> int:
        Watched.looks += 1
        return id(self)

    @property
    def in_flight(self) -> int:
        Watched.looks += 1
        return self._in_flight

    @in_flight.setter
    def in_flight(self, value: int) -> None:
        self._in_flight = value


@every_policy
@pytest.mark.parametrize("limit", [None, 2])
def test_choosing_looks_at_few_instances_however_many_there_are(name: PolicyName, limit: int | None) -> None:
    members: list[InstanceState] = [Watched(f"i{n}", "127.0.0.1", 1) for n in range(3_000)]
    policy = filled(build(name, limit=limit), members)
    Watched.looks = 0
    rounds = 3_000
    for now in range(rounds):
        chosen = policy.choose(float(now), members[:2])
        assert chosen is not None
        policy.started(chosen, float(now))
        policy.finished(chosen, float(now), 1.0)
    assert Watched.looks / rounds < 4 * math.log2(3_000)
