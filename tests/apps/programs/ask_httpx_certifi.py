"""httpx that is told to read no variables, and so trusts certifi's certificates alone."""

import sys

import httpx

URL = "https://api.openai.com/v1/chat/completions"

with httpx.Client(trust_env=False) as client:
    try:
        client.post(URL, json={"model": "gpt-4o", "messages": []}, headers={"authorization": "Bearer sk-test"})
    except httpx.ConnectError as error:
        print("certificate" if "CERTIFICATE_VERIFY_FAILED" in str(error) else error)
sys.exit(7)
