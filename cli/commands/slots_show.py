"""``samespace slots show``."""

from __future__ import annotations

import click

from cli.options import Session, pass_session, session_options
from cli.output import table


@click.command("show")
@click.argument("model")
@session_options
@pass_session
def show_slots(session: Session, model: str) -> int:
    """Show which classes own the vertices of the model line MODEL.

    \b
    Example:
      samespace slots show products
    """
    with session.open() as registry:
        found = registry.slots.get(model)
    rows = [(str(o.slot), o.supplier, str(o.label), o.assigned_by) for o in found.owners]
    title = f"{model}: {found.n_free} of {found.n_slots} slots are free"
    return session.output.result(
        {
            "model": model,
            "n_slots": found.n_slots,
            "n_free": found.n_free,
            "owners": [
                {"slot": o.slot, "supplier": o.supplier, "label": o.label} for o in found.owners
            ],
        },
        table(title, ("#slot", "supplier", "class", "assigned by"), rows),
    )
