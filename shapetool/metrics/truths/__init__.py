"""Numbers that are known in closed form, and how far the metrics are from them on this machine.

Each truth is worked out on paper, from the shapes alone; its tolerance is rounding, or the error of a mesh that stands
for a curved surface, or a number of standard errors of a fixed draw. docs/truths.md has the closed forms.
"""

from shapetool.metrics.truths.truth import Outcome, Truth, check

__all__ = ["Outcome", "Truth", "all_truths", "check"]


def all_truths() -> list[Truth]:
    """Every truth: of points, transport, gradients, estimators, surfaces and solids, and sets."""
    from shapetool.metrics.truths import estimators, gradients, points, sets, solids, transport

    parts = (points, transport, gradients, solids, estimators, sets)
    return [truth for part in parts for truth in part.truths()]
