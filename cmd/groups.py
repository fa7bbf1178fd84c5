"""Groups of commands about one kind of thing."""

from __future__ import annotations

import click


class OrderedGroup(click.Group):
    """Shows its commands in the order in which they are written: what looks before what changes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


class ListingGroup(OrderedGroup):
    """Lists where no subcommand is named: `telecine workers --json` is `telecine workers list --json`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:  # a shell completes what is typed: any subcommand may follow still
            return super().parse_args(ctx, args)
        asks_for_help = args and args[0] in self.get_help_option_names(ctx)
        if not args or (args[0].startswith("-") and not asks_for_help):
            args = ["list", *args]
        return super().parse_args(ctx, args)
