"""Where a real gateway works: a proxy before it, a local provider behind it, and a real OpenAI client as the app."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml
from tests.agents import packages
from tests.apps.packages import SDKS
from tests.e2e.lab import Lab, wait_until
from tests.gateways_real.packages import LITELLM, PORTKEY
from tests.support.llm_server import LlmService
from tests.support.running import free_port, running

from sessiontap.demo.provider_replies import StreamedReply, WholeReply
from sessiontap.demo.provider_server import ReceivedRequest
from sessiontap.trace import RecordedCall

PROGRAMS = Path(__file__).parent / "programs"
PROVIDERS_KEY = "sk-of-the-provider-0123456789"
"""What the gateway asks the provider with."""
ERRORS: Mapping[str, tuple[int, dict[str, Any]]] = {
    "m-400": (400, {"message": "Unsupported value", "type": "invalid_request_error", "param": "x", "code": None}),
    "m-429": (429, {"message": "Rate limit reached", "type": "requests", "param": None, "code": "rate_limit_exceeded"}),
    "m-500": (500, {"message": "The server had an error", "type": "server_error", "param": None, "code": None}),
}
"""Models that the provider fails with."""


class Provider(LlmService):
    """The local provider."""

    def _reply(self, asked: ReceivedRequest) -> WholeReply | StreamedReply:
        failing = ERRORS.get(json.loads(asked.body or b"{}").get("model", ""))
        if failing is not None:
            return WholeReply({"error": failing[1]}, failing[0])
        return super()._reply(asked)


@dataclass(frozen=True)
class Answer:
    """What the client got."""

    status: int
    text: str
    """Of the model, or of the error."""


class Stage:
    def __init__(self, lab: Lab, folder: Path) -> None:
        self.folder = folder
        self.python = packages.python(*SDKS)
        self.provider = lab.upstream(Provider(), [], tls=False)
        self.elsewhere = lab.upstream(LlmService(), ["api.openai.com"])
        """The app's own provider: what does not go through a gateway comes here."""
        keys = {"GATEWAY_KEY": LiteLlm.KEY, "POOR_KEY": LiteLlm.POOR, "BAD_KEY": "sk-nobody-knows-this-one-0123456789"}
        self.proxy = lab.proxy(environment=keys)

    @property
    def provider_url(self) -> str:
        return f"http://127.0.0.1:{self.provider.port}/v1"

    def route(self, gateway: Mapping[str, Any], **more: Any) -> None:
        """Send the app's calls through a gateway."""
        rule = {"rule": "all", "session": {"name": "Real", "id": "run-number-1"}, "gateway": "real", **more}
        self.proxy.write_rules({"version": 1, "gateways": {"real": dict(gateway)}, "rules": [rule]})

    def ask(
        self, model: str, *, stream: bool = False, says: str = "Why is the sky blue?", api: str = "chat"
    ) -> Answer:
        """Let the client ask once, by the API `chat` or `responses`."""
        done = self.proxy.run([self.python, PROGRAMS / "ask_openai.py", api, model, str(stream), says])
        return Answer(**json.loads(done.stdout))

    def call(self) -> RecordedCall:
        (call,) = self.proxy.take()
        return call


@dataclass(frozen=True)
class LiteLlm:
    """LiteLLM's proxy. Its keys are kept by a hook of the tests, since budgets of its own need a PostgreSQL; the errors
    are LiteLLM's own classes, and LiteLLM words them."""

    KEY = "sk-litellm-9d27e64b50b8d2f7713c9e4a61"
    POOR = "sk-litellm-over-its-budget-0123456789"
    MODELS = ("gpt-4o", *ERRORS)
    DOWN = "down"
    """A model whose provider is not there."""
    LIMITED = "limited"
    """A model that it lets pass once a minute."""

    url: str
    seen: Path
    """What it logs of calls that succeeded, one JSON a line."""

    @property
    def item(self) -> dict[str, Any]:
        return {"kind": "litellm", "url": self.url, "key": "${proxy_env.GATEWAY_KEY}"}

    def logged(self, number: int) -> list[dict[str, Any]]:
        """What it logged, once there is so much."""

        def lines() -> list[str]:
            return self.seen.read_text().splitlines() if self.seen.exists() else []

        wait_until(lambda: len(lines()) >= number, lambda: str(lines()))
        return [json.loads(line) for line in lines()]

    @classmethod
    @contextmanager
    def started(cls, stage: Stage) -> Iterator[Self]:
        python = packages.python(*LITELLM)
        folder = stage.folder / "litellm"
        folder.mkdir()
        shutil.copy(PROGRAMS / "litellm_hooks.py", folder)
        (folder / "config.yaml").write_text(yaml.safe_dump(cls._config(stage)))
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = [python.parent / "litellm", "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
        environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "SEEN": str(folder / "seen"), "POOR_KEY": cls.POOR}
        environment |= {"GATEWAY_KEY": cls.KEY}
        with running(command, folder, environment, f"{url}/health/liveliness"):
            yield cls(url, folder / "seen")

    @classmethod
    def _config(cls, stage: Stage) -> dict[str, Any]:
        def entry(name: str, url: str = stage.provider_url, **more: Any) -> dict[str, Any]:
            params = {"model": f"openai/{name}", "api_base": url, "api_key": PROVIDERS_KEY, **more}
            return {"model_name": name, "litellm_params": params}

        words = {
            "guardrail": "litellm_content_filter",
            "mode": "pre_call",
            "default_on": True,
            "blocked_words": [{"keyword": "forbiddenword", "action": "BLOCK"}],
        }
        return {
            "model_list": [
                *map(entry, cls.MODELS),
                entry(cls.DOWN, f"http://127.0.0.1:{free_port()}/v1"),
                entry(cls.LIMITED, model="openai/gpt-4o-mini", rpm=1),
            ],
            "router_settings": {"num_retries": 0, "optional_pre_call_checks": ["enforce_model_rate_limits"]},
            "litellm_settings": {"num_retries": 0, "callbacks": "litellm_hooks.logger"},
            "general_settings": {
                "master_key": "sk-master-a3f81c9d27e64b50b8d2f7713c9e4a61",
                "custom_auth": "litellm_hooks.user_api_key_auth",
            },
            "guardrails": [{"guardrail_name": "words", "litellm_params": words}],
        }


@dataclass(frozen=True)
class PortkeyGateway:
    """Portkey's gateway, as one's own."""

    url: str

    def item(self, provider_url: str, **headers: str) -> dict[str, Any]:
        """Its item in the rules, with the local provider in the place of OpenAI."""
        more = {"x-portkey-custom-host": provider_url, **headers}
        return {"kind": "portkey", "url": self.url, "headers": more}

    @classmethod
    @contextmanager
    def started(cls, stage: Stage) -> Iterator[Self]:
        script = packages.npm(*PORTKEY) / "@portkey-ai" / "gateway" / "build" / "start-server.js"
        folder = stage.folder / "portkey"
        folder.mkdir()
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        with running(["node", script, "--headless", f"--port={port}"], folder, {}, url):
            yield cls(url)
