"""How near do queries come to training data that do not hold them, and how near do copies?

For every model the share of queries whose nearest training vector reaches a cosine: of honest
queries, which nobody trained on, and of planted ones: training images again as they are, encoded as
JPEG, mirrored, moved by one pixel, or brighter. The policy's `near_duplicate` was chosen from it:
the smallest cosine tried at which no honest query of any model is found, but for those that are in
the training data to the last pixel, which CIFAR-100 has, or nearly to the last word, as in SciFact.

Images: models trained by samespace on Omniglot (as in the demo) and on CIFAR-100 (100 images a
class; 12 epochs, and 40); ResNets of CIFAR-10, one half of its test images against the other.
Texts: SciFact's test claims against its training claims, and one half of its documents against the
other, by three text models. One seed each.

Usage: python -m benchmarks.near_duplicates --data ../shared/data
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchmarks.beyond import NEW, OLD, PLAIN, RECIPES, images
from benchmarks.measuring import report
from benchmarks.side_by_side.data import Images, read
from benchmarks.side_by_side.kept import Kept, kept
from benchmarks.side_by_side.measure import embed
from benchmarks.side_by_side.methods import BY_NAME, SIZES, Method, Size
from benchmarks.side_by_side.models import Others, Run, train_model
from compat.datasets.omniglot import NEW_ONLY, UNSEEN, demo_split, load_omniglot
from compat.encoders import Encoder
from compat.evaluation.nearest import nearest_cosines
from registry.arrays import Float32Array, Float64Array

COSINES = (0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995)
N_PLANTED = 2000
Row = dict[str, Any]


def shares(queries: Float32Array, training: Float32Array) -> dict[str, float]:
    """Return the share of queries that each cosine finds, and the largest one below copies."""
    cosines, _ = nearest_cosines(queries, [training])
    found = {f"{limit:g}": float((cosines >= limit).mean()) for limit in COSINES}
    return {**found, "largest": _largest(cosines)}


def _largest(cosines: Float64Array) -> float:
    """Return the largest cosine but for those of copies, which have 1."""
    return float(cosines[cosines < 0.999999].max(initial=-1))


def copies(pixels: Tensor) -> dict[str, Tensor]:
    """Return images again: as they are, and edited in ways that keep what they show."""
    brighter = (pixels.to(torch.int16) + 4).clamp(0, 255).to(torch.uint8)
    encoded = {f"JPEG, quality {q}": _jpeg(pixels, q) for q in (95, 90, 75)}
    edited = {"mirrored": pixels.flip(-1), "moved by 1 pixel": torch.roll(pixels, 1, -1)}
    return {"as they are": pixels, "brighter by 4 of 255": brighter, **encoded, **edited}


def _jpeg(pixels: Tensor, quality: int) -> Tensor:
    return torch.from_numpy(np.stack([_encoded(image, quality) for image in pixels.numpy()]))


def _encoded(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    buffer, is_grey = io.BytesIO(), image.ndim == 2
    shown = Image.fromarray(image if is_grey else image.transpose(1, 2, 0))
    shown.save(buffer, "JPEG", quality=quality)
    decoded = np.asarray(Image.open(buffer))
    return decoded if is_grey else decoded.transpose(2, 0, 1)


def of_images(encoder: Encoder, training: Images, honest: Mapping[str, Images]) -> Iterator[Row]:
    """Yield how many are found of honest queries and of planted ones."""
    held = embed(encoder, training)
    known = {image.tobytes() for image in training.pixels.numpy()}
    for name, asked in honest.items():
        n_same = sum(image.tobytes() in known for image in asked.pixels.numpy())
        found = shares(embed(encoder, asked), held)
        yield {"queries": name, "n": len(asked.labels), "same_pixels": n_same, "shares": found}
    order = torch.randperm(len(training.labels), generator=torch.Generator().manual_seed(0))
    planted = training.pixels[order[:N_PLANTED]]
    for name, pixels in copies(planted).items():
        asked = Images(pixels, training.labels[: len(pixels)])
        found = shares(embed(encoder, asked), held)
        yield {"queries": f"planted: {name}", "n": len(pixels), "shares": found}


def omniglot(place: Kept) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """Yield the demo's models: trained freely, and with OCA."""
    data = load_omniglot()
    split = demo_split(data, 0)
    training, asked = images(data, split.new_training), images(data, split.queries)
    groups = split.groups[data.labels[split.queries]]
    kinds = {g: torch.from_numpy(groups == g) for g in (NEW_ONLY, UNSEEN)}
    honest = {name: Images(asked.pixels[rows], asked.labels[rows]) for name, rows in kinds.items()}

    def old() -> Encoder:
        held = images(data, split.old_training)
        run = Run(OLD, 0, place.folder).at(0)
        return train_model(PLAIN, run, "old", held, OLD.old_dim, Others())

    def rows(method: Method) -> list[Row]:
        others = Others(old()) if method.meets_old else Others()
        run = Run(NEW, 0, place.folder)
        encoder = train_model(method, run, f"omniglot-{method.name}", training, NEW.new_dim, others)
        return list(of_images(encoder, training, honest))

    for method in (PLAIN, next(r for r in RECIPES if r.name == "oca")):
        yield f"Omniglot, {method.name}", partial(rows, method)


