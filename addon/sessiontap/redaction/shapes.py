r"""Shapes of credentials, as tables; shape_search.py searches for them.

Beginnings, lengths and alphabets are the vendors' own statements, and facts from the default rules of gitleaks (MIT,
config/gitleaks.toml at b58d3f1) and the plugins of detect-secrets (Apache-2.0).
"""

from __future__ import annotations

_MIXED = r"(?=[a-z_-]*[A-Z0-9])"
"""Not only lower-case words: `sk-` begins CSS classes too."""
_RANDOM = r"(?=[A-Za-z_-]*[0-9])(?=[a-z0-9_-]*[A-Z])"
"""A digit and a capital."""
ESCAPE = r"(?:\\{1,7}(?:/|u00(?:2[BbFf]|3[Dd]))|%(?:2[BbFf]|3[Dd]))"
"""A `+`, `/` or `=` as some JSON writers spell it, also in JSON within JSON, and as URLs do."""

PREFIXES: tuple[tuple[str, str, str], ...] = (
    ("anthropic-key", "sk-ant-", r"[A-Za-z0-9_-]{12,256}"),
    ("openrouter-key", "sk-or-", r"[A-Za-z0-9_-]{12,256}"),
    ("helicone-key", "sk-helicone-", r"[A-Za-z0-9_-]{12,256}"),
    ("helicone-key", "pk-helicone-", r"[A-Za-z0-9_-]{12,256}"),
    ("langfuse-key", "sk-lf-", r"[A-Za-z0-9_-]{12,256}"),
    ("langfuse-key", "pk-lf-", r"[A-Za-z0-9_-]{12,256}"),
    ("openai-key", "sk-", rf"{_MIXED}[A-Za-z0-9_-]{{20,256}}"),
    ("helicone-key", "pk-", r"[a-z0-9]{7}(?:-[a-z0-9]{7}){3}"),
    ("nvidia-key", "nvapi-", r"[A-Za-z0-9_-]{20,128}"),
    ("perplexity-key", "pplx-", r"[A-Za-z0-9]{20,128}"),
    ("xai-key", "xai-", r"[A-Za-z0-9]{20,160}"),
    ("cerebras-key", "csk-", r"[A-Za-z0-9]{20,128}"),
    ("tavily-key", "tvly-", rf"{_MIXED}[A-Za-z0-9-]{{16,128}}"),
    ("firecrawl-key", "fc-", r"[0-9a-f]{32}"),
    ("voyage-key", "pa-", rf"{_MIXED}[A-Za-z0-9_-]{{40,64}}"),
    ("bedrock-key", "bedrock-api-key-", rf"(?:[A-Za-z0-9+/=]|{ESCAPE}){{40,4096}}"),
    ("slack-token", "xoxa-", r"[A-Za-z0-9-]{10,256}"),
    ("slack-token", "xoxb-", r"[A-Za-z0-9-]{10,256}"),
    ("slack-token", "xoxc-", r"[A-Za-z0-9-]{10,256}"),
    ("slack-token", "xoxd-", r"[A-Za-z0-9%+/=-]{10,512}"),
    ("slack-token", "xoxe-", r"[A-Za-z0-9-]{10,256}"),
    ("slack-token", "xoxo-", r"[A-Za-z0-9-]{10,256}"),
    ("slack-token", "xoxp-", r"[A-Za-z0-9-]{10,256}"),
    ("slack-token", "xoxr-", r"[A-Za-z0-9-]{10,256}"),
    ("slack-token", "xoxs-", r"[A-Za-z0-9-]{10,256}"),
    ("slack-token", "xapp-", r"[0-9]-[A-Za-z0-9-]{10,256}"),
    ("gitlab-token", "glpat-", r"[A-Za-z0-9_-]{20,300}(?:\.[0-9a-z]{2}\.[0-9a-z]{9})?"),
    ("google-secret", "GOCSPX-", r"[A-Za-z0-9_-]{20,64}"),
    ("pypi-token", "pypi-AgE", r"[A-Za-z0-9_-]{50,512}"),
    ("groq-key", "gsk_", r"[A-Za-z0-9]{20,128}"),
    ("huggingface-token", "hf_", r"[A-Za-z0-9]{20,128}"),
    ("huggingface-token", "api_org_", r"[A-Za-z0-9]{20,128}"),
    ("replicate-token", "r8_", r"[A-Za-z0-9]{20,128}"),
    ("fireworks-key", "fw_", r"(?=[A-Za-z]*[0-9])[A-Za-z0-9]{20,64}"),
    ("together-key", "tgp_v1_", r"[A-Za-z0-9_-]{20,128}"),
    ("vercel-key", "vck_", r"[A-Za-z0-9]{20,128}"),
    ("jina-key", "jina_", r"[A-Za-z0-9]{20,128}"),
    ("e2b-key", "e2b_", r"[0-9a-f]{32,64}"),
    ("pinecone-key", "pcsk_", r"[A-Za-z0-9_]{20,128}"),
    ("langsmith-key", "lsv2_pt_", r"[A-Za-z0-9_]{20,128}"),
    ("langsmith-key", "lsv2_sk_", r"[A-Za-z0-9_]{20,128}"),
    ("github-token", "ghp_", r"[A-Za-z0-9]{20,255}"),
    ("github-token", "gho_", r"[A-Za-z0-9]{20,255}"),
    ("github-token", "ghu_", r"[A-Za-z0-9]{20,255}"),
    ("github-token", "ghs_", r"(?:[0-9]{1,12}_eyJ[\w-]{8,1024}\.[\w-]{8,1024}\.[\w-]{8,1024}|[A-Za-z0-9]{20,255})"),
    ("github-token", "ghr_", r"[A-Za-z0-9]{20,255}"),
    ("github-token", "github_pat_", r"[A-Za-z0-9_]{20,255}"),
    ("npm-token", "npm_", r"[A-Za-z0-9]{36}"),
    ("stripe-key", "sk_live_", r"[A-Za-z0-9]{16,255}"),
    ("stripe-key", "sk_test_", r"[A-Za-z0-9]{16,255}"),
    ("stripe-key", "rk_live_", r"[A-Za-z0-9]{16,255}"),
    ("stripe-key", "rk_test_", r"[A-Za-z0-9]{16,255}"),
    ("elevenlabs-key", "sk_", r"[0-9a-f]{48}"),
    ("novita-key", "sk_", rf"{_MIXED}[A-Za-z0-9_-]{{43}}"),
    ("google-key", "AIza", r"[A-Za-z0-9_-]{35}"),
    ("google-key", "AQ.Ab", r"[A-Za-z0-9_-]{40,128}"),
    ("aws-key-id", "AKIA", r"[A-Z0-9]{16}"),
    ("aws-key-id", "ASIA", r"[A-Z0-9]{16}"),
    ("bedrock-key", "ABSK", rf"(?:[A-Za-z0-9+/]|{ESCAPE}){{60,256}}(?:=|{ESCAPE}){{0,2}}"),
    ("gitlab-token", "gldt-", r"[A-Za-z0-9_-]{20,128}"),
    ("gitlab-token", "glft-", r"[A-Za-z0-9_-]{20,128}"),
    ("gitlab-token", "glsoat-", r"[A-Za-z0-9_-]{20,128}"),
    ("gitlab-token", "glrt-", r"[A-Za-z0-9_-]{20,300}"),
    ("gitlab-token", "glptt-", r"[0-9a-f]{40}"),
    ("gitlab-token", "glagent-", r"[A-Za-z0-9_-]{50,128}"),
    ("gitlab-token", "gloas-", r"[A-Za-z0-9_-]{64}"),
    ("gitlab-token", "glcbt-", r"[A-Za-z0-9]{1,5}_[A-Za-z0-9_-]{20,128}"),
    ("mailgun-key", "key-", r"[0-9a-f]{32}"),
    ("sendinblue-key", "xkeysib-", r"[a-f0-9]{64}-[A-Za-z0-9]{16}"),
    ("postman-key", "PMAK-", r"[a-fA-F0-9]{24}-[a-fA-F0-9]{34}"),
    ("pulumi-token", "pul-", r"[a-f0-9]{40}"),
    ("heroku-key", "HRKU-AA", r"[A-Za-z0-9_-]{58}"),
    ("scalingo-token", "tk-us-", r"[A-Za-z0-9_-]{48}"),
    ("frameio-token", "fio-u-", r"[A-Za-z0-9_=-]{64}"),
    ("square-token", "sq0atp-", r"[A-Za-z0-9_-]{22,60}"),
    ("square-secret", "sq0csp-", r"[A-Za-z0-9_-]{40,60}"),
    ("adobe-secret", "p8e-", r"[a-z0-9]{32}"),
    ("infracost-key", "ico-", r"[A-Za-z0-9]{32}"),
    ("age-key", "AGE-SECRET-KEY-1", r"[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"),
    ("flutterwave-key", "FLWSECK_TEST-", r"[A-Za-z0-9]{12,64}(?:-X)?"),
    ("octopus-key", "API-", r"(?=[A-Z]*[0-9])[A-Z0-9]{26}"),
    ("digitalocean-token", "dop_v1_", r"[a-f0-9]{64}"),
    ("digitalocean-token", "doo_v1_", r"[a-f0-9]{64}"),
    ("digitalocean-token", "dor_v1_", r"[a-f0-9]{64}"),
    ("shopify-token", "shpat_", r"[a-fA-F0-9]{32}"),
    ("shopify-token", "shpca_", r"[a-fA-F0-9]{32}"),
    ("shopify-token", "shppa_", r"[a-fA-F0-9]{32}"),
    ("shopify-secret", "shpss_", r"[a-fA-F0-9]{32}"),
    ("grafana-token", "glc_", r"[A-Za-z0-9+/]{32,400}={0,3}"),
    ("grafana-token", "glsa_", r"[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}"),
    ("notion-token", "ntn_", r"[0-9]{11}[A-Za-z0-9]{35}"),
    ("notion-token", "secret_", r"[A-Za-z0-9]{43}"),
    ("linear-key", "lin_api_", r"[A-Za-z0-9]{40}"),
    ("linear-token", "lin_oauth_", r"[A-Za-z0-9]{40,80}"),
    ("supabase-token", "sbp_", r"[a-f0-9]{40}"),
    ("supabase-key", "sb_secret_", r"[A-Za-z0-9_-]{20,64}"),
    ("webhook-secret", "whsec_", rf"(?:[A-Za-z0-9+/]|{ESCAPE}){{24,96}}={{0,2}}"),
    ("stripe-key", "sk_prod_", r"[A-Za-z0-9]{16,255}"),
    ("planetscale-token", "pscale_tkn_", r"[A-Za-z0-9_=.-]{32,64}"),
    ("planetscale-token", "pscale_oauth_", r"[A-Za-z0-9_=.-]{32,64}"),
    ("planetscale-password", "pscale_pw_", r"[A-Za-z0-9_=.-]{32,64}"),
    ("rubygems-key", "rubygems_", r"[a-f0-9]{48}"),
    ("prefect-key", "pnu_", r"[A-Za-z0-9]{36}"),
    ("readme-key", "rdme_", r"[a-z0-9]{70}"),
    ("sentry-token", "sntryu_", r"[a-f0-9]{64}"),
    ("sentry-token", "sntrys_", r"[A-Za-z0-9+/=_]{40,512}"),
    ("shippo-token", "shippo_live_", r"[a-fA-F0-9]{40}"),
    ("shippo-token", "shippo_test_", r"[a-fA-F0-9]{40}"),
    ("sourcegraph-token", "sgp_", r"(?:(?:[a-fA-F0-9]{16}|local)_)?[a-fA-F0-9]{40}"),
    ("duffel-token", "duffel_live_", r"[A-Za-z0-9_=-]{43}"),
    ("duffel-token", "duffel_test_", r"[A-Za-z0-9_=-]{43}"),
    ("clojars-token", "CLOJARS_", r"[a-z0-9]{60}"),
    ("fly-token", "fo1_", r"[A-Za-z0-9_-]{43}"),
    ("fly-token", "fm2_", r"[A-Za-z0-9+/]{100,1024}={0,3}"),
    ("settlemint-token", "sm_pat_", r"[A-Za-z0-9]{16}"),
    ("settlemint-token", "sm_aat_", r"[A-Za-z0-9]{16}"),
    ("settlemint-token", "sm_sat_", r"[A-Za-z0-9]{16}"),
    ("1password-token", "ops_eyJ", r"[A-Za-z0-9+/]{250,4096}={0,3}"),
    ("docker-token", "dckr_pat_", r"[A-Za-z0-9_-]{24,64}"),
    ("docker-token", "dckr_oat_", r"[A-Za-z0-9_-]{24,64}"),
    ("alibaba-key-id", "LTAI", r"[A-Za-z0-9]{20}"),
    ("easypost-key", "EZAK", r"[A-Za-z0-9]{54}"),
    ("jfrog-key", "AKCp", r"[A-Za-z0-9]{69}"),
    ("atlassian-token", "ATATT3", r"[A-Za-z0-9_=-]{60,400}"),
    ("facebook-token", "EAAM", r"[A-Za-z0-9]{100,400}"),
    ("facebook-token", "EAAC", r"[A-Za-z0-9]{100,400}"),
    ("twilio-key", "SK", r"[0-9a-fA-F]{32}"),
    ("google-token", "ya29.", r"[A-Za-z0-9_-]{20,2048}"),
    ("sendgrid-key", "SG.", r"[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}"),
    ("vault-token", "hvs.", r"[A-Za-z0-9_-]{24,256}"),
    ("vault-token", "hvb.", r"[A-Za-z0-9_-]{100,400}"),
    ("vault-token", "hvr.", r"[A-Za-z0-9_-]{24,256}"),
    ("dynatrace-token", "dt0c01.", r"[A-Za-z0-9]{24}\.[A-Za-z0-9]{64}"),
    ("cloudflare-key", "v1.0-", r"[a-f0-9]{24}-[a-f0-9]{146}"),
    ("grafana-token", "eyJrIjoi", r"[A-Za-z0-9+/]{60,400}={0,3}"),
    ("jwt", "eyJ", r"[\w-]{8,4096}\.[\w-]{0,8192}\.[\w-]{8,4096}(?:\.[\w-]{8,2048}){0,2}"),
    ("databricks-token", "dapi", r"[a-f0-9]{32}(?:-[0-9])?"),
    ("openai-key", "ek_", r"[0-9a-f]{32}"),  # a session of the Realtime API
    ("openai-key", "sess-", rf"{_RANDOM}[A-Za-z0-9]{{40}}"),
    ("google-key", "auth_tokens/", r"[A-Za-z0-9_-]{20,128}"),  # a session of Gemini's Live API
    ("requesty-key", "rqsty-sk-", r"[A-Za-z0-9+/_-]{20,256}={0,2}"),
    ("runpod-key", "rpa_", r"[A-Za-z0-9]{30,64}"),
    ("modal-token", "ak-", rf"{_RANDOM}[A-Za-z0-9]{{22}}"),
    ("modal-token", "as-", rf"{_RANDOM}[A-Za-z0-9]{{22}}"),
    ("llamacloud-key", "llx-", r"[A-Za-z0-9]{40,64}"),
    ("friendli-key", "flp_", r"[A-Za-z0-9]{40,64}"),
    ("chutes-key", "cpk_", r"[0-9a-f]{32}(?:\.[0-9a-f]{32})?\.[A-Za-z0-9]{32}"),
    ("anyscale-key", "esecret_", r"[A-Za-z0-9]{20,64}"),
    ("cursor-key", "crsr_", r"[0-9a-f]{64}"),
    ("sourcegraph-token", "sgamp_user_", r"[A-Za-z0-9_]{40,128}"),
    ("cartesia-key", "sk_car_", r"[A-Za-z0-9]{20,64}"),
    ("wandb-key", "wandb_v1_", r"[A-Za-z0-9_]{60,120}"),
    ("braintrust-key", "bt-st-", r"[A-Za-z0-9]{40,64}"),
    ("posthog-key", "phx_", r"[A-Za-z0-9]{36,64}"),
    ("mem0-key", "m0-", r"[A-Za-z0-9]{40}"),
    ("apify-token", "apify_api_", r"[A-Za-z0-9]{36}"),
    ("browserbase-key", "bb_live_", r"[A-Za-z0-9_-]{20,64}"),
    ("daytona-key", "dtn_", r"[0-9a-f]{64}"),
    ("brave-key", "BSA", rf"{_RANDOM}[A-Za-z0-9_-]{{28}}"),
    ("vercel-token", "vcp_", r"[A-Za-z0-9]{24,128}"),
    ("vercel-token", "vci_", r"[A-Za-z0-9]{24,128}"),
    ("vercel-token", "vca_", r"[A-Za-z0-9]{24,128}"),
    ("vercel-token", "vcr_", r"[A-Za-z0-9]{24,128}"),
    ("cloudflare-key", "cfk_", r"[A-Za-z0-9_-]{40,64}"),
    ("cloudflare-token", "cfut_", r"[A-Za-z0-9_-]{40,64}"),
    ("cloudflare-token", "cfat_", r"[A-Za-z0-9_-]{40,64}"),
    ("neon-key", "napi_", r"[A-Za-z0-9]{48,80}"),
    ("neon-password", "npg_", rf"{_RANDOM}[A-Za-z0-9]{{12}}"),
    ("mongodb-secret", "mdb_sa_sk_", r"[A-Za-z0-9_-]{40}"),
    ("aiven-password", "AVNS_", r"[A-Za-z0-9_-]{19}"),
    ("render-key", "rnd_", rf"{_RANDOM}[A-Za-z0-9]{{28,32}}"),
    ("netlify-token", "nfp_", r"[A-Za-z0-9]{36}"),
    ("deno-token", "ddp_", r"[A-Za-z0-9]{36}"),
    ("valtown-token", "vtwn_", r"[A-Za-z0-9]{20,64}"),
    ("tailscale-key", "tskey-", r"(?:auth|api|client|scim|webhook)-[A-Za-z0-9]{8,32}-[A-Za-z0-9]{16,64}"),
    ("resend-key", "re_", r"(?=\w{0,33}?[0-9])(?=\w{0,33}?[A-Z])[A-Za-z0-9]{8}_[A-Za-z0-9]{24}"),
    ("figma-token", "figd_", r"[A-Za-z0-9_-]{40}"),
    ("contentful-token", "CFPAT-", r"[A-Za-z0-9_-]{43}"),
    ("mapbox-token", "sk.eyJ", r"[A-Za-z0-9_-]{40,200}\.[A-Za-z0-9_-]{22}"),
    ("buildkite-token", "bkua_", r"[0-9a-f]{40}"),
    ("circleci-token", "CCIPAT_", r"[A-Za-z0-9]{16,40}_[0-9a-f]{40}"),
    ("sonar-token", "squ_", r"[0-9a-f]{40}"),
    ("sonar-token", "sqp_", r"[0-9a-f]{40}"),
    ("sonar-token", "sqa_", r"[0-9a-f]{40}"),
    ("newrelic-key", "NRAK-", r"[A-Z0-9]{27}"),
    ("crates-token", "cio", rf"{_RANDOM}[A-Za-z0-9]{{32}}"),
    ("atlassian-token", "ATCTT3", r"[A-Za-z0-9_=-]{60,400}"),
    ("atlassian-token", "ATBB", rf"{_RANDOM}[A-Za-z0-9]{{32}}"),
    ("dropbox-token", "sl.", r"[A-Za-z0-9_-]{130,2048}"),
    ("infisical-token", "st.", r"[0-9a-f]{24}\.[0-9a-f]{32}\.[0-9a-f]{32}"),
    ("google-refresh-token", "1//0", r"[A-Za-z0-9_-]{30,256}"),
)
"""Kind, fixed beginning, rest. Such a credential is a word of its own (`shape_search.py`, `_BORDER`)."""

