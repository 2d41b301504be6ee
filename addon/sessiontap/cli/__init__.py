"""The command `sessiontap`: reads what `trace` offers, starts the proxy, prints.

`main` builds the command from one module per command in `commands/`; everything heavier than typer is imported inside a
command, so that `sessiontap ls` starts at once. May import every package but the mitmproxy side, whose two entries
(`proxy.runner.main`, `proxy.ca.ensure_ca`) are imported only by the commands that need them. typer and rich belong here
and nowhere else.
"""
