"""The embedded server's settings for machines of several sizes, redaction, and the numbering of migrations."""

import importlib.util
import re
from pathlib import Path

import pytest

from warehouse_assets.database.connections import redact
from warehouse_assets.database.migrate import MIGRATIONS, head
from warehouse_assets.database.tuning import FIXED_SETTINGS, GIB, MAX_CONNECTIONS, MIB, configuration, server_settings


def megabytes(value: str) -> int:
    assert value.endswith("MB")
    return int(value[:-2])


@pytest.mark.parametrize(
    ("memory", "cores", "free", "shm"),
    [
        (1 * GIB, 1, 2 * GIB, 64 * MIB),  # a small container
        (4 * GIB, 2, 20 * GIB, 2 * GIB),
        (24 * GIB, 2, 80 * GIB, 12 * GIB),
        (512 * GIB, 64, 4000 * GIB, 256 * GIB),
    ],
)
def test_settings_fit_the_machine(memory: int, cores: int, free: int, shm: int) -> None:
    settings = server_settings(memory, cores, free, shm)
    memory_mb = memory // MIB
    shared, work = megabytes(settings["shared_buffers"]), megabytes(settings["work_mem"])
    # shared memory, 8 sorts at once and 2 index builds leave the rest of the product three quarters of the memory
    assert shared + 8 * work + 2 * megabytes(settings["maintenance_work_mem"]) <= min(memory_mb // 4, 2048)
    assert megabytes(settings["max_wal_size"]) <= max(free // MIB // 4, 512)
    assert megabytes(settings["min_wal_size"]) <= megabytes(settings["max_wal_size"])
    assert int(settings["max_parallel_workers_per_gather"]) < max(cores, 1) + 1
    assert ("dynamic_shared_memory_type" in settings) == (shm < GIB)


def test_commits_are_durable() -> None:
    assert {FIXED_SETTINGS[name] for name in ("fsync", "synchronous_commit", "full_page_writes")} == {"on"}


def test_configuration_quotes_what_it_is_given() -> None:
    text = configuration(data=Path("/"), log=Path("/a'b/log"), hba=Path("/hba"), port=4711, cluster_name="x")
    assert "log_directory = '/a''b/log'\n" in text
    assert "port = '4711'\n" in text
    assert f"max_connections = '{MAX_CONNECTIONS}'\n" in text
    names = re.findall(r"^(\w+) =", text, re.MULTILINE)
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
        ("postgres://me:se:cr@et@host/db is wrong", "postgres://me:***@host/db is wrong"),
        ("postgresql+psycopg2://me:secret@host:5432/db?sslmode=require", None),
        ("mysql://me:secret@host/db", "mysql://me:***@host/db"),
        ("host=h password=secret user=me", "host=h password=*** user=me"),
        (r"host=h password='a secret\' kept' user=me", "host=h password=*** user=me"),
        ("postgresql://host/db?user=me&password=secret&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("a postgresql://me:secret@h/a and postgresql://you:secret@h/b", None),
    ],
)
def test_redact(text: str, shown: str | None) -> None:
    assert "secret" not in redact(text)
    if shown is not None:
        assert redact(text) == shown


def test_migrations_are_numbered_without_gaps_and_each_has_its_sql() -> None:
    files = sorted((MIGRATIONS / "versions").glob("[0-9]*.py"))
    assert [path.name[:4] for path in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    before = None
    for path in files:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert (module.revision, module.down_revision) == (path.name[:4], before)
        assert path.with_suffix(".sql").exists()
        before = module.revision
    assert head() == before
