"""Chamfer, Hausdorff, F-score and normal consistency against closed forms, laws and finite differences."""

import math

import numpy as np
import pytest
import torch

from shapetool.errors import MetricError
from shapetool.metrics import nearest as nearest_module
from shapetool.metrics.points import VARIANTS, chamfer, compare, cosines, fscore, hausdorff, normal_consistency

TYPES = [torch.float32, torch.float64]


def cloud(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(*shape, 3))).to(dtype)


def line(*places: float, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """One cloud of points on the x axis."""
    return torch.tensor([[[place, 0, 0] for place in places]], dtype=dtype)


def every_metric(a: torch.Tensor, b: torch.Tensor, **lengths: torch.Tensor) -> torch.Tensor:
    """All metrics of each pair (B, 8)."""
    found = compare(a, b, **lengths)
    ninety, fractions = found.hausdorff(90), found.fscore([0.3, 1.0])
    return torch.stack([*(found.chamfer(v) for v in VARIANTS), found.hausdorff(), ninety, *fractions[0].T], dim=1)


def test_the_four_variants_of_chamfer_at_a_ragged_pair():
    found = {variant: float(chamfer(line(0, 1), line(0.4, 10), variant=variant)) for variant in VARIANTS}
    there, back = (0.4 + 0.6) / 2, (0.4 + 9) / 2
    assert found["l1_sum"] == pytest.approx(there + back)
    assert found["l1_mean"] == pytest.approx((there + back) / 2)
    assert found["l2sq_sum"] == pytest.approx((0.16 + 0.36) / 2 + (0.16 + 81) / 2)
    assert found["l2sq_mean"] == pytest.approx(((0.16 + 0.36) / 2 + (0.16 + 81) / 2) / 2)


def test_precision_is_over_the_prediction_and_recall_over_the_truth():
    score, precision, recall = fscore(line(0, 5), line(0), [1.0])
    assert (float(precision), float(recall)) == (0.5, 1.0)
    assert float(score) == pytest.approx(2 / 3)


def test_a_point_at_the_threshold_counts_unless_strict():
    for dtype in TYPES:
        a, b = line(0, dtype=dtype), line(0.1, dtype=dtype)
        assert fscore(a, b, [0.1])[0].item() == 1
        assert fscore(a, b, [0.1], strict=True)[0].item() == 0


def test_the_fscore_of_nothing_near_is_zero_and_not_a_gap():
    assert [number.item() for number in fscore(line(0), line(9), [0.5])] == [0, 0, 0]


@pytest.mark.parametrize("percentile", [0, 37.5, 90, 100])
def test_the_percentiles_are_those_of_numpy(percentile):
    a, b = cloud(2, 31), cloud(2, 17, seed=1)
    found = compare(a, b)
    ways = [np.percentile(d.numpy(), percentile, axis=1) for d in (found.forward, found.backward)]
    np.testing.assert_allclose(hausdorff(a, b, percentile=percentile), np.maximum(*ways), rtol=1e-12)


def test_a_percentile_of_a_ragged_cloud_is_that_of_its_points():
    a, b, lengths = cloud(3, 31), cloud(3, 17, seed=1), torch.tensor([1, 31, 10])
    found = hausdorff(a, b, percentile=70, lengths_a=lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = hausdorff(a[row : row + 1, :length], b[row : row + 1], percentile=70)
        assert torch.equal(found[row : row + 1], alone)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_a_cloud_alone_in_a_batch_and_padded_has_the_same_bits(dtype):
    a, b = cloud(4, 40, dtype=dtype), cloud(4, 60, seed=1, dtype=dtype)
    lengths = torch.tensor([40, 7, 1, 33])
    together = every_metric(a, b, lengths_a=lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = every_metric(a[row : row + 1, :length], b[row : row + 1])
        assert torch.equal(together[row : row + 1], alone)


def test_the_order_of_the_points_changes_nothing_but_rounding():
    a, b = cloud(1, 300), cloud(1, 200, seed=1)
    turned = every_metric(a[:, torch.randperm(300)], b[:, torch.randperm(200)])
    torch.testing.assert_close(turned, every_metric(a, b), rtol=1e-12, atol=0)


@pytest.mark.parametrize("way", ["force", "tree"])
@pytest.mark.parametrize("by", [10.0, 1000.0])
def test_clouds_far_from_the_origin_keep_their_digits(way, by, monkeypatch):
    monkeypatch.setattr(nearest_module, "TREE_ABOVE", 0 if way == "tree" else 1 << 60)
    a, b = cloud(2, 500), cloud(2, 400, seed=1)
    home, away = every_metric(a, b), every_metric(a + by, b + by)
    torch.testing.assert_close(away, home, rtol=1e-9, atol=0)


def test_a_million_away_a_thousandth_is_still_a_thousandth():
    a = cloud(1, 200) * 0.001 + 1e6
    assert float(chamfer(a, a + 0.0)) == 0
    assert float(hausdorff(a, a[:, :1])) == pytest.approx(float((a - a[:, :1]).norm(dim=2).max()), rel=1e-12)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_coinciding_points_have_no_distance_and_no_gradient(dtype):
    a = cloud(2, 30, dtype=dtype).requires_grad_()
    b = a.detach()[:, torch.randperm(30)].requires_grad_()
    for variant in VARIANTS:
        value = chamfer(a, b, variant=variant)
        assert value.eq(0).all()
        for gradient in torch.autograd.grad(value.sum() + hausdorff(a, b).sum(), (a, b)):
            assert gradient.eq(0).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_gradient_of_chamfer_is_that_of_finite_differences(variant):
    a, b = cloud(2, 6).requires_grad_(), cloud(2, 5, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: chamfer(a, b, variant=variant), (a, b))


@pytest.mark.parametrize("percentile", [60.0, 100.0])
def test_the_gradient_of_hausdorff_is_that_of_finite_differences(percentile):
    a, b = cloud(2, 6).requires_grad_(), cloud(2, 5, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: hausdorff(a, b, percentile=percentile), (a, b))


def test_the_gradient_of_normal_consistency_is_that_of_finite_differences():
    a, b, normals_b = cloud(1, 6), cloud(1, 5, seed=1), cloud(1, 5, seed=3).requires_grad_()
    normals_a = cloud(1, 6, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda n, m: normal_consistency(a, n, b, m), (normals_a, normals_b))


@pytest.mark.parametrize(
    ("metric", "power"), [("l1_mean", 1), ("l1_sum", 1), ("l2sq_mean", 2), ("l2sq_sum", 2), ("h", 1)]
)
def test_gradients_keep_the_laws_of_moving_turning_and_scaling(metric, power):
    a, b = cloud(1, 50).requires_grad_(), cloud(1, 40, seed=1).requires_grad_()
    value = hausdorff(a, b) if metric == "h" else chamfer(a, b, variant=metric)
    to_a, to_b = torch.autograd.grad(value.sum(), (a, b))
    a, b, value = a.detach(), b.detach(), value.detach()
    zero = torch.zeros(3, dtype=torch.float64)
    torch.testing.assert_close(to_a.sum(dim=(0, 1)) + to_b.sum(dim=(0, 1)), zero, rtol=0, atol=1e-12)
    moment = torch.linalg.cross(a, to_a).sum(dim=(0, 1)) + torch.linalg.cross(b, to_b).sum(dim=(0, 1))
    torch.testing.assert_close(moment, zero, rtol=0, atol=1e-12)
    assert float((a * to_a).sum() + (b * to_b).sum()) == pytest.approx(power * float(value), rel=1e-12)


def test_the_gradient_is_the_same_every_time():
    gradients = []
    for _ in range(3):
        a = cloud(2, 2000, dtype=torch.float32).requires_grad_()
        b = cloud(2, 30, seed=1, dtype=torch.float32).requires_grad_()
        chamfer(a, b).sum().backward()
        gradients.append(torch.cat([a.grad, b.grad], dim=1))
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)


@pytest.mark.parametrize("degrees", [0, 30, 60, 90, 150, 180])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_the_normal_consistency_of_a_tilted_plane_is_its_cosine(degrees, dtype):
    angle = math.radians(degrees)
    a = cloud(1, 20, dtype=dtype)
    up = torch.tensor([0.0, 0, 2], dtype=dtype).expand_as(a)
    tilted = torch.tensor([math.sin(angle), 0, math.cos(angle)], dtype=dtype).expand_as(a)
    rounding = 8 * torch.finfo(dtype).eps
    assert float(normal_consistency(a, up, a, tilted, signed=True)) == pytest.approx(math.cos(angle), abs=rounding)
    assert float(normal_consistency(a, up, a, tilted)) == pytest.approx(abs(math.cos(angle)), abs=rounding)


def test_equal_directions_have_a_cosine_of_exactly_one_and_none_has_zero():
    first = cloud(1, 1000)
    assert cosines(first, first).eq(1).all()
    assert cosines(first, -first).eq(-1).all()
    assert cosines(first, first * 0).eq(0).all()


def test_the_chain_of_bounds_holds_on_random_clouds():
    for seed in range(20):
        a, b = cloud(1, 30, seed=seed), cloud(1, 30, seed=100 + seed) * 0.7
        found = compare(a, b)
        means = max(float(found.forward.mean()), float(found.backward.mean()))
        assert float(found.chamfer("l1_mean")) <= means <= float(found.hausdorff())
        assert max(map(float, found.directed_hausdorff(50))) <= float(found.hausdorff(90)) <= float(found.hausdorff())


def test_hausdorff_keeps_the_triangle_inequality_and_chamfer_does_not():
    for seed in range(20):
        a, b, c = (cloud(1, 8, seed=3 * seed + k) for k in range(3))
        assert float(hausdorff(a, c)) <= float(hausdorff(a, b)) + float(hausdorff(b, c)) + 1e-12
    a, b, c = line(0), line(0, 10), line(10)
    assert float(chamfer(a, c)) > float(chamfer(a, b)) + float(chamfer(b, c))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda a: chamfer(a, a, variant="l2"), "unknown variant 'l2'"),
        (lambda a: hausdorff(a, a, percentile=101), "percentile from 0 to 100, found 101"),
        (lambda a: fscore(a, a, []), "thresholds of at least 0"),
        (lambda a: fscore(a, a, [-1.0]), "thresholds of at least 0"),
        (lambda a: fscore(a, a, [math.nan]), "thresholds of at least 0"),
        (lambda a: compare(a, a).normal_consistency(), "normals on both sides"),
        (lambda a: compare(a, a, normals_a=a), "those of a alone"),
        (lambda a: compare(a, a, normals_a=a * math.nan, normals_b=a), "normals_a: expected finite"),
    ],
)
def test_a_question_without_an_answer_is_refused_in_words(call, says):
    with pytest.raises(MetricError) as raised:
        call(cloud(1, 4))
    assert says in str(raised.value)


@pytest.mark.needs_gpu
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_a_device_gives_the_numbers_of_the_cpu(dtype):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    a, b, lengths = cloud(3, 500, dtype=dtype), cloud(3, 700, seed=1, dtype=dtype), torch.tensor([500, 1, 250])
    here = every_metric(a, b, lengths_a=lengths)
    there = every_metric(a.cuda(), b.cuda(), lengths_a=lengths.cuda())
    torch.testing.assert_close(there.cpu(), here, rtol=64 * torch.finfo(dtype).eps, atol=0)
