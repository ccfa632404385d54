"""``samespace slots``: who owns which vertex of a fixed simplex classifier."""

from __future__ import annotations

from cli.lazy import LazyGroup

slots = LazyGroup(
    "slots",
    {
        "show": "cli.commands.slots_show:show_slots",
        "assign": "cli.commands.slots_assign:assign",
    },
    help="Class slots: which class owns which vertex of a model line's simplex.",
)
