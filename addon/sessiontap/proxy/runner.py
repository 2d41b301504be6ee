"""`sessiontap run`: mitmdump with the addon loaded, wherever the package is installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mitmproxy import hooks, options
from mitmproxy.tools import cmdline
from mitmproxy.tools.dump import DumpMaster
from mitmproxy.tools.main import run

from sessiontap.proxy import entry


class Master(DumpMaster):
    """mitmdump's, with the addon where a script's would stand: after proxyserver, before next_layer."""

    def __init__(self, opts: options.Options) -> None:
        super().__init__(opts)
        self.addons.add(*entry.addons())
        chain = self.addons.chain
        place = chain.index(self.addons.get("scriptloader")) + 1
        self.addons.chain = [*chain[:place], chain[-1], *chain[place:-1]]

    async def run(self) -> None:
        """Tell the addon its options, as mitmproxy does for a script, before any server listens."""
        (tap,) = entry.addons()
        self.addons.invoke_addon_sync(tap, hooks.ConfigureHook(set(self.options.keys())))
        await super().run()


def main(arguments: Sequence[str]) -> None:
    """Run the proxy until it is told to stop. `arguments` are mitmdump's own."""

    def extra(args: Any) -> dict[str, str]:
        names = ("save_stream_filter", "readfile_filter", "dumper_filter")
        return dict.fromkeys(names, " ".join(args.filter_args)) if args.filter_args else {}

    run(Master, cmdline.mitmdump, arguments, extra)
