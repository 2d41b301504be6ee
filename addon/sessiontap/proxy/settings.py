"""The addon's options, and the defaults of mitmproxy's own that it changes if the user set none.

Only string options: mitmproxy drops an addon silently, and goes on forwarding, when an option of another type does not
parse. So they are parsed here, and what is wrong ends the start.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from sessiontap import private, stores, units
from sessiontap.recording import budget
from sessiontap.stores.address import PASSWORD_VARIABLE, StoreAddress, StoreAddressError


class SettingsError(Exception):
    """One sentence and a hint for the user."""


@dataclass(frozen=True, slots=True)
class Option:
    name: str
    default: str
    help: str


OPTIONS = (
    Option(
        "session_rules",
        "",
        "Sessiontap: the rules file. Default: $SESSIONTAP_RULES, else ./rules.yaml, else built-in defaults.",
    ),
    Option(
        "session_trace",
        "",
        "Sessiontap: the folder of the trace log. Default: $SESSIONTAP_TRACE, else ~/.sessiontap/trace.",
    ),
    Option(
        "session_fsync",
        "1s",
        "Sessiontap: when the trace log is forced to disk: 'always' (after every call), 'never', "
        "or at most this long after a call, such as '500ms' or '1s'.",
    ),
    Option(
        "session_memory",
        "256MB",
        "Sessiontap: what recording may hold in memory, in the proxy and in its recorder together, such as '1GB'. "
        "Bodies beyond it pass as they are and are recorded in part, which their records say.",
    ),
    Option(
        "session_store",
        "",
        "Sessiontap: where several proxies remember their sessions together, such as 'redis://HOST:6379/0' (rediss:// "
        f"for TLS; the password comes from ${PASSWORD_VARIABLE}). Default: each proxy remembers its own.",
    ),
    Option(
        "session_drain",
        "5s",
        "Sessiontap: how long `sessiontap run` lets the calls in flight end when it is told to end by SIGTERM, such as "
        "'80s'; 'never': it ends at once.",
    ),
)

MITMPROXY_DEFAULTS: Mapping[str, str | int] = {
    "connection_strategy": "lazy",  # a rerouted call must not first connect to its own host
    "tcp_timeout": 7200,  # a model may think for longer than ten minutes without a byte
    "flow_detail": 0,  # mitmdump prints URLs with their keys; the tap prints a line of its own
}
_ARGUMENTS = {"flow_detail": "--flow-detail"}

_SIZE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(MB|GB)", re.IGNORECASE)
_SIZES = {"MB": 1 << 20, "GB": 1 << 30}


@dataclass(frozen=True, slots=True)
class Settings:
    rules: Path | None
    """The rules file; None: the built-in defaults."""
    trace: Path
    fsync: float | None
    """Seconds after a call at which the log is forced to disk at the latest; 0: at once; None: never."""
    memory: int = budget.DEFAULT
    """Bytes that recording may hold; see `budget`."""
    drain: float = 5.0
    """Seconds that calls in flight may take to end after SIGTERM."""
    store: StoreAddress | None = None
    """Where proxies remember their sessions together; None: each remembers its own."""


def parse(options: Mapping[str, str], environ: Mapping[str, str], cwd: Path, workers: int = 1) -> Settings:
    """The settings that options and environment make, for each of so many workers. Raises SettingsError."""
    return Settings(
        rules=_rules(options["session_rules"], environ, cwd),
        trace=_trace(options["session_trace"], environ, cwd),
        fsync=_fsync(options["session_fsync"]),
        memory=_memory(options["session_memory"], workers),
        drain=_drain(options["session_drain"]),
        store=_store(options["session_store"], environ),
    )


def _path(text: str, cwd: Path) -> Path:
    try:
        return cwd / Path(text).expanduser()
    except RuntimeError:
        raise SettingsError(
            f"what ~ stands for in {text} is not known, since HOME is not set. Give the whole path."
        ) from None


def _trace(option: str, environ: Mapping[str, str], cwd: Path) -> Path:
    named = environ.get("SESSIONTAP_TRACE", "")
    if not option and os.pathsep in named:
        raise SettingsError(
            f"SESSIONTAP_TRACE names several folders ({named}), which can be read, and a proxy writes to one. "
            "Choose it with --set session_trace=DIR"
        )
    return _path(option or named or str(private.home() / "trace"), cwd)


def _rules(option: str, environ: Mapping[str, str], cwd: Path) -> Path | None:
    for named, by in ((option, "--set session_rules"), (environ.get("SESSIONTAP_RULES"), "SESSIONTAP_RULES")):
        if named:
            path = _path(named, cwd)
            if not os.path.lexists(path):
                raise SettingsError(
                    f"the rules file {path} (named by {by}) does not exist. Make one with: sessiontap init"
                )
            return path
    path = cwd / "rules.yaml"
    return path if os.path.lexists(path) else None  # what is no file is refused in words when it is read


def _fsync(text: str) -> float | None:
    if text == "always":
        return 0.0
    if text == "never":
        return None
    if (delay := units.seconds(text)) is not None:
        return delay
    raise SettingsError(
        f"session_fsync={text!r} is not understood. Give 'always', 'never' or a duration such as '1s' or '500ms'."
    )


def _drain(text: str) -> float:
    if text == "never":
        return 0.0
    if (delay := units.seconds(text)) is not None:
        return delay
    raise SettingsError(
        f"session_drain={text!r} is not understood. Give 'never' or a duration such as '5s' or '2m'."
    )


def _store(text: str, environ: Mapping[str, str]) -> StoreAddress | None:
    if not text:
        return None
    try:
        address = stores.parse(text, environ)
    except StoreAddressError as error:
        raise SettingsError(f"session_store: {error}") from None
    if not stores.is_installed():
        raise SettingsError(f"session_store: {stores.MISSING}")
    return address


def _memory(text: str, workers: int) -> int:
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * _SIZES[match[2].upper()]) if match else None
    if size is None:
        raise SettingsError(
            f"session_memory={text!r} is not understood. Give a size such as '256MB' or '1GB'."
        )
    if size < budget.LEAST * workers:
        whom = f" for {workers} workers" if workers > 1 else ""
        least = f"{budget.LEAST * workers >> 20}MB"
        raise SettingsError(f"session_memory={text!r} is too small{whom}. Give at least '{least}'.")
    return size // workers


def user_set(name: str, arguments: list[str], confdir: str) -> bool:
    """True if the user gave mitmproxy's option `name` a value: even its default, which mitmproxy cannot tell apart."""
    flag = _ARGUMENTS.get(name)
    for argument in arguments:
        if argument.removeprefix("--set=").startswith(f"{name}=") or (flag and argument.startswith(flag)):
            return True
    return name in config_names(confdir)


def config_names(confdir: str) -> set[str]:
    """The options that mitmproxy's own config file sets; none if it is missing or broken (it says so itself)."""
    names: set[str] = set()
    for file in ("config.yaml", "config.yml"):
        try:
            config = yaml.safe_load(Path(os.path.expanduser(confdir), file).read_bytes())
        except (OSError, yaml.YAMLError):
            continue
        if isinstance(config, dict):
            names.update(str(key) for key in config)
    return names


def only_prints() -> bool:
    """mitmdump was asked for its options or commands: the addon is loaded, but no proxy will run."""
    return any(argument in ("--options", "--commands") for argument in sys.argv[1:])


def environment() -> dict[str, str]:
    """The proxy's own environment, read once at start."""
    return dict(os.environ)
