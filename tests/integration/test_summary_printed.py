"""The summary of a run as it is printed, read from databases in the state the run left them in."""

import psycopg
from rich.console import Console

from warehouse_assets.commands.launch import RunOutcome
from warehouse_assets.commands.summary import print_summary
from warehouse_assets.database.databases import Databases


# Regression: a traceback in place of the reason, when the first run failed before the models of dbt were built.
def test_a_first_run_that_fails_while_it_extracts_tells_why(warehouse_url: str, operational_url: str) -> None:
    with psycopg.connect(operational_url) as connection:
        connection.execute(
            "create table event_logs (id serial, run_id text, dagster_event_type text, asset_key text, event text)"
        )
        connection.execute(
            "create table asset_check_executions (id serial, asset_key text, check_name text, execution_status text, "
            "evaluation_event text, create_timestamp timestamp default now())"
        )
    console = Console(width=200)
    databases = Databases(operational_url, warehouse_url, operational_url, None)
    failures, notes = ["extract_crm: customers may not be read."], ["tips was read whole"]
    outcome = RunOutcome("1", is_success=False, failures=failures, notes=notes)
    with console.capture() as captured:
        print_summary(console, databases, outcome, 1.0)
    said = captured.get()
    assert "FAILED  extract_crm: customers may not be read." in said
    assert "Note: tips was read whole" in said
    assert "Forecast: not reached in this run" in said
