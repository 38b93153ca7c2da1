"""`shapetool train`: shards to a run folder with checkpoints.

The numerical modules are imported where they are used, so that the command can tell its options without torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shapetool.errors import CheckpointError, ConfigError, DataError, suggestion
from shapetool.pipelines.train_folder import claim, refuse
from shapetool.runner.files import writable

if TYPE_CHECKING:
    import torch

    from shapetool.models.base import Model, ModelConfig
    from shapetool.training.distributed import Ranks
    from shapetool.training.loop import Ended
    from shapetool.training.runs import RunRecipe
    from shapetool.training.shapes import Shapes

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Order:
    """What is to be trained, on what, and how.

    `config` is one of the model's named configurations, `settings` change numbers of it. `views` is a second data set,
    joined to the first by id; `split` a folder or file of lists, whose train part is learned and whose val part chooses
    `best/`. `target` is the run whose decoder a model of images serves. `budget` in seconds. `resume` insists on a run
    that is there, and lets steps and budget differ from what it had.
    """

    model: str
    data: Path
    run: Path
    config: str = "default"
    settings: Mapping[str, Any] = field(default_factory=dict)
    views: Path | None = None
    split: Path | None = None
    target: Path | None = None
    budget: float | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "f32"
    draw_threads: int = 1
    pictures: int = 4
    tensorboard: bool = False
    resume: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Trained:
    """How a run ended, and where it is; `note` says what was changed of what was asked for."""

    ended: Ended
    folder: Path
    note: str | None = None


def run(
    order: Order,
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
    stop: Callable[[], str | None] = lambda: None,
) -> Trained:
    """How training ended, after the run folder holds recipe, log, curves, pictures, `last/` and `best/`.

    The same order goes on where it was interrupted; one that is done trains nothing.

    Raises:
        CheckpointError: the folder's checkpoint is damaged or of another model, or there is none to resume.
        ConfigError: an unknown model, configuration or setting, or a folder that holds something else or in which
            another process trains.
        DataError: data of the wrong kind, without a column that is needed, with labels on one side only, or a loss
            that is not finite; the last checkpoint stands.
        OSError: the disk is full or fails.
    """
    import torch

    from shapetool.training.distributed import joined

    device = device_of(order.device)
    recipe, shapes, val, note = prepared(order)
    with joined(device) as ranks, writable(order.run), ExitStack() as held:
        model = _model(recipe).to(device)
        ranks.first_does(lambda: claim(order, recipe, held), device)
        if not ranks.first:
            on_event, note = lambda event: None, None
        on_event({"event": "start", "model": recipe.model, "shapes": len(shapes), **_weights(model)})
        if note:
            on_event({"event": "notice", "text": note})
        ended = _fit(order, recipe, (model, shapes, val), ranks, on_event, stop)
        if device.type == "cuda":
            torch.cuda.synchronize()
    return Trained(ended, order.run, note)


def plan(order: Order) -> dict[str, Any]:
    """What `run` would train, with nothing written.

    Raises:
        ConfigError: as `run` does.
        DataError: as `run` does.
        CheckpointError: as `run` does.
    """
    device_of(order.device)
    recipe, shapes, val, note = prepared(order)
    with writable(order.run):
        refuse(order, recipe)
    about = recipe.to_dict()
    about["facts"].pop("shape_ids")
    return {
        **about,
        **_weights(_model(recipe)),
        "shapes": len(shapes),
        "val_shapes": 0 if val is None else len(val),
        "note": note,
    }


def prepared(order: Order) -> tuple[RunRecipe, Shapes, Shapes | None, str | None]:
    """The recipe of the run, the shapes that it learns, those that it is judged by, and what was changed.

    Raises:
        ConfigError: an unknown model, configuration or setting.
        DataError: data that the model cannot learn from.
        CheckpointError: there is no run to resume.
    """
    from shapetool.training.batches import check_share
    from shapetool.training.distributed import world_size
    from shapetool.training.runs import RunRecipe
    from shapetool.training.shapes import open_shapes

    _check_options(order)
    config, budget = chosen_config(order)
    paths = [path for path in (order.data, order.views) if path is not None]
    train_ids, val_ids = _parts(order)
    shapes = open_shapes(paths, train_ids)
    check_data(shapes, config, order.data)
    note = None
    if len(shapes) < config.shapes:
        note = f"{len(shapes)} shapes are fewer than the {config.shapes} of a step; a step has them all"
        config = config.replace(shapes=len(shapes))
    check_share(config, world_size())
    facts = shapes.facts()
    known = facts.sizes
    facts = replace(facts, sizes={name: known[name] for name in sorted(known)})
    places = tuple(os.path.abspath(path) for path in paths)
    recipe = RunRecipe(order.model, config, facts, places, order.seed, order.precision, budget, tuple(val_ids or ()))
    val = open_shapes(paths, val_ids) if val_ids else None
    return recipe, shapes, val, note


def chosen_config(order: Order) -> tuple[ModelConfig, float | None]:
    """The configuration that an order asks for, and the budget: where it resumes, those of the run are the defaults.

    Raises:
        ConfigError: an unknown model, configuration or setting.
        CheckpointError: there is no run to resume.
    """
    from shapetool.models import model_class
    from shapetool.training.runs import read_recipe

    kind = model_class(order.model)
    if order.config not in kind.configs:
        raise ConfigError(
            f"--config {order.config}: {order.model} has none of this name{suggestion(order.config, kind.configs)}"
        )
    config, budget = kind.configs[order.config], order.budget
    if order.resume:
        if not (order.run / "recipe.json").exists():
            raise CheckpointError(
                f"{order.run}: expected a run to resume, found none. Leave --resume out to begin one."
            )
        found = read_recipe(order.run)
        if found.model != order.model:
            raise CheckpointError(
                f"{order.run}: expected a run of {order.model}, found one of {found.model}. Name another RUN."
            )
        config = found.config if order.config == "default" else config.replace(steps=found.config.steps)
        if budget is None and "steps" not in order.settings:
            budget = found.budget
    settings = dict(order.settings)
    if order.target is not None:
        settings["target"] = str(os.path.abspath(order.target))
    if order.budget is not None and "steps" not in settings:
        settings["steps"] = 10**9
    return config.replace(**settings), budget


def check_data(shapes: Shapes, config: ModelConfig, path: Path) -> None:
    """Nothing, if a model with this configuration can learn from the data.

    Raises:
        DataError: another kind, a column that is missing, too few shapes, or shapes that are not in a unit frame.
    """
    if shapes.kind not in config.kinds:
        raise DataError(
            f"{path}: expected a shard of kind {' or '.join(config.kinds)}, found kind {shapes.kind!r}. Sample it with "
            f"`shapetool {SAMPLED_BY.get(config.kinds[0], 'sample-sdf')}`."
        )
    missing = [name for name in config.columns if name not in shapes.columns]
    if missing:
        how = COLUMNS_BY.get(missing[0], "Sample the shapes with it.")
        raise DataError(f"{path}: expected the column {missing[0]!r}, found {', '.join(sorted(shapes.columns))}. {how}")
    if len(shapes) < config.least_shapes:
        raise DataError(
            f"{path}: expected at least {config.least_shapes} shapes, found {len(shapes)}. Sample more, or give "
            "another --split."
        )
    recipe = shapes.datasets[0].recipe
    if recipe.get("normalize") == "none":
        reach = shapes.reach("surface_points", "points")
        if not 0.05 <= reach <= 4:
            raise DataError(
                f"{path}: expected shapes in a unit frame, found coordinates up to {reach:.3g}. Sample them with "
                "--normalize sphere."
            )


SAMPLED_BY = {"sdf": "sample-sdf", "occupancy": "sample-occupancy", "views": "render-views"}
COLUMNS_BY = {
    "solid": "Sample with --grid N.",
    "voxels": "Sample with --recipe imnet-v1.",
    "order": "Sample with --recipe imnet-v1 or imnet-v2.",
    "images": "Give the views of the same shapes with --views, from `shapetool render-views --channels rgb`.",
    "surface_points": "Sample with --surface-count.",
}


def _parts(order: Order) -> tuple[list[str] | None, list[str] | None]:
    """The ids to train on and to judge by; None where all are trained on."""
    if order.split is None:
        return None, None
    from shapetool.pipelines.lists import ids_by_part, ids_on

    return ids_on(order.data, order.split, "train"), ids_by_part(order.data, order.split)["val"]


def device_of(word: str) -> torch.device:
    """The device of a word: auto, cpu or cuda.

    Raises:
        ConfigError: another word, or no such device.
    """
    import torch

    if word not in DEVICES:
        raise ConfigError(f"--device {word}: expected {', '.join(DEVICES)}.")
    if word == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "--device cuda: torch finds no CUDA device here. Use --device cpu, or a build of torch with CUDA."
        )
    if word == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def _check_options(order: Order) -> None:
    """Nothing, if what no configuration decides can be done here.

    Raises:
        ConfigError: an unknown precision, or TensorBoard without its package.
    """
    from importlib.util import find_spec

    from shapetool.training.loop import PRECISIONS

    if order.precision not in PRECISIONS:
        raise ConfigError(f"--precision {order.precision}: expected {' or '.join(PRECISIONS)}.")
    if order.tensorboard and find_spec("tensorboard") is None:
        raise ConfigError("--tensorboard: install the extra: pip install 'shapetool[tensorboard]'.")


def _model(recipe: RunRecipe) -> Model[Any]:
    """The model with fresh weights, and with the decoder that it serves if it serves another run's."""
    from shapetool.pipelines.codes import attach_target
    from shapetool.training.runs import built

    model = built(recipe)
    attach_target(model, recipe)
    return model


