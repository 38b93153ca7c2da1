"""A field, asked in batches: counted, and checked to be numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from shapetool.errors import ConfigError
from shapetool.render.sphere_trace import as_field


class Asked:
    """A field that counts what it was asked, and remembers the least and the greatest value that it gave.

    Raises:
        ConfigError: a field that does not return a finite number a point; the message names the point.
    """

    def __init__(self, field: Callable[..., Any], batch: int) -> None:
        self.field, self.batch = as_field(field), batch
        self.evaluations = self.calls = 0
        self.least, self.greatest = np.inf, -np.inf

    def __call__(self, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
        """The values at points."""
        values = np.empty(len(points))
        for start in range(0, len(points), self.batch):
            values[start : start + self.batch] = self._batch(points[start : start + self.batch])
        if len(values):
            self.least, self.greatest = min(self.least, values.min()), max(self.greatest, values.max())
        return values

    def _batch(self, points: Float[np.ndarray, "P 3"]) -> np.ndarray:
        found = np.asarray(self.field(points))
        self.evaluations, self.calls = self.evaluations + len(points), self.calls + 1
        if found.shape != (len(points),):
            raise ConfigError(
                f"field: expected one value for each of {len(points)} points, found an array {found.shape}. "
                "Wrap a function of torch in a TorchField."
            )
        finite = np.isfinite(found)
        if not finite.all():
            row = int(np.argmin(finite))
            raise ConfigError(
                f"field: expected finite values, found {found[row]} at {points[row].tolist()}, {int((~finite).sum())} "
                f"of {len(points)} such. Look for a division by zero, or for training that diverged."
            )
        return found
