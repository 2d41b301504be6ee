"""Write grpc_messages.json: messages of Gemini over gRPC, serialised by Google's own packages, and as their JSON.

    python -m venv v && v/bin/pip install google-cloud-aiplatform google-ai-generativelanguage
    v/bin/python tests/llm/make_grpc_messages.py

The tests read the file, so that they need neither package.
"""

import base64
import importlib
import json
from pathlib import Path

from google.protobuf import json_format

SERVICES = {
    "google.cloud.aiplatform.v1.PredictionService": "google.cloud.aiplatform_v1",
    "google.cloud.aiplatform.v1beta1.PredictionService": "google.cloud.aiplatform_v1beta1",
    "google.ai.generativelanguage.v1.GenerativeService": "google.ai.generativelanguage_v1",
    "google.ai.generativelanguage.v1beta.GenerativeService": "google.ai.generativelanguage_v1beta",
}
SAID = {"role": "user", "parts": [{"text": "Wie ist das Wetter in Zürich? ☀"}]}
CALL = {"name": "weather", "args": {"city": "Zürich", "days": 2.0, "units": None, "deep": {"a": [1.0, True, "x", {}]}}}
RESULT = {"name": "weather", "response": {"sky": "blue", "degrees": -3.5}}

REQUESTS = {
    "a question": {"contents": [SAID], "generationConfig": {"candidateCount": 2, "maxOutputTokens": 300}},
    "a tool's result": {
        "contents": [
            SAID,
            {"role": "model", "parts": [{"text": "I look.", "thought": True}, {"functionCall": CALL}]},
            {"role": "user", "parts": [{"functionResponse": RESULT}]},
        ],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [{"functionDeclarations": [{"name": "weather", "description": "The weather"}]}, {"googleSearch": {}}],
        "cachedContent": "cachedContents/1",
    },
    "media": {
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(bytes(range(256))).decode()}},
                    {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://a/b"}},
                ],
            }
        ]
    },
}
RESPONSES = {
    "a reply": {
        "candidates": [
            {"index": 1, "content": {"role": "model", "parts": [{"text": "No."}]}, "finishReason": "MAX_TOKENS"},
            {"content": {"role": "model", "parts": [{"text": "Sunny."}]}, "finishReason": "STOP"},
        ],
        "usageMetadata": {
            "promptTokenCount": 20,
            "candidatesTokenCount": 5,
            "totalTokenCount": 32,
            "thoughtsTokenCount": 7,
            "cachedContentTokenCount": 8,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 12}, {"modality": "AUDIO", "tokenCount": 8}],
        },
        "modelVersion": "gemini-2.5-pro",
        "responseId": "r1",
    },
    "a call": {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {"executableCode": {"language": "PYTHON", "code": "1"}},
                        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
                        {"functionCall": CALL},
                    ],
                },
                "finishReason": "STOP",
                "groundingMetadata": {"webSearchQueries": ["weather"]},
            }
        ]
    },
    "blocked": {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 4}},
    "nothing": {},
}
COUNTS = {"a count": {"contents": [SAID]}}


def made(cls, value, **more):
    """The message, serialised and as protobuf's own JSON; keys that this version has not are left out."""
    found = json_format.ParseDict({**value, **more}, cls.pb()(), ignore_unknown_fields=True)
    return base64.b64encode(found.SerializeToString()).decode(), json_format.MessageToDict(found)


def main():
    written = []
    for service, package in SERVICES.items():
        types = importlib.import_module(f"{package}.types")
        vertex = "aiplatform" in package
        model = "projects/p/locations/l/publishers/google/models/gemini-2.5-pro" if vertex else "models/gemini-2.5-pro"
        for kind, cls, values, more in (
            ("request", types.GenerateContentRequest, REQUESTS, {"model": model}),
            ("response", types.GenerateContentResponse, RESPONSES, {}),
            ("count", types.CountTokensRequest, COUNTS, {"endpoint" if vertex else "model": model}),
        ):
            for name, value in values.items():
                data, as_json = made(cls, value, **more)
                written.append(
                    {"id": f"{service} {name}", "service": service, "kind": kind, "data": data, "json": as_json}
                )
    file = Path(__file__).with_name("grpc_messages.json")
    file.write_text(
        "[\n" + ",\n".join(json.dumps(one, ensure_ascii=False) for one in written) + "\n]\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
