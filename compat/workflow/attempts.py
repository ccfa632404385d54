"""Which attempt on its queries a certification is, by what the registry recorded."""

from __future__ import annotations

from collections.abc import Mapping

from compat.attempts import digest_questions, paying
from compat.probes import Probe, digest_array
from registry.domain.attempts import Attempt
from registry.domain.canonical import Json, digest_json
from registry.domain.galleries import Gallery
from registry.domain.policies import Policy
from registry.domain.versions import ModelVersion
from registry.service import Registry


def count_attempt(
    registry: Registry,
    gallery: str,
    candidate: ModelVersion,
    probe: Probe,
    policy: Policy,
    training: Mapping[str, Json],
) -> Attempt:
    """Return which attempt it is to certify a candidate on a gallery with some queries.

    The same candidate, vectors, gallery content, training data and policy once more are the same
    attempt.
    """
    run = digest_json(
        {
            "candidate": candidate.fingerprint,
            "probe": probe.digest,
            "reembedded": None if (re := probe.reembedded) is None else digest_array(re.vectors),
            "policy": policy.digest,
            "training": dict(training),
            "seen": None if (seen := probe.queries.seen) is None else digest_array(seen),
            "gallery": _content(registry.galleries.get(gallery)),
        }
    )
    found = registry.certificates.attempt(gallery, digest_questions(probe.queries), run)
    return paying(policy, found)


def _content(gallery: Gallery) -> dict[str, Json]:
    return {
        "name": gallery.name,
        "index": [gallery.index.backend, gallery.index.factory, dict(gallery.index.options)],
        "segments": [
            [str(s.version), s.n_items, *(part.file.digest for part in s.parts)]
            for s in gallery.segments
        ],
    }
