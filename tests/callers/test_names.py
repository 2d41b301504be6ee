"""What a process is called, from its comm, executable and command line as /proc shows them."""

from __future__ import annotations

import pytest

from sessiontap.callers.names import names

PYTHON = "/usr/bin/python3.12"
NODE = "/usr/bin/node"
BASH = "/usr/bin/bash"

NAMED = [
    # expected name, comm, exe, command line
    ("curl", "curl", "/usr/bin/curl", ["curl", "-s", "https://x"]),
    ("codex", "codex", "/opt/codex/codex-x86_64", ["/usr/local/bin/codex", "exec"]),
    ("codex-x86_64", "codex-x86_64", "/opt/codex/codex-x86_64", ["/proc/self/exe", "exec"]),
    ("wget", "wget", "/bin/busybox", ["wget", "-q"]),
    ("bash", "bash", BASH, ["-bash"]),
    # python
    ("bot.py", "python3", PYTHON, ["python3", "/srv/bot.py"]),
    ("bot.py", "python3", PYTHON, ["python3", "-u", "-W", "ignore", "-X", "dev", "bot.py", "--model", "x"]),
    ("bot.py", "python3", PYTHON, ["python3", "-uWignore", "-Xdev", "--", "bot.py"]),
    ("bot.py", "python3", PYTHON, ["python3", "--check-hash-based-pycs", "always", "bot.py"]),
    ("uvicorn", "python3", PYTHON, ["python3", "-m", "uvicorn", "app:app"]),
    ("pkg.cli", "python3", PYTHON, ["python", "-Im", "pkg.cli"]),
    ("pkg", "python3", PYTHON, ["python", "-mpkg.__main__"]),
    ("pkg", "python3", PYTHON, ["python", "/src/pkg/__main__.py"]),
    ("myagent", "myagent", PYTHON, ["/venv/bin/python", "/venv/bin/myagent", "run"]),
    ("python3", "python3", PYTHON, ["python3", "-c", "import x", "bot.py"]),
    ("python3", "python3", PYTHON, ["python3", "-Ic", "import x"]),
    ("python3", "python3", PYTHON, ["python3", "-"]),
    ("python3", "python3", PYTHON, ["python3"]),
    ("app.pyz", "python3.13t", "/usr/bin/python3.13t", ["python3.13t", "dist/app.pyz"]),
    ("x.py", "pypy3", "/usr/bin/pypy3.10", ["pypy3", "x.py"]),
    # node, bun, deno
    ("index.js", "node", NODE, ["node", "--no-warnings", "index.js"]),
    ("server.mjs", "node", NODE, ["node", "-r", "dotenv/config", "--import", "tsx", "--max-old-space-size=4096",
                                  "server.mjs", "--port", "1"]),
    ("claude", "MainThread", NODE, ["node", "/usr/local/bin/claude", "-p", "hi"]),
    ("claude", "claude", NODE, ["claude"]),
    ("cowsay", "node-MainThread", NODE, ["node", "/home/u/.npm/_npx/ab/node_modules/.bin/cowsay"]),
    ("npm", "npm exec cowsay", NODE, ["npm exec cowsay"]),
    ("node", "MainThread", NODE, ["node", "-e", "fetch('x')"]),
    ("node", "MainThread", NODE, ["node", "--eval=fetch('x')", "y.js"]),
    ("app.js", "node", NODE, ["node", "inspect", "app.js"]),
    ("agent.ts", "bun", "/usr/bin/bun", ["bun", "run", "--preload", "./x.ts", "agent.ts"]),
    ("agent.ts", "bun", "/usr/bin/bun", ["bun", "agent.ts"]),
    ("bun", "bun", "/usr/bin/bun", ["bun", "install", "left-pad"]),
    ("y.ts", "deno", "/usr/bin/deno", ["deno", "run", "-A", "--config", "d.json", "https://x.example/y.ts?v=1"]),
    ("deno", "deno", "/usr/bin/deno", ["deno", "eval", "1"]),
    # other languages
    ("rails", "ruby", "/usr/bin/ruby3.2", ["/usr/bin/ruby3.2", "-rjson", "-I", "lib", "bin/rails", "server"]),
    ("ruby", "ruby", "/usr/bin/ruby3.2", ["ruby", "-ne", "puts $_", "x.txt"]),
    ("x.pl", "perl", "/usr/bin/perl", ["perl", "-Ilib", "-MJSON", "-i.bak", "-w", "x.pl"]),
    ("perl", "perl", "/usr/bin/perl", ["perl", "-lane", "print", "x.txt"]),
    ("artisan", "php", "/usr/bin/php8.2", ["php", "-d", "memory_limit=1G", "artisan", "serve"]),
    ("x.php", "php", "/usr/bin/php8.2", ["php", "-f", "x.php"]),
    ("x.lua", "lua", "/usr/bin/lua5.4", ["lua5.4", "-e", "a=1", "x.lua"]),
    ("x.R", "R", "/usr/lib/R/bin/exec/R", ["/usr/lib/R/bin/exec/R", "--no-echo", "--file=x.R", "--args", "1"]),
    ("app.jar", "java", "/usr/bin/java", ["java", "-Xmx1g", "-cp", "a:b", "-jar", "/srv/app.jar"]),
    ("Main", "java", "/usr/bin/java", ["java", "--add-opens", "java.base/java.lang=ALL-UNNAMED", "com.x.Main"]),
    ("Main", "java", "/usr/bin/java", ["java", "-p", "mods", "-m", "com.x/com.x.Main"]),
    ("X.java", "java", "/usr/bin/java", ["java", "--source", "21", "src/X.java"]),
    ("App.dll", "dotnet", "/usr/bin/dotnet", ["dotnet", "exec", "--roll-forward", "Major", "/app/App.dll"]),
    ("dotnet", "dotnet", "/usr/bin/dotnet", ["dotnet", "build"]),
    # shells
    ("deploy.sh", "deploy.sh", BASH, ["/bin/bash", "./deploy.sh", "prod"]),
    ("deploy.sh", "bash", BASH, ["bash", "-eo", "pipefail", "-x", "deploy.sh"]),
    ("bash", "bash", BASH, ["bash", "-lc", "curl x", "deploy.sh"]),
    ("bash", "bash", BASH, ["bash", "-s", "--", "arg"]),
    ("bash", "bash", BASH, ["bash", "/dev/fd/63"]),
    ("x.fish", "fish", "/usr/bin/fish", ["fish", "-C", "set x", "x.fish"]),
    ("x.ps1", "pwsh", "/opt/pwsh", ["pwsh", "-NoProfile", "-ExecutionPolicy", "Bypass", "-File", "C:\\a\\x.ps1"]),
    # titles, and what else stands in argv[0]
    ("nginx", "nginx", "/usr/sbin/nginx", ["nginx: worker process"]),
    ("gunicorn", "gunicorn", PYTHON, ["gunicorn: master [app]"]),
    ("chrome", "chrome", "/opt/google/chrome/chrome", ["/opt/google/chrome/chrome --type=renderer --x"]),
    ("My App", "My App", "/opt/My App/My App", ["/opt/My App/My App"]),
    ("myagent", "python3", PYTHON, ["myagent", "x.py"]),
    # Windows
    ("claude", "claude.exe", "C:\\bin\\claude.exe", ["C:\\bin\\claude.exe"]),
    ("bot.py", "python.exe", "C:\\Python\\python.exe", ["python.exe", "C:\\srv\\bot.py"]),
    # little is known
    ("kworker/0:1", "kworker/0:1", None, []),
    ("tool", "MainThread", "/usr/bin/tool", []),
    (None, None, None, []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "comm", "exe", "argv"), NAMED, ids=[f"{row[0]}: {' '.join(row[3])}"[:60] for row in NAMED]
)
def test_name(name: str | None, comm: str | None, exe: str | None, argv: list[str]) -> None:
    assert names(comm, exe, argv).name == name


def test_a_rule_may_match_script_argv0_executable_and_comm() -> None:
    assert names("MainThread", "/usr/bin/python3.12", ["python3", "/srv/bot.py"]).all == (
        "bot.py",
        "python3",
        "python3.12",
        "MainThread",
    )


def test_on_windows_names_are_matched_with_and_without_exe() -> None:
    assert names("node.exe", "C:\\n\\node.exe", ["node.exe", "x.js"]).all == ("x.js", "node", "node.exe")


@pytest.mark.parametrize(
    ("argv", "shell"),
    [
        (["bash"], "prompt"),
        (["-zsh"], "prompt"),
        (["bash", "--login", "-i"], "prompt"),
        (["bash", "--rcfile", "x"], "prompt"),
        (["sh", "-c", "x"], "text"),
        (["bash", "-s"], "text"),
        (["sh", "x.sh"], "script"),
        (["python3"], None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_shell_does(argv: list[str], shell: str | None) -> None:
    assert names(None, None, argv).shell == shell
