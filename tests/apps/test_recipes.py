"""Recipes of docs/recipes with what their readers may have in its place: Groq's own package, Chroma's own server."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.agents import packages as installed
from tests.apps import packages
from tests.apps.runtimes import PROGRAMS
from tests.e2e import authorities
from tests.e2e.lab import Lab, wait_until
from tests.recipes import test_course_generator as course
from tests.recipes.chroma_server import COLLECTION, DOCUMENTS
from tests.recipes.recipe import FOLDER
from tests.recipes.repository_bot import ANSWERS, paths, run_bot

from sessiontap.demo.certs import Authority

authority, confdir = authorities.authority, authorities.confdir
CHROMA = "chromadb==1.5.9"


@pytest.fixture
def lab(tmp_path: Path, authority: Authority, confdir: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path, authority, confdir)
    yield lab
    lab.close()


def test_the_course_generator_by_groqs_own_package(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "course-generator"
    folder.mkdir()
    for name in ("app.js", "writer.js"):
        shutil.copy(FOLDER / course.NAME / name, folder)
    shutil.copy(PROGRAMS / "groq_by_sdk.js", folder / "groq.js")
    (folder / "node_modules").symlink_to(installed.npm(*packages.NODE))
    run = course.run_service(lab, packages.node(22), folder)
    course.test_the_service_sees_no_difference(run)
    course.test_each_course_is_a_session_over_both_processes(run)
    course.test_helicone_gets_every_call_with_its_session_and_the_services_own_key(run)
    course.test_the_failing_step_is_tracked_and_breaks_nothing(run)


def test_the_repository_bot_with_chromas_own_server(lab: Lab, tmp_path: Path) -> None:
    with chroma(tmp_path) as port:
        run = run_bot(lab, port)
    assert run.through["review"].seen == run.past.seen
    assert {job: ended.stdout.strip() for job, ended in run.through.items()} == ANSWERS
    assert paths(run)["review-42-repository-bot"] == [
        *(f"/review/similar-code/{one}" for one in ("embeddings", "vector_search", "vector_search")),
        "/review",
        "/review/read-file",
        "/review/read-file",
    ]
    found = [json.loads(call.response_body() or b"") for call in run.calls if call.record["route"].endswith("/query")]
    assert [sorted(one["documents"][0]) for one in found] == [sorted(DOCUMENTS)] * 3


@contextmanager
def chroma(folder: Path) -> Iterator[int]:
    """Chroma's server with the collection that the bot searches; yields its port."""
    command = installed.python(CHROMA).with_name("chroma")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [command, "run", "--path", folder / "database", "--host", "127.0.0.1", "--port", str(port)]
    with open(folder / "chroma.log", "w") as log, subprocess.Popen(words, stdout=log, stderr=log) as server:
        try:
            wait_until(lambda: _answers(port))
            collections = "/api/v2/tenants/default_tenant/databases/default_database/collections"
            collection = _post(port, collections, {"name": COLLECTION})["id"]
            vectors = [[float(at == number) for at in range(64)] for number in range(len(DOCUMENTS))]
            ids = [str(number) for number in range(len(DOCUMENTS))]
            _post(
                port,
                f"{collections}/{collection}/add",
                {"ids": ids, "documents": list(DOCUMENTS), "embeddings": vectors},
            )
            yield port
        finally:
            server.terminate()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/heartbeat", timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


def _post(port: int, path: str, body: Any) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)
