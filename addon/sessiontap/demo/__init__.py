"""The main job without keys or network: a local LLM server, unmodified client programs, and `run_demo` around them.

The server side serves the end-to-end tests too: `http_server` (HTTP/1.1 and HTTP/2 over TLS or plain, scripted by an
async handler), `certs` (a CA and certificates for any host name), `llm_server` (OpenAI's and Anthropic's wire shapes),
`redirect` (makes a proxy connect to this machine whatever host it asks for).

May import the standard library, what comes with mitmproxy (h11, h2, wsproto, cryptography, brotli, zstandard),
`sessiontap.exchange`, and in `run` the command's errors and variables; never mitmproxy itself. `programs/` are apps
like anybody's: they know nothing of Sessiontap.
Nothing on the proxy's path imports this room.
"""
