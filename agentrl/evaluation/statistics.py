"""Intervals and estimators for evaluation results.

Several attempts at one task are not independent: `wilson_clustered` and `bootstrap_clustered` take whole tasks as what
was drawn (Miller: Adding Error Bars to Evals, arXiv 2411.00640). With one attempt for each task they are `wilson` and
`bootstrap`. All intervals are 95%.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

Z95 = 1.959963984540054
DRAWS = 2000


def wilson(successes: float, n: float, *, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson, 1927); (0, 1) without observations.

    >>> [round(x, 4) for x in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(values: Sequence[float], *, draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean; (nan, nan) without observations."""
    if len(values) == 0:
        return math.nan, math.nan
    data = np.asarray(values, float)
    rng = np.random.default_rng(seed)
    means = data[rng.integers(0, len(data), (draws, len(data)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def clustered_error(values: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """Standard error of the mean where values of one cluster hang together; nan without observations.

    ``sqrt(sum over clusters of (sum of (value - mean))^2) / n``. With clusters of one it is the usual standard error
    with divisor n.

    >>> clustered_error([1, 1, 0, 0], "aabb"), clustered_error([1, 1, 0, 0], "abcd")
    (0.3535533905932738, 0.25)
    """
    if len(values) == 0:
        return math.nan
    data = np.asarray(values, float)
    sums = _by_cluster(data - data.mean(), clusters)[0]
    return float(np.sqrt(np.square(sums).sum()) / len(data))


def wilson_clustered(values: Sequence[float], clusters: Sequence[Hashable]) -> tuple[float, float]:
    """Wilson's interval with the effective number of observations: n over the design effect, which is at least 1.

    Where all values agree the design effect is unknown, and the number of clusters is taken.
    """
    n = len(values)
    if n == 0:
        return 0.0, 1.0
    p = sum(values) / n
    alone = p * (1 - p) / n
    if alone == 0:
        effective = float(len(set(clusters)))
    else:
        effective = n / max(1.0, clustered_error(values, clusters) ** 2 / alone)
    return wilson(p * effective, effective)


def bootstrap_clustered(
    values: Sequence[float], clusters: Sequence[Hashable], *, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over all values, drawing whole clusters."""
    if len(values) == 0:
        return math.nan, math.nan
    sums, sizes = _by_cluster(np.asarray(values, float), clusters)
    drawn = np.random.default_rng(seed).integers(0, len(sums), (draws, len(sums)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)


def pass_at_k(n: int, wins: int, k: int) -> float:
    """Chance that at least one of k attempts wins, without bias from n >= k attempts (Chen et al., arXiv 2107.03374).

    ``1 - C(n - wins, k) / C(n, k)``

    >>> pass_at_k(5, 2, 1), pass_at_k(5, 2, 3)
    (0.4, 0.9)
    """
    return 1.0 - math.comb(n - wins, k) / math.comb(n, k)


def pass_hat_k(n: int, wins: int, k: int) -> float:
    """Chance that all of k attempts win, without bias from n >= k attempts (tau-bench, arXiv 2406.12045).

    ``C(wins, k) / C(n, k)``

    >>> pass_hat_k(5, 2, 1), pass_hat_k(5, 2, 2)
    (0.4, 0.1)
    """
    return math.comb(wins, k) / math.comb(n, k)


@dataclass(frozen=True)
class Estimate:
    """A mean over tasks and its bootstrap interval."""

    value: float
    low: float
    high: float
    tasks: int
    """Over how many tasks."""


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of one value for each task; nan without any."""
    mean = sum(values) / len(values) if values else math.nan
    return Estimate(mean, *bootstrap(values), len(values))


def mcnemar(better: int, worse: int) -> float:
    """Exact two-sided p-value of McNemar's test: how likely a split as uneven is if both are as good.

    >>> mcnemar(1, 8), mcnemar(3, 3)
    (0.0390625, 1.0)
    """
    n = better + worse
    tail = float(sum(math.comb(n, i) for i in range(min(better, worse) + 1)) / 2**n)
    return min(1.0, 2 * tail)


def _by_cluster(values: np.ndarray, clusters: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the values of each cluster."""
    number = {name: i for i, name in enumerate(dict.fromkeys(clusters))}
    index = np.array([number[name] for name in clusters])
    return np.bincount(index, weights=values), np.bincount(index).astype(float)
