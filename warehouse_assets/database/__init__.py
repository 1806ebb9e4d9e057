"""Everything that speaks to PostgreSQL for the rest of the product.

Here belong the embedded server (``embedded``, ``place``, ``ports``, ``server_log``, ``tuning``), which databases are in
force (``databases``, as a Dagster resource ``resource``), the one connection helper (``connections``), the one COPY
helper (``copy``, ``binary``), PostgreSQL's errors in words (``errors``, ``trouble``), the locks that order what runs at
the same time (``raw_lock``, ``run_lock``) and the schema migrations (``migrate``, ``migrations``).
What is in the tables, how rows are merged and what is computed from them does not belong here.
"""
