"""Nearest neighbours: brute force and trees against all pairs written out, and what neither may get wrong."""

import numpy as np
import pytest
import torch

from shapetool.errors import MetricError
from shapetool.metrics import nearest as module
from shapetool.metrics.nearest import both_ways, nearest, take

TYPES = [torch.float32, torch.float64]


def cloud(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(*shape, 3))).to(dtype)


def all_pairs(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    """The squared distance of every pair of points, in float64 (B, N, M)."""
    step = a.double().numpy()[:, :, None] - b.double().numpy()[:, None]
    return (step**2).sum(axis=3)


@pytest.fixture(params=["force", "tree"])
def way(request, monkeypatch):
    """Both ways to find neighbours, whatever the size."""
    monkeypatch.setattr(module, "TREE_ABOVE", 0 if request.param == "tree" else 1 << 60)
    return request.param


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_every_neighbour_is_the_nearest_of_all_pairs(way, dtype):
    a, b = cloud(3, 70, dtype=dtype), cloud(3, 41, seed=1, dtype=dtype)
    squared, index = nearest(a, b)
    truth = all_pairs(a, b)
    np.testing.assert_allclose(squared.numpy(), truth.min(axis=2), rtol=4 * torch.finfo(dtype).eps)
    np.testing.assert_array_equal(index.numpy(), truth.argmin(axis=2))


def test_tiles_of_any_size_give_the_same_bits(monkeypatch):
    a, b = cloud(3, 50), cloud(3, 33, seed=1)
    whole = nearest(a, b)
    for tile in (1, 7, 64, 500):
        monkeypatch.setattr(module, "_TILE", {"cpu": tile})
        for got, wanted in zip(nearest(a, b), whole, strict=True):
            assert torch.equal(got, wanted)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_the_tree_and_brute_force_find_the_same(dtype, monkeypatch):
    a, b = cloud(2, 600, dtype=dtype), cloud(2, 500, seed=1, dtype=dtype)
    monkeypatch.setattr(module, "TREE_ABOVE", 0)
    tree = nearest(a, b)
    monkeypatch.setattr(module, "TREE_ABOVE", 1 << 60)
    force = nearest(a, b)
    assert torch.equal(tree[1], force[1])
    torch.testing.assert_close(tree[0], force[0], rtol=4 * torch.finfo(dtype).eps, atol=0)


def test_a_ragged_row_equals_the_same_cloud_alone_whatever_the_padding_holds(way):
    a, b = cloud(3, 20), cloud(3, 30, seed=1)
    lengths_a, lengths_b = torch.tensor([20, 3, 11]), torch.tensor([1, 30, 12])
    padded_a, padded_b = a.clone(), b.clone()
    for row in range(3):
        padded_a[row, lengths_a[row] :] = torch.nan
        padded_b[row, lengths_b[row] :] = torch.nan
    padded_a.requires_grad_()
    found = both_ways(padded_a, padded_b, lengths_a=lengths_a, lengths_b=lengths_b)
    for row in range(3):
        n, m = int(lengths_a[row]), int(lengths_b[row])
        alone = both_ways(a[row : row + 1, :n], b[row : row + 1, :m])
        assert torch.equal(found.forward_sq[row, :n], alone.forward_sq[0])
        assert torch.equal(found.backward_index[row, :m], alone.backward_index[0])
        assert found.forward_index[row, n:].eq(-1).all()
        assert found.forward_sq[row, n:].eq(0).all()
    (found.forward_sq.sum() + found.backward_sq.sum()).backward()
    assert torch.isfinite(padded_a.grad).all()


def test_clouds_a_thousand_away_have_the_distances_they_have_at_home(way):
    eighths = torch.round(cloud(1, 300) * 8192) / 8192  # coordinates that float32 holds at 1,000 too
    others = torch.round(cloud(1, 300, seed=1) * 8192) / 8192
    for dtype in TYPES:
        home, away = (nearest((eighths + by).to(dtype), (others + by).to(dtype))[0] for by in (0, 1000))
        assert torch.equal(home, away)


def test_a_cloud_changed_in_place_is_asked_again(monkeypatch):
    monkeypatch.setattr(module, "TREE_ABOVE", 0)
    numbers = np.random.default_rng(0).normal(size=(1, 100, 3))
    a, b = torch.from_numpy(numbers), cloud(1, 100, seed=1)
    before = both_ways(a, b).forward_sq
    assert torch.equal(both_ways(a, b).forward_sq, before)
    numbers += 1  # behind the back of torch
    assert torch.allclose(both_ways(a, b).forward_sq[0], torch.from_numpy(all_pairs(a, b).min(axis=2)[0]))
    assert not torch.equal(both_ways(a, b).forward_sq, before)


def test_several_metrics_of_one_pair_ask_the_trees_once(monkeypatch):
    monkeypatch.setattr(module, "TREE_ABOVE", 0)
    asked = []
    by_trees = module._by_trees
    monkeypatch.setattr(module, "_by_trees", lambda *clouds: asked.append(1) or by_trees(*clouds))
    a, b = cloud(2, 50, seed=5), cloud(2, 60, seed=6)
    for _ in range(3):
        both_ways(a, b)
    assert len(asked) == 2
    both_ways(a, b, lengths_a=torch.tensor([50, 49]))
    assert len(asked) == 4


def test_many_points_in_one_place_are_no_trouble(way):
    a = torch.zeros(1, 500, 3, dtype=torch.float64)
    assert nearest(a, a)[0].eq(0).all()


def test_the_gradient_of_taking_rows_adds_up_what_is_taken_twice():
    points = cloud(2, 3).requires_grad_()
    index = torch.tensor([[0, 0, 2], [1, 1, 1]])
    take(points, index).sum().backward()
    assert points.grad[..., 0].tolist() == [[2, 0, 1], [0, 3, 0]]
    assert torch.autograd.gradcheck(lambda p: take(p, index).square(), (points,))


@pytest.mark.parametrize(
    ("a", "b", "lengths", "says"),
    [
        (torch.zeros(2, 0, 3), torch.zeros(2, 4, 3), None, "a: expected at least one point a cloud"),
        (torch.zeros(2, 4, 3), torch.zeros(2, 4, 3), [4, 0], "a: expected 1 to 4 points in batch row 1, found 0"),
        (torch.zeros(2, 4, 3), torch.zeros(2, 4, 3), [5, 4], "a: expected 1 to 4 points in batch row 0, found 5"),
        (torch.zeros(2, 4, 3), torch.full((2, 4, 3), torch.nan), None, "b: expected finite points"),
        (torch.zeros(2, 4, 3), torch.zeros(2, 4, 3).double(), None, "of one dtype"),
        (torch.zeros(2, 4, 3), torch.zeros(3, 4, 3), None, "as many clouds"),
        (torch.zeros(4, 3), torch.zeros(4, 3), None, "of shape (B, N, 3)"),
        (torch.zeros(1, 4, 3).half(), torch.zeros(1, 4, 3).half(), None, "expected float32 or float64"),
    ],
    ids=["empty", "length 0", "length 5", "nan", "types", "batches", "no batch", "half"],
)
def test_clouds_that_cannot_be_compared_are_refused_with_the_row(a, b, lengths, says):
    with pytest.raises(MetricError) as raised:
        module.check_clouds(a, b, None if lengths is None else torch.tensor(lengths), None)
    assert says in str(raised.value)


@pytest.mark.needs_gpu
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_a_device_finds_what_the_cpu_finds(dtype):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    a, b = cloud(3, 3000, dtype=dtype), cloud(3, 2000, seed=1, dtype=dtype)
    lengths = torch.tensor([3000, 1, 1234])
    here = both_ways(a, b, lengths_a=lengths)
    there = both_ways(a.cuda(), b.cuda(), lengths_a=lengths.cuda())
    assert torch.equal(there.forward_index.cpu(), here.forward_index)
    torch.testing.assert_close(there.backward_sq.cpu(), here.backward_sq, rtol=4 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.needs_gpu
def test_the_gradient_on_a_device_is_the_same_every_time():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    gradients = []
    for _ in range(5):
        a, b = (cloud(2, 5000, seed=s, dtype=torch.float32).cuda().requires_grad_() for s in (0, 1))
        found = both_ways(a, b[:, :50])  # many to one, so that the order of adding shows
        (found.forward_sq.sum() + found.backward_sq.sum()).backward()
        gradients.append(torch.cat([a.grad, b.grad]))
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)
