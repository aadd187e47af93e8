"""`python -m bench`: measure the product beside what people would use instead. See README.md beside this file."""

import argparse
import json
import platform
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from . import baseline, report
from .gate import GateClosed
from .load import require_wrk
from .machine import Machine
from .opponents import Missing
from .processes import PROJECT, DidNotStart
from .results import read
from .rounds import Options, Run, relevant

QUICK: Final = ("types", "login", "redeem", "my-vouchers-20", "detail", "create", "confirm-1")
RAW: Final = PROJECT / ".run/bench.json"


def main() -> int:
    """Measure, print, and write docs/performance.md. The status is 0 if all was measured."""
    arguments = _arguments()
    if arguments.show:
        results = read(json.loads(arguments.show.read_text()))
    else:
        require_wrk()
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _end)
        options = _options(arguments)
        try:
            run = Run(Machine(), options, say)
            results = run.measure_everything()
        except (GateClosed, Missing, DidNotStart) as error:
            say(f"Nothing was measured. {error}")
            return 1
        results.machine = describe_machine()
        say(f"{run.elapsed:.0f} s in all")
        arguments.raw.parent.mkdir(parents=True, exist_ok=True)
        arguments.raw.write_text(json.dumps(results.raw(), indent=1))
    print(report.terminal(results))
    print(f"All figures: {arguments.raw}")
    if arguments.write or arguments.show:
        report.write_page(results)
    if arguments.save_baseline or (arguments.write and not baseline.FILE.exists()):
        baseline.write(results)
    return 1 if results.failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the most used endpoints, in five minutes")
    parser.add_argument(
        "--thorough", action="store_true", help="each endpoint at 1, 8 and 32 connections; an hour"
    )
    parser.add_argument("--only", default="", help="beginnings of scenarios' names, with commas between")
    parser.add_argument(
        "--sizes", help="numbers of vouchers for the growth, with commas between; none: no growth"
    )
    parser.add_argument("--vouchers", type=int, help="of the main part (default: 200,000)")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int, help="of each load")
    parser.add_argument("--minutes", type=float, help="after which no new round begins (default: 23)")
    parser.add_argument(
        "--no-page", dest="write", action="store_false", help="leave docs/performance.md as it is"
    )
    parser.add_argument("--save-baseline", action="store_true", help="write bench/baseline.json")
    parser.add_argument(
        "--raw", type=Path, default=RAW, help="where all figures go (default: .run/bench.json)"
    )
    parser.add_argument("--show", type=Path, help="measure nothing: the report of such a file")
    arguments = parser.parse_args()
    # The page is of whole runs.
    arguments.write = arguments.write and not (arguments.quick or arguments.only)
    return arguments


def _options(arguments: argparse.Namespace) -> Options:
    quick, thorough = arguments.quick, arguments.thorough
    names = [name for name in arguments.only.split(",") if name]
    sizes: tuple[int, ...]
    if arguments.sizes is None:
        sizes = () if quick or names else (10_000, 1_000_000)
    else:
        sizes = tuple(int(size) for size in arguments.sizes.split(",") if size not in ("", "none"))
    return Options(
        vouchers=arguments.vouchers or (20_000 if quick else 200_000),
        sizes=sizes,
        rounds=arguments.rounds or (2 if quick else 6),
        seconds=arguments.seconds or 2,
        budget=60 * (arguments.minutes or (4.5 if quick else 60 if thorough else 23)),
        scenarios=relevant(names or (QUICK if quick else ())),
        variants=not quick,
        thorough=thorough,
    )


def describe_machine() -> dict[str, str]:
    """What was measured, where and when."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    cores = len(
        [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("processor")]
    )
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    return {
        "commit": commit.stdout.strip() or "unknown",
        "on": f"{datetime.now(UTC):%Y-%m-%d}",
        "Python": platform.python_version(),
        "cores": f"{cores} of {model}",
    }


def say(line: str) -> None:
    """A line of progress."""
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", file=sys.stderr, flush=True)


def _end(number: int, frame: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("Ended by Ctrl-C.")
        sys.exit(130)
