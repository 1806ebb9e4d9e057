"""The files of a deployment: no container engine is needed to know that they fit together."""

import itertools
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from warehouse_assets.commands.launch import CODE_LOCATION

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert isinstance(document, dict)
    return document


def test_services_wait_for_what_they_need(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {"postgres", "migrate", "code", "webserver", "daemon"}
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert services["code"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    for name in ("webserver", "daemon"):
        assert services[name]["depends_on"]["code"]["condition"] == "service_healthy"
    for name, service in services.items():
        assert "healthcheck" in service or name == "migrate"


def test_every_variable_asked_for_is_in_the_example(compose: dict[str, Any]) -> None:
    asked = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    offered = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert asked == offered


def test_no_secret_is_written_down(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if "PASSWORD" in name or name.endswith("_URL"):
                assert "${" in value, name


def test_no_service_knows_the_superuser(compose: dict[str, Any]) -> None:
    knowing = {name for name, service in compose["services"].items() if "POSTGRES_PASSWORD" in str(service)}
    assert knowing == {"postgres"}


def test_every_file_a_service_mounts_or_reads_exists(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith("./") else source in compose["volumes"]
        for word in service.get("command", []):
            if word.endswith(".yaml"):
                workspace = yaml.safe_load((ROOT / word).read_text())
                assert workspace["load_from"][0]["grpc_server"]["host"] in compose["services"]


@pytest.mark.parametrize("path", ["workspace.yaml", "docker/workspace.yaml"])
def test_runs_of_the_command_are_tagged_with_the_code_location_of_the_workspace(path: str) -> None:
    (location,) = yaml.safe_load((ROOT / path).read_text())["load_from"]
    (options,) = location.values()
    assert options["location_name"] == CODE_LOCATION


@pytest.mark.parametrize("service", ["migrate", "code", "webserver", "daemon"])
def test_every_command_is_known_to_the_program_it_names(compose: dict[str, Any], service: str) -> None:
    program, *words = compose["services"][service]["command"]
    verbs = list(itertools.takewhile(lambda word: not word.startswith("--"), words))
    outcome = subprocess.run(
        [str(Path(sys.executable).with_name(program)), *verbs, "--help"], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr
    for word in words:
        if word.startswith("--"):
            assert word in outcome.stdout, f"{program} {' '.join(verbs)} knows no {word}"


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_the_lock_names_hashes_and_no_address(name: str) -> None:
    lock = (ROOT / name).read_text()
    assert "--hash=sha256:" in lock
    assert "http://" not in lock
    assert "https://" not in lock
    assert not [
        line for line in lock.splitlines() if line.startswith("-")
    ]  # options of pip, a source of packages among them


def test_both_locks_agree_and_production_installs_no_test_tools() -> None:
    def pinned(name: str) -> set[str]:
        return {
            line.split()[0] for line in (ROOT / name).read_text().splitlines() if "==" in line and line[0].isalpha()
        }

    runtime, everything = pinned("requirements.lock"), pinned("requirements-dev.lock")
    assert runtime < everything
    assert not [pin for pin in runtime if pin.startswith(("pytest", "mypy", "ruff", "sqlfluff", "playwright"))]
