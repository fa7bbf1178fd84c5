"""Groups of commands about things of which there is a list."""

from __future__ import annotations

import click


class ListingGroup(click.Group):
    """Lists where no subcommand is named: `telecine workers --json` is `telecine workers list --json`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        asks_for_help = args and args[0] in self.get_help_option_names(ctx)
        if not args or (args[0].startswith("-") and not asks_for_help):
            args = ["list", *args]
        return super().parse_args(ctx, args)
