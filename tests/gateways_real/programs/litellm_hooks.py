"""Hooks of LiteLLM's proxy: which keys it knows, and what it logs of a call. Loaded by its own Python."""

import json
import os

import litellm
from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy._types import ProxyErrorTypes, ProxyException, UserAPIKeyAuth


async def user_api_key_auth(request, api_key):
    if api_key == os.environ["GATEWAY_KEY"]:
        return UserAPIKeyAuth(api_key=api_key)
    if api_key == os.environ["POOR_KEY"]:
        raise litellm.BudgetExceededError(current_cost=2.0, max_budget=1.0)
    said = "Authentication Error, Invalid proxy server token passed."
    raise ProxyException(message=said, type=ProxyErrorTypes.token_not_found_in_db, param="key", code=401)


class Logger(CustomLogger):
    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        about = kwargs.get("standard_logging_object") or {}
        headers = kwargs["litellm_params"].get("proxy_server_request", {}).get("headers", {})
        told = {name: value for name, value in headers.items() if name.startswith("x-litellm-") and "key" not in name}
        _write({"id": about.get("litellm_call_id"), "trace": about.get("trace_id"), "headers": told})


def _write(facts):
    with open(os.environ["SEEN"], "a") as file:
        file.write(json.dumps(facts) + "\n")


logger = Logger()
