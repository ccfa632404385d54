"""``samespace slots assign``."""

from __future__ import annotations

import click

from cli.options import Session, dry_run_option, pass_session, session_options


@click.command()
@click.argument("model")
@click.argument("labels", nargs=-1, required=True)
@click.option("--n-slots", type=int, help="Number of vertices; needed the first time only.")
@click.option("--supplier", default="local", show_default=True, help="Who names the classes.")
@click.option(
    "--side",
    type=click.Choice(["top", "bottom"]),
    default="top",
    show_default=True,
    help="From which end free slots are taken.",
)
@dry_run_option
@session_options
@pass_session
def assign(
    session: Session,
    model: str,
    labels: tuple[str, ...],
    n_slots: int | None,
    supplier: str,
    side: str,
    dry_run: bool,
) -> int:
    """Give the classes LABELS slots of the model line MODEL; a class keeps its slot for ever.

    Labels that are all whole numbers are taken as numbers; put -- before negative ones.
    'samespace train' assigns the classes of its training data by itself; this is for those of a
    model that comes from elsewhere.

    \b
    Example:
      samespace slots assign products shoe bag hat --n-slots 1000
      samespace slots assign products 0 1 2 --supplier hub --side bottom
    """
    from registry.domain.slots import Label, Side

    are_numbers = all(_is_whole(text) for text in labels)
    names: list[Label] = [int(text) for text in labels] if are_numbers else list(labels)
    with session.open() as registry:
        given = registry.slots.assign(
            model, names, n_slots=n_slots, supplier=supplier, side=Side(side), dry_run=dry_run
        )
    shown = ", ".join(f"{label} {slot}" for label, slot in list(given.items())[:10])
    more = f" and {len(given) - 10} more" if len(given) > 10 else ""
    return session.output.result(
        {
            "model": model,
            "dry_run": dry_run,
            "slots": [{"label": label, "slot": slot} for label, slot in given.items()],
        },
        f"{'would have ' if dry_run else ''}given slots of {model!r}: {shown}{more}",
    )


def _is_whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and str(int(text)) == text
