"""The random stream of a shape depends on the seed and the id, and on nothing else."""

import numpy as np

from shapetool.sampling.seed import shape_rng


def test_the_same_seed_and_id_give_the_same_stream() -> None:
    assert np.array_equal(shape_rng(7, "chair/1a2b").random(8), shape_rng(7, "chair/1a2b").random(8))


def test_another_seed_or_id_gives_another_stream() -> None:
    first = [shape_rng(seed, name).random() for seed in (0, 1, 10) for name in ("a", "b", "0:a", "", "\udcff")]
    assert len(set(first)) == len(first)


def test_neighbouring_shapes_are_not_correlated() -> None:
    draws = np.stack([shape_rng(0, f"shape-{k}").standard_normal(4000) for k in range(20)])
    correlation = np.corrcoef(draws) - np.eye(20)
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)  # five standard errors
