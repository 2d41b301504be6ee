"""The mitmproxy master of `sessiontap run`: mitmdump's addons, of which only those run that have something to do.

mitmproxy asks each of the forty-odd addons of its chain at every hook, eight times a call, which is near half of its
work. Most of them do nothing until an option of theirs is set. Here all of them are made and registered, so that their
options, commands and names are known, and only those stand in the chain that an option asks for, in mitmdump's order.
An option that is set later puts its addon into its place then. Nobody else's mitmproxy is touched by this: under
`mitmdump -s addon/main.py` the chain is mitmdump's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import fields
from inspect import isawaitable
from typing import Any

from mitmproxy import exceptions, hooks
from mitmproxy.addonmanager import AddonManager, safecall, traverse
from mitmproxy.addons import default_addons
from mitmproxy.addons.dumper import Dumper
from mitmproxy.addons.errorcheck import ErrorCheck
from mitmproxy.addons.keepserving import KeepServing
from mitmproxy.addons.onboarding import Onboarding
from mitmproxy.addons.readfile import ReadFileStdin
from mitmproxy.addons.termlog import TermLog
from mitmproxy.addons.tlsconfig import TlsConfig
from mitmproxy.flow import Flow
from mitmproxy.http import HTTPFlow
from mitmproxy.master import Master
from mitmproxy.options import Options

from sessiontap.proxy.ca import matching_keys
from sessiontap.proxy.handler import handles
from sessiontap.proxy.settings import MITMPROXY_DEFAULTS

ON_DEMAND: Mapping[str, tuple[str, ...]] = {
    "anticache": ("anticache",),
    "anticomp": ("anticomp",),
    "blocklist": ("block_list",),
    "browser": (),
    "commandhistory": (),
    "comment": (),
    "cut": (),
    "dnsresolver": ("mode",),
    "dumper": ("flow_detail", "dumper_filter"),
    "errorcheck": (),
    "export": (),
    "keepserving": ("rfile", "client_replay", "server_replay"),
    "maplocal": ("map_local",),
    "mapremote": ("map_remote",),
    "modifybody": ("modify_body",),
    "modifyheaders": ("modify_headers",),
    "proxyauth": ("proxyauth",),
    "readfilestdin": ("rfile", "readfile_filter"),
    "save": ("save_stream_file", "save_stream_filter"),
    "savehar": ("hardump",),
    "stickyauth": ("stickyauth",),
    "stickycookie": ("stickycookie",),
    "stripdnshttpsrecords": ("mode",),
    "updatealtsvc": ("mode",),
    "upstreamauth": ("upstream_auth",),
}
"""An addon's name -> the options that ask for it; none: what it does is done by its commands, or by being asked."""
_IDLE: Mapping[str, object] = {"flow_detail": 0}
"""Options whose idle value is not their default."""


