"""The sets of IM-NET against its rules, written anew as the loops they are."""

import numpy as np
import pytest

from shapetool.recipes import PROGRESSIVE, occupancy_recipe
from shapetool.sampling.progressive import chosen_cells, near_boundary, pooled, progressive_sets, voxels_in
from shapetool.sampling.seed import shape_rng


def voxels(kind: str) -> np.ndarray:
    """256^3 voxels: a ball, a comb whose teeth have boundaries everywhere, or specks."""
    x, y, z = np.indices((256, 256, 256), dtype=np.int16)
    if kind == "ball":
        return (x - 128) ** 2 + (y - 120) ** 2 + (z - 110) ** 2 < 40**2
    if kind == "comb":
        return (x // 8 + y // 8 + z // 8) % 7 == 0
    return (x % 97 == 5) & (y % 101 == 7) & (z % 103 == 11)


SHAPES = {kind: voxels(kind) for kind in ("ball", "comb", "specks")}


def differs(cells: np.ndarray, i: int, j: int, k: int, reach: int) -> bool:
    part = cells[i - reach : i + reach + 1, j - reach : j + reach + 1, k - reach : k + reach + 1]
    return part.max() != part.min()


def first_generation(cells: np.ndarray, budget: int) -> tuple[list[tuple[int, int, int]], bool]:
    """The cells that are certain, in order, and whether there were too many near the boundary."""
    across = len(cells)
    inner = range(3, across - 3)
    near = [(i, j, k) for i in inner for j in inner for k in inner if differs(cells, i, j, k, 3)]
    if len(near) < budget:
        return near, False
    certain = []
    for i in range(0, across, 2):
        for j in range(0, across, 2):
            for k in range(0, across, 2):
                block = [(i + a, j + b, k + c) for c in (0, 1) for b in (0, 1) for a in (0, 1)]
                certain.append(next((cell for cell in block if cells[cell]), (i, j, k)))
    return certain, True


def second_generation(cells: np.ndarray, budget: int) -> list[tuple[int, int, int]]:
    across = len(cells)
    turns = [i for start in (1, 2, 3, 4) for i in range(start, across - 1, 4)]
    found = [(i, j, k) for j in turns for i in turns for k in turns if differs(cells, i, j, k, 1)]
    return found[:budget]


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("across", [16, 32, 64])
def test_a_cell_is_filled_where_any_of_its_voxels_is(kind: str, across: int) -> None:
    step, cells = 256 // across, pooled(SHAPES[kind], across)
    for i, j, k in np.random.default_rng(0).integers(across, size=(200, 3)):
        block = SHAPES[kind][i * step : (i + 1) * step, j * step : (j + 1) * step, k * step : (k + 1) * step]
        assert cells[i, j, k] == block.any()


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("across", [32, 64])
@pytest.mark.parametrize("method", PROGRESSIVE)
def test_cells_near_the_boundary_come_first_in_the_order_of_the_original(kind: str, across: int, method: str) -> None:
    cells, budget = pooled(SHAPES[kind], across), PROGRESSIVE[method][across]
    found = [tuple(cell) for cell in chosen_cells(cells, method, across, budget, shape_rng(0, "a")).tolist()]
    certain = first_generation(cells, budget)[0] if method == "v1" else second_generation(cells, budget)
    assert found[: len(certain)] == certain
    assert len(set(found)) == len(found) == budget
    assert {value for cell in found for value in cell} <= set(range(across))


def test_the_shapes_above_have_too_many_and_too_few_cells_near_the_boundary() -> None:
    for across in (32, 64):
        cells = {kind: pooled(voxels, across) for kind, voxels in SHAPES.items()}
        assert first_generation(cells["comb"], PROGRESSIVE["v1"][across])[1]
        assert not first_generation(cells["ball"], PROGRESSIVE["v1"][across])[1]
        budget = PROGRESSIVE["v2"][across]
        assert len(second_generation(cells["comb"], 10**9)) > budget > len(second_generation(cells["ball"], 10**9))


@pytest.mark.parametrize("method", PROGRESSIVE)
def test_the_coarsest_set_is_every_cell_in_order(method: str) -> None:
    cells = chosen_cells(pooled(SHAPES["ball"], 16), method, 16, 4096, shape_rng(0, "a"))
    assert cells.tolist() == [[i, j, k] for i in range(16) for j in range(16) for k in range(16)]


def test_what_is_left_is_filled_at_random_by_the_seed() -> None:
    cells = pooled(SHAPES["specks"], 64)
    near = int(near_boundary(cells, 3).sum())
    one, same, other = (chosen_cells(cells, "v1", 64, 32768, shape_rng(seed, "a")) for seed in (0, 0, 1))
    assert near < 32768
    assert np.array_equal(one, same)
    assert np.array_equal(one[:near], other[:near])
    assert not np.array_equal(one, other)
    rest = one[near:]
    assert np.abs(rest.mean(axis=0) - 31.5).max() < 5 * 18.5 / np.sqrt(len(rest))


@pytest.mark.parametrize("count", [1, 500, 5000, 70_000])
def test_another_number_of_points_is_made_up_of_the_same_cells(count: int) -> None:
    cells = chosen_cells(pooled(SHAPES["comb"], 32), "v1", 32, count, shape_rng(0, "a"))
    assert len(cells) == count
    repeats = np.unique(cells, axis=0, return_counts=True)[1]
    assert repeats.max() - (repeats.min() if count > 32**3 else 1) <= 1
    assert repeats.max() <= -(-count // 32**3)


@pytest.mark.parametrize("across", [16, 32, 64])
def test_a_random_voxel_is_in_its_cell_and_filled_if_any_is(across: int) -> None:
    filled, step = SHAPES["ball"], 256 // across
    cells = np.argwhere(pooled(filled, across) | True)
    found = voxels_in(filled, cells, across, shape_rng(0, "a"))
    assert np.array_equal(found // step, cells)
    assert np.array_equal(filled[tuple(found.T)], pooled(filled, across).reshape(-1))


def test_the_voxel_is_drawn_evenly_among_those_that_fit() -> None:
    filled = np.zeros((256, 256, 256), dtype=bool)
    wanted = [(0, 0, 1), (0, 3, 2), (2, 1, 0), (3, 3, 3)]
    for i, j, k in wanted:
        filled[8 + i, 12 + j, 16 + k] = True
    found = voxels_in(filled, np.tile([2, 3, 4], (20_000, 1)), 64, shape_rng(0, "a"))
    voxel, count = np.unique(found - [8, 12, 16], axis=0, return_counts=True)
    assert [tuple(v) for v in voxel.tolist()] == sorted(wanted)
    assert np.abs(count - 5000).max() < 5 * np.sqrt(5000)


@pytest.mark.parametrize("method", PROGRESSIVE)
def test_points_are_centres_in_the_cube_of_the_recipe_and_order_leads_back_to_the_sets(method: str) -> None:
    recipe = occupancy_recipe(f"imnet-{method}")
    sets = progressive_sets(SHAPES["ball"], recipe, shape_rng(0, "a"))
    assert sorted(sets.order.tolist()) == list(range(recipe.count))
    points = sets.points[np.argsort(sets.order)]
    ends = np.cumsum(list(PROGRESSIVE[method].values()))
    for across, part in zip(PROGRESSIVE[method], np.split(points, ends[:-1]), strict=True):
        # What their training code makes of cells p: (p + 0.5) / across * 2 - 1, and (p + 0.5) / 256 - 0.5.
        cells = (part + 1) / 2 * across - 0.5 if method == "v1" else (part + 0.5) * 256 - 0.5
        assert np.array_equal(cells, np.round(cells))
        assert cells.min() >= 0
        assert cells.max() < (across if method == "v1" else 256)
    assert np.array_equal(sets.voxels, pooled(SHAPES["ball"], 64))
    first = sets.points[: recipe.count // 4]
    assert np.abs(first.mean(axis=0) - points.mean(axis=0)).max() < 0.02  # a slice is a fair draw
