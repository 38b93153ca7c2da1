"""Verifying: every damage has a finding that names the place, and true distances have none."""

import json

import h5py
import numpy as np
import pytest

from shapetool.data.laws import along_curve, rounding, sdf_problems
from shapetool.data.shards import build_shard, publish
from shapetool.data.verify import verify
from shapetool.errors import DataError


def problems(path):
    return [finding.problem for finding in verify(path)]


def test_true_distances_pass_in_a_shard_and_in_a_folder(shard, folder):
    assert verify(shard) == []
    assert verify(folder) == []


@pytest.mark.parametrize("dtype", ["f4", "f2"])
def test_true_distances_of_both_precisions_pass(columns, dtype):
    given = columns(["a"], count=20000, surface_count=5000, dtype=dtype)
    assert sdf_problems({name: values[0] for name, values in given.items()}, exact=True) == []


def test_progress_is_told_shape_by_shape(shard):
    steps = []
    verify(shard, lambda done, total: steps.append((done, total)))
    assert steps == [(1, 3), (2, 3), (3, 3)]


def payload(path):
    """The places of every byte that a column of the shard holds, with the row it belongs to or None for small ones."""
    places = []
    with h5py.File(path) as file:
        for name in file:
            data = file[name]
            for number in range(data.id.get_num_chunks()):
                chunk = data.id.get_chunk_info(number)
                row = chunk.chunk_offset[0] if data.chunks[0] == 1 else None
                places += [(chunk.byte_offset + byte, row) for byte in range(chunk.size)]
    return places


def flips(path, count, seed):
    """Random bits of the payload, with the row in which each lies."""
    places = payload(path)
    rng = np.random.default_rng(seed)
    for place, bit in zip(rng.integers(len(places), size=count), rng.integers(8, size=count), strict=True):
        yield (*places[place], int(bit))


@pytest.mark.parametrize("count", [150, pytest.param(1000, marks=pytest.mark.slow)])
def test_every_bit_flip_in_the_payload_is_found_and_its_row_named(tmp_path, columns, count):
    path = tmp_path / "s.h5"
    whole = build_shard("sdf", {"name": "x"}, 0, columns(["a", "b"], count=100, surface_count=20))
    path.write_bytes(whole)
    found = 0
    for place, row, bit in flips(path, count, seed=count):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        findings = verify(path)
        found += bool(findings)
        if row is not None:
            assert (findings[0].row, findings[0].shape_id) == (row, "ab"[row])
    assert found == count


def test_blocks_that_a_crash_of_the_machine_left_zero_are_found(shard):
    # The checksum of a block of zeros is zero, so this needs the digest of the row.
    whole = shard.read_bytes()
    with h5py.File(shard) as file:
        chunk = file["points"].id.get_chunk_info_by_coord((1, 0, 0))
    shard.write_bytes(
        whole[: chunk.byte_offset] + bytes(chunk.size) + whole[chunk.byte_offset + chunk.size :],
    )
    assert not h5py.File(shard)["points"][1].any(), "HDF5 notices nothing"
    findings = verify(shard)
    assert [finding.row for finding in findings] == [1]
    assert "sha256" in findings[0].problem


def test_a_value_edited_by_hand_is_found(shard):
    with h5py.File(shard, "r+") as file:
        file["scale"][2] *= 2
    assert "does not match its sha256" in problems(shard)[0]


def test_an_attribute_edited_by_hand_is_found(shard):
    with h5py.File(shard, "r+") as file:
        file.attrs["seed"] = 8
    assert "do not match their digest" in problems(shard)[0]


def test_a_file_without_digests_is_a_finding(shard):
    with h5py.File(shard, "r+") as file:
        del file.attrs["digest"]
    assert "no digests" in problems(shard)[0]


def closed_row(columns, **changes):
    row = {name: values[0] for name, values in columns(["a"], count=20000, surface_count=5000).items()}
    return {**row, **changes}


def test_a_wrong_sign_in_one_corner_is_found(columns):
    row = closed_row(columns)
    corner = (row["points"] > 0).all(axis=1)
    row["distances"] = np.where(corner, -row["distances"], row["distances"])
    assert any("signed distances of" in problem for problem in sdf_problems(row, exact=True))
    row["watertight"], row["sign_method"] = False, "winding"  # across a hole the sign may change: no finding
    assert sdf_problems(row, exact=True) == []


