"""Interpreters, and the script that each of them runs, by its command line.

Each interpreter's row in `TABLE` says which of its options take the next word as their value (else that word would pass
for the script), which carry the program text itself (then there is no script), and which name the script. Options that
are not listed take no value, or have it attached (`--opt=value`). Sources: each program's own `--help` and manual page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

ScriptKind = Literal["path", "module", "class"]


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The rules by which the words of one interpreter's command line are read."""

    values: frozenset[str] = frozenset()
    """Options whose value is the next word."""
    inline: frozenset[str] = frozenset()
    """Options after which there is no script: program text, standard input, a prompt."""
    script: dict[str, ScriptKind] = field(default_factory=dict)
    """Options whose value is the script."""
    attached: str = ""
    """Letters after which the rest of a short option is their value (`perl -i.bak`)."""
    clusters: bool = False
    """Short options may be joined, their value too: `-Im pkg`, `-Wignore`."""
    before: frozenset[str] = frozenset()
    """Words that may stand before the script: `run`."""
    commands: frozenset[str] = frozenset()
    """Words in the script's place that are none: `install`."""
    word: ScriptKind = "path"
    """The kind of the first word that is no option."""
    suffix: str = ""
    """The end of a script's name, if other words may stand in its place."""
    fold: bool = False
    """Options are read without case."""
    shell: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """`name` is None if no script was named; `inline`: the program came as text (`-c`)."""

    name: str | None
    inline: bool = False


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_PYTHON = Interpreter(
    values=_set("-W -X -Q --check-hash-based-pycs"), inline=_set("-c"), script={"-m": "module"}, clusters=True
)
_NODE = Interpreter(
    values=_set(
        "-r --require --import --loader --experimental-loader -C --conditions --env-file --env-file-if-exists"
        " --input-type --title --icu-data-dir --openssl-config --inspect-port --debug-port --max-http-header-size"
        " --redirect-warnings --trace-event-categories --trace-event-file-pattern --unhandled-rejections"
        " --dns-result-order --diagnostic-dir --cpu-prof-dir --cpu-prof-name --cpu-prof-interval --heap-prof-dir"
        " --heap-prof-name --heap-prof-interval --report-dir --report-directory --report-filename --report-signal"
        " --secure-heap --secure-heap-min --tls-cipher-list --tls-keylog --test-name-pattern --test-reporter"
        " --test-reporter-destination --watch-path --experimental-default-type --localstorage-file"
        " --disable-warning --stack-trace-limit"
    ),
    inline=_set("-e --eval -p --print -pe -i --interactive --run"),
    before=_set("inspect"),
)
_BUN = Interpreter(
    values=_set(
        "-r --preload --require --import --env-file --cwd -c --config --port --filter --install --backend --shell"
        " --conditions --define -d --loader -l --tsconfig-override --elide-lines"
    ),
    inline=_set("-e --eval -p --print"),
    before=_set("run x"),
    commands=_set(
        "install i add a remove rm update test build init create c pm link unlink upgrade publish outdated patch repl"
        " exec audit info why help"
    ),
)
_DENO = Interpreter(
    values=_set(
        "-c --config --import-map --lock --cert --location --seed -L --log-level --preload --host --port"
        " --minimum-dependency-age"
    ),
    before=_set("run serve"),
    commands=_set(
        "eval repl task test bench cache check compile doc fmt info install i add remove lint lsp publish types upgrade"
        " coverage completions jupyter vendor uninstall outdated update help init clean create x audit"
    ),
)
_RUBY = Interpreter(
    values=_set("-r -I -C -X -E -F --encoding --external-encoding --internal-encoding"),
    inline=_set("-e"),
    attached="WKTxi",
    clusters=True,
)
_PERL = Interpreter(values=_set("-I"), inline=_set("-e -E"), attached="MmiFCDdxV", clusters=True)
_PHP = Interpreter(
    values=_set("-d -c -z -t -S --define --php-ini --server --docroot"),
    inline=_set("-r -R -B -E -a --run --interactive"),
    script={"-f": "path", "--file": "path"},
    clusters=True,
)
_LUA = Interpreter(values=_set("-e -l -j -b -O"), clusters=True)
_SHELL = Interpreter(values=_set("-o -O +o +O --rcfile --init-file"), inline=_set("-c -s"), clusters=True, shell=True)
_FISH = Interpreter(
    values=_set("-C --init-command -d --debug -o --debug-output -f --features -p --profile --profile-startup"),
    inline=_set("-c --command"),
    clusters=True,
    shell=True,
)
_JAVA = Interpreter(
    values=_set(
        "-cp -classpath --class-path -p --module-path --upgrade-module-path --add-modules --limit-modules --add-opens"
        " --add-exports --add-reads --patch-module --enable-native-access --source -d --describe-module"
    ),
    script={"-jar": "path", "-m": "class", "--module": "class"},
    word="class",
)
_DOTNET = Interpreter(
    values=_set("--depsfile --runtimeconfig --additionalprobingpath --fx-version --roll-forward"),
    before=_set("exec"),
    suffix=".dll",
)
_PWSH = Interpreter(
    values=_set(
        "-configurationname -configurationfile -custompipename -executionpolicy -ex -ep -inputformat -in -if"
        " -outputformat -o -of -settingsfile -settings -version -v -windowstyle -w -workingdirectory -wd"
    ),
    inline=_set("-command -c -encodedcommand -e -ec -commandwithargs -cwa"),
    script={"-file": "path", "-f": "path"},
    fold=True,
    shell=True,
)
_RSCRIPT = Interpreter(inline=_set("-e"))
_R = Interpreter(
    values=_set("-g --gui -d --debugger"),
    inline=_set("-e --args"),
    script={"-f": "path", "--file": "path"},
    suffix=".R",
)
_JULIA = Interpreter(
    values=_set("-J --sysimage -C --cpu-target -t --threads -p --procs -L --load --machine-file -H --home"),
    inline=_set("-e --eval -E --print"),
)

