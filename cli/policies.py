"""Policy files: read, written for the first time, and said in words."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

from registry.domain.attempts import BY_VERDICT, UNCOUNTED
from registry.domain.places import ON_MIXED, ON_SERVED
from registry.domain.policies import BCA, Policy
from registry.errors import AlreadyExistsError, InvalidInputError, NotFoundError, in_one_line


def read_policy(path: Path | None) -> Policy:
    """Return the policy of a TOML or YAML file, or the default one if there is none.

    Raises:
        NotFoundError: if the file is missing.
        InvalidInputError: if it is neither, a key is unknown or a value breaks a rule.
    """
    if path is None:
        return Policy()
    try:
        text = path.read_text("utf-8")
        given = _parsed(text, path)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is not text in UTF-8: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"{path} is not TOML: {error}") from error
    if not isinstance(given, dict):
        raise InvalidInputError(f"{path} is no table of keys, but {type(given).__name__}")
    rules = given.get("requirements", [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise InvalidInputError(
            f"{path}: every requirement is a table",
            hint="write [[requirements]] above each, in YAML a list of mappings",
        )
    return Policy.from_json(given)


def _parsed(text: str, path: Path) -> object:
    if path.suffix not in (".yaml", ".yml"):
        return tomllib.loads(text)
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise InvalidInputError(
            f"{path} is YAML, which needs PyYAML, and that is not installed",
            hint="pip install 'samespace[yaml]', or write the policy in TOML",
        ) from error
    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise InvalidInputError(f"{path} is not YAML: {in_one_line(error)}") from error


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
    where = "every group" if policy.groups is None else "the groups " + ", ".join(policy.groups)
    return [
        f"in {where}, at one-sided confidence {policy.confidence_level:g} ({resamples}):",
        *(f"  {requirement}" for requirement in policy.requirements),
        _attempts(policy),
        *_elsewhere(policy),
        f"{_counted(policy)}, resampled by {policy.unit}",
        f"a group of fewer than {policy.min_units} independent units is INCONCLUSIVE",
        f"the old model and the search that serves may come out worse by {policy.control_margin:g}",
        _leaked(policy),
        f"a certificate lives {life}",
    ]


def _elsewhere(policy: Policy) -> list[str]:
    found = []
    if policy.asks(ON_MIXED):
        shares = ", ".join(f"{share:.0%}" for share in policy.mixed)
        found.append(f"mixed: the gallery with {shares} of its items embedded again")
    if policy.asks(ON_SERVED):
        found.append("served: by the gallery's own index, against old queries by that index")
    if policy.bound == BCA:
        found.append("bounds by the BCa bootstrap, too sure of itself where losses are rare")
    return found


def _attempts(policy: Policy) -> str:
    if policy.attempts == UNCOUNTED:
        return "attempts on the same queries are counted, but none pays for the others"
    planned = policy.planned_attempts
    shared = "all attempts" if planned is None else f"the {planned} planned attempts"
    chosen = " (candidates may be chosen by verdicts)" if policy.attempts == BY_VERDICT else ""
    return f"{shared} on the same queries share the error{chosen}"


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