def test_inside_and_outside_exchanged_is_found(columns):
    row = closed_row(columns)
    row["distances"] = -row["distances"]
    assert ["inside and outside are exchanged" in problem for problem in sdf_problems(row, exact=True)] == [True]


def test_normals_that_point_inward_are_found(columns):
    row = closed_row(columns)
    row["surface_normals"] = -row["surface_normals"]
    assert ["normals point inward" in problem for problem in sdf_problems(row, exact=True)] == [True]


def test_distances_in_another_unit_are_found_and_approximate_ones_are_not_judged(columns):
    row = closed_row(columns)
    row["distances"] = row["distances"] * np.float32(1.1)
    found = sdf_problems(row, exact=True)
    assert len(found) == 2
    assert any("exceed the distance to a known surface point" in problem for problem in found)
    assert sdf_problems(row, exact=False) == []


def test_approximate_backends_are_named_in_the_recipe(tmp_path, columns):
    given = columns(["a"], count=20000, surface_count=5000)
    given["distances"][0] = given["distances"][0] * np.float32(1.1)
    for backend, findings in (("native", 2), ("pysdf", 0)):
        path = tmp_path / f"{backend}.h5"
        publish(path, build_shard("sdf", {"backend": backend}, 0, given))
        assert len(verify(path)) == findings


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"scale": -1.0}, "scale is -1"),
        ({"surface_normals": np.full((5000, 3), 0.5, "f4")}, "5000 of 5000 surface normals"),
        ({"distances": np.full(20000, 0.5, "f4"), "watertight": False}, "no sample lies inside"),
    ],
)
def test_other_impossible_records_are_found(columns, changes, reason):
    assert any(reason in problem for problem in sdf_problems(closed_row(columns, **changes), exact=False))


def test_neighbours_along_the_curve_are_near():
    points = np.random.default_rng(0).random((20000, 3))
    order = along_curve(points)
    assert sorted(order) == list(range(20000))
    steps = np.linalg.norm(np.diff(points[order], axis=0), axis=1)
    assert np.median(steps) < 0.05  # the side of a cell with one point in it is 0.037; without the curve it is 0.66


def test_the_slack_is_a_few_roundings(columns):
    assert 1e-7 < rounding(closed_row(columns)) < 3e-6


def test_a_shard_that_is_gone_or_damaged_is_named_and_the_rest_still_checked(folder):
    (folder / "shard-00001.h5").unlink()
    (folder / "shard-00002.h5").write_bytes((folder / "shard-00002.h5").read_bytes()[:3000])
    with h5py.File(folder / "shard-00003.h5", "r+") as file:
        file["scale"][0] *= 2
    text = "\n".join(map(str, verify(folder)))
    assert "shard-00002.h5: expected a whole shard" in text
    assert "shard-00003.h5, row 0 (f): its content does not match" in text
    assert "shard-00001.h5" in text


def rewrite_report(folder, change):
    path = folder / "report.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in change(lines)))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lines: lines[:-1], "expected one line for each of 10 items in their order, found 9"),
        (lambda lines: [*lines, lines[-1]], "found 11"),
        (lambda lines: [{**line, "status": "ok"} for line in lines], "4 shapes are reported ok but not stored"),
        (lambda lines: [{**line, "status": "failed"} for line in lines], "6 shapes are stored but not reported ok"),
    ],
)
def test_a_report_that_says_something_else_is_found(folder, change, reason):
    rewrite_report(folder, change)
    assert any(reason in problem for problem in problems(folder))


def test_a_manifest_that_is_gone_or_exchanged_is_found(folder):
    manifest = folder / "manifest.jsonl"
    text = manifest.read_text()
    manifest.write_text("".join(line + "\n" for line in text.splitlines() if '"a"' not in line))
    found = problems(folder)
    assert any("found another" in problem for problem in found)
    assert any("1 shapes are not in the manifest, the first is a" in problem for problem in found)
    manifest.unlink()
    assert any("found no such file" in problem for problem in problems(folder))


def test_a_shape_stored_twice_is_found(tmp_path, columns):
    publish(tmp_path / "s.h5", build_shard("sdf", {}, 0, columns(["a", "b", "a"])))
    assert "holds a more than once" in problems(tmp_path / "s.h5")[0]


def test_nothing_to_verify_is_an_error(tmp_path):
    for path in (tmp_path / "none.h5", tmp_path):
        with pytest.raises(DataError, match="expected"):
            verify(path)
