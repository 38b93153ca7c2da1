"""The truths of gradients: finite differences, laws of invariance, and what holds where points coincide."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from shapetool.metrics.emd import approximate_emd
from shapetool.metrics.points import VARIANTS, chamfer, compare, hausdorff, normal_consistency
from shapetool.metrics.soft import soft_chamfer
from shapetool.metrics.truths.clouds import cloud
from shapetool.metrics.truths.truth import Truth, worst

_Metric = Callable[[Tensor, Tensor], Tensor]
_STEP = 1e-6
# Of the central difference: the cube of the step is 1e-18, and 1e-16 of a value about 1 is divided by 2e-6.
_ROUGHLY = 1e-8
_METRICS: dict[str, tuple[_Metric, int]] = {
    **{f"chamfer {name}": (partial(chamfer, variant=name), 2 if "sq" in name else 1) for name in VARIANTS},
    "hausdorff": (hausdorff, 1),
    "hausdorff of 90 %": (partial(hausdorff, percentile=90), 1),
    # The pairing need not be the best for its mean way to have a gradient; this one is found in a few rounds.
    "EMD": (lambda a, b: approximate_emd(a[:, :12], b[:, :12], rtol=0.1).value, 1),
}
_SOFT: dict[str, _Metric] = {
    f"soft chamfer by {form}": partial(soft_chamfer, temperature=0.1, form=form) for form in ("logsumexp", "softmax")
}


def truths() -> list[Truth]:
    """G1 to G6."""
    found = [Truth("G5", "gradient at coinciding points", 0, _resting, 0)]
    for name, metric in {**{name: metric for name, (metric, _) in _METRICS.items()}, **_SOFT}.items():
        found += [
            Truth("G1", f"gradient of {name}: finite differences", 0, partial(_steps, metric), _ROUGHLY, "the step"),
            Truth("G2", f"gradient of {name}: sum", 0, partial(_force, metric)),
            Truth("G3", f"gradient of {name}: moment", 0, partial(_moment, metric)),
        ]
    found += [
        Truth("G4", f"gradient of {name}: degree", power, partial(_degree, metric))
        for name, (metric, power) in _METRICS.items()
    ]
    normals = Truth("G1", "gradient of normals: finite differences", 0, _normals, _ROUGHLY, "the step")
    return [*found, normals, *_softness()]


def _at(metric: _Metric) -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
    """Two clouds, the gradients to both, and the value."""
    a, b = cloud(40, 3).requires_grad_(), cloud(50, 4).requires_grad_()
    value = metric(a, b)
    to_a, to_b = torch.autograd.grad(value.sum(), (a, b))
    return a.detach(), b.detach(), to_a, to_b, value.item()


def _steps(metric: _Metric) -> float:
    """G1: the slope along a direction of all coordinates, as the gradient says it and as two values do."""
    a, b, to_a, to_b, _ = _at(metric)
    along_a, along_b = cloud(40, 5) / 10, cloud(50, 6) / 10
    slope = (to_a * along_a).sum() + (to_b * along_b).sum()
    ahead, behind = (metric(a + s * along_a, b + s * along_b) for s in (_STEP, -_STEP))
    return ((ahead - behind) / (2 * _STEP) - slope).abs().item()


def _force(metric: _Metric) -> float:
    """G2: moving both clouds changes nothing, so what pulls at them sums up to 0."""
    _, _, to_a, to_b, _ = _at(metric)
    return (to_a.sum(dim=(0, 1)) + to_b.sum(dim=(0, 1))).abs().max().item()


def _moment(metric: _Metric) -> float:
    """G3: turning both changes nothing either, so the moments do."""
    a, b, to_a, to_b, _ = _at(metric)
    turning = torch.linalg.cross(a, to_a).sum(dim=(0, 1)) + torch.linalg.cross(b, to_b).sum(dim=(0, 1))
    return turning.abs().max().item()


def _degree(metric: _Metric) -> float:
    """G4: a metric that grows with the power p of the size has x dF/dx = p F (Euler)."""
    a, b, to_a, to_b, value = _at(metric)
    return ((a * to_a).sum() + (b * to_b).sum()).item() / value


def _resting() -> float:
    """G5: the largest gradient of a cloud against itself, where a root has no slope; NaN if there is one."""
    largest = []
    for metric in (*(metric for metric, _ in _METRICS.values()), _SOFT["soft chamfer by softmax"]):
        a = cloud(50, 3).requires_grad_()
        # So far apart that the soft minimum is the hard one to the last bit.
        largest.append(torch.autograd.grad(metric(1e4 * a, 1e4 * a.detach()).sum(), a)[0].abs().max().item())
    return worst(*largest)


def _normals() -> float:
    """G1 of the normals, which turn while the points stay."""
    a, b, along = cloud(40, 3), cloud(50, 4), cloud(40, 5)
    normals, others = cloud(40, 7).requires_grad_(), cloud(50, 8)

    def value(step: float | int) -> Tensor:
        return normal_consistency(a, normals + step * along, b, others)

    slope = (torch.autograd.grad(value(0).sum(), normals)[0] * along).sum()
    return ((value(_STEP) - value(-_STEP)) / (2 * _STEP) - slope).abs().item()


def _softness() -> list[Truth]:
    """G6: -T log(sum of e^(-d/T)) lies below the least of M distances by at most T log(M), which the sum of M equal
    terms reaches; a mean with weights lies above the least. Both meet it as T falls.
    """
    a, b = cloud(40, 3), cloud(50, 4)
    hard = chamfer(a, b)
    room = (math.log(40) + math.log(50)) / 2  # half of each way

    def below(temperature: float | int) -> float:
        less = (hard - soft_chamfer(a, b, temperature=temperature)).item()
        return worst(-less, less - temperature * room)

    def above(temperature: float | int) -> float:
        return worst((hard - soft_chamfer(a, b, temperature=temperature, form="softmax")).item())

    def equal_terms() -> float:
        ring = torch.stack([torch.arange(8) * math.pi / 4], dim=1).double()
        circle = torch.cat([ring.cos(), ring.sin(), 0 * ring], dim=1)[None]
        found = compare(torch.zeros_like(circle[:, :1]), circle)  # 1 each way, of 8 equal terms and of one
        return (found.chamfer() - soft_chamfer(torch.zeros_like(circle[:, :1]), circle, temperature=0.5)).item()

    def cold(form: str) -> float:
        return (hard - soft_chamfer(a, b, temperature=1e-6, form=form)).abs().item()

    return [
        *(
            Truth("G6", f"soft minimum at {t}: outside of 0 to T log(M) below", 0, partial(below, t))
            for t in (0.01, 0.1, 1.0)
        ),
        *(Truth("G6", f"mean with weights at {t}: below the minimum", 0, partial(above, t)) for t in (0.01, 0.1, 1.0)),
        Truth("G6", "soft minimum at .5 of 8 equal terms: what it is below", 0.5 * math.log(8) / 2, equal_terms),
        *(
            Truth("G6", f"{form} at 1e-6: difference to chamfer", 0, partial(cold, form), 1e-6, "the temperature")
            for form in ("logsumexp", "softmax")
        ),
    ]
