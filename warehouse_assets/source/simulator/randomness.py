"""Random streams: one for each month and purpose, so that no domain's draws depend on another's. Nothing else here."""

from zlib import crc32

import numpy as np


def stream(seed: int, month: int, purpose: str) -> np.random.Generator:
    """Return the generator for ``purpose`` in month number ``month`` (-1: before the first)."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, month + 1, crc32(purpose.encode())])))


def chances(rng: np.random.Generator, probability: np.ndarray | float, size: int) -> np.ndarray:
    """Return ``size`` booleans, each true with its ``probability``."""
    return np.asarray(rng.random(size, dtype=np.float32) < probability)
