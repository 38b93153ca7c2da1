"""The soft minimum against all pairs written out, ragged and in both types, and its gradient."""

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax

from shapetool.errors import MetricError
from shapetool.metrics.points import chamfer
from shapetool.metrics.soft import FORMS, soft_chamfer


def cloud(count: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(1, count, 3)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("temperature", [0.01, 0.3, 5.0])
def test_it_is_what_the_formula_says(form, temperature):
    a, b = cloud(13, 0), cloud(9, 1)
    apart = np.linalg.norm(a[0].numpy()[:, None] - b[0].numpy()[None], axis=2)
    ways = []
    for costs in (apart, apart.T):
        if form == "logsumexp":
            ways.append((-temperature * logsumexp(-costs / temperature, axis=1)).mean())
        else:
            ways.append((softmax(-costs / temperature, axis=1) * costs).sum(axis=1).mean())
    assert soft_chamfer(a, b, temperature=temperature, form=form).item() == pytest.approx(sum(ways) / 2, rel=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_a_ragged_cloud_is_what_it_is_alone_and_padding_has_no_gradient(form):
    a, b = cloud(12, 2), cloud(10, 3)
    padded_a, padded_b = (torch.cat([x, torch.full_like(x, torch.nan)], dim=1).requires_grad_() for x in (a, b))
    lengths = {"lengths_a": torch.tensor([12]), "lengths_b": torch.tensor([10])}
    found = soft_chamfer(padded_a, padded_b, temperature=0.2, form=form, **lengths)
    assert found.item() == pytest.approx(soft_chamfer(a, b, temperature=0.2, form=form).item(), rel=1e-14)
    for gradient, count in zip(torch.autograd.grad(found.sum(), (padded_a, padded_b)), (12, 10), strict=True):
        assert torch.isfinite(gradient).all()
        assert gradient[:, count:].eq(0).all()
        assert gradient[:, :count].ne(0).any()


@pytest.mark.parametrize("form", FORMS)
def test_its_gradient_is_that_of_finite_differences(form):
    a, b = cloud(5, 4).requires_grad_(), cloud(6, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: soft_chamfer(a, b, temperature=0.3, form=form), (a, b))


def test_float32_far_from_the_origin_is_float32_at_home():
    a, b = (torch.from_numpy(np.random.default_rng(s).integers(0, 1024, (1, 50, 3)) / 1024).float() for s in (6, 7))
    here = soft_chamfer(a, b, temperature=0.05)
    assert torch.equal(soft_chamfer(a + 1000, b + 1000, temperature=0.05), here)  # exact on this lattice


def test_it_tends_to_chamfer():
    a, b = cloud(30, 8), cloud(30, 9)
    gaps = [abs((soft_chamfer(a, b, temperature=t) - chamfer(a, b)).item()) for t in (1.0, 0.1, 0.01, 1e-5)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 1e-5


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_that_is_none_is_refused(temperature):
    with pytest.raises(MetricError, match="temperature above 0"):
        soft_chamfer(cloud(3, 0), cloud(3, 1), temperature=temperature)


def test_other_forms_are_named_and_an_empty_cloud_has_no_value():
    with pytest.raises(MetricError, match="did you mean 'softmax'"):
        soft_chamfer(cloud(3, 0), cloud(3, 1), temperature=1.0, form="softmin")
    with pytest.raises(MetricError, match="at least one point"):
        soft_chamfer(cloud(3, 0)[:, :0], cloud(3, 1), temperature=1.0)
