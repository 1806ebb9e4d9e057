"""From the contract to ``raw``: DDL, load and merge, quarantine, dirty days, reconciliation, control tables, assets.

The engine (``load`` and what it calls) knows nothing of Dagster; ``assets`` and ``checks`` are its thin cover. What the
source looks like belongs to ``source``; what is computed from raw belongs to the dbt project and the models' folders.
"""
