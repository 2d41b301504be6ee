"""The service's unit, the image's recipe, the compose file and the manifests fit the project: files, options, times."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from sessiontap import units
from sessiontap.proxy.settings import OPTIONS
from sessiontap.rules.load import load_text

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "docs/deployment/sessiontap.service"
DOCKERFILE = ROOT / "docs/deployment/Dockerfile"
COMPOSE = ROOT / "docs/deployment/compose.yaml"
SIDECAR = ROOT / "docs/deployment/kubernetes/sidecar.yaml"
DAEMON_SET = ROOT / "docs/deployment/kubernetes/daemonset.yaml"
MANIFESTS = (SIDECAR, DAEMON_SET)
MITMPROXYS = {"confdir"}


@pytest.mark.parametrize(
    ("file", "sets"),
    [
        (UNIT, "session_drain"),
        (DOCKERFILE, "session_drain"),
        (COMPOSE, "session_store"),
        (SIDECAR, "session_rules"),
        (DAEMON_SET, "session_rules"),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_every_option_it_sets_exists(file: Path, sets: str) -> None:
    names = set(re.findall(r"--set[\s\",]+(\w+)=", file.read_text()))
    assert sets in names
    assert names <= MITMPROXYS | {option.name for option in OPTIONS}


@pytest.mark.parametrize(
    ("started_by", "file", "killed_after"),
    [
        (UNIT, UNIT, r"TimeoutStopSec=(\w+)"),
        (DOCKERFILE, DOCKERFILE, None),
        (DOCKERFILE, COMPOSE, r"stop_grace_period: (\w+)"),
        (DOCKERFILE, SIDECAR, r"terminationGracePeriodSeconds: (\w+)"),
        (DOCKERFILE, DAEMON_SET, r"terminationGracePeriodSeconds: (\w+)"),
    ],
    ids=["systemd", "docker's ten seconds", "compose", "sidecar", "daemon set"],
)
def test_calls_may_end_before_it_is_killed(started_by: Path, file: Path, killed_after: str | None) -> None:
    drain = re.search(r"session_drain=(\w+)", started_by.read_text())
    assert drain is not None
    limit = re.search(killed_after, file.read_text()) if killed_after is not None else None
    seconds = 10.0 if limit is None else float(limit[1]) if limit[1].isdecimal() else units.seconds(limit[1])
    assert units.seconds(drain[1]) < seconds


def test_the_image_is_built_of_files_that_exist_and_of_all_that_the_package_needs() -> None:
    copied = [words.split()[1:-1] for words in DOCKERFILE.read_text().splitlines() if words.startswith("COPY ")]
    names = {name for names in copied for name in names}
    assert [name for name in names if not (ROOT / name).exists()] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {
        "pyproject.toml",
        project["project"]["readme"],
        *project["project"]["license-files"],
        *project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"],
    }
    assert needed <= names


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/sessiontap/bin/sessiontap", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def documents(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text()))


def pod(file: Path) -> dict[str, Any]:
    """The pods that a manifest starts."""
    (found,) = (one for one in documents(file) if one["kind"] in ("Deployment", "DaemonSet"))
    return dict(found["spec"]["template"]["spec"])


def containers(file: Path) -> dict[str, dict[str, Any]]:
    """The containers of these pods, by their names."""
    return {one["name"]: one for kind in ("initContainers", "containers") for one in pod(file)[kind]}


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.stem)
def test_kubernetes_understands_the_manifests(file: Path) -> None:
    for one in documents(file):
        kubernetes_validate.validate(one, "1.32", strict=True)


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.stem)
def test_what_a_pod_mounts_is_there(file: Path) -> None:
    volumes = {one["name"] for one in pod(file)["volumes"]}
    mounted = {mount["name"] for one in containers(file).values() for mount in one["volumeMounts"]}
    assert mounted == volumes
    made = {(one["kind"], one["metadata"]["name"]) for one in documents(file)}
    made |= {("Secret", "sessiontap-ca"), ("ConfigMap", "sessiontap-ca-cert")}  # by hand, as its first lines say
    kinds = {"secret": ("Secret", "secretName"), "configMap": ("ConfigMap", "name")}
    kinds |= {"persistentVolumeClaim": ("PersistentVolumeClaim", "claimName")}
    sources = [(kind, of) for one in pod(file)["volumes"] for kind, of in one.items() if kind in kinds]
    assert {(kinds[kind][0], of[kinds[kind][1]]) for kind, of in sources} <= made


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.stem)
def test_the_proxy_finds_its_ca_its_log_and_its_rules(file: Path) -> None:
    proxy = containers(file)["sessiontap"]
    mounts = {one["mountPath"]: one for one in proxy["volumeMounts"]}
    places = dict(re.findall(r'"(confdir|session_trace)=([^"]+)"', DOCKERFILE.read_text()))
    assert f"{places['confdir']}/mitmproxy-ca.pem" in mounts
    assert not mounts[places["confdir"]].get("readOnly"), "mitmproxy writes its parameters beside the CA"
    assert any(place in (places["session_trace"], str(Path(places["session_trace"]).parent)) for place in mounts)
    rules = next(one for one in proxy["args"] if one.startswith("session_rules="))
    (text,) = (one["data"]["rules.yaml"] for one in documents(file) if one["kind"] == "ConfigMap")
    assert load_text(text).rules
    (folder,) = (place for place in mounts if place.startswith("/etc"))
    assert rules == f"session_rules={folder}/rules.yaml"


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.stem)
def test_the_proxy_is_limited_and_has_no_rights(file: Path) -> None:
    proxy = containers(file)["sessiontap"]
    assert proxy["resources"]["limits"]["memory"] == "1Gi"
    assert "cpu" not in proxy["resources"]["limits"]
    assert proxy["securityContext"]["readOnlyRootFilesystem"]
    assert proxy["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@contextmanager
def health(status: int) -> Iterator[int]:
    """A server that answers with a status, at the port that is returned."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "http://sessiontap.invalid/health" else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "is_well"), [(200, True), (503, True), (500, False)], ids=["well", "cannot write records", "a fault"]
)
@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.stem)
def test_a_probe_asks_the_proxy(file: Path, status: int, is_well: bool) -> None:
    proxy = containers(file)["sessiontap"]
    probes = [one["exec"]["command"] for name, one in proxy.items() if name.endswith("Probe")]
    assert len(probes) == 2
    for program, *arguments in probes:
        assert program == "python"
        with health(status) as port:
            command = [sys.executable, *(one.replace("8080", str(port)) for one in arguments)]
            assert (subprocess.run(command, check=False, timeout=60).returncode == 0) is is_well


