"""How quality is judged: Great Expectations over frames, as asset checks.

Rules that SQL says better are dbt tests or contract rules; the checks of one model live in that model's folder.
"""
