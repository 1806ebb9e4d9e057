"""The UI in a real browser: a stranger opens it and finds the groups, a materialization and a check."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from warehouse_command import free_port

from warehouse_assets.database.embedded import EmbeddedServer
from warehouse_assets.database.place import data_link

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install the system's package `chromium`")


@pytest.fixture(scope="module")
def ui(filled_home: Path) -> Iterator[str]:
    """The UI over a filled home, as `warehouse ui` serves it."""
    port = free_port()
    said = filled_home / "ui.txt"
    with said.open("w") as file:
        server = subprocess.Popen(
            [sys.executable, "-c", "from warehouse_assets.cli import main; main()", "ui", "--port", str(port)],
            env={**os.environ, "WAREHOUSE_HOME": str(filled_home)},
            stdout=file,
            stderr=subprocess.DEVNULL,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                with urllib.request.urlopen(f"{url}/server_info", timeout=2):  # noqa: S310  our own server
                    break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None, "the UI ended before it answered"
                time.sleep(1)
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=90) == 0, "Ctrl-C did not end the UI cleanly"
        assert said.read_text().endswith("PostgreSQL stopped.\n")
        assert not EmbeddedServer(filled_home).is_running()


def ask(ui: str, query: str, **variables: str) -> Any:
    """The answer of the UI's GraphQL."""
    data = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(  # noqa: S310  our own server
        f"{ui}/graphql", data=data, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310  our own server
        return json.load(response)["data"]


def test_a_stranger_finds_groups_materializations_and_checks(ui: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.goto(f"{ui}/asset-groups", wait_until="domcontentloaded")
        for group in ("raw", "staging", "route", "operational", "customer", "financial", "churn", "forecast"):
            expect(page.get_by_text(group, exact=True).first).to_be_visible(timeout=60_000)

        page.goto(f"{ui}/assets/marts/customer_current", wait_until="domcontentloaded")
        expect(page.get_by_text("Latest materialization").first).to_be_visible(timeout=60_000)

        expect(page.get_by_text("Latest check results").first).to_be_visible(timeout=60_000)

        page.goto(f"{ui}/automation", wait_until="domcontentloaded")
        expect(page.get_by_text("route_schedule").first).to_be_visible(timeout=60_000)
        browser.close()


# Regression: a traceback in a dialog, and no run of the command on the timeline.
def test_a_run_of_the_command_is_on_the_timeline_and_can_be_executed_again(ui: str) -> None:
    runs = ask(
        ui,
        '{ runsOrError(filter: {statuses: [SUCCESS], tags: [{key: "cause", value: "warehouse run"}]}, limit: 1)'
        " { ... on Runs { results { runId repositoryOrigin { repositoryLocationName } } } } }",
    )
    (run,) = runs["runsOrError"]["results"]
    assert run["repositoryOrigin"] == {"repositoryLocationName": "warehouse"}
    again = ask(
        ui,
        "mutation ($id: String!) { launchRunReexecution(reexecutionParams: {parentRunId: $id, strategy: ALL_STEPS})"
        " { __typename ... on LaunchRunSuccess { run { runId } } } }",
        id=run["runId"],
    )["launchRunReexecution"]
    assert again["__typename"] == "LaunchRunSuccess"
    status = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
    deadline = time.monotonic() + 120
    while (state := ask(ui, status, id=again["run"]["runId"])["runOrError"]["status"]) != "SUCCESS":
        assert state not in ("FAILURE", "CANCELED")
        assert time.monotonic() < deadline
        time.sleep(1)


def test_a_server_that_is_killed_under_the_ui_runs_again(ui: str, filled_home: Path) -> None:
    # by the UI, which says so, or by a tick that needs it first
    server = EmbeddedServer(filled_home)
    killed = int((data_link(filled_home) / "postmaster.pid").read_text().split()[0])
    os.kill(killed, signal.SIGKILL)
    answer = None
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and not (answer == {"__typename": "Runs"} and server.is_running()):
        time.sleep(1)
        with contextlib.suppress(OSError):
            answer = (ask(ui, "{runsOrError(limit: 1) {__typename}}") or {}).get("runsOrError")
    assert answer == {"__typename": "Runs"}
    assert server.is_running()
    assert int((data_link(filled_home) / "postmaster.pid").read_text().split()[0]) != killed
