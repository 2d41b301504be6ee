"""What a hostile model, user or app may say, and a trace in which all of it was said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.cli import recorded
from tests.support.call_spec import CallSpec

from sessiontap.exchange import Headers
from sessiontap.rules.decision import FilledSettings
from sessiontap.sessions.session import Link

TEXTS = {
    "script": "</pre></textarea></title></script><script>document.title='owned'</script>",
    "image": "<img src=x onerror=\"document.title='owned'\">",
    "svg": "<svg onload=\"document.title='owned'\"><a xlink:href='javascript:alert(1)'>x</a></svg>",
    "attribute": "\"'><b onmouseover=alert(1) style=position:fixed>x</b>",
    "data URL": "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
    "template": "{{ 7 * 7 }} {% raw %} ${7*7} #{7*7}",
    "ansi": "\x1b]0;owned\x07\x1b[31mred\x1b[0m",
    "controls": "a\x00b\x08c\x7fd\x85e",
    "right to left": "\u202egnp.exe\u202c \u2067\u05d0\u05d1\u2069",
    "markdown": "[click](javascript:alert(1)) ![x](http://evil.example/x.png)",
    "entity": "&lt;script&gt; &#60;script&#62; &amp;amp;",
    "surrogate": "a\ud800b",
}
LONG_LINE = "x" * 1_000_000
MARKUP = ("<script>document", "<img src=x", "<svg onload", "<b onmouseover")
"""The beginnings of elements that never stand in a page."""
ROLE = TEXTS["ansi"] + " hidden failed"
SESSION = "hostile-session"


def all_texts() -> str:
    return "\n".join(TEXTS.values())


def calls() -> list[CallSpec]:
    """A session of calls in which every text is hostile: names, paths, prompts, tools, results, errors, headers."""
    said = all_texts()
    name, path = TEXTS["script"], "/" + TEXTS["attribute"].replace("/", "")
    tool = TEXTS["image"]
    called = {"name": tool, "arguments": json.dumps({said: said})}
    asked = {
        "role": "assistant",
        "content": said,
        "tool_calls": [{"id": TEXTS["attribute"], "type": "function", "function": called}],
    }
    history: list[dict[str, Any]] = [{"role": "system", "content": said}, {"role": "user", "content": said}]
    history.append({"role": ROLE, "content": "a role of its own"})
    result = {"role": "tool", "tool_call_id": TEXTS["attribute"], "content": said + "\n" + LONG_LINE}

    def chat(number: int, messages: list[dict[str, Any]], **more: Any) -> CallSpec:
        made = recorded.chat(
            number,
            session=(SESSION, name, path, number - 1),
            caller=replace(recorded.NODE, name=TEXTS["svg"]),
            messages=messages,
            tools=[tool, "plain"],
            filled=FilledSettings(path=path, user=TEXTS["image"], properties={"key": said}, tags=(TEXTS["svg"],)),
            link=Link("main", recorded.call_id(number - 1) if number > 1 else None, "exact"),
            **more,
        )
        headers = Headers([*made.request.headers, ("x-evil", TEXTS["image"])])
        return replace(made, request=replace(made.request, headers=headers))

    return [
        chat(1, history, reply={key: value for key, value in asked.items() if key != "role"}, finish="tool_calls"),
        chat(2, [*history, asked, result], reply={"content": said, "reasoning_content": said}),
        chat(3, [*history, asked, result, {"role": "user", "content": said}], status=400,
             error={"type": TEXTS["svg"], "message": said}),
    ]  # fmt: skip


def write(folder: Path) -> Path:
    return recorded.write(folder, calls())
