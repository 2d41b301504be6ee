"""Libraries that mitmproxy imports at its start and most proxies never use: they are loaded when they are first used.

They take a good third of the start. Python's LazyLoader puts a module in a library's place that loads itself as soon as
anything of it is asked for. Of others mitmproxy takes names at once; while it is imported, names of ours stand in for
these. Nobody else's mitmproxy is touched by this: under `mitmdump -s addon/main.py` all is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Any

LATE = frozenset(
    {
        "http.cookiejar",  # stickycookie
        "ldap3",  # proxyauth=ldap
        "pyparsing",  # filters of flows, and commands that are typed
        "ruamel.yaml",  # mitmproxy's config.yaml
        "service_identity",  # certificates of servers that speak QUIC
    }
)
"""Modules that mitmproxy imports as a whole."""
_MITM_IT = "mitmproxy.addons.onboardingapp"
_SAFE_JOIN = "werkzeug.security"
_VIEWS = "mitmproxy.contentviews"
_FILTERS = "mitmproxy.flowfilter"
_COMMANDS = "mitmproxy.command_lexer"
_QUIC = "mitmproxy.proxy.layers.quic"
_QUIC_CLASSES = (
    "ClientQuicLayer", "QuicStreamEvent", "QuicStreamLayer", "QuicTlsData", "QuicTlsSettings", "RawQuicLayer",
    "ServerQuicLayer",
)  # fmt: skip
_QUIC_HELLO = "quic_parse_client_hello_from_datagrams"
_HTTP3 = "mitmproxy.proxy.layers.http._http3"
_HTTP3_NAMES = "aioquic.h3.connection"
_CIPHERS = "aioquic.tls"


@contextmanager
def kept_for_later() -> Iterator[None]:
    """Import mitmproxy within this block without those libraries."""
    stand_ins: dict[str, dict[str, Any]] = {
        _MITM_IT: {"app": _MitmIt()},
        _SAFE_JOIN: {"safe_join": _Late(_SAFE_JOIN, "safe_join")},
        _VIEWS: {"registry": _Registry(), "prettify_message": _Late(_VIEWS, "prettify_message")},
        _FILTERS: {"TFilter": Any} | {name: _Late(_FILTERS, name) for name in ("parse", "match", "match_all")},
        _COMMANDS: {name: _Late(_COMMANDS, name) for name in ("expr", "quote", "unquote")},
        # QUIC, that is aioquic: its listeners are a mode of their own.
        _QUIC: {_QUIC_HELLO: _Late(_QUIC, _QUIC_HELLO)} | {name: _late_class(_QUIC, name) for name in _QUIC_CLASSES},
        _HTTP3: {name: _late_class(_HTTP3, name) for name in ("Http3Client", "Http3Server")},
        _HTTP3_NAMES: {"H3_ALPN": _Late(_HTTP3_NAMES, "H3_ALPN")},
        _CIPHERS: {"CipherSuite": _Late(_CIPHERS, "CipherSuite")},
    }
    names = [name for name in stand_ins if name not in sys.modules]
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    for name in names:
        module = sys.modules[name] = ModuleType(name)
        vars(module).update(stand_ins[name])
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in names:
            sys.modules.pop(name, None)


class _Finder:
    """Finds those of `LATE` as Python does, and has them loaded late."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in LATE else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


class _Late:
    """A function or object of a module that is loaded when it is first used."""

    def __init__(self, module: str, name: str) -> None:
        self._at = module, name

    def _load(self) -> Any:
        module, name = self._at
        return getattr(import_module(module), name)

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self._load()(*given, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._load(), name)

    def __getitem__(self, key: Any) -> Any:
        return self._load()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._load())


class _LateClass(type):
    """The type of a class that stands in for one of a module that is loaded when an object of it is made."""

    _at: tuple[str, str]

    def __call__(cls, *given: Any, **named: Any) -> Any:
        module, name = cls._at
        return getattr(import_module(module), name)(*given, **named)

    def __instancecheck__(cls, value: object) -> bool:
        module, name = cls._at
        return module in sys.modules and isinstance(value, getattr(sys.modules[module], name))

    def __subclasscheck__(cls, other: type) -> bool:
        module, name = cls._at
        return module in sys.modules and issubclass(other, getattr(sys.modules[module], name))


def _late_class(module: str, name: str) -> type:
    return _LateClass(name, (), {"__module__": module, "_at": (module, name)})


class _MitmIt:
    """The WSGI application of mitmproxy's pages at mitm.it, which needs Flask."""

    def __init__(self) -> None:
        self.config: dict[str, Any] = {}
        """mitmproxy sets it."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        app = import_module(_MITM_IT).app
        app.config.update(self.config)
        return app(environ, start_response)


class _Registry:
    """mitmproxy's list of views of a body."""

    def available_views(self) -> Sequence[str]:
        return _Views()


class _Views(Sequence[str]):
    """Their names, as the choices of an option."""

    def __getitem__(self, at: Any) -> Any:
        return import_module(_VIEWS).registry.available_views()[at]

    def __len__(self) -> int:
        return len(import_module(_VIEWS).registry.available_views())
