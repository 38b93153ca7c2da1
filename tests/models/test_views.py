"""Views as planes: what a picture becomes, and which planes there are."""

import numpy as np
import pytest

from shapetool.models.base import Facts
from shapetool.models.views import picture_size, planes_of, views_of


class Seen:
    shape_id, index = "seen", 0

    def __init__(self, **columns):
        self.columns = columns

    def __contains__(self, name):
        return name in self.columns

    def read(self, name):
        return self.columns[name]

    def chunk(self, names, rng):
        raise AssertionError("views are read by number")


IMAGES = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
COVER = np.array([np.eye(3, 4), np.ones((3, 4))])


def test_colours_become_planes_from_0_to_1():
    found = views_of(Seen(images=255 - IMAGES), [1])
    assert found.shape == (1, 3, 3, 4)
    assert found.dtype == np.float32
    for colour in range(3):
        np.testing.assert_allclose(found[0, colour], (255 - IMAGES[1, ..., colour].astype(float)) / 255, rtol=1e-6)


@pytest.mark.parametrize(("name", "full"), [("alpha", 255), ("silhouette", 1)])
def test_what_the_shape_covers_is_the_fourth_plane(name, full):
    cover = (COVER * full).astype(np.uint8 if name == "alpha" else bool)
    found = views_of(Seen(images=IMAGES, **{name: cover}), np.array([1, 0]))
    assert found.shape == (2, 4, 3, 4)
    np.testing.assert_array_equal(found[:, 3], COVER[::-1])
    np.testing.assert_array_equal(found[1, :3], views_of(Seen(images=IMAGES), [0])[0])


def test_the_facts_say_how_many_planes_and_pixels_there_are():
    sizes = {"images": (2, 30, 40, 3)}
    plain = Facts(("seen",), "views", 1.0, {}, sizes)
    covered = Facts(("seen",), "views", 1.0, {}, sizes | {"silhouette": (2, 30, 40)})
    assert (planes_of(plain), planes_of(covered), picture_size(plain)) == (3, 4, 30)
