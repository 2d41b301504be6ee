"""Write token_counts.json: texts of the kinds that requests are made of, and how many tokens they really have.

    python -m venv v && v/bin/pip install bpe-openai
    v/bin/python tests/analysis/make_token_counts.py

The tests read the file, so that they need no tokenizer. The counts are those of OpenAI's o200k_base (GPT-4o and later)
and cl100k_base (GPT-4), whose vocabularies are in that package.
"""

import base64
import csv
import hashlib
import importlib
import io
import json
import random
from pathlib import Path

ROOT = Path(__file__).parents[2]
VOCABULARIES = ("o200k_base", "cl100k_base")
SIZE = 3_000
DRAW = random.Random(1)


def of(path: str, start: int = 0) -> str:
    return (ROOT / path).read_text("utf-8")[start : start + SIZE]


def listing() -> str:
    lines = []
    for number in range(45):
        size, day = DRAW.randrange(10**6), DRAW.randrange(1, 29)
        name = f"module_{number}_{size % 97}.cpython-313.so"
        lines.append(f"-rw-r--r-- 1 root root {size:>8} Mar {day:>2} 09:{number:02} {name}")
    return "\n".join(lines)


def table() -> str:
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["date", "region", "units", "revenue", "returned"])
    for number in range(90):
        date, revenue = f"2026-{number % 12 + 1:02}-14", f"{DRAW.random() * 1e4:.2f}"
        rows.writerow([date, "eu-central", DRAW.randrange(900), revenue, 0])
    return out.getvalue()


def log() -> str:
    return "\n".join(
        f"2026-11-01T12:{number:02}:07.{DRAW.randrange(1000):03}Z WARN [worker-{number % 4}] retry {number} of request "
        f"{hashlib.sha1(str(number).encode()).hexdigest()[:16]} after TimeoutError: upstream took too long"
        for number in range(22)
    )


def traceback() -> str:
    return "\n".join(
        f'  File "/srv/app/.venv/lib/python3.13/site-packages/pkg/module_{number}.py", line {number * 37}, '
        f"in run_{number}\n    return self._next_{number}(request, *args, **kwargs)"
        for number in range(16)
    )


TEXTS = {
    "prose": of("docs/conversations.md", 900),
    "a readme with code": of("README.md", 4_000),
    "Python": of("addon/sessiontap/llm/family.py"),
    "JavaScript": of("addon/sessiontap/capture/node.cjs"),
    "a shell script": of("scripts/_env.sh"),
    "a JSON schema": of("docs/rules.schema.json"),
    "compact JSON": json.dumps(json.loads((ROOT / "docs/rules.schema.json").read_text()), separators=(",", ":"))[:SIZE],
    "YAML": of("rules.yaml"),
    "TOML": of("pyproject.toml"),
    "a list of files": listing(),
    "a table of numbers": table(),
    "a log": log(),
    "a traceback": traceback(),
    "HTML": "<div class='card'><a href='/item?id=42&ref=home'>The <b>first</b> item</a><p>In stock</p></div>\n" * 30,
    "base64": base64.b64encode(DRAW.randbytes(2_000)).decode(),
    "hexadecimal": DRAW.randbytes(1_200).hex(" ", 2),
    "German": "Die Bäckerei öffnet um sechs; der Sauerteig ruht über Nacht in großen, zugedeckten Schüsseln. " * 25,
    "Chinese": "今天天气很好,我们一起去公园散步。编译器报告了一个错误,请检查配置文件。" * 25,
    "Russian": "Сегодня хорошая погода, и мы идём гулять в парк; компилятор сообщил об ошибке. " * 25,
}

if __name__ == "__main__":
    tokenizers = {name: importlib.import_module("bpe_openai").get_encoding(name) for name in VOCABULARIES}
    found = [
        {"name": name, "text": text, **{key: len(one.encode(text)) for key, one in tokenizers.items()}}
        for name, text in TEXTS.items()
    ]
    text = json.dumps(found, indent=1, ensure_ascii=False)
    Path(__file__).with_name("token_counts.json").write_text(f"{text}\n", "utf-8")