TABLE: dict[str, Interpreter] = {
    "python": _PYTHON, "pythonw": _PYTHON, "pypy": _PYTHON,
    "node": _NODE, "nodejs": _NODE, "bun": _BUN, "deno": _DENO,
    "ruby": _RUBY, "jruby": _RUBY, "perl": _PERL, "php": _PHP, "lua": _LUA, "luajit": _LUA,
    "sh": _SHELL, "bash": _SHELL, "dash": _SHELL, "ash": _SHELL, "zsh": _SHELL, "ksh": _SHELL, "mksh": _SHELL,
    "rbash": _SHELL, "fish": _FISH,
    "java": _JAVA, "javaw": _JAVA, "dotnet": _DOTNET, "pwsh": _PWSH, "powershell": _PWSH,
    "rscript": _RSCRIPT, "r": _R, "julia": _JULIA,
}  # fmt: skip

_STREAM = re.compile(r"/(?:dev/fd/|dev/stdin$|proc/(?:self|thread-self|\d+)/fd/)")
"""A script that came through a descriptor has no name: `bash <(curl ...)`."""
_VERSION = re.compile(r"-?[\d.]+[td]*$")


def interpreter(program: str) -> Interpreter | None:
    """The row for a program's base name: `python3.13t`, `node` and `ruby3.2` have one."""
    name = program.lower().removesuffix(".exe")
    return TABLE.get(name) or TABLE.get(_VERSION.sub("", name))


def base(path: str) -> str:
    """The base name of a path or URL, of either slash."""
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def script(kind: Interpreter, words: Sequence[str]) -> Script:
    """The script that `words`, the command line without argv[0], make the interpreter run."""
    rest = list(reversed(words))
    while rest:
        word = rest.pop()
        if word == "-":
            return Script(None, inline=True)
        if word == "--":
            return _named(kind, rest.pop()) if rest else Script(None)
        if word[:1] in "-+" and len(word) > 1:
            found = _option(kind, word, rest)
            if found is not None:
                return found
        elif word in kind.before:
            continue
        elif word in kind.commands or not word:
            return Script(None, inline=True)
        else:
            return _named(kind, word)
    return Script(None)


def _option(kind: Interpreter, word: str, rest: list[str]) -> Script | None:
    """Read one option, and its value off `rest`. Return a Script if that settles the matter."""
    if kind.fold:
        word = word.lower()
    if word.startswith("--") or not kind.clusters:
        name, equals, value = word.partition("=")
        if name in kind.inline:
            return Script(None, inline=True)
        if name in kind.script:
            return _take(kind.script[name], value if equals else None, rest)
        if name in kind.values and not equals and rest:
            rest.pop()
        return None
    sign = word[0]
    for at, letter in enumerate(word[1:], 2):
        option = sign + letter
        if option in kind.inline:
            return Script(None, inline=True)
        if option in kind.script:
            return _take(kind.script[option], word[at:] or None, rest)
        if option in kind.values:
            # A shell's -o takes the next word even with letters after it; elsewhere those letters are the value.
            if (at == len(word) or kind.shell) and rest:
                rest.pop()
            if not kind.shell:
                return None
        elif letter in kind.attached:
            return None
    return None


def _take(kind: ScriptKind, value: str | None, rest: list[str]) -> Script:
    if value is None:
        value = rest.pop() if rest else ""
    name = _label(kind, value)
    return Script(name, inline=name is None)


def _named(kind: Interpreter, word: str) -> Script:
    if kind.suffix and not word.lower().endswith(kind.suffix.lower()):
        return Script(None, inline=True)
    name = _label(kind.word, word)
    return Script(name, inline=name is None)


def _label(kind: ScriptKind, value: str) -> str | None:
    """The name that people use: no `.__main__` behind a module, no package before a class, no folders before a file."""
    if kind == "module":
        return value.removesuffix(".__main__") or None
    if kind == "class":
        name = base(value)
        return (name if name.endswith((".java", ".jar")) else name.rpartition(".")[2]) or None
    if _STREAM.match(value):
        return None
    if "://" in value:
        value = re.split(r"[?#]", value)[0]
    name = base(value)
    if name == "__main__.py":  # `python DIR/__main__.py` is what `python -m DIR` runs
        name = base(value[: -len(name)]) or name
    return name or None
