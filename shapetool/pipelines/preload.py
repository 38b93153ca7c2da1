"""What the workers of each command import, as names alone: known before anything heavy is loaded."""

PRELOAD: dict[str, tuple[str, ...]] = {
    "sample-occupancy": (
        "shapetool.data.shards",
        "shapetool.geometry.backends",
        "shapetool.geometry.flood_sign",
        "shapetool.geometry.frame",
        "shapetool.geometry.inside",
        "shapetool.geometry.voxels",
        "shapetool.pipelines.sample_occupancy",
        "shapetool.sampling.occupancy",
        "shapetool.sampling.seed",
    ),
    "sample-sdf": (
        "shapetool.data.shards",
        "shapetool.geometry.backends",
        "shapetool.geometry.flood_sign",
        "shapetool.geometry.frame",
        "shapetool.geometry.lattice",
        "shapetool.geometry.sdf",
        "shapetool.pipelines.sample_sdf",
        "shapetool.sampling.sdf",
        "shapetool.sampling.seed",
    ),
    "render-views": (
        "shapetool.data.shards",
        "shapetool.geometry.frame",
        "shapetool.geometry.topology",
        "shapetool.pipelines.render_views",
        "shapetool.render.paint",
        "shapetool.render.placing",
        "shapetool.render.views",
        "shapetool.sampling.seed",
    ),
    "eval": (
        "shapetool.data.shards",
        "shapetool.pipelines.eval_pair",
        "shapetool.pipelines.evaluate",
    ),
    "repair": ("shapetool.pipelines.repair",),
    "convert": (
        "shapetool.data.formats.deepsdf",
        "shapetool.data.formats.disn",
        "shapetool.data.formats.imnet_v1",
        "shapetool.data.formats.imnet_v2",
        "shapetool.data.formats.nerf",
        "shapetool.data.formats.nerfstudio",
        "shapetool.data.formats.neus",
        "shapetool.data.formats.onet",
        "shapetool.data.formats.r2n2",
        "shapetool.data.formats.vecset",
        "shapetool.data.shards",
        "shapetool.pipelines.convert",
        "shapetool.pipelines.import_views",
        "shapetool.render.cameras",
        "shapetool.sampling.seed",
    ),
    # No command of its own: what `convert` needs where it makes shapes of views.
    "from-views": (
        "shapetool.data.clouds",
        "shapetool.data.mesh_files",
        "shapetool.data.shards",
        "shapetool.extraction.lattice",
        "shapetool.geometry.frame",
        "shapetool.pipelines.from_views",
        "shapetool.render.fusion",
        "shapetool.render.hull",
    ),
}

# No key of the above: the command has workers only where it must compare meshes, and asks for them then.
SIMILARITY = (
    "shapetool.geometry.mesh",
    "shapetool.pipelines.split",
    "shapetool.sampling.seed",
    "shapetool.sampling.similarity",
    "shapetool.sampling.surface",
)
