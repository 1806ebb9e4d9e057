"""Results of checks that need not run again, said again: a run would show them as skipped, warnings included."""

from collections.abc import Iterable, Iterator

from dagster import AssetCheckKey, AssetCheckResult, DagsterInstance, MetadataValue
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

_JUDGED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}

#: What only the run that judged says: nothing was executed when it is said again.
_DURATION = "Execution Duration"
#: Metadata of a result said again: when the check was last judged.
JUDGED_AT = "judged_at"


def standing_results(instance: DagsterInstance, keys: Iterable[AssetCheckKey]) -> Iterator[AssetCheckResult]:
    """The last result of each check, with the time it was judged; nothing for a check that never was."""
    for key in keys:
        records = instance.event_log_storage.get_asset_check_execution_history(key, limit=1, status=_JUDGED)
        entry = records[0].event if records else None
        if entry is None or entry.dagster_event is None:
            continue
        result = entry.dagster_event.asset_check_evaluation_data
        judged_at = MetadataValue.timestamp(entry.timestamp)
        yield AssetCheckResult(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=result.passed,
            severity=result.severity,
            description=result.description,
            metadata={JUDGED_AT: judged_at, **{k: v for k, v in result.metadata.items() if k != _DURATION}},
        )
