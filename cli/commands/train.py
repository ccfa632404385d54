"""``samespace train``."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from cli.options import INPUT_FILE, Session, dry_run_option, pass_session, session_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from compat.training import EpochRecord
    from compat.workflow.training import TrainingPlan
    from registry.service import Registration

_PASSWORD = re.compile(r"(://[^:/@]*:)[^@]*@")


@click.command()
@click.argument("config", type=INPUT_FILE)
@click.option("--resume", type=INPUT_FILE, help="Checkpoint of the same run to go on from.")
@click.option("--old-factory", metavar="MODULE:NAME", help="Builds the old version's own backbone.")
@click.option("--threads", type=int, help="CPU threads; default all.")
@dry_run_option
@session_options
@pass_session
def train(
    session: Session,
    config: Path,
    resume: Path | None,
    old_factory: str | None,
    threads: int | None,
    dry_run: bool,
) -> int:
    """Train a new version by the TOML file CONFIG and register it.

    With an objective such as 'oca' and an earlier version to be compatible with, the new version
    comes with a contract that says how its queries meet old vectors; with 'cores' and
    'dsimplex-hoc', to every version of the same simplex. Whether they may is for
    'samespace certify' to say. Several processes train together under torchrun; the first one
    writes and registers.

    \b
    Example:
      samespace train v2.toml
      samespace train v2.toml --resume run.safetensors
      torchrun --nproc-per-node 2 --no-python samespace train v2.toml
    """
    from compat.training_config import read_training_config
    from compat.workers import joined
    from compat.workflow.training import plan_training, train_version

    if threads is not None:
        from compat.threads import set_threads

        set_threads(threads)
    is_first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started
    chosen = read_training_config(config)
    with session.open() as registry, joined(chosen.training.device):
        plan = plan_training(registry, chosen, directory=config.parent, old_factory=old_factory)
        what = _described(plan)
        if dry_run and not is_first:
            return 0
        if dry_run:
            return session.output.result({"dry_run": True}, f"would train {what}")
        if is_first:
            session.output.note(what)
        quiet = session.as_json or not is_first
        report = None if quiet else _reporter()
        try:
            made = train_version(registry, plan, resume=resume, on_epoch=report)
        except KeyboardInterrupt:
            if is_first:
                session.output.note(_how_to_go_on(chosen.training.checkpoint))
            raise
    if not is_first:
        return 0
    return _tell(session, made)


def _described(plan: TrainingPlan) -> str:
    chosen = plan.config
    return (
        f"{chosen.model.name}: {chosen.objective.name} on {len(plan.data.labels)} samples of "
        f"{plan.data.n_classes} classes, {chosen.training.epochs} epochs"
    )


def _tell(session: Session, made: Registration) -> int:
    version = made.version
    return session.output.result(
        {
            "version": str(version.ref),
            "fingerprint": version.fingerprint,
            "dim": version.dim,
            "is_new": made.is_new,
            "training": dict(version.training),
        },
        f"registered {version.ref}: {version.dim} dimensions, {version.fingerprint[:19]}…",
    )


def _how_to_go_on(checkpoint: Path | None) -> str:
    if checkpoint is None:
        return "nothing is kept: name a file in [training] checkpoint to keep finished epochs"
    if not checkpoint.is_file():
        return f"no epoch was finished, {checkpoint} is not there yet"
    return f"go on with: {_same_command(click.get_current_context(), checkpoint)}"


def _same_command(context: click.Context, checkpoint: Path) -> str:
    """Return the command as it was given, with all that was said on the line, resumed."""
    words = ["samespace", "train", str(context.params["config"]), "--resume", str(checkpoint)]
    for parameter in context.command.params:
        name = str(parameter.name)
        is_given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if not isinstance(parameter, click.Option) or name == "resume" or not is_given:
            continue
        words.append(parameter.opts[0])
        if not parameter.is_flag:
            kept = context.params.get(name, getattr(context.find_object(Session), name, None))
            words.append(_PASSWORD.sub(r"\1***@", str(kept)))
    return shlex.join(words)


def _reporter() -> Callable[[EpochRecord], None]:
    import sys
    import time

    is_terminal = sys.stderr.isatty()
    last, spent, n_done = time.monotonic(), 0.0, 0

    def report(record: EpochRecord) -> None:
        nonlocal last, spent, n_done
        now = time.monotonic()
        is_last = record.epoch == record.n_epochs
        spent, n_done = spent + record.seconds, n_done + 1  # a resumed run begins in the middle
        left = spent / n_done * (record.n_epochs - record.epoch)
        line = (
            f"epoch {record.epoch}/{record.n_epochs}  loss {record.loss:.3f}  "
            f"{record.samples_per_second:.0f} samples/s  {left:.0f} s left"
        )
        if is_terminal:
            print(f"\r{line:<70}", end="\n" if is_last else "", file=sys.stderr, flush=True)
        elif is_last or now - last > 5:
            last = now
            print(line, file=sys.stderr, flush=True)

    return report
