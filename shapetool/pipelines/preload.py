"""What the workers of each command import, as names alone: known before anything heavy is loaded."""

PRELOAD: dict[str, tuple[str, ...]] = {
    "sample-sdf": (
        "shapetool.data.shards",
        "shapetool.geometry.backends",
        "shapetool.geometry.frame",
        "shapetool.geometry.sdf",
        "shapetool.pipelines.sample_sdf",
        "shapetool.sampling.sdf",
        "shapetool.sampling.seed",
    ),
}
