"""Running the warehouse by itself: jobs, schedules, sensors, freshness, and where Dagster keeps its own record.

What an asset computes belongs in the asset's own folder, what a person asks for in ``commands``.
"""
