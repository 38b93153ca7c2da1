"""Approximate distances in batches: intervals hold the optimum, pairings are one to one, gradients obey laws."""

import numpy as np
import pytest
import torch

from shapetool.errors import MetricError
from shapetool.metrics.emd import approximate_emd, emd

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.needs_gpu)]


def clouds(
    dtype: torch.dtype = torch.float64, device: str = "cpu", count: int = 48
) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(2, 3, count, 3))
    b[1] += 3
    return torch.tensor(a, dtype=dtype, device=device), torch.tensor(b, dtype=dtype, device=device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("rtol", "rounds"), [(0.01, 2000), (0.2, 2000), (0.01, 1), (0.01, 17)])
def test_the_interval_holds_the_optimum_however_early_it_stops(device, dtype, rtol, rounds):
    a, b = clouds(dtype, device)
    value, lower, upper, assignment = approximate_emd(a, b, rtol=rtol, rounds=rounds)
    for k in range(len(a)):
        optimum = emd(a[k], b[k]).value
        assert lower[k].item() <= optimum * (1 + 1e-14)
        assert optimum <= upper[k].item() * (1 + 1e-14)
        assert sorted(assignment[k].tolist()) == list(range(a.shape[1]))
    assert torch.allclose(value.double(), upper, rtol=1e-6)
    if rounds == 2000:
        assert (upper - lower <= rtol * upper).all()


def test_the_same_cloud_is_at_no_distance_and_has_no_gradient():
    a, _ = clouds()
    a.requires_grad_()
    result = approximate_emd(a, a.detach().flip(1))
    result.value.sum().backward()
    assert result.upper.tolist() == result.lower.tolist() == [0.0, 0.0, 0.0]
    assert (a.grad == 0).all()


def test_gradients_are_unit_vectors_shared_by_pairs():
    a, b = (x.requires_grad_() for x in clouds())
    result = approximate_emd(a, b)
    result.value.sum().backward()
    assert torch.allclose(a.grad.norm(dim=2), torch.tensor(1 / a.shape[1], dtype=torch.float64))
    assert torch.allclose(a.grad, -b.grad.gather(1, result.assignment[:, :, None].expand(-1, -1, 3)))
    euler = (a * a.grad).sum(dim=(1, 2)) + (b * b.grad).sum(dim=(1, 2))
    assert torch.allclose(euler, result.value)


def test_a_batch_is_its_parts(monkeypatch):
    a, b = clouds(count=20)
    whole = approximate_emd(a, b, rtol=1e-3)
    monkeypatch.setattr("shapetool.metrics.auction._AT_ONCE", 400)
    parts = approximate_emd(a, b, rtol=1e-3)
    assert torch.allclose(whole.upper, parts.upper, rtol=1e-3)  # both certified to that


@pytest.mark.parametrize(
    ("a", "b", "options"),
    [
        (torch.zeros(1, 4, 3), torch.zeros(1, 5, 3), {}),
        (torch.zeros(4, 3), torch.zeros(4, 3), {}),
        (torch.zeros(1, 0, 3), torch.zeros(1, 0, 3), {}),
        (torch.full((1, 4, 3), torch.nan), torch.zeros(1, 4, 3), {}),
        (torch.zeros(1, 4, 3), torch.zeros(1, 4, 3), {"rounds": 0}),
    ],
)
def test_what_it_cannot_pair_is_refused(a, b, options):
    with pytest.raises(MetricError, match="approximate_emd"):
        approximate_emd(a, b, **options)
