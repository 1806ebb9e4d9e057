"""Any sequence of changes with extractions in between: raw equals the source, exactly the touched days are dirty."""

from dataclasses import dataclass, field
from datetime import date, timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_extract_company import Company, company_fixture  # noqa: F401  fixture

from warehouse_assets.extract import incremental

FIRST_DAY = date(2024, 3, 1)
KEYS = [f"S{n}" for n in range(6)]

key = st.sampled_from(KEYS)
day = st.integers(0, 5).map(lambda n: FIRST_DAY + timedelta(days=n))
weight = st.sampled_from([None, 1, 2, 99_999])  # missing: flagged; 99,999: quarantined
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), key, day, weight),
        st.tuples(st.just("touch"), key),
        st.tuples(st.just("delete"), key),
        st.tuples(st.just("late"), key, day, weight),
        st.tuples(st.just("extract")),
        st.tuples(st.just("refresh")),
    ),
    max_size=25,
)


@dataclass
class Model:
    """What the source holds, and what it held at the last extraction: key → (day, weight, version)."""

    now: dict[str, tuple[date, int | None, int]] = field(default_factory=dict)
    extracted: dict[str, tuple[date, int | None, int]] = field(default_factory=dict)
    version: int = 0

    @staticmethod
    def good(rows: dict[str, tuple[date, int | None, int]]) -> dict[str, tuple[date, int | None, int]]:
        """The rows that raw may have."""
        return {name: row for name, row in rows.items() if row[1] != 99_999}

    def touched(self) -> set[date]:
        """The days of rows of raw that are other than at the last extraction, before and after."""
        before, after = self.good(self.extracted), self.good(self.now)
        changed = [name for name in KEYS if before.get(name) != after.get(name)]
        return {row[0] for name in changed for row in (before.get(name), after.get(name)) if row is not None}


def play(company: Company, connection: psycopg.Connection, model: Model, step: tuple[object, ...]) -> None:
    """Make one change in the source and in the model."""
    model.version += 1
    match step:
        case ("put" | "late" as how, str(name), date() as when, int() | None as pounds):
            # a late row's transaction began forty minutes before it committed: its cursor is as old
            delay = "40 minutes" if how == "late" else "0 minutes"
            connection.execute(
                "insert into stops values (%s, 'T', %s, 'completed', %s, %s::jsonb, clock_timestamp() - %s::interval) "
                "on conflict (stop_id) do update set service_date = excluded.service_date, "
                "weight_lb = excluded.weight_lb, extra = excluded.extra, updated_at = excluded.updated_at",
                (name, when, pounds, str(model.version), delay),
            )
            model.now[name] = (when, pounds, model.version)
        case ("touch", str(name)) if name in model.now:
            connection.execute(
                "update stops set extra = %s::jsonb, updated_at = clock_timestamp() where stop_id = %s",
                (str(model.version), name),
            )
            model.now[name] = (*model.now[name][:2], model.version)
        case ("delete", str(name)):
            connection.execute("delete from stops where stop_id = %s", (name,))
            model.now.pop(name, None)


def check(company: Company, model: Model, *, full_refresh: bool) -> None:
    """Extract and compare raw, quarantine, state and dirty days with the model."""
    touched = model.touched()
    # an empty source is refused unless asked for
    load = company.extract("stops", full_refresh=full_refresh or not model.now)["stops"]
    good = model.good(model.now)
    raw = company.ask(
        "select stop_id, service_date, weight_lb::integer, extra::integer, _flags from raw.stops "
        "where _deleted_at is null"
    )
    assert {row[0]: tuple(row[1:4]) for row in raw} == good
    flagged = {row[0] for row in raw if row[4] == ["weight_known"]}
    assert flagged == {name for name, row in good.items() if row[1] is None}
    bad = {name: row for name, row in model.now.items() if row[1] == 99_999}
    assert dict(company.ask("select stop_id, (row ->> 'extra')::integer from quarantine.stops")) == {
        name: row[2] for name, row in bad.items()
    }
    assert (load.rows_raw, load.rows_quarantined) == (len(good), len(bad))
    assert load.rows_extracted == load.rows_inserted + load.rows_updated + load.rows_unchanged + load.rows_rejected
    written = set(company.ask("select business_date from etl.dirty_day where batch_id = %s", load.batch_id or 0))
    assert written == touched
    assert load.latest_day == max((row[0] for row in good.values()), default=None)
    model.extracted = dict(model.now)


@pytest.mark.parametrize("whole_rows", [-1, 20_000], ids=["by cursor", "whole"])
def test_raw_equals_the_source_after_any_history(
    company: Company, monkeypatch: pytest.MonkeyPatch, whole_rows: int
) -> None:
    monkeypatch.setattr(incremental, "WHOLE_ROWS", whole_rows)

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
    @given(steps)
    def holds(history: list[tuple[object, ...]]) -> None:
        with psycopg.connect(company.warehouse, autocommit=True) as connection:
            connection.execute(
                "drop table if exists raw.stops, quarantine.stops; truncate etl.table_state, etl.dirty_day"
            )
        with psycopg.connect(company.operational, autocommit=True) as source:
            source.execute("truncate stops")
            model = Model()
            for step in [*history, ("extract",)]:
                if step[0] in ("extract", "refresh"):
                    check(company, model, full_refresh=step[0] == "refresh")
                else:
                    play(company, source, model, step)

    holds()
