"""Intervals and estimators against published values, other libraries, brute force and their promises."""

from __future__ import annotations

import doctest
import importlib
import itertools
import math

import numpy as np
import pytest

from agentrl.evaluation.statistics import (
    bootstrap,
    bootstrap_clustered,
    clustered_error,
    mcnemar,
    pass_at_k,
    pass_hat_k,
    wilson,
    wilson_clustered,
)


def test_wilson_matches_published_values() -> None:
    low, high = wilson(8, 10)
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(0, 50)
    assert low < 1e-9 and 0.05 < high < 0.1  # no success in 50 is no certain zero


@pytest.mark.parametrize(("won", "n"), [(0, 7), (3, 11), (50, 100), (478, 500)])
def test_wilson_and_mcnemar_equal_scipy(won: int, n: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    test = stats.binomtest(won, n)
    assert wilson(won, n) == pytest.approx(tuple(test.proportion_ci(method="wilson")), abs=1e-9)
    assert mcnemar(won, n - won) == pytest.approx(test.pvalue)


def test_bootstrap_covers_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        low, high = bootstrap(rng.normal(0.3, 1.0, 60).tolist(), draws=400, seed=trial)
        hits += low <= 0.3 <= high
    assert 0.88 <= hits / 200 <= 0.99
    assert math.isnan(bootstrap([])[0])


@pytest.mark.parametrize("n", [1, 2, 5])
def test_pass_at_k_and_pass_hat_k_equal_brute_force(n: int) -> None:
    for wins in range(n + 1):
        attempts = [True] * wins + [False] * (n - wins)
        for k in range(1, n + 1):
            chosen = list(itertools.combinations(attempts, k))
            assert pass_at_k(n, wins, k) == pytest.approx(sum(map(any, chosen)) / len(chosen))
            assert pass_hat_k(n, wins, k) == pytest.approx(sum(map(all, chosen)) / len(chosen))


def test_pass_at_k_has_no_bias() -> None:
    rng = np.random.default_rng(1)
    wins = rng.binomial(6, 0.3, 20_000)
    assert np.mean([pass_at_k(6, int(w), 3) for w in wins]) == pytest.approx(1 - 0.7**3, abs=0.01)
    assert np.mean([pass_hat_k(6, int(w), 3) for w in wins]) == pytest.approx(0.3**3, abs=0.005)


def test_clusters_of_one_change_nothing() -> None:
    values, alone = [1.0, 0.0, 0.0, 1.0, 1.0], list("abcde")
    assert clustered_error(values, alone) == pytest.approx(np.std(values) / math.sqrt(5))
    assert wilson_clustered(values, alone) == pytest.approx(wilson(3, 5))
    assert bootstrap_clustered(values, alone) == pytest.approx(bootstrap(values))


def test_repeating_each_value_brings_no_knowledge() -> None:
    values, names = [1.0, 0.0, 0.0, 1.0, 1.0], list("abcde")
    many, of = values * 8, names * 8
    assert clustered_error(many, of) == pytest.approx(clustered_error(values, names))
    assert wilson_clustered(many, of) == pytest.approx(wilson(3, 5))
    assert bootstrap_clustered(many, of) == pytest.approx(bootstrap(values))
    assert wilson_clustered([1.0] * 40, of) == pytest.approx(wilson(5, 5))  # five tasks, not forty
    assert wilson_clustered([], []) == (0.0, 1.0) and math.isnan(clustered_error([], []))


def test_clustered_intervals_cover_where_naive_ones_do_not() -> None:
    rng = np.random.default_rng(0)
    tasks, attempts, trials = 40, 8, 300
    clusters = np.repeat(np.arange(tasks), attempts).tolist()
    hits = {"naive": 0, "wilson": 0, "bootstrap": 0}
    for trial in range(trials):
        chance = rng.beta(0.5, 0.5, tasks)  # tasks are easy or hard; the mean is a half
        won = rng.binomial(1, np.repeat(chance, attempts)).astype(float).tolist()
        for name, (low, high) in {
            "naive": wilson(sum(won), len(won)),
            "wilson": wilson_clustered(won, clusters),
            "bootstrap": bootstrap_clustered(won, clusters, draws=300, seed=trial),
        }.items():
            hits[name] += low <= 0.5 <= high
    assert hits["naive"] / trials < 0.75
    assert hits["wilson"] / trials > 0.91 and hits["bootstrap"] / trials > 0.9


@pytest.mark.parametrize("name", ["evaluation.statistics", "evaluation.summary", "engines.pace"])
def test_examples_in_docstrings(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"agentrl.{name}"))
    assert found.attempted and not found.failed
