"""What a report rests on: identities, digests, rules, software, dates."""

from __future__ import annotations

from collections.abc import Mapping

from compat.leaks import Leak
from registry.domain.canonical import Json, canonical_json, digest_json
from registry.domain.certificates import Certificate
from registry.domain.requirements import read_requirements

from . import words
from .contents import Entry, Report
from .tables import facts
from .text import Html, join, tag

Fact = tuple[str, object]

MOST_IDS = 20


def integrity(report: Report) -> Html:
    """Return identities and digests of every certificate, the policy and the environment."""
    first = report.entries[0].certificate
    parts = []
    for entry in report.entries:
        parts += [facts(words.heading(entry), identity(entry)), _leaked_ids(entry)]
    parts.append(facts("Policy in force", policy_facts(first)))
    parts.append(facts("Made with", sorted(first.environment.items())))
    head = tag("h2", "Integrity", {"id": "integrity-heading"})
    shape = {"id": "integrity", "aria-labelledby": "integrity-heading"}
    return tag("section", join((head, *parts)), shape)


def identity(entry: Entry) -> list[Fact]:
    """Return who was compared with whom, on what, when and by whom."""
    made = entry.certificate
    return [
        ("certificate", _code(made.digest)),
        ("queries of", _version(made.query_version, made.query_fingerprint)),
        ("vectors of", _version(made.gallery_version, made.gallery_fingerprint)),
        ("baseline", f"{made.baseline_version} on its own vectors"),
        ("compared by", f"{made.contract}; {made.metric}"),
        ("gallery", f"{made.gallery}, {made.n_gallery_items} items"),
        ("gallery digest", _code(made.gallery_digest)),
        ("index", _code(_index(made.index))),
        ("probe set", _probe_set(made.probe_set)),
        ("probe digest", _code(made.probe_digest)),
        ("evidence digest", _code(made.evidence_digest)),
        ("training data", _training(made.training)),
        ("leakage", words.leakage(entry)),
        ("issued", f"{made.issued_at:%Y-%m-%d %H:%M} UTC by {made.issued_by}"),
        ("valid until", f"{made.expires_at:%Y-%m-%d %H:%M} UTC, or until an input changes"),
        ("state", entry.staleness or "holds"),
    ]


def _training(training: Mapping[str, object]) -> Html | str:
    if not training:
        return "none were given"
    return join((f"{training['n_items']} items,", _code(str(training["digest"]))), " ")


def _leaked_ids(entry: Entry) -> Html:
    """Return the ids of the first queries that are in the training data, to be unfolded."""
    leaks = () if entry.leaks is None else entry.leaks.leaks
    if not leaks:
        return Html("")
    more = len(leaks) - MOST_IDS
    rest = f", the first {MOST_IDS}; {more} more are in the evidence" if more > 0 else ""
    head = tag("summary", f"{len(leaks)} in the training data, the nearest first{rest}")
    items = [tag("li", join((_code(leak.query), _where(leak)), "")) for leak in leaks[:MOST_IDS]]
    return tag("details", join((head, tag("ul", join(items), {"class": "ids"}))))


def _where(leak: Leak) -> str:
    ways = ["same id"] if leak.has_same_id else []
    if leak.cosine is not None:
        ways.append(f"training row {leak.row}, cosine {leak.cosine:.4f}")
    return f" ({'; '.join(ways)})"


def policy_facts(certificate: Certificate) -> list[Fact]:
    """Return the rules, each requirement as a sentence."""
    found: list[Fact] = []
    for name, value in sorted(certificate.policy.items()):
        if name == "requirements" and isinstance(value, (list, tuple)):
            found += [("requirement", _requirement(rule)) for rule in value]
        else:
            found.append((name.replace("_", " "), value))
    return [*found, ("digest", _code(digest_json(dict(certificate.policy))))]


def _requirement(rule: object) -> str:
    if not isinstance(rule, Mapping):
        return str(rule)
    return str(read_requirements([rule])[0])


def _index(index: Mapping[str, Json]) -> str:
    return ", ".join(
        f"{name} {value if isinstance(value, str) else canonical_json(value)}"
        for name, value in sorted(index.items())
    )


def _probe_set(said: Mapping[str, Json]) -> str | Html:
    if not said:
        return "not a registered one"
    return join((f"{said['name']} ", _code(str(said["digest"]))), "")


def _version(ref: object, fingerprint: str) -> Html:
    return join((f"{ref} ", tag("code", fingerprint[:19] + "…")), "")


def _code(value: str) -> Html:
    return tag("code", value)
