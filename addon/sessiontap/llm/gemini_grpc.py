"""Gemini's generateContent over gRPC, as the clients of Vertex AI and of the Generative Language API speak it.

Source: the protos of both services, by the packages google-cloud-aiplatform 2.7.0 and google-ai-generativelanguage
0.12.1. The two have the same messages under the same names, with other numbers; the versions of one service agree.
A message becomes the JSON that the service speaks over HTTP, and the rest is `gemini`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sessiontap.exchange import Request, Response
from sessiontap.llm import gemini
from sessiontap.llm.call import Asked, Call, Reply
from sessiontap.llm.family import Family, FamilyRoute
from sessiontap.llm.grpc import is_grpc, reply_messages, request_message, status_error
from sessiontap.llm.pick import count, dicts, in_range, text
from sessiontap.llm.protobuf import MANY, STRUCT, EnumNames, Schema, schema
from sessiontap.llm.refusal import grpc_refusal

_VERTEX = "/google.cloud.aiplatform."
_STREAMING = "/StreamGenerateContent"


def _enum(*names: str) -> EnumNames:
    return EnumNames(enumerate(names))


_MODALITIES = _enum("MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "VIDEO", "AUDIO", "DOCUMENT")
_MODALITY_COUNT = schema(modality=(1, _MODALITIES), tokenCount=(2, "int"))
_BLOB = schema(mimeType=(1, "string"), data=(2, "bytes"))
_FILE = schema(mimeType=(1, "string"), fileUri=(2, "string"))
_CALL = schema(name=(1, "string"), args=(2, STRUCT), id=(3, "string"))
_RESPONSE = schema(name=(1, "string"), response=(2, STRUCT), id=(3, "string"))
_LANGUAGES = _enum("LANGUAGE_UNSPECIFIED", "PYTHON")
_OUTCOMES = _enum("OUTCOME_UNSPECIFIED", "OUTCOME_OK", "OUTCOME_FAILED", "OUTCOME_DEADLINE_EXCEEDED")
_CODE = schema(language=(1, _LANGUAGES), code=(2, "string"))
_CODE_RESULT = schema(outcome=(1, _OUTCOMES), output=(2, "string"))
_DECLARED = schema(name=(1, "string"), description=(2, "string"))
_NOTHING = Schema()
"""A message that counts by being there."""

# Vertex AI -----------------------------------------------------------------------------------------------------------

_V_PART = schema(
    text=(1, "string"),
    inlineData=(2, _BLOB),
    fileData=(3, _FILE),
    functionCall=(5, _CALL),
    functionResponse=(6, _RESPONSE),
    executableCode=(8, _CODE),
    codeExecutionResult=(9, _CODE_RESULT),
    thought=(10, "bool"),
)
_V_CONTENT = schema(role=(1, "string"), parts=(2, _V_PART, MANY))
_V_TOOL = schema(
    functionDeclarations=(1, _DECLARED, MANY),
    retrieval=(2, _NOTHING),
    googleSearchRetrieval=(3, _NOTHING),
    codeExecution=(4, _NOTHING),
    googleMaps=(5, _NOTHING),
    enterpriseWebSearch=(6, _NOTHING),
    googleSearch=(7, _NOTHING),
    urlContext=(10, _NOTHING),
    computerUse=(11, _NOTHING),
    parallelAiSearch=(13, _NOTHING),
    exaAiSearch=(15, _NOTHING),
)
_V_CONFIG = schema(candidateCount=(4, "int"), maxOutputTokens=(5, "int"))
_V_REQUEST = schema(
    contents=(2, _V_CONTENT, MANY),
    generationConfig=(4, _V_CONFIG),
    model=(5, "string"),
    tools=(6, _V_TOOL, MANY),
    systemInstruction=(8, _V_CONTENT),
    cachedContent=(9, "string"),
)
_V_COUNT_REQUEST = schema(
    endpoint=(1, "string"),
    model=(3, "string"),
    contents=(4, _V_CONTENT, MANY),
    systemInstruction=(5, _V_CONTENT),
    tools=(6, _V_TOOL, MANY),
)
_V_FINISH = _enum(
    *("FINISH_REASON_UNSPECIFIED", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER", "BLOCKLIST"),
    *("PROHIBITED_CONTENT", "SPII", "MALFORMED_FUNCTION_CALL", "MODEL_ARMOR"),
)
_V_BLOCKED = _enum("BLOCKED_REASON_UNSPECIFIED", "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "MODEL_ARMOR")
_V_USAGE = schema(
    promptTokenCount=(1, "int"),
    candidatesTokenCount=(2, "int"),
    totalTokenCount=(3, "int"),
    cachedContentTokenCount=(5, "int"),
    promptTokensDetails=(9, _MODALITY_COUNT, MANY),
    cacheTokensDetails=(10, _MODALITY_COUNT, MANY),
    candidatesTokensDetails=(11, _MODALITY_COUNT, MANY),
    toolUsePromptTokensDetails=(12, _MODALITY_COUNT, MANY),
    thoughtsTokenCount=(14, "int"),
)
_V_CANDIDATE = schema(
    index=(1, "int"),
    content=(2, _V_CONTENT),
    finishReason=(3, _V_FINISH),
    groundingMetadata=(7, schema(webSearchQueries=(1, "string", MANY))),
)
_V_RESPONSE = schema(
    candidates=(2, _V_CANDIDATE, MANY),
    promptFeedback=(3, schema(blockReason=(1, _V_BLOCKED))),
    usageMetadata=(4, _V_USAGE),
    modelVersion=(11, "string"),
    responseId=(13, "string"),
)

# The Generative Language API -----------------------------------------------------------------------------------------

_G_PART = schema(
    text=(2, "string"),
    inlineData=(3, _BLOB),
    functionCall=(4, _CALL),
    functionResponse=(5, _RESPONSE),
    fileData=(6, _FILE),
    executableCode=(9, _CODE),
    codeExecutionResult=(10, _CODE_RESULT),
    thought=(11, "bool"),
)
_G_CONTENT = schema(parts=(1, _G_PART, MANY), role=(2, "string"))
_G_TOOL = schema(
    functionDeclarations=(1, _DECLARED, MANY),
    googleSearchRetrieval=(2, _NOTHING),
    codeExecution=(3, _NOTHING),
    googleSearch=(4, _NOTHING),
    computerUse=(6, _NOTHING),
    urlContext=(8, _NOTHING),
    fileSearch=(9, _NOTHING),
    googleMaps=(11, _NOTHING),
)
_G_CONFIG = schema(candidateCount=(1, "int"), maxOutputTokens=(4, "int"))
_G_REQUEST = schema(
    model=(1, "string"),
    contents=(2, _G_CONTENT, MANY),
    generationConfig=(4, _G_CONFIG),
    tools=(5, _G_TOOL, MANY),
    systemInstruction=(8, _G_CONTENT),
    cachedContent=(9, "string"),
)
_G_COUNT_REQUEST = schema(model=(1, "string"), contents=(2, _G_CONTENT, MANY), generateContentRequest=(3, _G_REQUEST))
_G_FINISH = _enum(
    *("FINISH_REASON_UNSPECIFIED", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER", "LANGUAGE", "BLOCKLIST"),
    *("PROHIBITED_CONTENT", "SPII", "MALFORMED_FUNCTION_CALL", "IMAGE_SAFETY", "UNEXPECTED_TOOL_CALL"),
    *("TOO_MANY_TOOL_CALLS", "IMAGE_PROHIBITED_CONTENT", "IMAGE_OTHER", "NO_IMAGE", "IMAGE_RECITATION"),
)
_G_BLOCKED = _enum("BLOCK_REASON_UNSPECIFIED", "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY")
_G_USAGE = schema(
    promptTokenCount=(1, "int"),
    candidatesTokenCount=(2, "int"),
    totalTokenCount=(3, "int"),
    cachedContentTokenCount=(4, "int"),
    promptTokensDetails=(5, _MODALITY_COUNT, MANY),
    cacheTokensDetails=(6, _MODALITY_COUNT, MANY),
    candidatesTokensDetails=(7, _MODALITY_COUNT, MANY),
    toolUsePromptTokenCount=(8, "int"),
    thoughtsTokenCount=(10, "int"),
)
_G_CANDIDATE = schema(
    content=(1, _G_CONTENT),
    finishReason=(2, _G_FINISH),
    index=(3, "int"),
    groundingMetadata=(9, schema(webSearchQueries=(5, "string", MANY))),
)
_G_RESPONSE = schema(
    candidates=(1, _G_CANDIDATE, MANY),
    promptFeedback=(2, schema(blockReason=(1, _G_BLOCKED))),
    usageMetadata=(3, _G_USAGE),
    modelVersion=(4, "string"),
    responseId=(5, "string"),
)

# Reading -------------------------------------------------------------------------------------------------------------


def request_json(request: Request) -> tuple[Any, str | None]:
    """Return a request as JSON, and its fault in words. See `family.Family`."""
    counts = request.path.endswith("/CountTokens")
    schemas = (_V_REQUEST, _V_COUNT_REQUEST) if request.path.startswith(_VERTEX) else (_G_REQUEST, _G_COUNT_REQUEST)
    return request_message(request, schemas[counts])


def asked(request: Request, body: Any) -> Asked:
    """See `family.Family`. The model's name is the last part of `publishers/google/models/<name>`."""
    named = (text(body, "model") or text(body, "endpoint") or "").rpartition("/")[2]
    return replace(gemini.asked(request, body), model=named or None, stream=request.path.endswith(_STREAMING))


