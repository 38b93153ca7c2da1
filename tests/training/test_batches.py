"""Batches: every shape in its turn, the same ones for any number of ranks and threads, one chunk a shape a step."""

from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from shapetool.data.layout import CHUNK_POINTS
from shapetool.data.reading import Dataset
from shapetool.errors import ConfigError, DataError
from shapetool.models.deepsdf import DeepSdfConfig
from shapetool.training.batches import Batches, Plan, stacked, validation_batches
from shapetool.training.shapes import Shapes, open_shapes
from tests.trained import changed

CONFIG = DeepSdfConfig(shapes=4, points=16)


@pytest.fixture(scope="module")
def shapes(sampled) -> Shapes:
    return open_shapes([sampled])


def some(batches: Batches, first: int = 0, count: int = 5) -> list[dict[str, torch.Tensor]]:
    """The batches of a few steps."""
    found = batches(first)
    try:
        return list(islice(found, count))
    finally:
        found.close()


def same(a: list[dict[str, torch.Tensor]], b: list[dict[str, torch.Tensor]]) -> bool:
    return len(a) == len(b) and all(
        x.keys() == y.keys() and all(torch.equal(x[name], y[name]) for name in x) for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("size", [1, 4, 5, 6])
def test_every_shape_comes_once_before_any_comes_again(shapes, size):
    batches = Batches(shapes, replace(CONFIG, shapes=size), Plan())
    drawn = [index for step in range(30) for index in batches.indices(step)]
    for first in range(0, len(drawn) - len(shapes) + 1, len(shapes)):
        assert sorted(drawn[first : first + len(shapes)]) == list(range(len(shapes)))


def test_the_order_changes_from_round_to_round_and_from_seed_to_seed(shapes):
    whole = replace(CONFIG, shapes=6)
    orders = [Batches(shapes, whole, Plan(seed)).indices(step) for seed in (0, 1) for step in range(12)]
    assert len({tuple(order) for order in orders}) > 20  # of 24, by chance among 720


def test_indices_say_what_was_drawn(shapes):
    batch = Batches(shapes, CONFIG, Plan()).draw(3)
    assert batch["index"].tolist() == Batches(shapes, CONFIG, Plan()).indices(3)
    for row, index in enumerate(batch["index"].tolist()):
        stored = torch.tensor(shapes.read(index, "points"))
        assert (batch["points"][row][:, None] == stored).all(-1).any(1).all()


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_share_the_batch_of_one_process(shapes, ranks):
    one = some(Batches(shapes, CONFIG, Plan(seed=3)))
    parts = [some(Batches(shapes, CONFIG, Plan(seed=3, rank=rank, ranks=ranks))) for rank in range(ranks)]
    together = [
        {name: torch.cat([part[step][name] for part in parts]) for name in one[step]} for step in range(len(one))
    ]
    assert same(one, together)


@pytest.mark.parametrize("threads", [0, 2, 5])
def test_threads_change_nothing(shapes, threads):
    assert same(some(Batches(shapes, CONFIG, Plan())), some(Batches(shapes, CONFIG, Plan(threads=threads))))


def test_a_run_that_goes_on_at_a_step_sees_what_it_would_have_seen(shapes):
    assert same(some(Batches(shapes, CONFIG, Plan()), 0, 7)[4:], some(Batches(shapes, CONFIG, Plan()), 4, 3))


def test_memory_changes_nothing_and_uncached_steps_read_one_chunk_of_each_column(shapes, sampled, monkeypatch):
    reads: list[int] = []
    read = Dataset.read

    def counted(self, index, name, part=None):
        value = read(self, index, name, part)
        reads.append(len(value))
        return value

    monkeypatch.setattr(Dataset, "read", counted)
    uncached = some(Batches(open_shapes([sampled], room=0), CONFIG, Plan(threads=0)), 0, 3)
    assert reads == [CHUNK_POINTS] * 3 * 4 * 2  # steps, shapes, columns
    assert same(uncached, some(Batches(shapes, CONFIG, Plan()), 0, 3))
    reads.clear()
    kept = Batches(open_shapes([sampled]), CONFIG, Plan(threads=0))
    some(kept, 0, 9)
    assert Counter(reads) == {20_000: 6 * 2}  # every column once, whole


def test_memory_has_an_end(sampled):
    column = 20_000 * 4
    shapes = open_shapes([sampled], room=3 * column)
    for index in range(6):
        shapes.read(index, "distances")
    assert len(shapes._kept) == 3


def test_what_is_kept_cannot_be_changed_by_who_reads_it(sampled):
    points = open_shapes([sampled]).read(0, "points")
    with pytest.raises(ValueError, match="read-only"):
        points[0] = 0


def test_a_stretch_is_a_chunk_even_at_the_end_of_a_column(sampled, tmp_path):
    def shorten(columns, row):
        for name in ("points", "distances"):
            columns[name] = columns[name][: CHUNK_POINTS + 2]

    class Last(np.random.Generator):
        def integers(self, total):
            return total - 1

    shape = open_shapes([changed(sampled, tmp_path / "s.h5", shorten)])[0]
    (stretch,) = shape.chunk(("distances",), Last(np.random.PCG64(0)))
    assert np.array_equal(stretch, shape.read("distances")[2:])


def test_a_stretch_of_an_empty_column_is_empty(sampled, tmp_path):
    def empty(columns, row):
        columns["surface_points"] = columns["surface_points"][:0]
        columns["surface_normals"] = columns["surface_normals"][:0]

    shape = open_shapes([changed(sampled, tmp_path / "s.h5", empty)])[0]
    assert shape.chunk(("surface_points",), np.random.default_rng(0))[0].shape == (0, 3)


def test_columns_of_other_lengths_do_not_go_together(shapes):
    with pytest.raises(DataError, match="columns of one length"):
        shapes[0].chunk(("points", "surface_points"), np.random.default_rng(0))


def test_a_step_that_cannot_be_shared_is_refused(shapes):
    with pytest.raises(ConfigError, match="multiple of the 3 processes"):
        Batches(shapes, CONFIG, Plan(ranks=3))


def test_what_fails_in_a_thread_is_heard_at_its_step(shapes, monkeypatch):
    batches = Batches(shapes, CONFIG, Plan(threads=3))
    draw = batches.draw

    def failing(step):
        if step == 2:
            raise DataError("shape of step 2")
        return draw(step)

    monkeypatch.setattr(batches, "draw", failing)
    found = batches(0)
    assert len(list(islice(found, 2))) == 2
    with pytest.raises(DataError, match="step 2"):
        next(found)


def test_validation_asks_every_shape_the_same_and_takes_none_for_a_trained_one(shapes):
    first, again = (list(validation_batches(shapes, CONFIG, 0, trained=10)) for _ in range(2))
    assert same(first, again)
    assert torch.cat([batch["index"] for batch in first]).tolist() == list(range(10, 16))


def test_data_sets_are_joined_by_id(sampled, tmp_path):
    dataset_ids = open_shapes([sampled]).shape_ids
    fewer = changed(sampled, tmp_path / "fewer.h5", lambda columns, row: None, rows=3)
    joined = open_shapes([sampled, fewer])
    assert joined.shape_ids == dataset_ids[:3]
    with pytest.raises(DataError, match="no id in all"):
        open_shapes([sampled, changed(sampled, tmp_path / "x.h5", lambda c, row: c.update(shape_id=f"x{row}"))])
    with pytest.raises(DataError, match="expected the shape 'gone'"):
        open_shapes([sampled], ["gone"])
    with pytest.raises(DataError, match="no such path"):
        open_shapes([tmp_path / "gone.h5"])


def test_records_stack_in_their_order():
    records = [(7, {"points": np.ones((2, 3))}), (5, {"points": np.zeros((2, 3))})]
    batch = stacked(records)
    assert batch["index"].tolist() == [7, 5]
    assert batch["points"].sum(dim=(1, 2)).tolist() == [6, 0]
