"""Shapes of credentials that begin in a fixed way, as a table; patterns.py searches for them.

Beginnings, lengths and alphabets are the vendors' own statements, and facts from the default rules of gitleaks (MIT,
config/gitleaks.toml at b58d3f1) and the plugins of detect-secrets (Apache-2.0).
"""

from __future__ import annotations

_MIXED = r"(?=[a-z_-]*[A-Z0-9])"
"""Not only lower-case words: `sk-` begins CSS classes too."""
ESCAPE = r"(?:\\{1,7}(?:/|u00(?:2[BbFf]|3[Dd]))|%(?:2[BbFf]|3[Dd]))"
"""A `+`, `/` or `=` as some JSON writers spell it, also in JSON within JSON, and as URLs do."""

PREFIXES: tuple[tuple[str, str, str], ...] = (
    ("anthropic-key", "sk-", r"ant-[A-Za-z0-9_-]{12,256}"),
    ("openrouter-key", "sk-", r"or-[A-Za-z0-9_-]{12,256}"),
    ("helicone-key", "sk-", r"helicone-[A-Za-z0-9_-]{12,256}"),
    ("helicone-key", "pk-", r"helicone-[A-Za-z0-9_-]{12,256}"),
    ("langfuse-key", "sk-", r"lf-[A-Za-z0-9_-]{12,256}"),
    ("langfuse-key", "pk-", r"lf-[A-Za-z0-9_-]{12,256}"),
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
    ("slack-token", "xoxe-", r"[A-Za-z0-9-]{10,256}"),
    ("slack-token", "xoxo-", r"[A-Za-z0-9-]{10,256}"),
    ("slack-token", "xoxp-", r"[A-Za-z0-9-]{10,256}"),
    ("slack-token", "xoxr-", r"[A-Za-z0-9-]{10,256}"),
    ("slack-token", "xoxs-", r"[A-Za-z0-9-]{10,256}"),
    ("slack-token", "xapp-", r"[0-9]-[A-Za-z0-9-]{10,256}"),
    ("gitlab-token", "glpat-", r"[A-Za-z0-9_-]{20,128}"),
    ("google-secret", "GOCSPX-", r"[A-Za-z0-9_-]{20,64}"),
    ("pypi-token", "pypi-", r"AgE[A-Za-z0-9_-]{50,512}"),
    ("groq-key", "gsk_", r"[A-Za-z0-9]{20,128}"),
    ("huggingface-token", "hf_", r"[A-Za-z0-9]{20,128}"),
    ("huggingface-token", "api_org_", r"[A-Za-z0-9]{20,128}"),
    ("replicate-token", "r8_", r"[A-Za-z0-9]{20,128}"),
    ("fireworks-key", "fw_", r"(?=[A-Za-z]*[0-9])[A-Za-z0-9]{20,64}"),
    ("together-key", "tgp_", r"v1_[A-Za-z0-9_-]{20,128}"),
    ("vercel-key", "vck_", r"[A-Za-z0-9]{20,128}"),
    ("jina-key", "jina_", r"[A-Za-z0-9]{20,128}"),
    ("e2b-key", "e2b_", r"[0-9a-f]{32,64}"),
    ("pinecone-key", "pcsk_", r"[A-Za-z0-9_]{20,128}"),
    ("langsmith-key", "lsv2_", r"(?:pt|sk)_[A-Za-z0-9_]{20,128}"),
    ("github-token", "ghp_", r"[A-Za-z0-9]{20,255}"),
    ("github-token", "gho_", r"[A-Za-z0-9]{20,255}"),
    ("github-token", "ghu_", r"[A-Za-z0-9]{20,255}"),
    ("github-token", "ghs_", r"[A-Za-z0-9]{20,255}"),
    ("github-token", "ghr_", r"[A-Za-z0-9]{20,255}"),
    ("github-token", "github_pat_", r"[A-Za-z0-9_]{20,255}"),
    ("npm-token", "npm_", r"[A-Za-z0-9]{36}"),
    ("stripe-key", "sk_", r"(?:live|test)_[A-Za-z0-9]{16,255}"),
    ("stripe-key", "rk_", r"(?:live|test)_[A-Za-z0-9]{16,255}"),
    ("elevenlabs-key", "sk_", r"[0-9a-f]{48}"),
    ("novita-key", "sk_", rf"{_MIXED}[A-Za-z0-9_-]{{43}}"),
    ("google-key", "A", r"Iza[A-Za-z0-9_-]{35}"),
    ("google-key", "A", r"Q\.Ab[A-Za-z0-9_-]{40,128}"),
    ("aws-key-id", "A", r"(?:KIA|SIA)[A-Z0-9]{16}"),
    ("bedrock-key", "A", rf"BSK(?:[A-Za-z0-9+/]|{ESCAPE}){{60,256}}(?:=|{ESCAPE}){{0,2}}"),
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
    ("heroku-key", "HRKU-", r"AA[A-Za-z0-9_-]{58}"),
    ("scalingo-token", "tk-us-", r"[A-Za-z0-9_-]{48}"),
    ("frameio-token", "fio-u-", r"[A-Za-z0-9_=-]{64}"),
    ("square-token", "sq0atp-", r"[A-Za-z0-9_-]{22,60}"),
    ("square-secret", "sq0csp-", r"[A-Za-z0-9_-]{40,60}"),
    ("adobe-secret", "p8e-", r"[a-z0-9]{32}"),
    ("infracost-key", "ico-", r"[A-Za-z0-9]{32}"),
    ("age-key", "AGE-SECRET-KEY-", r"1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"),
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
    ("stripe-key", "sk_", r"prod_[A-Za-z0-9]{16,255}"),
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
    ("1password-token", "ops_", r"eyJ[A-Za-z0-9+/]{250,4096}={0,3}"),
    ("docker-token", "dckr_pat_", r"[A-Za-z0-9_-]{24,64}"),
    ("docker-token", "dckr_oat_", r"[A-Za-z0-9_-]{24,64}"),
    ("alibaba-key-id", "LTA", r"I[A-Za-z0-9]{20}"),
    ("easypost-key", "EZA", r"K[A-Za-z0-9]{54}"),
    ("jfrog-key", "A", r"KCp[A-Za-z0-9]{69}"),
    ("atlassian-token", "A", r"TATT3[A-Za-z0-9_=-]{60,400}"),
    ("facebook-token", "EA", r"A[MC][A-Za-z0-9]{100,400}"),
    ("twilio-key", "SK", r"[0-9a-fA-F]{32}"),
    ("google-token", "ya29.", r"[A-Za-z0-9_-]{20,2048}"),
    ("sendgrid-key", "SG.", r"[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}"),
    ("vault-token", "hvs.", r"[A-Za-z0-9_-]{24,256}"),
    ("vault-token", "hvb.", r"[A-Za-z0-9_-]{100,400}"),
    ("vault-token", "hvr.", r"[A-Za-z0-9_-]{24,256}"),
    ("dynatrace-token", "dt0c01.", r"[A-Za-z0-9]{24}\.[A-Za-z0-9]{64}"),
    ("cloudflare-key", "v1.0-", r"[a-f0-9]{24}-[a-f0-9]{146}"),
    ("grafana-token", "eyJ", r"rIjoi[A-Za-z0-9+/]{60,400}={0,3}"),
    ("jwt", "eyJ", r"[\w-]{8,4096}\.[\w-]{0,8192}\.[\w-]{8,4096}(?:\.[\w-]{8,2048}){0,2}"),
)
"""Kind, fixed beginning up to and with its anchor (`-`, `_`, `.`, `A`, `J`, `K`), the rest."""

