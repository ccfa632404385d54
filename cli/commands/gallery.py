"""``samespace gallery``: its subcommands."""

from __future__ import annotations

from cli.lazy import LazyGroup

gallery = LazyGroup(
    "gallery",
    {
        "create": "cli.commands.gallery_create:create",
        "add": "cli.commands.gallery_add:add",
        "seal": "cli.commands.gallery_seal:seal",
        "list": "cli.commands.gallery_list:list_galleries",
        "show": "cli.commands.gallery_show:show",
        "search": "cli.commands.gallery_search:search",
        "delete": "cli.commands.gallery_delete:delete",
        "erase": "cli.commands.gallery_erase:erase",
        "erasures": "cli.commands.gallery_erasures:erasures",
        "compact": "cli.commands.gallery_compact:compact",
        "prune": "cli.commands.gallery_prune:prune",
    },
    help="Make galleries, fill and search them.",
)
