"""Single-view reconstruction: what is learned of which views, and that the target stays as it is."""

from pathlib import Path

import numpy as np
import pytest
import torch

from shapetool.cli.app import main
from shapetool.errors import ConfigError, DataError
from shapetool.models.svr import SingleView, SvrConfig
from shapetool.pipelines.extract import Extracting
from shapetool.pipelines.extract import run as extract
from shapetool.pipelines.train import Order, run
from shapetool.training.runs import open_run
from shapetool.training.shapes import Shapes, open_shapes
from tests.octahedra import octahedron_text, write_run

SMALL = {"steps": 40, "shapes": 2, "channels": 8, "code_size": 8, "shift": 1}


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> Path:
    """Four views of 24 pixels of two octahedra, and a run that has codes for both."""
    folder = tmp_path_factory.mktemp("seen")
    (folder / "meshes").mkdir()
    for name, radius in (("large", 0.7), ("small", 0.4)):
        (folder / f"meshes/{name}.obj").write_text(octahedron_text(radius))
    common = ["--normalize", "none", "-j", "1", "-q"]
    words = ["render-views", str(folder / "meshes"), str(folder / "views.h5"), "--views", "4", "--size", "24", *common]
    assert main([*words, "--channels", "rgb,silhouette"]) == 0
    words = ["sample-sdf", str(folder / "meshes"), str(folder / "sdf.h5"), "--count", "2000", "--surface-count", "100"]
    assert main([*words, *common]) == 0
    write_run(folder / "target", [2.0, -1.0], ["large", "small"], folder / "sdf.h5", {"normalize": "none"})
    return folder


@pytest.fixture
def shapes(seen) -> Shapes:
    return open_shapes([seen / "views.h5"])


def order(seen: Path, out: Path, **settings) -> Order:
    return Order(
        "svr", seen / "views.h5", out, settings=SMALL | settings, target=seen / "target", pictures=0, device="cpu"
    )


def test_views_of_learned_shapes_lead_to_their_meshes_and_the_target_stays_as_it_is(seen, tmp_path):
    before = open_run(seen / "target").model.state_dict()
    trained = run(order(seen, tmp_path / "run", steps=120, lr=5e-3))
    extracted = extract(Extracting(trained.folder, frame="unit", resolution=33), tmp_path / "out")
    assert extracted.summary.exit_code == 0
    from shapetool.geometry.mesh import load_mesh

    volumes = {name: load_mesh(tmp_path / f"out/{name}.ply").volume for name in ("large", "small")}
    # The octahedra have 4/3 r^3: 0.46 and 0.085.
    assert volumes["large"] > 3 * volumes["small"]
    for name, tensor in open_run(seen / "target").model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_the_loss_is_the_square_of_how_far_codes_are_off_in_units_of_their_spread(shapes, seen):
    target = open_run(seen / "target").model
    model = SingleView(SvrConfig(**SMALL), shapes.facts())
    model.attach(target, torch.tensor([[2.0], [-1.0]]))
    rng = np.random.default_rng(0)
    drawn = [model.config.draw(shapes[row], rng, 0)["images"] for row in (0, 1)]
    batch = {"images": torch.from_numpy(np.stack(drawn)), "index": torch.tensor([0, 1])}
    loss, _ = model.objectives()[0].loss(batch, 0)
    off = model.codes_of(batch) - torch.tensor([[2.0], [-1.0]])
    assert loss.item() == pytest.approx((off / 1.5).square().mean().item(), rel=1e-5)  # the mean is 0.5, the spread 1.5


def test_views_that_are_held_out_are_never_learned_from(shapes):
    config = SvrConfig(**SMALL | {"shift": 0}, held_out=2)
    rng = np.random.default_rng(0)

    def drawn(step: int) -> set[bytes]:
        return {config.draw(shapes[0], rng, step)["images"].tobytes() for _ in range(60)}

    learned, judged = drawn(0), drawn(-1)
    assert len(learned) == len(judged) == 2
    assert not learned & judged
    with pytest.raises(DataError, match="large: expected more than the 4 views"):
        SvrConfig(**SMALL, held_out=4).draw(shapes[0], rng, 0)


def test_a_target_is_asked_for_and_has_to_fit(seen, shapes, tmp_path):
    with pytest.raises(ConfigError, match="expected --target RUN"):
        run(Order("svr", seen / "views.h5", tmp_path / "run", settings=SMALL, pictures=0, device="cpu"))
    target = open_run(seen / "target").model
    model = SingleView(SvrConfig(**SMALL), shapes.facts())
    with pytest.raises(ConfigError, match="expected the 9 of the target"):
        model.attach(target, torch.rand(2, 9))
    with pytest.raises(ConfigError, match="found one code"):
        model.attach(target, torch.ones(2, 3))
    with pytest.raises(ConfigError, match="expected a target"):
        model.values(torch.zeros(1, 1, 3), torch.zeros(1, 1))
