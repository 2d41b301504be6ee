"""Credentials of services whose shapes came later, each in a prompt, in JSON and in an escaped JSON string."""

from __future__ import annotations

import json
import re

import pytest
from tests.redaction.shaped import JWT, letters

HEX = "0123456789abcdef" * 6

# Made up, in the shape of the real ones; put together here so that no scanner takes this file for a leak.
NEWER = {
    "a realtime session": "ek" + "_" + HEX[:32],
    "a session of ChatGPT": "sess" + "-" + letters(40),
    "a live session": "auth_tokens" + "/" + letters(64),
    "a token of a GitHub app": "gh" + "s_1234567_" + JWT,
    "a routable GitLab token": "gl" + "pat-" + letters(44) + ".01.120abc9de",
    "a browser's Slack token": "xox" + "c-123456789012-123456789012-" + HEX[:64],
    "a browser's Slack cookie": "xox" + "d-" + letters(20) + "%2B" + letters(20),
    "Vercel": "vc" + "p_" + letters(56),
    "Cloudflare": "cf" + "ut_" + letters(48),
    "Weights & Biases": "wandb" + "_v1_" + letters(22) + "_" + letters(54),
    "RunPod": "rp" + "a_" + letters(42),
    "Modal": "as" + "-" + letters(22),
    "LlamaCloud": "ll" + "x-" + letters(48),
    "Friendli": "fl" + "p_" + letters(46),
    "Requesty": "rqsty" + "-sk-" + letters(80) + "==",
    "Chutes": "cp" + "k_" + HEX[:32] + "." + HEX[:32] + "." + letters(32),
    "Cursor": "crsr" + "_" + HEX[:64],
    "Amp": "sgamp" + "_user_" + letters(60),
    "Cartesia": "sk" + "_car_" + letters(22),
    "Braintrust": "bt" + "-st-" + letters(48),
    "PostHog": "ph" + "x_" + letters(43),
    "Mem0": "m0" + "-" + letters(40),
    "Apify": "apify" + "_api_" + letters(36),
    "Browserbase": "bb" + "_live_" + letters(27),
    "Daytona": "dtn" + "_" + HEX[:64],
    "Brave": "BS" + "A" + letters(28),
    "Neon": "na" + "pi_" + letters(64),
    "Neon's password": "np" + "g_" + letters(12),
    "MongoDB": "mdb" + "_sa_sk_" + letters(40),
    "Aiven": "AV" + "NS_" + letters(19),
    "Render": "rn" + "d_" + letters(28),
    "Netlify": "nf" + "p_" + letters(36),
    "Deno": "dd" + "p_" + letters(36),
    "Tailscale": "ts" + "key-auth-" + letters(17) + "-" + letters(32),
    "Resend": "r" + "e_" + letters(8) + "_" + letters(24),
    "Figma": "fig" + "d_" + letters(40),
    "Mapbox": "sk" + ".eyJ1" + letters(60) + "." + letters(22),
    "Buildkite": "bk" + "ua_" + HEX[:40],
    "CircleCI": "CCI" + "PAT_" + letters(22) + "_" + HEX[:40],
    "SonarQube": "sq" + "u_" + HEX[:40],
    "New Relic": "NR" + "AK-" + letters(27).upper(),
    "crates.io": "ci" + "o" + letters(32),
    "Bitbucket": "AT" + "BB" + letters(32),
    "Dropbox": "s" + "l." + letters(130),
    "Infisical": "s" + "t." + HEX[:24] + "." + HEX[:32] + "." + HEX[:32],
}


@pytest.mark.parametrize("secret", NEWER.values(), ids=NEWER)
def test_a_credential_is_found_wherever_it_stands(redactor, secret):
    nested = json.dumps(json.dumps({"value": f"a\n{secret}"}))
    for text in (f"I put {secret} there.", json.dumps({"value": secret}), nested):
        body = redactor.body(text.encode()).decode()
        assert not any(piece in body for piece in re.split(r"[._]", secret) if len(piece) > 11)
        assert "[redacted:" in body


@pytest.mark.parametrize(
    "protocols",
    [
        "realtime, openai-insecure-api-key.ek_" + HEX[:32] + ", openai-beta.realtime-v1",
        "realtime, openai-insecure-api-key." + letters(40),
        "xai-client-secret." + letters(40),
    ],
    ids=["OpenAI's session", "a key of no shape", "xAI's session"],
)
def test_a_browsers_key_for_a_web_socket_is_found_in_its_header(redactor, protocols):
    ((_, value),) = redactor.headers([("Sec-WebSocket-Protocol", protocols)])
    assert HEX[:32] not in value
    assert letters(40) not in value
    assert value.startswith(("realtime", "xai-client-secret"))


def test_a_webhook_of_discord_is_found(redactor):
    path = "/api/v10/webhooks/123456789012345678/"
    for url in (f"https://discord.com{path}", f"https:\\/\\/discordapp.com{path}".replace("/", "\\/")):
        assert letters(68) not in redactor.body(f'{{"url": "{url}{letters(68)}"}}'.encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        "ek_preis sess-ion auth_tokens/list vcp_width as-independent-of-the-others re_compile_the_expressions_again",
        "ak-notification-container cio_service st.session_state.messages sl.append m0-mask BSAFE-configuration",
        "npg_connect rnd_generate dtn_router figd_plugin tskey-lookup AVNS_ sess-" + "a" * 40,
        "https://discord.com/api/webhooks/ID/TOKEN https://discord.com/developers/docs/topics/oauth2",
        "ATBBatchOfTheMonthWithoutAnyNumberIn cioAbcdefghijklmnopqrstuvwxyzAbcdef",
    ],
)
def test_words_that_begin_like_one_stay(redactor, text):
    assert redactor.body(text.encode()).decode() == text


@pytest.mark.parametrize("name", ["SSHPASS", "AWS_BEARER_TOKEN_BEDROCK"])
def test_a_variable_that_was_not_known_is_found(redactor, name):
    assert letters(24) not in redactor.body(f"export {name}={letters(24)}\n".encode()).decode()
    assert redactor.body(b"sshpass: command not found") == b"sshpass: command not found"
