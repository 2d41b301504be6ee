"""A session in which all that a model, a tool or a client wrote tries to be more than text."""

from __future__ import annotations

from typing import Any

from tests.cli.recorded import PYTHON, chat
from tests.support.call_spec import CallSpec

from sessiontap.rules.decision import FilledSettings

RAN = "document.documentElement.dataset.ran=1;alert(1)"
"""A page on which this ran has `data-ran`."""
HOSTILE = {
    "script": f"<script>{RAN}</script>",
    "closed script": f"</script><script>{RAN}</script>",
    "closed template": f"</template></textarea></title></style><script>{RAN}</script>",
    "image": f"<img src=x onerror={RAN}>",
    "picture elsewhere": "![x](http://elsewhere.invalid/x.png)<img src=http://elsewhere.invalid/x.png>",
    "svg": f"<svg><script>{RAN}</script><animate onbegin={RAN} attributeName=x dur=1s></svg>",
    "frame": f"<iframe srcdoc='<script>{RAN}</script>'></iframe>",
    "data URL": f"data:text/html,<script>{RAN}</script>",
    "script URL": f"javascript:{RAN}",
    "attribute": f"\" onmouseover=\"{RAN}\" autofocus onfocus=\"{RAN}\" x='",
    "style": "</style><style>body{display:none}</style>",
    "base": "<base href=http://elsewhere.invalid/><meta http-equiv=refresh content='0;url=http://elsewhere.invalid/'>",
    "form": "<form action=http://elsewhere.invalid/><button>Continue</button></form>",
    "template language": "{{ 7*7 }} {% raw %} ${7*7} <%= 7*7 %>",
    "terminal": "\x1b[2J\x1b[31mred\x1b]0;title\x07\x00\x08\x9b31m",
    "right to left": "\u202egnp.exe\u202c \u2067x\u2069 \u200f\u061c",
    "one line of a megabyte": "A" * 1_000_000,
    "many lines": "line\n" * 20_000,
    "half a surrogate": "half \\ud83d a pair",
    "comment": "<!-- --!> <![CDATA[ ]]> <?php ?>",
    "deep": "[" * 3000 + "]" * 3000,
}
"""name -> what is said."""
SHORT = {name: text for name, text in HOSTILE.items() if len(text) < 200}
SESSION = f"s-<img src=x onerror={RAN}>/../../etc?x#y"
"""A session's id, as an app may send it."""


def hostile_calls() -> list[CallSpec]:
    """A conversation that says each of these, in every place that holds what others wrote."""
    found, messages = [], [{"role": "system", "content": HOSTILE["closed script"]}]
    for step, (name, text) in enumerate(HOSTILE.items()):
        short = text[:120]
        tool = short[:60]
        call = {"id": f"call_{step}", "type": "function", "function": {"name": tool, "arguments": f'{{"x": {step}}}'}}
        reply: dict[str, Any] = {"content": text, "reasoning_content": text, "tool_calls": [call]}
        messages = [*messages, {"role": "user", "content": text}]
        found.append(
            chat(
                100 + step,
                session=(SESSION, SHORT["image"], f"/{name}/{short}", step),
                caller=PYTHON,
                model=short,
                messages=messages,
                tools=[tool],
                reply=reply,
                filled=FilledSettings(
                    f"/{name}/{short}", user=short, properties={"kind": short, short: "x"}, tags=(short,)
                ),
            )
        )
        messages = [
            *messages,
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": text},
        ]
    failed = {"type": SHORT["image"], "message": SHORT["script"], "code": SHORT["attribute"]}
    found.append(
        chat(200, session=(SESSION, SHORT["image"], "/failed", len(found)), caller=PYTHON, status=400, error=failed)
    )
    return found
