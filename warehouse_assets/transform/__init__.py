"""The dbt project as Dagster assets: where it lives, which models a run must build, how dbt is called, what pages show.

SQL belongs in ``dbt_project``; deciding when it runs belongs in ``operate``.
"""
