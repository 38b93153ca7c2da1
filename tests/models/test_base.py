"""The numbers that every model has: how words become them, what is refused, and what is kept."""

import json
from dataclasses import dataclass, fields

import pytest

from shapetool.errors import ConfigError
from shapetool.models import MODELS, model_class
from shapetool.models.base import ModelConfig


@dataclass(frozen=True)
class Numbers(ModelConfig):
    """A setting of every type."""

    whole: int = 3
    share: float = 0.5
    sure: bool = False
    word: str = "cosine"
    sizes: tuple[int, ...] = (16, 32)
    weights: tuple[float, ...] = (0.5, 1.5)


@pytest.mark.parametrize(
    ("key", "given", "read"),
    [
        ("whole", "7", 7),
        ("whole", 7.0, 7),
        ("whole", "1e3", 1000),
        ("share", "1e-4", 1e-4),
        ("share", 2, 2.0),
        ("sure", "true", True),
        ("sure", "No", False),
        ("sure", 1, True),
        ("sure", True, True),
        ("word", "x", "x"),
        ("sizes", ["8", "16"], (8, 16)),
        ("sizes", "8", (8,)),
        ("weights", [1, "2.5"], (1.0, 2.5)),
    ],
)
def test_words_become_what_the_setting_is(key, given, read):
    value = getattr(Numbers().replace(**{key: given}), key)
    assert value == read
    assert type(value) is type(read)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"widht": 1}, "unknown setting 'widht'"),
        ({"step": 1}, "did you mean 'steps'"),
        ({"whole": "x"}, "whole is 'x'; expected a number"),
        ({"whole": "1.5"}, "whole is '1.5'; expected a whole number"),
        ({"whole": ["1", "2"]}, "expected one number"),
        ({"whole": None}, "expected a number"),
        ({"share": "x"}, "share is 'x'"),
        ({"sure": "perhaps"}, "expected true or false"),
        ({"sizes": ["1", "x"]}, "sizes is"),
        ({"sizes": ["1.5"]}, "whole number"),
        ({"steps": 0}, "steps is 0; expected a number above 0"),
        ({"shapes": -1}, "shapes is -1"),
        ({"points": 0}, "points is 0"),
        ({"lr": 0}, "lr is 0"),
        ({"lr": "nan"}, "lr is nan"),
        ({"lr": "inf"}, "lr is inf"),
        ({"clip": "inf"}, "clip is inf"),
        ({"clip": -1}, "clip is -1"),
        ({"ema": 1}, "ema is 1"),
        ({"ema": -0.1}, "ema is -0.1"),
        ({"warmup": -1}, "warmup is -1"),
        ({"lr_end": -1}, "lr_end is -1"),
        ({"halve_every": 0}, "halve_every is 0"),
        ({"checkpoint_every": 0}, "checkpoint_every is 0"),
        ({"schedule": "cosin"}, "unknown schedule 'cosin'; did you mean 'cosine'"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_by_name(given, said):
    with pytest.raises(ConfigError, match=said):
        Numbers().replace(**given)


def test_numbers_survive_json():
    config = Numbers().replace(whole=5, sizes=[1], weights=[0.1, 0.2], sure=True, lr=1e-5)
    assert Numbers().replace(**json.loads(json.dumps(config.to_dict()))) == config
    assert set(config.to_dict()) == {field.name for field in fields(Numbers)}


def test_an_unknown_model_is_named_with_its_nearest():
    with pytest.raises(ConfigError, match="unknown model 'deepsfd'; did you mean 'deepsdf'"):
        model_class("deepsfd")


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_its_configurations_and_is_asked_for_something(name):
    pytest.importorskip(MODELS[name].partition(":")[0], reason=f"{name} is not written yet")
    kind = model_class(name)
    assert {"default", "reference"} <= set(kind.configs)
    assert kind.__doc__
    for config in kind.configs.values():
        assert type(config) is type(kind.configs["default"])
        assert type(config)().replace(**json.loads(json.dumps(config.to_dict()))) == config
        assert config.columns
    assert any(hasattr(kind, method) for method in ("values", "point_sets", "radiance"))
