"""The programs that `exec` captures, and what the log holds of each."""

from __future__ import annotations

from dataclasses import replace

from tests.agents.packages import LANGCHAIN
from tests.apps import packages
from tests.apps.app import ANSWER, CHAT, STREAM, UNCOUNTED, App, Asked
from tests.apps.runtimes import (
    executable,
    go,
    itself,
    java,
    node,
    npm_runtime,
    php,
    python,
    python_command,
    shell,
    system,
)
from tests.support.cohere_wire import PREAMBLE_TOKENS

from sessiontap.demo.model import count

MINI = replace(CHAT, model="gpt-4o-mini")
RESPONSES = Asked(family="openai-responses", model="gpt-4.1")
EMBEDDINGS = Asked(
    family="openai-embeddings", model="text-embedding-3-small", operation="embeddings", input=1, output=None
)
REALTIME = Asked(family="realtime", model="gpt-realtime", operation="realtime", stream=True, input=27)
MESSAGES = Asked("anthropic", "anthropic-messages", "claude-haiku-4-5")
GEMINI = Asked("google", "gemini", "gemini-2.5-flash")
MISTRAL = replace(CHAT, provider="mistral", model="mistral-small-latest")
GROQ = replace(CHAT, provider="groq", model="llama-3.3-70b-versatile")
COHERE = Asked("cohere", "cohere", "command-a-03-2025", input=4 + PREAMBLE_TOKENS)
SEARCH = Asked("pinecone", "other", None, "vector_search", input=None, output=None)
NOVA = Asked("bedrock", "bedrock-converse", "amazon.nova-lite-v1:0")
CLAUDE_ON_BEDROCK = Asked("bedrock", "bedrock-invoke", "anthropic.claude-haiku-4-5-20251001-v1:0")


def streamed(asked: Asked) -> Asked:
    return replace(asked, stream=True)


sdk = python(*packages.SDKS)
client = python(*packages.PYTHON)
node24 = node(24)
bun = npm_runtime(packages.BUN, "bun")
deno = npm_runtime(packages.DENO, "deno", "run", "--allow-all", "--quiet")

