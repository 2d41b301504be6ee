"""Libraries that `sessiontap run` loads when they are first used: none at its start, and each does what it did."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from sessiontap import own_python

START = """
import json, sys
from sessiontap.proxy.late_modules import kept_for_later
with kept_for_later():
    from sessiontap.proxy import runner
"""
LOADED_LATE = ["flask", "http.cookiejar", "jinja2", "ldap3.core", "mitmproxy.contentviews._api", "werkzeug.serving"]


def after_start(code: str) -> Any:
    """What `code` leaves as `found`, in a Python that has loaded the proxy as `sessiontap run` does."""
    command = own_python.command("-c", f"{START}\n{code}\nprint(json.dumps(found))")
    environment = own_python.environment(os.environ)
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=120)
    return json.loads(done.stdout)


def test_none_is_loaded_at_the_start() -> None:
    assert (
        after_start(f"found = [name for name in {LOADED_LATE} if name in sys.modules and name != 'http.cookiejar']")
        == []
    )


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param(
            "from mitmproxy.addons.onboarding import app\n"
            "from werkzeug.test import Client\n"
            "app.config['CONFDIR'] = '/nowhere'\n"
            "found = [Client(app).get('/').status_code, 'mitmproxy' in Client(app).get('/').text]",
            [200, True],
            id="pages at mitm.it",
        ),
        pytest.param(
            "from mitmproxy.addons import maplocal\n"
            "found = [maplocal.safe_join('/a', 'b'), maplocal.safe_join('/a', '../b')]",
            ["/a/b", None],
            id="map_local",
        ),
        pytest.param(
            "from mitmproxy.addons import dumper\n"
            "from mitmproxy.test import taddons, tflow\n"
            "flow = tflow.tflow(resp=True)\n"
            "taddons.context()\n"
            "found = ['json' in dumper.contentviews.registry.available_views(),\n"
            "    dumper.contentviews.prettify_message(flow.response, flow, 'raw').text]",
            [True, "message"],
            id="views of bodies",
        ),
        pytest.param(
            "from mitmproxy.addons import proxyauth\nfound = proxyauth.ldap3.Server('ldap.example').host",
            "ldap.example",
            id="proxyauth",
        ),
        pytest.param(
            "from mitmproxy.addons import stickycookie\nfound = stickycookie.domain_match('a.example', '.a.example')",
            True,
            id="stickycookie",
        ),
        pytest.param(
            "import flask, werkzeug.security\n"
            "from mitmproxy import contentviews\n"
            "found = [callable(flask.Flask), callable(werkzeug.security.generate_password_hash),\n"
            "    callable(contentviews.add)]",
            [True, True, True],
            id="scripts of users get the libraries themselves",
        ),
    ],
)
def test_each_works_when_it_is_used(code: str, expected: Any) -> None:
    assert after_start(code) == expected
