"""Policy files: read, written for the first time, and said in words."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

from registry.domain.policies import Policy
from registry.errors import AlreadyExistsError, InvalidInputError, NotFoundError


def read_policy(path: Path | None) -> Policy:
    """Return the policy of a TOML file, or the default one if there is none.

    Raises:
        NotFoundError: if the file is missing.
        InvalidInputError: if it is not TOML, a key is unknown or a value breaks a rule.
    """
    if path is None:
        return Policy()
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} is not TOML: {error}") from error
    rules = given.get("requirements", [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise InvalidInputError(
            f"{path}: every requirement is a table", hint="write [[requirements]] above each"
        )
    return Policy.from_json(given)


def write_default(path: Path) -> None:
    """Write the default policy, every key explained.

    Raises:
        AlreadyExistsError: if there is such a file.
        NotFoundError: if there is no such folder.
    """
    text = files("cli").joinpath("default_policy.toml").read_text("utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise AlreadyExistsError(
            f"there is a file {path} already, and it is kept", hint="choose another name"
        ) from error
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no folder {path.parent}") from error


def describe(policy: Policy) -> list[str]:
    """Return what a policy demands, in sentences."""
    resamples = f"{policy.n_resamples} resamples, seed {policy.seed}"
    life = f"{policy.valid_days} days, or until the gallery holds {policy.growth:g} times its items"
    return [
        f"in every group, at one-sided confidence {policy.confidence_level:g} ({resamples}):",
        *(f"  {requirement}" for requirement in policy.requirements),
        f"{_counted(policy)}, resampled by {policy.unit}",
        f"a group of fewer than {policy.min_units} independent units is INCONCLUSIVE",
        f"the old model and the search that serves may come out worse by {policy.control_margin:g}",
        _leaked(policy),
        f"a certificate lives {life}",
    ]


def _leaked(policy: Policy) -> str:
    share = f"at most {policy.max_leaked:.4g} of" if policy.max_leaked else "none of"
    return (
        f"{share} the queries may be in the training data, if these are given: by id, or by a "
        f"vector of cosine {policy.near_duplicate:g} or more"
    )


def _counted(policy: Policy) -> str:
    if policy.unit == "query":
        return "each query counts once"
    if policy.average == "unit":
        return "each class counts once"
    return f"each query counts once, and no class has more than {policy.largest_unit}"