@pytest.mark.parametrize("file", [*MANIFESTS, COMPOSE], ids=lambda file: file.name)
def test_it_listens_where_its_clients_look(file: Path) -> None:
    (port,) = set(re.findall(r"--listen-port\", \"(\d+)", DOCKERFILE.read_text()))
    assert set(re.findall(r"--listen-port\", \"(\d+)", file.read_text())) == {port}
    assert set(re.findall(r"http://[^\s\"]*?:(\d+)", file.read_text())) == {port}


def compose() -> list[str]:
    """What starts Compose: Docker's plugin, or the program that it was. Skip the test if there is neither."""
    for words in (["docker", "compose"], ["docker-compose"]):
        command = [*words, "version"]
        if shutil.which(words[0]) and subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return words
    pytest.skip("Compose is not installed")


def test_compose_understands_its_file() -> None:
    command = [*compose(), "-f", str(COMPOSE), "--profile", "shared", "config", "--quiet"]
    done = subprocess.run(
        command, env=os.environ | {"APP_IMAGE": "my-app"}, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_app_is_in_the_network_of_the_proxy_and_has_no_key() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    app, proxy = services["app"], services["sessiontap"]
    assert (app["network_mode"], app["pid"]) == ("service:sessiontap",) * 2
    assert [one for one in app["volumes"] if "mitmproxy-ca.pem" in one or one.startswith("data:")] == []
    assert "./ca/mitmproxy-ca.pem:/data/ca/mitmproxy-ca.pem:ro" in proxy["volumes"]
    assert (ROOT / "docs/deployment" / proxy["build"]["context"]).resolve() == ROOT
