"""What Dagster needs before it starts: its home below ours, its database, and the environment of its processes."""

import os
import shutil
from pathlib import Path

from psycopg import sql

from warehouse_assets.database.connections import connect
from warehouse_assets.database.databases import refuse_unreadable_urls
from warehouse_assets.errors import UserError
from warehouse_assets.settings import PROJECT_ROOT, Settings


def dagster_home(settings: Settings) -> Path:
    """Dagster's home below this home, with the project's ``dagster.yaml`` in it.

    Raises:
        UserError: the folder cannot be written.
    """
    home = settings.home / "dagster"
    try:
        home.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT_ROOT / "dagster.yaml", home / "dagster.yaml")
    except OSError as error:
        raise UserError(
            f"{home} cannot be written ({error.strerror}); point WAREHOUSE_HOME at a folder you own."
        ) from error
    return home


def check_storage(settings: Settings) -> None:
    """See that Dagster can use the database of ``DAGSTER_POSTGRES_URL``, where that is set.

    Dagster itself tries a wrong URL for half a minute and ends in tracebacks.

    Raises:
        UserError: a URL cannot be read, the database cannot be reached, or the user may not make Dagster's tables
            in it or write to them.
    """
    refuse_unreadable_urls(settings)
    if settings.dagster_url is None:
        return
    with connect(settings.dagster_url, application_name="warehouse", autocommit=True) as connection:
        row = connection.execute(
            """
            select
                coalesce(current_schema(), 'public'),
                pg_get_userbyid(relowner),
                coalesce(has_table_privilege(oid, 'insert'), has_schema_privilege(current_schema(), 'create'), false)
            from (select to_regclass('event_logs')::oid as oid) as found
            left join pg_class using (oid)
            """
        ).fetchone()
        assert row is not None  # noqa: S101  a left join of one row has one
        schema, owner, is_allowed = row
        if is_allowed:
            return
        right = sql.Identifier(owner) if owner else sql.SQL("usage, create on schema {}").format(sql.Identifier(schema))
        info = connection.info
        grant = sql.SQL("grant {} to {}").format(right, sql.Identifier(info.user)).as_string()
        raise UserError(
            f"User {info.user!r} of DAGSTER_POSTGRES_URL may not {'use' if owner else 'make'} Dagster's tables in "
            f"schema {schema!r} of database {info.dbname!r}; run `{grant}` there."
        )


def process_environment(settings: Settings) -> dict[str, str]:
    """The environment for Dagster processes of this home, whose database has been found to be usable.

    Raises:
        UserError: the folder cannot be written, or Dagster's database cannot be used.
    """
    check_storage(settings)
    return {
        **os.environ,
        "WAREHOUSE_HOME": str(settings.home),
        "DAGSTER_HOME": str(dagster_home(settings)),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
    }
