"""One stream of random numbers for each shape."""

import hashlib

import numpy as np


def shape_rng(seed: int, shape_id: str) -> np.random.Generator:
    """The generator of one shape: a function of the seed and the shape's id, and of nothing else.

    Order, workers, shards and reruns therefore never change a draw. The key is SHA-256 of ``"{seed}:{shape_id}"``,
    so neighbouring seeds and similar ids share nothing.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Philox, a counter-based generator).
    """
    digest = hashlib.sha256(f"{seed}:{shape_id}".encode("utf-8", "surrogateescape")).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