_ALONE = r"(?:(?<![\w.~-])|(?<=\\[nrt]))"
"""A place at which a word may begin: not in another one; the escape `\\n` ends in a letter."""

OTHERS: dict[str, dict[str, tuple[tuple[str, str, int], ...]]] = {
    ".": {
        r"(?=[0-9a-f]{16})": (
            ("airtable-token", r"(?<=pat[A-Za-z0-9]{14}\.)([0-9a-f]{64})(?![A-Za-z0-9])", 18),
        ),
        r"(?<=dp\.[ps]t\.)": (
            ("doppler-token", r"((?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44})(?![\w-])", 6),
        ),
        r"(?=atlasv1\.)": (
            ("terraform-token", r"(?<=[A-Za-z0-9]{14}\.)(atlasv1\.[A-Za-z0-9_=-]{60,70})(?![\w-])", 15),
        ),
        r"(?=slack\.)(?<=hooks\.)": (
            (
                "slack-webhook",
                r"slack\.com\\{0,7}/(?:services|workflows|triggers)\\{0,7}/"
                r"([A-Za-z0-9]{6,64}(?:\\{0,7}/[A-Za-z0-9]{6,64}){1,4})",
                0,
            ),
        ),
        r"(?=[\w-]{6}\.[\w-]{27})": tuple(
            ("discord-token", rf"(?<={_ALONE}[MNO][\w-]{{{size}}}\.)([\w-]{{6}}\.[\w-]{{27,40}})(?![\w-])", size + 2)
            for size in (23, 24, 25, 26, 27)
        ),
    },
    "-": {
        r"(?=us[0-9])": (("mailchimp-key", rf"(?<={_ALONE}[0-9a-f]{{32}}-)(us[0-9]{{1,2}})(?![\w-])", 33),),
    },
    "~": {
        r"(?<=[0-9]Q~)": (
            ("azure-secret", rf"(?<={_ALONE}[\w~.-]{{3}}[0-9]Q~)([\w~.-]{{30,33}}[\w~-])(?![\w~-])", 6),
        ),
    },
    "A": {
        r"(?<=[0-9]:A)(?=A[\w-]{32})": tuple(
            ("telegram-token", rf"(?<={_ALONE}[0-9]{{{size}}}:A)(A[\w-]{{32,34}})(?![\w-])", size + 2)
            for size in (8, 9, 10)
        ),
    },
}  # fmt: skip
"""By anchor, and by what must stand around it: shapes without a fixed beginning of their own. Kind, pattern behind the
anchor with one group, how many bytes before that group the credential begins."""

PGPASS = ":5432:", r"[^:\s\"'\\]{1,64}:[^:\s\"'\\]{1,64}:([^\s\"'\\:]{4,256})"
"""`host:5432:database:user:password`, a line of .pgpass: its fixed part, and the rest with the password as a group."""

LITERALS = (
    ("databricks-token", "dapi", r"[a-f0-9]{32}(?:-[0-9])?"),
    ("google-refresh-token", "1//0", r"[A-Za-z0-9_-]{30,256}"),
)
"""Kind, beginning, rest: of shapes without a rare byte. Each costs a search of all text."""