_ALONE = r"(?:(?<![\w.~-])|(?<=\\[nrt]))"
"""A place at which a word may begin: not in another one; the escape `\n` ends in a letter."""
_VALUE = rf"(?=[A-Za-z0-9+/_.~=%-]{{0,256}}?[0-9])(?:[A-Za-z0-9+/_.~=%-]|{ESCAPE}){{16,4096}}"
"""A value given to a credential's name in text: long, and with a digit, unlike `os.environ` or `YOUR_KEY_HERE`."""
_BASIC = r"(?=[A-Za-z+/]{0,256}[0-9])(?=[a-z0-9+/]{0,256}[A-Z])[A-Za-z0-9+/]{16,1024}={0,2}(?![\w-])"
_COOKIES = r"[\w.-]{1,64}=[^\s\"'\\;<>]{12,4096}(?:;\s?[\w.-]{1,64}=[^\s\"'\\;<>]{0,4096}){0,32}"
_PEM = (
    r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[A-Za-z0-9+/=:,. \r\n\t]|-(?!----)|\\[nrt/]|\\u00[0-9a-f]{2}){0,8192}"
    r"(?:-----END [A-Z ]{0,32}PRIVATE KEY(?: BLOCK)?-----)?"
)
"""A private key in PEM, also one that JSON escapes or that ends early."""

