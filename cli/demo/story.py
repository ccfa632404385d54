"""The story: an upgrade with a gallery that stays, and one that is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np

from cli.options import DEFAULT_REGISTRY
from cli.output import show, table
from compat.workflow.embedding import embed_inputs, read_inputs
from registry import Registry
from registry.domain.certificates import Certificate
from registry.vector_files import read_labels

from .files import REPORTS, write_files
from .shell import Shell

_PROBE = (
    "--data queries.npz --gallery-labels gallery.npz --gallery-data gallery.npz "
    "--policy policy.toml --training-data train_v2.npz"
)


def tell(shell: Shell) -> dict[str, object]:
    """Tell the whole story in the current folder, and return what came of it as JSON values."""
    _prepare(shell)
    _version_1(shell)
    _two_candidates(shell)
    _certify(shell)
    _promote(shell)
    _grow(shell)
    _roll_back(shell)
    _end(shell)
    certificates = _certificates()
    return {
        "steps": [asdict(step) for step in shell.steps],
        "matrix": _matrix(certificates),
        "certificates": [
            {
                "query_version": str(certificate.query_version),
                "gallery_version": str(certificate.gallery_version),
                "verdict": certificate.verdict.value,
            }
            for certificate in certificates
        ],
        "seconds": round(shell.seconds, 3),
    }


def _prepare(shell: Shell) -> None:
    shell.step("Real data: handwritten characters of 30 alphabets (Omniglot, MIT licence)")
    data, split = write_files(Path())
    n_new = len({int(c) for c in data.labels[split.new_training]})
    n_old = len({int(c) for c in data.labels[split.old_training]})
    shell.say(
        f"""{len(data.class_names)} characters, each drawn by 20 people. {n_old} characters train
        the old model, {n_new} the new one. The gallery holds {len(split.gallery)} drawings of the
        others: 'new-only' characters, on which only the new model was trained, and 'unseen' ones,
        on which neither was. The people who drew for training, for the gallery and for the
        {len(split.queries)} queries are different people."""
    )


def _version_1(shell: Shell) -> None:
    shell.step("Version 1: train it, register it, embed and index the gallery")
    shell.run("init")
    shell.say(
        """The key signs certificates and promotions. Yours would lie in your own configuration
        folder; the demo keeps one beside its registry, and leaves yours alone."""
    )
    shell.run("train v1.toml")
    shell.run("gallery create shelf characters@1")
    shell.run("gallery add shelf --data gallery.npz")
    shell.run("gallery seal shelf")
    shell.run("gallery search shelf --data queries.npz -k 3 --first 2")


def _two_candidates(shell: Shell) -> None:
    shell.step("A better model on more data, twice: compatible (OCA), and trained on its own")
    shell.run("train v2.toml")
    shell.run("train independent.toml")
    shell.say(
        """characters@2 was trained against characters@1: its first 64 dimensions live in the old
        space, and the registry knows that. Nothing is known of characters@3. Somebody claims that
        it fits as well, so let us write the claim down and put it to the test:"""
    )
    shell.run("model declare characters@3 characters@1 --dims 64")


def _certify(shell: Shell) -> None:
    shell.step("Certify both against the gallery: new queries on the old vectors")
    served, refused = REPORTS
    shell.run(f"certify shelf characters@3 {_PROBE} --report {refused}", expect=(1,))
    shell.say(
        """Refused: its vectors have enough dimensions, so nothing would have failed, yet its
        answers are near chance. This is what a plain swap of the model does. Promotion is refused
        too:"""
    )
    shell.run("promote shelf characters@3", expect=(4,))
    shell.run(f"certify shelf characters@2 {_PROBE} --report {served}")
    shell.say(
        """The last control: no query is among the drawings that characters@2 was trained on, nor
        so near to one that it could be a copy. Without that its good marks would prove little."""
    )
    shell.say(
        f"""What the person who signs for the upgrade wants to see is {served}, a page for any
        browser; {refused} beside it is the report on the version that was refused:"""
    )
    click.echo(f"  {Path(served).resolve()}")
    shell.run("certificate list shelf")


def _promote(shell: Shell) -> None:
    shell.step("Promote version 2; the gallery is not touched")
    digests, before = _file_digests(), _served_hit(1)
    shell.run("promote shelf characters@2 --expect characters@1 --reason 'better model'")
    after = _served_hit(1)
    same = "unchanged" if _file_digests() == digests else "CHANGED"
    rows = [(path, digest[:24], _file_digests()[path][:24]) for path, digest in digests.items()]
    show(table(f"the gallery's files: {same}", ("file", "SHA-256 before", "after"), rows))
    shell.say(
        f"""Every query, asked through the public search: hit@1 was {before:.4f} with version 1 and
        is {after:.4f} with version 2, on the same old vectors. Old clients are told, not misled:"""
    )
    search = "gallery search shelf --data queries.npz -k 3 --first 2"
    shell.run(f"{search} --version characters@1", expect=(2,))
    shell.run(search)


def _grow(shell: Shell) -> None:
    shell.step("New items come with version 2; one search finds old and new")
    shell.run("gallery add shelf --data new_items.npz")
    shell.run("gallery search shelf --data queries.npz -k 4 --first 3")
    shell.run("status shelf")


def _roll_back(shell: Shell) -> None:
    shell.step("Roll back: what that would hide is said beforehand")
    if shell.run("rollback shelf --dry-run", expect=(0, 4)) == 0:
        shell.say("""The way back was certified as well, so version 1 may search the new items.""")
        shell.run("rollback shelf --reason 'to show it'")
    else:
        shell.say(
            """The way back was measured too, and old queries were not shown fit to search version
            2's vectors. In an emergency the loss can be accepted: the new items are hidden, not
            deleted, and are found again after the next promotion."""
        )
        shell.run("rollback shelf --accept-loss --reason 'to show it'")
    shell.run("gallery search shelf --data queries.npz -k 3 --first 1")
    shell.run("promote shelf characters@2 --reason 'and forward again'")
    shell.run("audit shelf")


def _end(shell: Shell) -> None:
    shell.step("What was measured: the compatibility matrix")
    names = {"@1": "old", "@2": "compatible", "@3": "independent"}
    rows = []
    for cell, groups in _matrix(_certificates()).items():
        kind = " -> ".join(names.get(part[-2:], part) for part in cell.split(" -> "))
        values = [f"{groups[g][m]:.4f}" for g in ("new-only", "unseen") for m in ("hit@1", "mAP")]
        rows.append((cell, kind, *values))
    columns = (
        "queries -> gallery",
        "",
        "#new-only hit@1",
        "#mAP",
        "#unseen hit@1",
        "#mAP",
    )
    show(table("", columns, rows))
    shell.say(
        """One training run of each version with fixed seeds; the bounds in the certificates
        speak of other queries, not of other training runs."""
    )
    click.echo(
        f"\n{shell.seconds:.0f} s in all. Look further:\n"
        f"  cd {Path.cwd().name} && export SAMESPACE_KEYS=$PWD/.samespace-keys\n"
        "  report.html, refused.html              the certificates, to be opened in a browser\n"
        "  samespace status                       what serves, and which certificates hold\n"
        "  samespace certificate list shelf       their states; verify and export take a digest\n"
        "  samespace lineage characters           where the versions came from\n"
        "  samespace model show characters@2      all that is known of one\n"
        "  samespace gallery show shelf           segments, files and digests\n"
        "  samespace rollback shelf --dry-run     what going back would hide\n"
        "  samespace doctor                       check every file, chain and model\n"
    )


def _certificates() -> tuple[Certificate, ...]:
    with Registry.open(DEFAULT_REGISTRY) as registry:
        return tuple(state.certificate for state in registry.certificates.of_gallery("shelf"))


def _matrix(
    certificates: tuple[Certificate, ...],
) -> dict[str, Mapping[str, Mapping[str, float]]]:
    cells = {cell: means for found in certificates for cell, means in found.matrix.items()}
    return dict(sorted(cells.items()))


def _file_digests() -> dict[str, str]:
    with Registry.open(DEFAULT_REGISTRY) as registry:
        segments = registry.galleries.get("shelf").segments
        root = registry.storage
    files = [part.file.path for s in segments for part in s.parts]
    files += [s.index.path for s in segments if s.index is not None]
    return {path: hashlib.sha256((root / path).read_bytes()).hexdigest() for path in files}


def _served_hit(k: int) -> float:
    """Share of the queries whose first k served items include one of the same character."""
    with Registry.open(DEFAULT_REGISTRY) as registry:
        version = registry.galleries.state("shelf").query_version
        queries = embed_inputs(registry, version, *read_inputs(Path("queries.npz")))
        hits = registry.search("shelf", queries, k)
    items, asked = read_labels(Path("gallery.npz")), read_labels(Path("queries.npz"))
    if items.ids is None:
        return float("nan")
    label_of = dict(zip(items.ids.tolist(), items.labels.tolist(), strict=True))
    right = [
        any(label_of[item] == label for item in row)
        for row, label in zip(hits.ids.tolist(), asked.labels.tolist(), strict=True)
    ]
    return float(np.mean(right))
