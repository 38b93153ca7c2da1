"""The shapes and types in the annotations are checked while the tests run."""

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from shapetool.geometry.frame import Similarity


def test_a_wrong_shape_in_a_call_is_caught_by_its_annotation():
    with pytest.raises(TypeCheckError):
        Similarity(1.0, np.zeros(3)).apply(np.zeros((4, 2)))
