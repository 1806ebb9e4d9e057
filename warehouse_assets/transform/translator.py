"""How dbt's resources look as Dagster assets. Groups and owners stand in ``dbt_project.yml``, by folder."""

from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings


class WarehouseDbtTranslator(DagsterDbtTranslator):
    """dbt's tests are asset checks, but its source tests are not.

    As checks they would pull the whole dbt step into every run that extracts a single table (50-75 s).
    """

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_asset_checks=True, enable_source_tests_as_checks=False))
