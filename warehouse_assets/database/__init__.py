"""Everything that speaks to PostgreSQL for the rest of the product.

Here belong the embedded server (``embedded``, ``place``, ``tuning``), which databases are in force (``databases``, as a
Dagster resource ``resource``), the one connection helper (``connections``), the one COPY helper (``copy``, ``binary``),
PostgreSQL's errors in words (``errors``, ``trouble``), the lock that tells which runs live (``run_lock``) and the
schema migrations (``migrate``, ``migrations``).
What is in the tables, how rows are merged and what is computed from them does not belong here.
"""
