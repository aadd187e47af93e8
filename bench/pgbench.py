"""The floor below everything: the ideal redemption statement, by `pgbench` on the product's own tables."""

import re
import subprocess
from pathlib import Path
from typing import Final

from .data import MANY
from .load import LoadFailed, Sample
from .machine import Machine
from .opponents import Opponent

STATEMENT: Final = Path(__file__).with_name("floors") / "redeem.sql"
# Name, connections, how many rows are redeemed in turn.
KINDS: Final = (
    ("pgbench-1", 1, MANY),
    ("pgbench-8", 8, MANY),
    ("pgbench-hot", 8, 1),
)


def measure(machine: Machine, product: Opponent, connections: int, rows: int, seconds: int) -> Sample:
    """Run the statement for so many seconds. Raises LoadFailed where it failed, or is not there."""
    if not STATEMENT.exists():
        raise LoadFailed(f"{STATEMENT.name} is not there.")
    command = [
        str(machine.programs / "pgbench"),
        "--no-vacuum",
        "--protocol",
        "prepared",
        "--client",
        str(connections),
        "--jobs",
        "1",
    ]
    command += [
        "--time",
        str(seconds),
        "--define",
        f"user={product.data.redeemer_id}",
        "--define",
        f"last={rows}",
    ]
    command += ["--file", str(STATEMENT), machine.url(product.database)]
    cpu = machine.postgres_cpu()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    cpu = machine.postgres_cpu() - cpu
    if done.returncode:
        raise LoadFailed(f"pgbench: {done.stderr.strip()[-500:]}")
    number, latency, rate = parse(done.stdout)
    return Sample(number, number / rate, latency, 0, 0, 0, cpu * 1000 / number, 1)


def parse(output: str) -> tuple[int, float, float]:
    """Transactions, mean latency in ms, and transactions a second, of what pgbench printed."""
    matches = [
        re.search(pattern, output)
        for pattern in (
            r"transactions actually processed: (\d+)",
            r"latency average = ([\d.]+) ms",
            r"tps = ([\d.]+)",
        )
    ]
    if not all(matches):
        raise LoadFailed(f"pgbench measured nothing: {output.strip()[-300:]}")
    number, latency, rate = (float(match[1]) for match in matches if match)
    return int(number), latency, rate
