"""The tree names the nearest points in whatever order it is asked, and a forked process may ask it too."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pykdtree.kdtree import KDTree

from shapetool.metrics.tree import Tree

REPOSITORY = Path(__file__).resolve().parents[2]
WITH_TORCH = """
import torch
from shapetool.metrics.points import chamfer

def distance(seed):
    clouds = torch.rand(2, 1, 20_000, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return chamfer(*clouds).item()
"""
WITHOUT_TORCH = """
import numpy as np
from shapetool.metrics.tree import Tree

def distance(seed):
    rng = np.random.default_rng(seed)
    assert "torch" not in sys.modules  # its runtime of OpenMP would be the tree's too
    return float(Tree(rng.random((20_000, 3))).nearest(rng.random((20_000, 3)))[0].mean())
"""
CHILD_ASKS = """
before = distance(0)  # starts the threads that a child will not have
read, write = os.pipe()
child = os.fork()
if not child:
    os.write(write, repr(distance(1)).encode())
    os._exit(0)
deadline = time.monotonic() + 60
while os.waitpid(child, os.WNOHANG) == (0, 0):
    if time.monotonic() > deadline:
        os.kill(child, 9)
        sys.exit("the child hangs")
    time.sleep(0.01)
assert os.read(read, 100).decode() == repr(distance(1)) != repr(before)
"""


def clouds(name: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    if name == "lattice":  # many at the same distance
        return rng.integers(0, 9, (300, 3)).astype(np.float64), rng.integers(0, 9, (200, 3)).astype(np.float64)
    if name == "one place":
        return np.full((50, 3), 0.3), np.full((40, 3), 0.3)
    if name == "line":
        return np.outer(rng.random(300), [1.0, 0, 0]), np.outer(rng.random(200), [1.0, 0, 0])
    if name == "float32":
        return rng.random((300, 3), dtype=np.float32), rng.random((200, 3), dtype=np.float32)
    return rng.standard_normal((300, 3)), rng.standard_normal((200, 3))


@pytest.mark.parametrize("name", ["normal", "float32", "lattice", "line", "one place"])
@pytest.mark.parametrize("count", [1, 2])
def test_the_nearest_are_those_of_all_pairs(name, count):
    points, others = clouds(name)
    squared, index = Tree(others).nearest(points, count)
    pairs = ((points[:, None].astype(np.float64) - others[None]) ** 2).sum(axis=2)
    assert squared.shape == index.shape == (len(points), count)
    assert squared.dtype == points.dtype
    tolerance = 8 * np.finfo(points.dtype).eps  # three squares and two sums
    assert np.allclose(squared, np.sort(pairs, axis=1)[:, :count], rtol=tolerance, atol=0)
    assert np.allclose(np.take_along_axis(pairs, index, axis=1), squared, rtol=tolerance, atol=0)
    assert all(len(set(row)) == count for row in index)


def test_the_order_of_asking_changes_no_bit():
    points, others = clouds("lattice")
    tree, order = Tree(others), np.random.default_rng(6).permutation(len(points))
    for whole, shuffled in zip(tree.nearest(points, 2), tree.nearest(points[order], 2), strict=True):
        assert np.array_equal(whole[order], shuffled)
    alone = [tree.nearest(point[None], 2) for point in points[:20]]
    assert np.array_equal(np.concatenate([found[1] for found in alone]), tree.nearest(points, 2)[1][:20])


@pytest.mark.parametrize("name", ["normal", "float32", "lattice", "line", "one place"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_points_of_another_tree_get_the_bits_they_get_alone(name, count):
    points, others = clouds(name)
    for asked, of in ((points, others), (points[:9], others[:9]), (points[:1], others)):
        tree = Tree(of)
        for alone, together in zip(tree.nearest(asked, count), tree.nearest_of(Tree(asked), count), strict=True):
            assert together.dtype == alone.dtype
            assert np.array_equal(together, alone)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1e150, 5e-324])
def test_extreme_coordinates_are_put_in_some_order_without_a_warning(size):
    points = np.array([[size, 0, 0], [-size, 0, 0], [0, 0, 0]])
    assert Tree(np.zeros((1, 3))).nearest(points)[1].tolist() == [[0], [0], [0]]


@pytest.mark.parametrize("ask", [WITH_TORCH, WITHOUT_TORCH], ids=["with torch", "without torch"])
def test_a_process_forked_after_a_tree_was_asked_by_many_threads_gets_its_answer(ask):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "4"}
    script = f"import os, sys, time\n{ask}\n{CHILD_ASKS}"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("far", [0.0, 1e6])
def test_the_distances_are_those_of_pykdtree(count, far):
    rng = np.random.default_rng(7)
    others = rng.standard_normal((5000, 3)) * [1, 1, 0.01] + far
    points = rng.standard_normal((3000, 3)) * [1, 1, 0.01] + far
    squared, index = Tree(others).nearest(points, count)
    peer_squared, peer_index = KDTree(others).query(points, k=count, sqr_dists=True)
    assert np.array_equal(squared, peer_squared.reshape(-1, count))
    assert (index == peer_index.reshape(-1, count)).mean() > 0.999  # pykdtree names any of equals


def test_of_equals_the_first_is_named():
    others = np.array([[2.0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 0, 0]])
    squared, index = Tree(others).nearest(np.zeros((1, 3)), 5)
    assert index.tolist() == [[1, 2, 3, 4, 0]]
    assert squared.tolist() == [[1, 1, 1, 1, 4]]


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_numbers_of_any_size_are_measured(scale):
    rng = np.random.default_rng(8)
    points, others = rng.random((100, 3)) * scale, rng.random((90, 3)) * scale
    pairs = (((points[:, None] - others) / scale) ** 2).sum(axis=2)
    assert np.array_equal(Tree(others).nearest(points)[1][:, 0], pairs.argmin(axis=1))


@pytest.mark.parametrize("count", [0, 4, 17])
def test_more_neighbours_than_there_are_points_are_refused(count):
    with pytest.raises(ValueError, match="neighbours"):
        Tree(np.zeros((3, 3))).nearest(np.zeros((1, 3)), count)
    with pytest.raises(ValueError, match="neighbours"):
        Tree(np.zeros((3, 3))).nearest_of(Tree(np.zeros((1, 3))), count)
