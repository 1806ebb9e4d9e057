"""Where the data comes from: the contract, the source profiles, and the simulated company.

The contract (``contract.py``) is read from the dbt sources YAML. Moving rows into ``raw`` belongs in ``extract``.
"""
