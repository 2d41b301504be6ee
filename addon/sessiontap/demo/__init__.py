"""The main job without keys or network: a local server in the providers' place, client programs, and a proxy.

`run` starts and shows it. `server` answers as OpenAI and Anthropic do (`providers`, `openai_wire`, `anthropic_wire`)
in front of a deterministic `model`. `certs` makes its certificates, `redirect` leads the proxy's connections to it.
`programs/` are apps like anybody's: they do not know of Sessiontap. The demo does not import mitmproxy, and the proxy
does not import the demo.
"""
