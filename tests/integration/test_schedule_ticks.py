"""Ticks of a schedule and of the sensor for new data, over a source in which a table cannot be read.

Each test asks, runs what is asked for, and asks again.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetSelection,
    DagsterInstance,
    Definitions,
    RepositoryDefinition,
    build_schedule_context,
    build_sensor_context,
    define_asset_job,
    in_process_executor,
)
from test_extract_company import TIPS, Company, company_fixture, table  # noqa: F401  fixture

from warehouse_assets.database.resource import WarehouseResource
from warehouse_assets.extract.assets import asset_key, build_extract_assets
from warehouse_assets.operate import probe, schedules, sensors
from warehouse_assets.operate.failed_runs import CAUSE_TAG
from warehouse_assets.operate.job_names import EVERYTHING
from warehouse_assets.options import RunOptions
from warehouse_assets.source.contract import Contract
from warehouse_assets.source.profiles import profile
from warehouse_assets.source.profiles.choice import remember_profile

TRUCKS = table("trucks", {"truck_id": "text!", "make": "text", "updated_at": "timestamptz!"}, ["truck_id"])
NOTES = table("notes", {"note_id": "text!", "pages": "integer", "updated_at": "timestamptz!"}, ["note_id"])
CONTRACT = Contract({each.name: each for each in (TRUCKS, TIPS, NOTES)})
JOBS = [
    define_asset_job("route", selection=AssetSelection.assets(asset_key("trucks"), asset_key("notes"))),
    define_asset_job(EVERYTHING, selection=AssetSelection.all()),
]
NO_MODELS: dict[str, Any] = {"nodes": {}, "parent_map": {}}
NEW, ILL = "new in the source: notes", "new in the source: trucks"
NOTHING = "The source has nothing new for the job route."
FAILED_OVER_IT = "new in the source: trucks; runs failed over it, the last within 6:00:00"


class Operated:
    """A company whose warehouse is up to date, and the jobs, schedule and sensor over it."""

    def __init__(self, company: Company, instance: DagsterInstance):
        self.company, self.instance = company, instance
        definitions = Definitions(
            assets=build_extract_assets(CONTRACT),
            jobs=JOBS,
            schedules=schedules.build_schedules(JOBS, NO_MODELS),
            sensors=sensors.build_sensors(JOBS),
            resources={"warehouse": WarehouseResource(), "options": RunOptions()},
            executor=in_process_executor,
        )
        self.repository: RepositoryDefinition = definitions.get_repository_def()

    def tick(self, job: str = "route") -> str | None:
        """Ask once and run what is asked for; return why, or why not."""
        if job == EVERYTHING:
            sensor = self.repository.get_sensor_def("new_source_data")
            sensed = sensor.evaluate_tick(build_sensor_context(self.instance, repository_def=self.repository))
            requests, reason = sensed.run_requests, sensed.skip_message
        else:
            context = build_schedule_context(self.instance, repository_def=self.repository)
            evaluated = self.repository.get_schedule_def(f"{job}_schedule").evaluate_tick(context)
            requests, reason = evaluated.run_requests, evaluated.skip_message
        for request in requests or ():
            self.repository.get_job(job).execute_in_process(
                instance=self.instance, tags=dict(request.tags), raise_on_error=False
            )
            return request.tags[CAUSE_TAG]
        return reason


@pytest.fixture(name="operated")
def operated_fixture(company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operated]:
    for variable, value in (
        ("WAREHOUSE_SOURCE_URL", company.operational),
        ("WAREHOUSE_DATABASE_URL", company.warehouse),
        ("DAGSTER_POSTGRES_URL", company.warehouse),
        ("WAREHOUSE_HOME", str(company.settings.home)),
    ):
        monkeypatch.setenv(variable, value)
    for module in (probe, profile):
        monkeypatch.setattr(module, "load_contract", lambda: CONTRACT)
    monkeypatch.setattr(sensors, "_QUIET", timedelta(0))
    company.source("create table notes (note_id text primary key, pages integer, updated_at timestamptz not null)")
    company.source("insert into trucks values ('T1', 'Mack', '2024-03-02')")
    company.source("insert into notes values ('n', 2, '2024-03-02')")
    company.change_warehouse("insert into etl.setting (key, value) values ('profile', 'default')")
    filled = replace(company, contract=CONTRACT)
    filled.extract()
    folder = tmp_path / "dagster"
    folder.mkdir()
    with DagsterInstance.local_temp(str(folder)) as instance:  # a tick takes no ephemeral one
        yield Operated(filled, instance)


def break_trucks(company: Company) -> None:
    company.source("alter table trucks alter column updated_at type boolean using true")


def mend_trucks(company: Company) -> None:
    company.source("alter table trucks alter column updated_at type timestamptz using '2024-03-02'")


# Regression: the patience was for models and tests alone: a table that could not be read failed a run at every tick.
def test_a_table_that_cannot_be_read_fails_two_runs_and_then_one_in_six_hours(
    operated: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert operated.tick() == NOTHING
    break_trucks(operated.company)
    assert [operated.tick(), operated.tick()] == [ILL, ILL], "the second heals what passes by itself"
    assert str(operated.tick()).startswith(FAILED_OVER_IT)
    with monkeypatch.context() as six_hours_later:
        six_hours_later.setattr(schedules, "_PATIENCE", timedelta(0))
        assert operated.tick() == ILL
    assert str(operated.tick()).startswith(FAILED_OVER_IT)


def test_a_source_that_moves_does_not_wait_for_a_table_that_cannot_be_read(operated: Operated) -> None:
    break_trucks(operated.company)
    operated.tick(), operated.tick()
    operated.company.source("insert into notes values ('o', 3, '2024-03-03')")
    assert operated.tick() == "new in the source: notes, trucks"
    assert operated.company.ask("select count(*) from raw.notes") == [2]
    assert str(operated.tick()).startswith(FAILED_OVER_IT), "what is left has been tried"


def test_a_corrected_source_is_read_at_the_next_tick(operated: Operated) -> None:
    break_trucks(operated.company)
    operated.tick(), operated.tick()
    mend_trucks(operated.company)
    assert operated.tick() == NOTHING
    operated.company.source("insert into trucks values ('T2', 'Volvo', '2024-03-03')")
    assert operated.tick() == ILL
    assert operated.company.ask("select count(*) from raw.trucks") == [2]
    assert operated.tick() == NOTHING


def test_what_a_table_that_could_not_be_read_kept_from_being_built_does_not_wait_either(
    operated: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "waiting_work", lambda *_: ["route_run"])
    break_trucks(operated.company)
    operated.tick(), operated.tick()
    assert str(operated.tick()).startswith(FAILED_OVER_IT)
    mend_trucks(operated.company)
    assert operated.tick() == "to be built or tested: route_run"


# Regression: a day after its last success an empty source failed a run at every tick, for a failed run compares no key.
def test_an_empty_source_waits_and_is_read_once_it_is_filled(operated: Operated) -> None:
    operated.company.source("truncate trucks")
    operated.company.change_warehouse("update etl.table_state set reconciled_at = now() - interval '21 hours'")
    assert [operated.tick(), operated.tick()] == ["new in the source: notes, trucks", ILL]
    assert operated.tick() == ILL
    assert str(operated.tick()).startswith(FAILED_OVER_IT)
    operated.company.source("insert into trucks values ('T1', 'Mack', '2024-03-02')")
    assert operated.tick() == ILL
    assert operated.tick() == NOTHING


# Which value cannot be cast is met only in reading, so a later row may be the correction.
def test_a_value_that_cannot_be_read_is_tried_again_when_there_is_a_later_row(
    operated: Operated, tmp_path: Path
) -> None:
    folder = tmp_path / "profile"
    folder.mkdir()
    (folder / "profile.yml").write_text("kind: postgres\n", encoding="utf-8")
    (folder / "notes.sql").write_text("select note_id, pages, updated_at from notes", encoding="utf-8")
    operated.company.change_warehouse("truncate etl.setting")
    remember_profile(operated.company.databases, str(folder), None)
    operated.company.source("alter table notes alter column pages type text using 'two'")
    assert [operated.tick(), operated.tick()] == [NEW, NEW]
    assert str(operated.tick()).startswith("new in the source: notes; runs failed over it")
    operated.company.source("update notes set pages = '3', updated_at = '2024-03-04'")
    assert operated.tick() == NEW
    assert operated.company.ask("select pages from raw.notes") == [3]
    assert operated.tick() == NOTHING


# Regression: the sensor tried an unreadable table whenever no run had started for 20 minutes.
def test_the_sensor_tries_a_table_that_cannot_be_read_twice(operated: Operated) -> None:
    assert operated.tick(EVERYTHING) == "The source has nothing new."
    break_trucks(operated.company)
    assert [operated.tick(EVERYTHING), operated.tick(EVERYTHING)] == ["1 table moved in the source"] * 2
    assert "1 table moved in the source; runs failed over it" in str(operated.tick(EVERYTHING))
    operated.company.source("insert into notes values ('o', 3, '2024-03-03')")
    assert operated.tick(EVERYTHING) == "2 tables moved in the source"
    assert "1 table moved in the source; runs failed over it" in str(operated.tick(EVERYTHING))


# Regression: every tick asked the source for news of all tables, those of other jobs too.
def test_a_tick_asks_the_source_about_the_tables_of_its_job_only(
    operated: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    describe = probe.describe

    def noting(connection: object, opened: object, name: str) -> object:
        asked.append(name)
        return describe(connection, opened, name)  # type: ignore[arg-type]  # as they were given

    monkeypatch.setattr(probe, "describe", noting)
    operated.tick()
    assert asked == ["notes", "trucks"]
    asked.clear()
    operated.tick(EVERYTHING)
    assert asked == ["notes", "tips", "trucks"]