class Addons(AddonManager):
    """Passes over addons that lack a hook.

    mitmproxy's own makes a coroutine, two generators and a context manager for each addon at each event, also for those
    without that hook. Two of the events mostly have nobody: `update`, behind each event of a flow, is for user
    interfaces; `add_log`, at each line of the log, is deprecated.
    """

    def __init__(self, master: Master) -> None:
        super().__init__(master)  # type: ignore[no-untyped-call]
        self._known: tuple[list[Any], int] = self.chain, 0
        """The chain that `_by_hook` is of, and its length then."""
        self._by_hook: dict[str, list[Any]] = {}
        self._under_way: dict[hooks.Hook, Awaitable[None] | None] = {}
        """Hooks that were called and wait, and what is left of them."""
        self._arguments: dict[type[hooks.Hook], str] = {}

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        """As mitmproxy's; `update` is triggered only if an addon has it."""
        if event in self._under_way:
            rest = self._under_way.pop(event)
            if rest is not None:
                await rest
            return
        await self.trigger_event(event)
        if self._asked("update") and isinstance(flow := event.args()[0], Flow):
            await self.trigger_event(hooks.UpdateHook([flow]))

    def trigger(self, event: hooks.Hook) -> None:
        """As mitmproxy's; it is called for each line of the log, for the hook of old scripts."""
        if self._asked(event.name):
            super().trigger(event)

    async def trigger_event(self, event: hooks.Hook) -> None:
        """Ask each addon of the chain that has the hook, in order."""
        if asked := self._asked(event.name):
            await self._ask(event, asked, event.args())

    def call(self, event: hooks.Hook) -> bool:
        """Do at once what `handle_lifecycle` does with the hook of a connection. False: it waits for something, and
        `handle_lifecycle` goes on with it."""
        if event in self._under_way:
            return False
        value = getattr(event, self._argument(event))
        rest = self._begin(event, value)
        if rest is None and not (isinstance(value, Flow) and value.intercepted):
            return True
        self._under_way[event] = rest
        return False

    def _argument(self, event: hooks.Hook) -> str:
        """The name of the one value that the hook of a connection carries."""
        name = self._arguments.get(type(event))
        if name is None:
            (field,) = fields(event)  # type: ignore[arg-type]
            name = self._arguments[type(event)] = field.name
        return name

    def _begin(self, event: hooks.Hook, value: Any) -> Coroutine[Any, Any, None] | None:
        """Ask the addons as far as that goes without waiting. Return the rest of it; None: that was all."""
        asked = self._asked(event.name)
        is_told = isinstance(value, Flow) and bool(self._asked("update"))
        for at, addon in enumerate(asked):
            if hasattr(addon, "addons"):
                return self._go_on(event, asked[at:], None, value)
            hook = getattr(addon, event.name, None)
            try:
                if callable(hook) and (result := hook(value)) is not None and isawaitable(result):
                    return self._go_on(event, asked[at + 1 :], result, value)
            except exceptions.AddonHalt:
                break
            except Exception:
                _tell()
        return self._go_on(event, [], None, value) if is_told else None

    async def _go_on(
        self, event: hooks.Hook, asked: Sequence[Any], under_way: Awaitable[None] | None, value: Any
    ) -> None:
        """Wait for the hook that is `under_way`, then for the others that are `asked`."""
        try:
            if under_way is not None:
                await under_way
        except exceptions.AddonHalt:
            asked = ()
        except Exception:
            _tell()
        await self._ask(event, asked, [value])
        if isinstance(value, Flow) and self._asked("update"):
            await self.trigger_event(hooks.UpdateHook([value]))

    async def _ask(self, event: hooks.Hook, asked: Sequence[Any], arguments: Sequence[Any]) -> None:
        for addon in asked:
            try:
                if hasattr(addon, "addons"):
                    await self.invoke_addon(addon, event)
                    continue
                hook = getattr(addon, event.name, None)
                if callable(hook) and (result := hook(*arguments)) is not None and isawaitable(result):
                    await result
            except exceptions.AddonHalt:
                return
            except Exception:
                _tell()

    def _asked(self, name: str) -> list[Any]:
        """The addons of the chain with that hook, or with an addon inside that has it. Scripts change theirs at any
        time."""
        return [
            addon
            for addon in self._having(name)
            if not hasattr(addon, "addons") or any(hasattr(one, name) for one in traverse([addon]))
        ]

    def _having(self, name: str) -> list[Any]:
        """The addons of the chain with that hook, or with addons inside."""
        chain = self.chain
        if self._known[0] is not chain or self._known[1] != len(chain):
            self._known = chain, len(chain)
            self._by_hook = {}
        found = self._by_hook.get(name)
        if found is None:
            found = [addon for addon in chain if hasattr(addon, name) or hasattr(addon, "addons")]
            self._by_hook[name] = found
        return found


def _tell() -> None:
    """Log the exception that is being handled as mitmproxy logs that of an addon."""
    with safecall():
        raise


class _Onboarding(Onboarding):
    """mitmproxy's own pages, at mitm.it. A request to another host need not wait for them."""

    def request(self, flow: HTTPFlow) -> Any:
        return super().request(flow) if flow.request.pretty_host == self.host else None  # type: ignore[no-untyped-call]


