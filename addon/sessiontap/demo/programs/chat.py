"""Asks a model two questions with the `openai` package: one answered whole, one as a stream."""

from __future__ import annotations

from openai import OpenAI


def main() -> None:
    client = OpenAI()  # key and proxy come from the environment
    whole = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[
            {"role": "system", "content": "You answer in one sentence."},
            {"role": "user", "content": "Is it going to be a good day?"},
        ],
    )
    print(whole.choices[0].message.content)

    stream = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[
            {"role": "system", "content": "You answer in one sentence."},
            {"role": "user", "content": "And tomorrow?"},
        ],
        stream=True,
        stream_options={"include_usage": True},
    )
    for chunk in stream:
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()


if __name__ == "__main__":
    main()
