"""Recorded calls for other readers: a process of its own reads the log and sends what is new in it.

    target.py        a target's descriptor, and what a module of `targets/` has to offer
    targets/         one module a target
    scores/          the same of scores, for the targets that have a place for them
    score_facts.py   what their modules share
    chat_form.py     a call as OpenAI's chat API would have it, for targets that read that form alone
    spans.py         a call and a turn as spans, for the targets that take these (span_facts.py, observed_tools.py,
                     operations.py: what they tell)
    attributes/      the spans' attributes, one module a convention
    otlp_http.py     spans over OTLP/HTTP, for the targets that take these
    score_pusher.py  scores that are new or taken away, behind the calls that they are of
    pusher.py        the loop: read what is new, make items of it, deliver them, note how far it has come
    pushed_calls.py  calls and turns as senders get them: with parts, titles, and what is new in a call
    user_turns.py    which user turn a call belongs to, and when one is complete
    delivery.py      requests of a bounded size, tries, what is set aside
    cursor.py        how far a target has come: a private file in the log's folder
    http.py          the one HTTP client
    notifier.py      a process of its own, apart from all that: it tells a command and a webhook of alerts

`TARGETS` lists them. To add one: a module with a function `open_sender(settings)`, and a line in the list.
"""

from __future__ import annotations

from collections.abc import Mapping

from sessiontap.push.target import Target

_ALL: tuple[Target, ...] = (
    Target(
        "otlp",
        "any collector or reader of OTLP",
        "sessiontap.push.targets.otlp",
        scores="sessiontap.push.scores.otlp",
        endpoint="http://127.0.0.1:4318",
        endpoint_variables=("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        variables=("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"),
        package="sessiontap[otlp]",
    ),
    Target(
        "phoenix",
        "Arize Phoenix",
        "sessiontap.push.targets.phoenix",
        scores="sessiontap.push.scores.phoenix",
        endpoint="http://127.0.0.1:6006",
        endpoint_variables=("PHOENIX_COLLECTOR_ENDPOINT",),
        variables=("PHOENIX_API_KEY",),
        package="sessiontap[otlp]",
    ),
    Target(
        "mlflow",
        "MLflow",
        "sessiontap.push.targets.mlflow",
        scores="sessiontap.push.scores.mlflow",
        endpoint="http://127.0.0.1:5000",
        endpoint_variables=("MLFLOW_TRACKING_URI",),
        variables=("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
        package="sessiontap[otlp]",
    ),
    Target(
        "langfuse",
        "Langfuse, its cloud or one of your own",
        "sessiontap.push.targets.langfuse",
        scores="sessiontap.push.scores.langfuse",
        endpoint="https://cloud.langfuse.com",
        endpoint_variables=("LANGFUSE_BASE_URL", "LANGFUSE_HOST"),
        variables=("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"),
        required=("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"),
        package="sessiontap[otlp]",
    ),
    Target(
        "helicone",
        "Helicone's asynchronous log",
        "sessiontap.push.targets.helicone",
        scores="sessiontap.push.scores.helicone",
        endpoint="https://api.worker.helicone.ai",
        variables=("HELICONE_API_KEY",),
        required=("HELICONE_API_KEY",),
        has_turns=False,
    ),
    Target(
        "traceforge",
        "TraceForge's trace files, in a folder",
        "sessiontap.push.targets.traceforge",
        endpoint_variables=("TRACEFORGE_TRACES_DIR",),
        has_turns=False,
        is_folder=True,
    ),
    Target(
        "parquet",
        "Parquet files, in a folder or an object store, for SQL engines",
        "sessiontap.push.targets.parquet",
        has_turns=False,
        is_folder=True,
        has_addresses=True,
        needs_bodies=False,
        batch_bytes=16 << 20,
        batch_seconds=300.0,
        package="sessiontap[parquet]",
    ),
)

TARGETS: Mapping[str, Target] = {one.name: one for one in _ALL}
"""All targets, by name."""

__all__ = ["TARGETS", "Target"]
