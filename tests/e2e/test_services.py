"""The services of docker-compose.yml as processes: commands and health checks as written there, but hosts and ports."""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml
from psycopg import sql
from warehouse_command import free_port

from benchmarks.psql import PSQL, psql_environment
from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.source.simulator import simulate_company

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = """
mutation ($selector: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $selector, runConfigData: {}, mode: "default"}) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
STATUS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { daemonType healthy required } } } }"


class Deployment:
    """What containers would share: an environment, ports, and the services started so far."""

    def __init__(self, home: Path, urls: dict[str, str], stack: ExitStack) -> None:
        self.services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
        self.home, self._stack = home, stack
        self._processes: list[subprocess.Popen[bytes]] = []
        stack.callback(self._end)
        self.ports = {"4000": free_port(), "3000": free_port()}
        self.workspace = home / "workspace.yaml"
        text = (ROOT / "docker" / "workspace.yaml").read_text()
        self.workspace.write_text(
            text.replace("host: code", "host: 127.0.0.1").replace("4000", str(self.ports["4000"]))
        )
        (home / "dagster").mkdir()
        shutil.copy(ROOT / "dagster.yaml", home / "dagster")
        self.environment = {
            **os.environ, **urls, "WAREHOUSE_HOME": str(home), "DAGSTER_HOME": str(home / "dagster"),
        }  # fmt: skip

        self._urls = urls

    def environment_of(self, name: str) -> dict[str, str]:
        """The environment of a service: of the databases it is told those that its entry names."""
        told = self.services[name]["environment"]
        return {key: value for key, value in self.environment.items() if key not in self._urls or key in told}

    def words(self, command: list[str]) -> list[str]:
        """A command of the file, with this machine's ports, its own interpreter and the workspace of the test."""
        program, *rest = [word for word in command if word != "CMD"]
        replaced = {"0.0.0.0": "127.0.0.1", "docker/workspace.yaml": str(self.workspace)}  # noqa: S104  not bound
        for port, free in self.ports.items():
            rest = [word.replace(port, str(free)) for word in rest]
        return [str(Path(sys.executable).with_name(program)), *(replaced.get(word, word) for word in rest)]

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.words(command), cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )

    def start(self, *names: str) -> None:
        """Start services and wait until their health checks say that they are well."""
        for name in names:
            log = self._stack.enter_context((self.home / f"{name}.log").open("w"))
            process = subprocess.Popen(
                self.words(self.services[name]["command"]),
                cwd=ROOT, env=self.environment_of(name), stdout=log, stderr=log,
            )  # fmt: skip
            self._processes.append(process)
        deadline = time.monotonic() + 120
        for name in names:
            while (checked := self.run(self.services[name]["healthcheck"]["test"])).returncode != 0:
                said = (self.home / f"{name}.log").read_text()[-2000:]
                assert time.monotonic() < deadline, f"{name} is not well: {checked.stderr[-500:]} {said}"
                time.sleep(2)  # looking takes a core for seconds

    def _end(self) -> None:
        """End the services as compose does: the code server waits up to a minute for open calls."""
        for process in self._processes:
            process.terminate()
        deadline = time.monotonic() + 10
        for process in self._processes:
            try:
                process.wait(timeout=max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def ask(self, query: str, **variables: Any) -> Any:
        """The answer of the web server to a GraphQL query."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports['3000']}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  our own server
            return json.load(answer)["data"]


@pytest.fixture
def own_databases(server: EmbeddedServer) -> Iterator[dict[str, str]]:
    """What the image's PostgreSQL runs once, under names of this test: a role without other rights, two databases."""
    names = {name: f"{name}_{secrets.token_hex(6)}" for name in ("warehouse", "dagster")}
    text = (ROOT / "docker" / "create-databases.sql").read_text()
    for name, other in names.items():
        text = re.sub(rf"\b{name}\b", other, text)
    role, password = names["warehouse"], secrets.token_hex(6)
    environment = {**psql_environment(server.url("postgres")), "WAREHOUSE_PASSWORD": password}
    subprocess.run(
        [PSQL, "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--quiet"], env=environment, input=text, text=True, check=True
    )
    whole = urlsplit(server.url(role))
    own = whole._replace(netloc=f"{role}:{password}@{whole.hostname}:{whole.port}")
    yield {
        "WAREHOUSE_DATABASE_URL": own.geturl(),
        "DAGSTER_POSTGRES_URL": own._replace(path=f"/{names['dagster']}").geturl(),
    }
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        for name in names.values():
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


@pytest.fixture
def deployment(
    server: EmbeddedServer,
    own_databases: dict[str, str],
    make_database: Callable[..., str],
    make_home: Callable[[str], Path],
) -> Iterator[Deployment]:
    """The services' environment, with a small company as its source; nothing is started yet."""
    urls = {"WAREHOUSE_SOURCE_URL": make_database(server), **own_databases}
    simulate_company(urls["WAREHOUSE_SOURCE_URL"], None, "small", overrides={"customers": 60, "days": 60})
    # A process started with SIGINT ignored, as in a background job of a shell, ignores SIGTERM in Dagster: not ours.
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    with ExitStack() as stack:
        stack.callback(signal.signal, signal.SIGINT, heard)
        yield Deployment(make_home("services"), urls, stack)


def test_every_service_runs_as_the_compose_file_says(deployment: Deployment) -> None:
    assert deployment.run(["warehouse", "parse"]).returncode == 0  # as the image's build does
    migrated = deployment.run(deployment.services["migrate"]["command"])
    assert migrated.returncode == 0, migrated.stderr
    deployment.start("code")
    deployment.start("webserver", "daemon")
    daemons = deployment.ask(DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
    assert {daemon["daemonType"] for daemon in daemons if daemon["required"]} >= {"SCHEDULER", "SENSOR"}
    assert all(daemon["healthy"] for daemon in daemons if daemon["required"])
    selector = {"repositoryLocationName": "warehouse", "repositoryName": "__repository__", "jobName": "route"}
    launched = deployment.ask(LAUNCH, selector=selector)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    deadline = time.monotonic() + 240
    while (status := deployment.ask(STATUS, id=launched["run"]["runId"])["runOrError"]["status"]) != "SUCCESS":
        assert status not in ("FAILURE", "CANCELED"), (deployment.home / "code.log").read_text()[-3000:]
        assert time.monotonic() < deadline, f"the run is {status}"
        time.sleep(1)
    with psycopg.connect(deployment.environment["WAREHOUSE_DATABASE_URL"]) as connection:
        (stops,) = connection.execute("select count(*) from marts.route_stop").fetchone() or (0,)
    assert stops > 0