class _TlsConfig(TlsConfig):
    """mitmproxy's own, which reads the authority in less time."""

    name = "tlsconfig"

    def configure(self, updated: Any) -> None:
        with matching_keys():
            super().configure(updated)  # type: ignore[no-untyped-call]


_OURS: Mapping[type[Any], type[Any]] = {Onboarding: _Onboarding, TlsConfig: _TlsConfig}
"""mitmproxy's addon -> what stands in its place."""


class TapMaster(Master):
    """mitmdump with `taps` where a script's addons would stand: behind the scripts, before next_layer."""

    def __init__(self, opts: Options, taps: Iterable[Any], *, with_termlog: bool = True) -> None:
        super().__init__(opts)
        self.addons: Addons = Addons(self)
        self._term_log = TermLog() if with_termlog else None
        self._taps = list(taps)
        self._is_running = False
        theirs: list[Any] = [_OURS[type(one)]() if type(one) in _OURS else one for one in default_addons()]
        others = [*theirs, Dumper(), KeepServing(), ReadFileStdin(), ErrorCheck()]
        behind_scripts = 1 + [name_of(addon) for addon in others].index("scriptloader")
        self._all = [
            *filter(None, [self._term_log]),
            *others[:behind_scripts],
            *self._taps,
            *others[behind_scripts:],
        ]
        for addon in self._all:
            if name_of(addon) in ON_DEMAND:
                self.addons.register(addon)  # type: ignore[no-untyped-call]
            else:
                self.addons.add(addon)  # type: ignore[no-untyped-call]
        self.options.changed.connect(self._options_changed)
        self._proxyserver: Any = self.addons.get("proxyserver")  # type: ignore[no-untyped-call]
        self._proxyserver.servers.changed.connect(self._servers_changed)
        self.options.update(**MITMPROXY_DEFAULTS)  # the user's own values come later, and win

    def configure_taps(self) -> None:
        """Tell the taps all options, as mitmproxy does for a script when it is loaded."""
        for tap in self._taps:
            self.addons.invoke_addon_sync(tap, hooks.ConfigureHook(set(self.options.keys())))

    async def running(self) -> None:
        """Tell the addons that the proxy listens."""
        self._is_running = True
        await super().running()

    async def done(self) -> None:
        """Tell all addons that the proxy ends: the commands of those outside of the chain may have left something."""
        for addon in self._outside():
            with safecall():
                self.addons.invoke_addon_sync(addon, hooks.DoneHook())
        await super().done()
        if self._term_log is not None:
            self._term_log.uninstall()

    def _outside(self) -> list[Any]:
        inside = set(map(id, self.addons.chain))
        return [addon for addon in self._all if id(addon) not in inside]

    def _options_changed(self, updated: set[str]) -> None:
        """Put what an updated option asks for into the chain, and tell it all options that were set so far."""
        asked_for = [
            addon
            for addon in self._outside()
            if not updated.isdisjoint(ON_DEMAND[name_of(addon)]) and self._is_asked_for(name_of(addon))
        ]
        if not asked_for:
            return
        inside = {*map(id, self.addons.chain), *map(id, asked_for)}
        ours = set(map(id, self._all))
        added = [addon for addon in self.addons.chain if id(addon) not in ours]  # by somebody's script
        # A new list: this may run inside a walk over the old one.
        self.addons.chain = [*(addon for addon in self._all if id(addon) in inside), *added]
        so_far = {name for name, option in self.options.items() if option.has_changed()}
        for addon in asked_for:
            with safecall():
                self.addons.invoke_addon_sync(addon, hooks.ConfigureHook(updated | so_far))
                if self._is_running:
                    self.addons.invoke_addon_sync(addon, hooks.RunningHook())

    def _servers_changed(self) -> None:
        """mitmproxy calls it before it starts a server."""
        for server in self._proxyserver.servers:
            handles(server)

    def _is_asked_for(self, name: str) -> bool:
        return any(
            getattr(self.options, option) != _IDLE.get(option, self.options.default(option))
            for option in ON_DEMAND[name]
        )


def name_of(addon: Any) -> str:
    """The name that mitmproxy registers an addon under."""
    return str(getattr(addon, "name", type(addon).__name__.lower()))
