"""How an error about an unknown name ends."""

import pytest

from shapetool.errors import suggestion

KNOWN = ("deepsdf", "imnet", "onet")


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("deepsfd", "; did you mean 'deepsdf'? known: deepsdf, imnet, onet"),
        ("voxels", "; known: deepsdf, imnet, onet"),
        (3, "; known: deepsdf, imnet, onet"),
    ],
)
def test_the_nearest_name_is_offered_if_one_is_near_and_all_are_listed(name, end):
    assert suggestion(name, KNOWN) == end