PROVIDERS_PACKAGES = (
    App(
        "openai",
        sdk,
        "ask_openai.py",
        (CHAT, STREAM, RESPONSES, streamed(RESPONSES), MINI, EMBEDDINGS),
        stdout=f"{ANSWER}\n" * 5 + "1536\n",
    ),
    App("openai realtime", sdk, "ask_realtime.py", (REALTIME,), stdout="completed\n"),
    App("anthropic", sdk, "ask_anthropic.py", (MESSAGES, streamed(MESSAGES), MESSAGES)),
    App("google-genai", sdk, "ask_genai.py", (GEMINI, streamed(GEMINI), GEMINI)),
    App("mistralai", sdk, "ask_mistral.py", (MISTRAL, streamed(MISTRAL))),
    App("cohere", sdk, "ask_cohere.py", (COHERE, streamed(COHERE))),
    App("groq", sdk, "ask_groq.py", (GROQ, streamed(GROQ))),
    App(
        "boto3",
        sdk,
        "ask_bedrock.py",
        (NOVA, streamed(NOVA), CLAUDE_ON_BEDROCK, streamed(CLAUDE_ON_BEDROCK)),
    ),
    App(
        "huggingface_hub",
        sdk,
        "ask_huggingface.py",
        (replace(CHAT, provider="huggingface", model="mistralai/Mistral-7B-Instruct-v0.3"),),
    ),
    App(
        "openai to Azure",
        sdk,
        "ask_azure.py",
        (replace(CHAT, provider="azure"), replace(UNCOUNTED, provider="azure")),
    ),
    App(
        "openai to OpenRouter",
        sdk,
        "ask_openrouter.py",
        (replace(CHAT, provider="openrouter", model="openai/gpt-4o-mini"),),
    ),
)
FRAMEWORKS = (
    App("litellm", python(*packages.DSPY), "ask_litellm.py", (CHAT, MESSAGES)),
    App("langchain", python(LANGCHAIN), "ask_langchain.py", (CHAT, STREAM)),
    App("pydantic-ai", python(*packages.PYDANTIC_AI), "ask_pydantic_ai.py"),
    App("dspy", python(*packages.DSPY), "ask_dspy.py"),
    App("llama-index", python(*packages.LLAMA_INDEX), "ask_llama_index.py"),
    App(
        "instructor",
        python(*packages.SMALL_FRAMEWORKS),
        "ask_instructor.py",
        (replace(CHAT, input=75, output=8),),  # with the tool by which it gets a value
        stdout="Because.\n",
    ),
    App("smolagents", python(*packages.SMALL_FRAMEWORKS), "ask_smolagents.py"),
    App("haystack", python(*packages.HAYSTACK), "ask_haystack.py"),
    App("ag2", python(*packages.AG2), "ask_ag2.py", (replace(CHAT, input=7),)),  # with an empty system message
    App("crewai", python(*packages.CREWAI), "ask_crewai.py"),
    App("autogen", python(*packages.AUTOGEN), "ask_autogen.py"),
    App("llm", python_command(*packages.SMALL_FRAMEWORKS), "llm", (STREAM,), arguments=("-m", "gpt-4o", "Why?")),
)
HTTP_CLIENTS = (
    App("requests", client, "ask_requests.py"),
    App("urllib", client, "ask_urllib.py"),
    App("httpx, HTTP/2", client, "ask_httpx_http2.py"),
    App("aiohttp, trust_env", client, "ask_aiohttp_trusting.py"),
    App("websockets", client, "ask_websockets.py", (REALTIME,), stdout="completed\n"),
    App("curl_cffi", client, "ask_curl_cffi.py"),
    App("primp", client, "ask_primp.py"),
)
NODE_PROGRAMS = (
    App("node openai 6", node24, "ask_openai.mjs", (CHAT, STREAM, RESPONSES)),
    App("node openai 4", node24, "ask_openai4.mjs", (CHAT, STREAM)),
    App("node anthropic", node24, "ask_anthropic.mjs", (MESSAGES, streamed(MESSAGES))),
    App("node axios", node24, "ask_axios.mjs"),
    App("node got", node24, "ask_got.mjs"),
    App("node undici", node24, "ask_undici.mjs"),
    App("node node-fetch", node24, "ask_node_fetch.mjs"),
    App("node fetch", node24, "ask_fetch.mjs"),
    App("node https", node24, "ask_https.mjs"),
    App("node @google/genai", node24, "ask_genai.mjs", (GEMINI, streamed(GEMINI))),
    App("node groq-sdk", node24, "ask_groq.mjs", (GROQ,)),
    App("node cohere-ai", node24, "ask_cohere.mjs", (COHERE,)),
    App("node pinecone", node24, "ask_pinecone.mjs", (SEARCH, SEARCH), stdout="vec1 vec2\n"),
    App("node langchain", node24, "ask_langchain.mjs", (CHAT, STREAM)),
    App("node bedrock", node24, "ask_bedrock.mjs", (NOVA,)),
    App("node ws", node24, "ask_ws.mjs", (REALTIME,), stdout="completed\n"),
    App("node WebSocket", node24, "ask_websocket.mjs", (REALTIME,), stdout="completed\n"),
    App("node, fire and forget", node24, "fire_and_forget.mjs", stdout=""),
    App("node 20 openai 6", node(20), "ask_openai.mjs", (CHAT, STREAM, RESPONSES)),
    App("node 22 openai 6", node(22), "ask_openai.mjs", (CHAT, STREAM, RESPONSES)),
    App("bun openai", bun, "ask_openai.mjs", (CHAT, STREAM, RESPONSES)),
    App("bun axios", bun, "ask_axios.mjs"),
    App("bun https", bun, "ask_https.mjs"),
    App("deno openai", deno, "ask_openai.mjs", (CHAT, STREAM, RESPONSES)),
    App("deno axios", deno, "ask_axios.mjs"),
    App("deno https", deno, "ask_https.mjs"),
)
HEADERS = ("Authorization: Bearer sk-test-0000", "Content-Type: application/json")
QUESTION = '{"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}'
URL = "https://api.openai.com/v1/chat/completions"
CURL = (
    *("--silent", "--fail", URL, "--header", HEADERS[0], "--header", HEADERS[1]),
    *("--data", QUESTION, "--output", "/dev/null", "--write-out", "%{http_code}\n"),
)
WGET = (
    *("--quiet", URL, f"--header={HEADERS[0]}", f"--header={HEADERS[1]}"),
    *(f"--post-data={QUESTION}", "--output-document=/dev/null"),
)
OTHER_LANGUAGES = (
    App("ruby", system("ruby"), "ask.rb"),
    App("php curl", php("curl"), "ask_curl.php"),
    App("java", java, "AskDefault.java", stdout="200\n"),
    App("go", go, "ask_default"),
    App("script without #!", executable, "no_shebang", (replace(CHAT, process="curl"),), "200\n"),
    App("curl", itself, "curl", stdout="200\n", arguments=CURL),
    App("wget", itself, "wget", stdout="", arguments=WGET),
)
ASKED_TWICE = f"You asked: {ANSWER} The short answer is yes; the long one depends on the details."
SECOND = replace(CHAT, input=count(ANSWER) + 3, output=count(ASKED_TWICE))
SEVERAL = (
    App(
        "20 processes at once",
        client,
        "ask_20_times.py",
        (replace(CHAT, process="ask_urllib.py"),) * 20,
        "20\n",
        sessions=20,
    ),
    App(
        "pipeline",
        shell(*packages.SDKS),
        "pipeline.sh",
        (replace(CHAT, process="answer.py"), replace(SECOND, process="answer.py")),
        stdout=f"{ASKED_TWICE}\n",
        sessions=2,
    ),
    App(
        "shell script",
        shell(*packages.PYTHON),
        "several.sh",
        (replace(CHAT, process="ask_urllib.py"), replace(CHAT, process="curl")),
        stdout=f"{ANSWER}\ndone\n",
        status=7,
        sessions=2,
    ),
)
OLLAMA = Asked("ollama", "ollama", "llama3.2")
VLLM = App("openai to vLLM", sdk, "ask_vllm.py", (replace(CHAT, provider=None, model="llama-3.1-8b"),))
LLM_SERVERS_OF_THIS_MACHINE = (
    App("ollama", sdk, "ask_ollama.py", (OLLAMA, streamed(OLLAMA))),
    VLLM,
)
APPS = (*PROVIDERS_PACKAGES, *FRAMEWORKS, *HTTP_CLIENTS, *NODE_PROGRAMS, *OTHER_LANGUAGES, *SEVERAL)

IGNORE_THE_PROXY = (
    App("aiohttp", client, "ask_aiohttp.py"),
    App("urllib3", client, "ask_urllib3.py"),
    App("http.client", client, "ask_http_client.py"),
    App("php streams", php(), "ask.php"),
    App("java, NO_PROXY", java, "Ask.java"),
    App("go, own transport", go, "ask"),
)
TRUST_THEIR_OWN = (App("pycurl", client, "ask_pycurl.py"),)