def reply(call: Call, response: Response) -> Reply:
    """See `family.Family`."""
    stream = call.endpoint.route.endswith(_STREAMING)
    problems: list[str] = []
    if call.endpoint.operation == "count_tokens" or not is_grpc(response.headers):
        return Reply(stream=stream, error=status_error(response))
    schema = _V_RESPONSE if call.endpoint.route.startswith(_VERTEX) else _G_RESPONSE
    found = gemini.assembled_reply(_chunks(response, schema, problems), response.complete, problems)
    return replace(
        found,
        stream=stream,
        error=found.error or status_error(response),
        first_token=found.first_token if stream else None,
    )


def _chunks(response: Response, schema: Schema, problems: list[str]) -> Iterator[tuple[Any, int | None]]:
    """The messages of a reply as JSON, with the offsets behind them."""
    return ((_counted(chunk), end) for chunk, end in reply_messages(response, schema, problems))


def _counted(chunk: dict[str, Any]) -> dict[str, Any]:
    """Vertex counts the tokens that tools put into the prompt by their kinds alone."""
    usage = chunk.get("usageMetadata")
    if isinstance(usage, dict) and (kinds := [*dicts(usage, "toolUsePromptTokensDetails")]):
        usage["toolUsePromptTokenCount"] = in_range(sum(count(kind, "tokenCount") or 0 for kind in kinds))
    return chunk


_METHODS = (("GenerateContent", "chat"), ("StreamGenerateContent", "chat"), ("CountTokens", "count_tokens"))
_SERVICES = (
    *(f"google.cloud.aiplatform.{version}.PredictionService" for version in ("v1", "v1beta1")),
    *(f"google.cloud.aiplatform.{version}.LlmUtilityService" for version in ("v1", "v1beta1")),
    *(f"google.ai.generativelanguage.{version}.GenerativeService" for version in ("v1", "v1beta", "v1alpha")),
)

FAMILY = Family(
    "gemini-grpc",
    asked,
    reply,
    refusal=grpc_refusal,
    request_json=request_json,
    routes=tuple(
        FamilyRoute("POST", f"/{service}/{method}", operation)  # type: ignore[arg-type]
        for service in _SERVICES
        for method, operation in _METHODS
    ),
    asks_once=True,
)
