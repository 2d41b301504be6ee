import json

import boto3

client = boto3.client("bedrock-runtime", region_name="us-east-1")
NOVA, CLAUDE = "amazon.nova-lite-v1:0", "anthropic.claude-haiku-4-5-20251001-v1:0"
messages = [{"role": "user", "content": [{"text": "Why?"}]}]

print(client.converse(modelId=NOVA, messages=messages)["output"]["message"]["content"][0]["text"])

stream = client.converse_stream(modelId=NOVA, messages=messages)["stream"]
deltas = (event["contentBlockDelta"]["delta"]["text"] for event in stream if "contentBlockDelta" in event)
print("".join(deltas))

body = json.dumps(
    {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Why?"}],
    }
)
print(json.loads(client.invoke_model(modelId=CLAUDE, body=body)["body"].read())["content"][0]["text"])

said = ""
for event in client.invoke_model_with_response_stream(modelId=CLAUDE, body=body)["body"]:
    chunk = json.loads(event["chunk"]["bytes"])
    if chunk["type"] == "content_block_delta":
        said += chunk["delta"]["text"]
print(said)
