"""Pure functions from distances to numbers: against their definitions, for any distances."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cortexzoo.evaluation.results import metrics

_DISTANCE = st.one_of(st.just(0.0), st.just(math.inf), st.floats(1e-6, 1e3))
_EPSILON = st.floats(0.0, 1e3)


def distances(size: int | None = None) -> st.SearchStrategy[np.ndarray]:
    return arrays.arrays(np.float64, size or st.integers(1, 40), elements=_DISTANCE)


# Agresti and Coull (1998) and R's `binom::binom.wilson`; 0 of n is z^2 / (n + z^2).
@pytest.mark.parametrize(
    ("successes", "samples", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (95, 100, 0.8882, 0.9785), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)],
)
def test_wilson_known_values(successes: int, samples: int, low: float, high: float) -> None:
    assert metrics.wilson_interval(successes, samples) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_bounds_are_where_the_score_test_turns(counts: tuple[int, int]) -> None:
    successes, samples = counts
    share = successes / samples
    low, high = metrics.wilson_interval(successes, samples)
    assert 0.0 <= low <= share <= high <= 1.0
    for bound in {low, high} - {0.0, 1.0}:
        # The definition: the bound p lies 1.96 of its own standard errors from the share.
        standard_error = math.sqrt(bound * (1 - bound) / samples)
        assert abs(share - bound) == pytest.approx(statistics.NormalDist().inv_cdf(0.975) * standard_error, rel=1e-6)


@given(st.integers(1, 1000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_symmetric_and_narrows_with_samples(counts: tuple[int, int]) -> None:
    successes, samples = counts
    low, high = metrics.wilson_interval(successes, samples)
    assert metrics.wilson_interval(samples - successes, samples) == pytest.approx((1 - high, 1 - low), abs=1e-12)
    more = metrics.wilson_interval(4 * successes, 4 * samples)
    assert more[1] - more[0] < high - low


@pytest.mark.parametrize(("successes", "samples"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(successes: int, samples: int) -> None:
    with pytest.raises(ValueError, match=rf"0 <= successes <= samples.*Received: {successes} of {samples}"):
        metrics.wilson_interval(successes, samples)


@given(distances())
def test_median_with_infinities(values: np.ndarray) -> None:
    expected = statistics.median(values.tolist())
    assert metrics.median_distance(values) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "median"),
    [([1.0, math.inf], math.inf), ([1.0, 2.0, math.inf], 2.0), ([math.inf] * 4, math.inf), ([0.0, 1.0, 2.0, math.inf], 1.5)],
)
def test_median_is_infinite_where_the_attack_failed_on_half(values: list[float], median: float) -> None:
    assert metrics.median_distance(np.array(values)) == median


@pytest.mark.parametrize(("count", "low", "high"), [(1, 1, 1), (5, 1, 5), (6, 1, 6), (20, 6, 15), (50, 18, 33)])
def test_interval_of_the_median_known_ranks(count: int, low: int, high: int) -> None:
    assert metrics.median_interval(np.arange(count, 0, -1.0)) == (low, high)


def test_interval_of_the_median_may_be_open() -> None:
    assert metrics.median_interval(np.array([0.0, 0.0, 0.5, 1.0, np.inf, np.inf])) == (0.0, np.inf)


@given(st.integers(1, 20).flatmap(lambda n: st.lists(distances(n), min_size=1, max_size=5)), _EPSILON)
def test_union_is_no_better_than_any_member(members: list[np.ndarray], epsilon: float) -> None:
    union = metrics.union(members)
    for member in members:
        assert np.all(union <= member)
        assert metrics.accuracy_at(union, epsilon) <= metrics.accuracy_at(member, epsilon)
        assert metrics.median_distance(union) <= metrics.median_distance(member)
    # It invents nothing: every distance is that of some member.
    assert np.all(np.any(np.stack(members) == union, axis=0))


@given(distances(), _EPSILON, _EPSILON)
def test_accuracy_never_rises_with_epsilon(values: np.ndarray, one: float, other: float) -> None:
    assert metrics.accuracy_at(values, max(one, other)) <= metrics.accuracy_at(values, min(one, other))


@given(distances())
def test_epsilon_zero_gives_the_clean_accuracy(values: np.ndarray) -> None:
    assert metrics.accuracy_at(values, 0.0) == np.mean(values != 0.0)


@given(_EPSILON, st.floats(0.0, 1.0))
def test_survivors_lie_beyond_epsilon_by_more_than_rounding(epsilon: float, share: float) -> None:
    # Two parts in 100,000 of epsilon are all that is forgiven.
    within, beyond = share * epsilon, epsilon * (1 + 2e-5) + 1e-300
    np.testing.assert_array_equal(metrics.survivors(np.array([within, epsilon, beyond, math.inf]), epsilon), [0, 0, 1, 1])


@given(arrays.arrays(np.float32, 16, elements=st.floats(0, 1, width=32)), st.floats(0.02, 1.0))
def test_a_float32_step_of_epsilon_is_within_epsilon(image: np.ndarray, epsilon: float) -> None:
    # What a Linf attack makes; adding to values near 1 loses up to 1.2e-7, whatever epsilon is.
    moved = (image + np.float32(epsilon)).astype(np.float64)
    distance = np.max(np.abs(moved - image.astype(np.float64)))
    assert not metrics.survivors(np.array([distance]), epsilon)[0]


# Two-sided binomial tails: 2 (1 + 12 + 66) / 2^12, 2 / 2^6, nothing to tell apart.
@pytest.mark.parametrize(("first", "second", "p"), [(10, 2, 158 / 4096), (0, 6, 2 / 64), (3, 3, 1.0), (0, 0, 1.0)])
def test_mcnemar_known_values(first: int, second: int, p: float) -> None:
    right = np.array([True, False] * 20 + [True] * first + [False] * second)
    other = np.array([True, False] * 20 + [False] * first + [True] * second)
    assert metrics.mcnemar(right, other) == pytest.approx(p)
