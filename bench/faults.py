"""How long until a fault is seen for what it is, and until all is well again: runs tests/journeys/faults and prints a
table. Needs root for the network and the disks.

    .venv/bin/python bench/faults.py
"""

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

COMMAND = ["-m", "pytest", "-q", "-n0", "tests/journeys/faults", "-o", "junit_family=xunit1", "--junitxml"]
COLUMNS = ("right state", "recovery")


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        status = subprocess.run([sys.executable, *COMMAND, str(report)], check=False).returncode
        print("\n| fault | to the right state, s | to recovery, s |\n|---|---|---|")
        for case in ElementTree.parse(report).iter("testcase"):
            figures = {found.get("name"): found.get("value") for found in case.iter("property")}
            name = str(case.get("name")).removeprefix("test_").replace("_", " ")
            print(f"| {name} | {' | '.join(figures.get(column) or '–' for column in COLUMNS)} |")
    return status


if __name__ == "__main__":
    sys.exit(main())
