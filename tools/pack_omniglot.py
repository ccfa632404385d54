"""Pack Omniglot's background set into the file that ships with samespace.

    python tools/pack_omniglot.py SOURCE.npz compat/datasets/omniglot28.npz

The source holds 105×105 images at 1 bit a pixel (`bits`), and `label`, `alphabet`, `drawer`,
`class_names` and `alphabet_names`. Each image is averaged by area to 28×28 and kept at 4 bits a
pixel: 2 bits would save 0.7 MB of 1.5 and lose the strokes' edges. Prints the SHA-256 to record in
`compat/datasets/omniglot.py`.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SOURCE_SIDE = 105
SIDE = 28
LEVELS = 15


def area_weights() -> NDArray[np.float64]:
    """Return how much each source row counts in each target row. Shape: (SIDE, SOURCE_SIDE)."""
    step = SOURCE_SIDE / SIDE
    low = np.arange(SIDE)[:, None] * step
    source = np.arange(SOURCE_SIDE)[None, :]
    overlap = np.minimum(low + step, source + 1) - np.maximum(low, source)
    weights: NDArray[np.float64] = np.clip(overlap, 0, None) / step
    return weights


def shrink(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return images averaged by area, as levels 0 to 15. Shape: (n, SIDE, SIDE)."""
    weights = area_weights()
    means: NDArray[np.float64] = np.einsum(
        "ai,nij,bj->nab", weights, images, weights, optimize=True
    )
    levels: NDArray[np.uint8] = np.rint(means * LEVELS).astype(np.uint8)
    return levels


def main() -> None:
    """Read the source, write the package's file, print its digest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    with np.load(arguments.source, allow_pickle=False) as source:
        arrays = {name: source[name] for name in source.files}
    n = len(arrays["label"])
    bits = np.unpackbits(arrays["bits"], axis=1)[:, : SOURCE_SIDE**2]
    levels = shrink(bits.reshape(n, SOURCE_SIDE, SOURCE_SIDE)).reshape(n, -1)
    np.savez_compressed(
        arguments.target,
        nibbles=(levels[:, 0::2] << 4) | levels[:, 1::2],
        label=arrays["label"].astype(np.uint16),
        alphabet=arrays["alphabet"].astype(np.uint8),
        drawer=arrays["drawer"].astype(np.uint8),
        class_names=arrays["class_names"],
        alphabet_names=arrays["alphabet_names"],
    )
    data = arguments.target.read_bytes()
    print(f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
