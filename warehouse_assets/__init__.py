"""The analytics warehouse of a waste-haulage company, as software-defined assets.

Data flows one way: ``source`` (contract, profiles, simulator) → ``extract`` → ``transform`` (the dbt project,
features included) → a folder per model (``churn``, ``forecast``), whose predictions dbt reads again. ``operate``
(jobs, schedules, sensors) and the command line (``cli``, ``commands``) run it. ``lifecycle`` and ``quality`` serve
the models, ``database``, ``settings`` (of the machine), ``options`` and ``telling`` (of one run) all of them.
``definitions`` composes; it holds no logic.
"""
