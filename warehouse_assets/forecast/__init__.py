"""Forecasts of many series at once: tons, lifts, revenue, cost, tickets, or the series of any file.

Pure modules, frames and arrays in and out: ``panel`` (frame to matrix), ``frequency`` (seasons, lags,
calendar), the candidates (``naive``, ``holiday_slide``, ``month_days``, ``smoothing``, ``regression``, ``boosting``,
``prophet_candidate``), ``combine`` (which candidates a series gets), ``intervals`` and ``scoring``; ``model`` puts
them together. ``file`` is the command line's edge, ``assets`` the warehouse's. Features are not made here (dbt's
features schema), nor are other models' registries and drift (``lifecycle``).
"""
