"""The analytics warehouse of a waste-haulage company, as software-defined assets.

Data flows one way: ``source`` (contract, profiles, simulator) → ``extract`` → ``transform`` (the dbt
project) → ``features`` → a folder per model (``churn``, ``forecast``) → ``operate`` (jobs, schedules,
sensors) and the command line. ``database`` and ``settings`` serve all of them. ``definitions`` composes;
it holds no logic.
"""
