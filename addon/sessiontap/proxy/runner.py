"""`sessiontap run`: mitmdump with the addon loaded and a shorter addon chain.

mitmproxy asks every addon at every hook, which is near half of its work. Left out here are those that serve options
nobody sets for this job; one of whose options the command line or mitmproxy's config file does set stays in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mitmproxy import addons, master, options
from mitmproxy.addons import dumper, errorcheck, keepserving, readfile
from mitmproxy.tools import cmdline
from mitmproxy.tools.main import run

from sessiontap.proxy import entry
from sessiontap.proxy.settings import config_names

NOT_NEEDED = frozenset(
    {
        "anticache",
        "anticomp",
        "block",
        "blocklist",
        "browser",
        "clientplayback",
        "commandhistory",
        "comment",
        "cut",
        "disableh2c",
        "dnsresolver",
        "dumper",
        "export",
        "keepserving",
        "maplocal",
        "mapremote",
        "modifybody",
        "modifyheaders",
        "onboarding",
        "savehar",
        "serverplayback",
        "stickyauth",
        "stickycookie",
        "stripdnshttpsrecords",
        "updatealtsvc",
        "upstreamauth",
    }
)
"""mitmproxy's addons, by name, that the lean chain leaves out."""


_FLAGS = {"-B": "modify_body", "-H": "modify_headers", "-C": "client_replay", "-S": "server_replay", "-r": "rfile"}
_REPLAY = ("rfile", "client_replay", "server_replay", "keepserving")
_ALSO = {"clientplayback": _REPLAY, "serverplayback": _REPLAY, "keepserving": _REPLAY, "dumper": ("verbose",)}
"""Options of others that an addon serves too: whoever replays asks the other playback addons whether they are done."""


class LeanMaster(master.Master):
    """mitmdump's master with the lean chain and the tap in it."""

    arguments: Sequence[str] = ()

    def __init__(self, opts: options.Options) -> None:
        super().__init__(opts, with_termlog=True)
        self.addons.add(*lean_chain(words(self.arguments, opts.confdir)))


def lean_chain(asked: frozenset[str]) -> list[Any]:
    """mitmdump's addons with the tap among them, less those not needed of whose options none is `asked`."""
    chain: list[Any] = []
    of_mitmdump = (dumper.Dumper(), keepserving.KeepServing(), readfile.ReadFileStdin(), errorcheck.ErrorCheck())
    for addon in (*addons.default_addons(), *of_mitmdump):
        name = getattr(addon, "name", type(addon).__name__.lower())
        if name in NOT_NEEDED and asked.isdisjoint((*_options(addon), *_ALSO.get(name, ()))):
            continue
        chain.append(addon)
        if name == "scriptloader":
            chain.extend(entry.addons())  # where a script would stand: after proxyserver, before next_layer
    return chain


def words(arguments: Sequence[str], confdir: str) -> frozenset[str]:
    """The names of mitmproxy's options that the command line or its config file mentions."""
    names = set()
    for argument in arguments:
        bare = argument.removeprefix("--set=").partition("=")[0]
        names.add(_FLAGS.get(bare, bare.removeprefix("--no-").removeprefix("--").replace("-", "_")))
        if bare[:2] in _FLAGS and not bare.startswith("--"):
            names.add(_FLAGS[bare[:2]])
        if bare == "-v":
            names.add("verbose")
        if bare == "confdir":
            confdir = argument.partition("confdir=")[2]
    return frozenset(names | config_names(confdir))


class _Names:
    """A stand-in for mitmproxy's addon loader, which notes the options that an addon has."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def add_option(self, name: str, *_: Any, **__: Any) -> None:
        self.names.append(name)

    def add_command(self, *_: Any) -> None:
        pass


def _options(addon: Any) -> list[str]:
    names = _Names()
    if hasattr(addon, "load"):
        addon.load(names)
    return names.names


def main(arguments: Sequence[str]) -> None:
    """Run the proxy until it is told to stop. `arguments` are mitmdump's own."""
    LeanMaster.arguments = arguments

    def extra(args: Any) -> dict[str, str]:
        if not args.filter_args:
            return {}
        return dict.fromkeys(("save_stream_filter", "readfile_filter"), " ".join(args.filter_args))

    run(LeanMaster, cmdline.mitmdump, arguments, extra)
