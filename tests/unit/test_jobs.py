"""The jobs: what runs on a schedule."""

from warehouse_assets.definitions import defs
from warehouse_assets.operate.job_names import EVERYTHING, JOB_NAMES


# Regression: views that no mart reads, and their tests, ran with `everything` alone, which waits for a quiet source.
def test_every_asset_is_in_a_job_with_a_schedule() -> None:
    scheduled = {
        key
        for name in JOB_NAMES
        if name != EVERYTHING
        for key in defs.resolve_job_def(name).asset_layer.selected_asset_keys
    }
    assert scheduled == defs.resolve_job_def(EVERYTHING).asset_layer.selected_asset_keys