_IN_QUERY = (
    "key", "sig", "token", "api_key", "apikey", "api-key", "access_token", "secret", "password", "client_secret",
    "refresh_token", "X-Amz-Signature", "X-Amz-Security-Token", "X-Goog-Signature", "Signature", "subscription-key",
)  # fmt: skip
_FORM = r"(?=[\w.~%+/=-]*(?:&|\Z))"
"""The text is a form (application/x-www-form-urlencoded) that begins with this parameter."""
_QUERY_VALUE = r"[^&\s\"'#<>\\\[\]`|]{6,4096}"

OTHERS: tuple[tuple[str, str, str, int], ...] = (
    ("private-key", "-----BEGIN ", rf"({_PEM})", 0),
    # Azure's keys of 84 letters
    ("azure-key", "JQQJ99", r"(?<=[A-Za-z0-9]{52})(JQQJ99[A-Za-z0-9]{26})(?![A-Za-z0-9])", 52),
    ("airtable-token", r"\.[0-9a-f]{16}", r"(?<=pat[A-Za-z0-9]{14})(\.[0-9a-f]{64})(?![A-Za-z0-9])", 17),
    ("doppler-token", r"dp\.[ps]t\.", r"(dp\.[ps]t\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44})(?![\w-])", 0),
    ("terraform-token", r"\.atlasv1\.", r"(?<=[A-Za-z0-9]{14})(\.atlasv1\.[A-Za-z0-9_=-]{60,70})(?![\w-])", 14),
    (
        "slack-webhook",
        r"hooks\.slack\.com",
        r"hooks\.slack\.com\\{0,7}/(?:services|workflows|triggers)\\{0,7}/"
        r"([A-Za-z0-9]{6,64}(?:\\{0,7}/[A-Za-z0-9]{6,64}){1,4})",
        0,
    ),
    (
        "discord-webhook",
        r"discord(?:app)?\.com",
        r"discord(?:app)?\.com(?:\\{0,7}/[a-z0-9]{2,8}){1,3}\\{0,7}/[0-9]{17,20}\\{0,7}/([\w-]{60,72})(?![\w-])",
        0,
    ),
    # a browser's credential for a WebSocket, in the header `Sec-WebSocket-Protocol`
    *(
        ("credential", head, rf"{head}({_VALUE})", 0)
        for head in (r"openai-insecure-api-key\.", r"xai-client-secret\.")
    ),
    *(
        (
            "discord-token",
            r"\.[\w-]{6}\.[\w-]{27}",
            rf"(?<={_ALONE}[MNO][\w-]{{{size}}})(\.[\w-]{{6}}\.[\w-]{{27,40}})(?![\w-])",
            size + 1,
        )
        for size in (23, 24, 25, 26, 27)
    ),
    ("mailchimp-key", "-us[0-9]", rf"(?<={_ALONE}[0-9a-f]{{32}})(-us[0-9]{{1,2}})(?![\w-])", 32),
    ("azure-secret", "Q~", rf"(?<={_ALONE}[\w~.-]{{3}}[0-9])(Q~[\w~.-]{{30,33}}[\w~-])(?![\w~-])", 4),
    *(
        ("telegram-token", ":AA", rf"(?<={_ALONE}[0-9]{{{size}}})(:AA[\w-]{{32,34}})(?![\w-])", size)
        for size in (8, 9, 10)
    ),
    # host:5432:database:user:password, a line of .pgpass
    ("password", ":5432:", r":5432:[^:\s\"'\\]{1,64}:[^:\s\"'\\]{1,64}:([^\s\"'\\:]{4,256})", 0),
    ("bearer", r"Bearer\s", rf"Bearer\s({_VALUE})", 0),
    ("bearer", r"Basic\s", rf"Basic\s({_BASIC})", 0),
    ("cookie", r"Cookie:\s", rf"Cookie:\s({_COOKIES})", 0),
    # `6` ends `\\u0026`, as JSON may spell `&`
    *(("credential", f"{name}=", rf"(?:(?<=[?&6]){name}=|\A{name}={_FORM})({_QUERY_VALUE})", 0) for name in _IN_QUERY),
    ("credential", "Signature=", rf"(?<=[ ,])Signature=({_QUERY_VALUE})", 0),
)
"""Shapes without a fixed beginning of their own: kind, a part of it that is rare (for RE2), the pattern from that part
on, whose group ends where the credential ends, and how many bytes before that group it begins."""
