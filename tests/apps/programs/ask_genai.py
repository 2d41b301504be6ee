import asyncio

from google import genai

client = genai.Client()

print(client.models.generate_content(model="gemini-2.5-flash", contents="Why?").text)
stream = client.models.generate_content_stream(model="gemini-2.5-flash", contents="Why?")
print("".join(chunk.text or "" for chunk in stream))


async def main() -> None:
    print((await client.aio.models.generate_content(model="gemini-2.5-flash", contents="Why?")).text)


asyncio.run(main())
