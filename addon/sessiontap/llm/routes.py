"""The wire family of a request, and its operation, by method and path alone. Independent of the host.

The routes stand in the modules of their families (`family.FamilyRoute`); the first that fits wins. A path that no route
knows is family `other`, operation `other`. If its route says so, or if no route is found, a rule's own operation for
the host takes the place of `other`.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from urllib.parse import unquote

from sessiontap.llm.call import OPERATIONS, Endpoint, Operation
from sessiontap.llm.families import FAMILIES, family_of
from sessiontap.llm.family import FamilyRoute

ROUTES: tuple[FamilyRoute, ...] = tuple(
    route._replace(family=route.family or family.name, providers=route.providers or family.providers)
    for family in FAMILIES
    for route in family.routes
)
"""All routes, in the order in which they are asked."""

MODEL_OPERATIONS: tuple[tuple[str, Operation], ...] = (
    ("embed", "embeddings"),
    ("rerank", "rerank"),
    ("stability.", "image"),
    ("titan-image", "image"),
    ("nova-canvas", "image"),
    ("imagen", "image"),
)
"""If a path serves models of any kind, the model's name tells the operation: the first part found in it."""


def endpoint_of(method: str, host: str, path: str, provider: str | None, *, operation: str | None = None) -> Endpoint:
    """Return the endpoint of `method` and `path`, without its query, at `provider`.

    `operation` is what a rule says of the host; it counts if the path is none of the table's.
    """
    endpoint = _endpoint(method.upper(), path.partition("?")[0], provider)
    if provider is None and (by_default := family_of(endpoint.family).provider) is not None:
        endpoint = _with(endpoint, provider=by_default)
    if operation in OPERATIONS and endpoint.family == "other" and endpoint.operation == "other":
        endpoint = _with(endpoint, operation=operation)
    return endpoint


def asks_once(method: str, path: str) -> bool:
    """Return whether a request is whole before its reply begins, although its type lets both sides take turns."""
    return family_of(_endpoint(method.upper(), path.partition("?")[0], None).family).asks_once


def _with(endpoint: Endpoint, *, provider: str | None = None, operation: str | None = None) -> Endpoint:
    return Endpoint(
        provider or endpoint.provider,
        endpoint.family,
        operation or endpoint.operation,  # type: ignore[arg-type]
        endpoint.route,
        endpoint.model,
    )


@lru_cache(maxsize=4096)
def _endpoint(method: str, path: str, provider: str | None) -> Endpoint:
    path = path.rstrip("/") or "/"
    for rows in (_BY_ENDING.get(_ending(path), ()), _OTHERS):
        for row in rows:
            if row.method not in ("*", method) or (row.providers and provider not in row.providers):
                continue
            found = _compiled(row.pattern).fullmatch(path)
            if found is None:
                continue
            model = found.groupdict().get("model")
            model = unquote(model) if model else None
            operation = row.operation
            if model and row.by_model:
                operation = next((kind for part, kind in MODEL_OPERATIONS if part in model.lower()), operation)
            return Endpoint(provider, row.family, operation, _route(found, row.pattern), model)
    return Endpoint(provider, "other", "other", _plain(path))


def _route(found: re.Match[str], pattern: str) -> str:
    """The pattern, with what stood for its `**` and `{rest*}` put in."""
    parts = found.groupdict()
    route = pattern.replace("**", _plain(parts.get("prefix") or ""), 1)
    return route.replace("{rest*}", _plain(parts.get("rest") or ""))


_SCOPES = {"projects": "{project}", "locations": "{location}", "accounts": "{account}", "deployments": "{deployment}"}
_ID = re.compile(
    r"\d+"
    r"|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}"  # a UUID
    r"|(?:resp|file|batch|msgbatch|thread|run|step|asst|vs|msg|chatcmpl|ftjob|conv|cmpl|video|upload)[-_][A-Za-z0-9_-]{6,}"
    r"|(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{20,}"
)


def _plain(path: str) -> str:
    """The path with what is plainly an id as `{id}`, and Google's scopes by their names."""
    segments = path.split("/")
    for at, segment in enumerate(segments):
        scope = _SCOPES.get(segments[at - 1]) if at else None
        if segment and (scope or _ID.fullmatch(segment)):
            segments[at] = scope or "{id}"
    return "/".join(segments)


def _ending(path: str) -> str:
    """Return the key by which routes are found: the last segment, or the part behind its last colon."""
    last = path.rpartition("/")[2]
    return last.rpartition(":")[2]


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    regex = re.escape(pattern).replace(r"\*\*", "(?P<prefix>.*?)", 1).replace(r"\{rest\*\}", "(?P<rest>.+)")
    regex = regex.replace(r"\{model\}", "(?P<model>[^/]+?)")
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+?", regex))


_BY_ENDING: dict[str, list[FamilyRoute]] = {}
_OTHERS: list[FamilyRoute] = []
for _row in ROUTES:
    _last = _ending(_row.pattern)
    if "{" in _last or "." in _last:
        _OTHERS.append(_row)
    else:
        _BY_ENDING.setdefault(_last, []).append(_row)
