"""Running the warehouse: jobs, schedules, sensors, freshness, and what the commands do.

What an asset computes belongs in the asset's own folder.
"""
