"""Importing the code location against importing dagster and dagster_dbt alone: in turn, fresh processes, medians."""

import argparse
import statistics
import subprocess
import sys
import time

ALONE = "import dagster, dagster_dbt"
LOCATION = "import warehouse_assets.definitions"


def seconds(code: str) -> float:
    """Wall-clock seconds of a fresh interpreter that runs ``code``."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    for code in (ALONE, LOCATION):
        seconds(code)  # compiles the modules and parses the dbt project
    pairs = [(seconds(ALONE), seconds(LOCATION)) for _ in range(runs)]
    alone, location = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(ours / theirs for theirs, ours in pairs)
    print(f"{ALONE}: {alone:.2f} s · {LOCATION}: {location:.2f} s · ratio {ratio:.2f} (reach: at most 1.5)")


if __name__ == "__main__":
    main()