def _weights(model: Model[Any]) -> dict[str, int]:
    return {"parameters": sum(p.numel() for p in model.parameters())}


def _fit(
    order: Order,
    recipe: RunRecipe,
    what: tuple[Model[Any], Shapes, Shapes | None],
    ranks: Ranks,
    on_event: Callable[[dict[str, Any]], None],
    stop: Callable[[], str | None],
) -> Ended:
    from shapetool.pipelines.train_pictures import Pictures
    from shapetool.training.loop import Terms, fit

    model, shapes, val = what
    pictures = Pictures(order.run, recipe, model, order.tensorboard) if ranks.first else None
    terms = Terms(
        seed=recipe.seed,
        budget=recipe.budget,
        precision=recipe.precision,
        draw_threads=order.draw_threads,
        pictures=order.pictures if pictures is not None else 0,
        stop=stop,
        on_event=_both(pictures, on_event) if pictures is not None else lambda event: None,
        on_picture=pictures.draw if pictures is not None else lambda step: None,
    )
    try:
        return fit(model, shapes, order.run, terms, ranks, val)
    finally:
        if pictures is not None:
            pictures.close()


def _both(pictures: Any, on_event: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    def heard(event: dict[str, Any]) -> None:
        pictures.hear(event)
        on_event(event)

    return heard