def cifar(data: Path, place: Kept) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """Yield models of CIFAR-100, trained for some epochs and for many."""
    whole, test, other = read(data)
    training = whole.per_class(SIZES["small"].per_class, 0)
    honest = {"CIFAR-100, test": test, "CIFAR-10, test": other}

    def rows(size: Size, name: str) -> list[Row]:
        method, run = BY_NAME["independent"], Run(size, 0, place.folder)
        encoder = train_model(method, run, name, training, size.new_dim, Others())
        return list(of_images(encoder, training, honest))

    for epochs in (SIZES["small"].training.epochs, 40):
        size = SIZES["small"].changed(epochs, None)
        yield f"CIFAR-100, {epochs} epochs", partial(rows, size, f"cifar-{epochs}")


def halves(vectors: Float32Array) -> dict[str, float]:
    """Return how many of one half, drawn at random, are found in the other."""
    order = np.random.default_rng(0).permutation(len(vectors))
    one, other = np.array_split(order, 2)
    return shares(vectors[one], vectors[other])


def kept_vectors(data: Path) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """Yield models of which only vectors are kept."""

    def resnet(name: str) -> list[Row]:
        vectors = np.load(data / f"cifar10_test_{name}.npy").astype(np.float32)
        queries = "CIFAR-10, half of the test images against the other"
        return [{"queries": queries, "n": len(vectors) // 2, "shares": halves(vectors)}]

    def text(name: str) -> list[Row]:
        with np.load(data / f"scifact_{name}.npz") as file:
            docs, test, train = (file[n].astype(np.float32) for n in ("docs", "q_test", "q_train"))
        claims, documents = "SciFact, test claims against training claims", "SciFact, documents"
        return [
            {"queries": claims, "n": len(test), "shares": shares(test, train)},
            {"queries": documents, "n": len(docs) // 2, "shares": halves(docs)},
        ]

    for name in ("resnet20", "resnet56"):
        yield name, partial(resnet, name)
    for name in ("wordllama256", "minilm_l3", "minilm_l6"):
        yield name, partial(text, name)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of shared/data")
    parser.add_argument("--work", type=Path, default=Path("build/near_duplicates"))
    given = parser.parse_args()
    given.seeds = [0]
    place = kept(given, Path(__file__))
    parts = (
        *kept_vectors(given.data / "embeddings"),
        *omniglot(place),
        *cifar(given.data / "images", place),
    )
    rows = []
    for name, measure in parts:
        slug = name.replace(", ", "-").replace(" ", "-")
        found = place.result(slug, lambda measure=measure: {"rows": measure()})  # type: ignore[misc]
        rows += [{"model": name, **row} for row in found["rows"]]
        print(name, flush=True)
    for row in rows:
        numbers = " ".join(f"{row['shares'][f'{c:g}']:.4f}" for c in COSINES)
        print(f"{row['model']:24} {row['queries']:52} {row['n']:6} {numbers}")
    report("near_duplicates", {"cosines": COSINES, "rows": rows})


if __name__ == "__main__":
    main()
