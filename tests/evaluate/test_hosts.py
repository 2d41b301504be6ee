"""scripts/check-hosts names what newer lists of LLM APIs have and the table of hosts has not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripts.evaluate.hosts import Listed, listed, main, missing

MODELS_DEV = {
    "openai": {"id": "openai", "name": "OpenAI", "models": {"gpt": {"api": "https://not.a-provider.ai/v1"}}},
    "moonshotai": {"id": "moonshotai", "api": "https://api.moonshot.ai/v1", "doc": "https://docs.example.com"},
    "brand-new": {"id": "brand-new", "api": "https://api.brand-new.ai/v1"},
    "cloudflare": {"api": "https://api.cloudflare.com/client/v4/accounts/${ACCOUNT}/ai/v1"},
    "lmstudio": {"api": "http://127.0.0.1:1234/v1"},
}
LITELLM_JSON = {
    "publicai": {"base_url": "https://api.publicai.co/v1", "api_key_env": "A"},
    "new": {"base_url": "https://new.ai/api"},
}
LITELLM_PYTHON = """
import os
DEFAULT = "https://api.default.ai/v1"
openai_compatible_endpoints: list[str] = ["api.groq.com/openai/v1", DEFAULT, "https://llm.new-one.ai/v1/", "groq"]
other_urls = ["https://blob.storage.example.net"]
"""


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        pytest.param(
            "api.json",
            json.dumps(MODELS_DEV),
            [Listed("moonshotai", "api.moonshot.ai", "/v1"), Listed("brand-new", "api.brand-new.ai", "/v1")],
            id="models.dev's",
        ),
        pytest.param(
            "providers.json",
            json.dumps(LITELLM_JSON),
            [Listed("publicai", "api.publicai.co", "/v1"), Listed("new", "new.ai", "/api")],
            id="litellm's JSON",
        ),
        pytest.param(
            "constants.py",
            LITELLM_PYTHON,
            [Listed("", "api.groq.com", "/openai/v1"), Listed("", "llm.new-one.ai", "/v1")],
            id="litellm's constants",
        ),
    ],
)
def test_what_is_listed(tmp_path: Path, name: str, text: str, found: list[Listed]) -> None:
    (tmp_path / name).write_text(text)
    assert list(listed(tmp_path / name)) == found


@pytest.mark.parametrize(
    ("host", "path", "is_missing"),
    [
        pytest.param("api.openai.com", "/v1", False, id="a host of the table"),
        pytest.param("eu.api.openai.com", "/v1", False, id="by a pattern"),
        pytest.param("openrouter.ai", "/api/v1", False, id="below a line's path"),
        pytest.param("api.v0.dev", "/v1", False, id="a line's path is narrower"),
        pytest.param("openrouter.ai", "/beta/v1", True, id="another path"),
        pytest.param("api.brand-new.ai", "", True, id="another host"),
    ],
)
def test_what_is_missing(host: str, path: str, is_missing: bool) -> None:
    entry = Listed("name", host, path)
    assert missing([entry, entry]) == ([entry] if is_missing else [])


def test_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "api.json"
    file.write_text(json.dumps({**MODELS_DEV, "x": {"api": "https://openrouter.ai/beta/v1"}}))
    assert main([str(file)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{file}: 3 hosts, 2 not in the table",
        "  api.brand-new.ai/v1  brand-new  (the table has nothing of it)",
        "  openrouter.ai/beta/v1  x  (the table has the host, but not its path)",
    ]


def test_nothing_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "api.json"
    file.write_text('{"a": {"api": "https://api.openai.com/v1"}}')
    assert main([str(file)]) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [("<html>", "is neither JSON nor Python"), ("{}", "holds no base URL")],
    ids=["another kind of file", "an empty list"],
)
def test_a_file_that_is_no_list(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str) -> None:
    file = tmp_path / "api.json"
    file.write_text(text)
    assert main([str(file)]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.json")]) == 2
    assert "No such file" in capsys.readouterr().err
