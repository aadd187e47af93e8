"""A run: load the data, start everybody, close the gate or open it, and measure round by round."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from . import gate, opponents, pgbench
from .data import hash_milliseconds
from .goals import GROWTH
from .load import Load, measure
from .machine import Machine
from .opponents import FLOORS, PRODUCT, WITH_LIMITS, A, B, Opponent, Pool
from .results import MAIN, Key, Results
from .scenarios import FLOOR_SCENARIOS, SCENARIOS, Scenario, check_answer

# Measured at other numbers of connections, and with a connection for each request, besides the main load.
IN_VARIANTS: Final = ("types", "redeem", "my-vouchers-20")
VARIANTS: Final = (Load(connections=1), Load(connections=32), Load(keep_alive=False))
AT_ONE_CONNECTION: Final = ("floor-drf", "floor-redeem", "platform", "platform-366")
# Who takes longer for one answer is measured with a connection for each of the two processes, for as long as some
# answers take: with more connections, the last would wait for minutes.
SLOW: Final = 1.0  # seconds
SLOW_CONNECTIONS: Final = 2
SLOW_ANSWERS: Final = 2.5  # of each connection
# What a database takes until it can be measured: its migrations, and its rows with the audit.
FIRST_SECONDS: Final = 20
VOUCHERS_A_SECOND: Final = 8_000
VARIANT_ROUNDS: Final = 2  # the first of the rounds, and those of pgbench; the main load is measured in all


@dataclass(frozen=True)
class Options:
    """How much is measured. `budget` is in seconds, for all of it."""

    vouchers: int
    sizes: tuple[int, ...]
    rounds: int
    seconds: int
    budget: float
    scenarios: tuple[Scenario, ...] = SCENARIOS
    variants: bool = True
    thorough: bool = False  # every scenario in every variant


class Run:
    """One run, from the servers to the results. Whatever fails is noted, and the rest goes on."""

    def __init__(self, machine: Machine, options: Options, say: Callable[[str], None]) -> None:
        self.machine, self.options, self.say = machine, options, say
        self.results = Results(vouchers=options.vouchers)
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def measure_everything(self) -> Results:
        """The results. Raises GateClosed, and Missing where the product itself can't be measured."""
        with ExitStack() as stack:
            field = self._start(stack)
            product = field[PRODUCT]
            self._gate(field)
            self._all_rounds(field)
            self._after_load(product)
        with ExitStack() as stack:
            self._attempt("growth", lambda: self._growth(stack))
        return self.results

    def _start(self, stack: ExitStack) -> dict[str, Opponent]:
        """Everybody who is measured, by name: the product, and whoever else is there."""
        machine, size = self.machine, self.options.vouchers
        self.say(f"Loading {size:,} vouchers")
        data = opponents.with_product_data(machine, "product", size)
        pool = Pool(data.codes)
        field = {PRODUCT: self._running(stack, opponents.start_product(machine, "product", data, pool))}
        self.say("Loading the textbook twin")
        twin: dict[str, Any] = {}
        self._attempt("the textbook twin", lambda: twin.update(loaded=opponents.load_twin(machine, size)))
        starts: dict[str, Callable[[], Opponent]] = {
            WITH_LIMITS: partial(
                opponents.start_product, machine, "product", data, pool, name=WITH_LIMITS, limits=True
            ),
            **{name: partial(opponents.start_floor, machine, "product", data, name=name) for name in FLOORS},
        }
        if twin:
            starts |= {
                name: partial(opponents.start_twin, machine, *twin["loaded"], name=name) for name in (B, A)
            }
        opponents_of_scenarios = {name for scenario in self.options.scenarios for name in scenario.opponents}

        def join(name: str) -> None:
            field[name] = self._running(stack, starts[name]())

        for name in starts:
            if name in opponents_of_scenarios:
                self._attempt(name, partial(join, name))
        self._sign_in(field)
        return field

    def _running(self, stack: ExitStack, opponent: Opponent) -> Opponent:
        """An opponent whose programs end with the stack."""
        for program in (opponent.server, opponent.stripe):
            if program:
                stack.callback(program.stop)
        return opponent

    def _sign_in(self, field: dict[str, Opponent]) -> None:
        for name, opponent in list(field.items()):
            if not self._attempt(f"signing in to {name}", opponent.sign_in):
                del field[name]

    def _gate(self, field: dict[str, Opponent]) -> None:
        self.say("The gate: races, Idempotency-Key, confirm in parallel, audit")
        self.results.gate = gate.check(self.machine, field[PRODUCT])
        if B in field:
            self._attempt(
                "the twin in races",
                lambda: self.results.notes.append(f"The textbook twin: {gate.overspending(field[B])}"),
            )

    def _all_rounds(self, field: dict[str, Opponent]) -> None:
        """First what is measured when it is quiet, then everything else. The rest of the time is for the growth."""
        end = self.options.budget * (0.75 if self.options.sizes else 0.95)
        quiet_end = self.elapsed + (end - self.elapsed) / 3
        for when_quiet, name, until in ((True, "Quiet round", quiet_end), (False, "Round", end)):
            scenarios = [one for one in self.options.scenarios if one.when_quiet is when_quiet]
            if scenarios:
                self._rounds(name, scenarios, field, end=until)
        for number in range(1, VARIANT_ROUNDS + 1):
            for name, connections, rows in pgbench.KINDS:
                self._attempt(name, partial(self._pgbench, number, field[PRODUCT], name, connections, rows))

    def _rounds(
        self, name: str, scenarios: Sequence[Scenario], field: dict[str, Opponent], *, end: float
    ) -> None:
        """As many rounds as there is time for. In each, one scenario after the other, everybody in turn."""
        longest = 0.0
        for number in range(1, self.options.rounds + 1):
            if longest and self.elapsed + longest > end:
                done = f"{name} {number - 1} of {self.options.rounds} was the last"
                self.results.notes.append(f"{done}: there was no more time.")
                break
            began = self.elapsed
            self._sign_in(field)
            self._attempt("the job of figures", partial(opponents.count_figures, self.machine, "product"))
            self._round(name, number, scenarios, field, end)
            longest = max(longest, self.elapsed - began)
            self.say(f"{name} {number} of {self.options.rounds}: {self.elapsed - began:.0f} s")

    def _round(
        self, name: str, number: int, scenarios: Sequence[Scenario], field: dict[str, Opponent], end: float
    ) -> None:
        for scenario in scenarios:
            if self.elapsed > end:
                where = f"{name} {number} ended before {scenario.name}"
                self.results.notes.append(f"{where}: there was no more time.")
                return
            for load in self._loads(number, scenario):
                for opponent in scenario.opponents:
                    if opponent in field and not (load != MAIN and opponent == A):
                        self._sample(number, scenario, field[opponent], load, self.options.vouchers)

    def _pgbench(self, number: int, product: Opponent, name: str, connections: int, rows: int) -> None:
        key = Key(name, "pgbench", connections, True, self.options.vouchers)
        sample = pgbench.measure(self.machine, product, connections, rows, self.options.seconds)
        self.results.add(key, number, sample)

    def _loads(self, number: int, scenario: Scenario) -> Sequence[Load]:
        if self.options.thorough:
            return (MAIN, *VARIANTS)
        if not self.options.variants or number > VARIANT_ROUNDS:
            return (MAIN,)
        if scenario.name in IN_VARIANTS:
            return (MAIN, *VARIANTS)
        return (MAIN, VARIANTS[0]) if scenario.name in AT_ONE_CONNECTION else (MAIN,)

    def _sample(self, number: int, scenario: Scenario, opponent: Opponent, load: Load, vouchers: int) -> None:
        """Measure one scenario against one opponent; what fails is noted."""
        key = Key(scenario.name, opponent.name, load.connections, load.keep_alive, vouchers)

        def sample() -> None:
            timed = Load(load.connections, self.options.seconds, load.keep_alive)
            requests = scenario.requests(self.machine, opponent, timed)
            if requests:
                seconds = check_answer(scenario, opponent, requests.pop() if scenario.once else requests[0])
                if seconds >= SLOW and not scenario.once:  # or it was only the first
                    seconds = check_answer(scenario, opponent, requests[0])
                timed = for_slow_answers(timed, seconds)
            one = measure(self.machine, opponent, requests, timed, once=scenario.once)
            self.results.add(key, number, one)
            opponent.rates[scenario.name] = one.rps
            if opponent.pool:
                opponent.pool.give_back(sent=one.sent)

        self._attempt(f"{scenario.name} of {opponent.name} at {load.connections}, round {number}", sample)

    def _after_load(self, product: Opponent) -> None:
        """What is asked of the product when the load is over: its memory, its start, and its books."""
        facts = self.results.facts
        facts["worker_mb"] = product.server.worker_memory()

        def start() -> None:
            facts["start_s"], facts["start_cpu_s"] = opponents.start_time(self.machine, "product")

        self._attempt("the start of a worker", start)
        facts["hash_ms"] = hash_milliseconds()
        opponents.forget_mail(self.machine, "product")
        self.say("The audit after the load")
        self._attempt("the audit after the load", lambda: opponents.audit(self.machine, "product"))

    def _growth(self, stack: ExitStack) -> None:
        """The product alone at each size, in turn."""
        scenarios = [scenario for scenario in self.options.scenarios if scenario.name in GROWTH]
        if not self.options.sizes or not scenarios:
            return
        field: dict[int, Opponent] = {}
        for size in sorted({*self.options.sizes} - {self.options.vouchers}):  # which was measured just now
            if self.elapsed + FIRST_SECONDS + size / VOUCHERS_A_SECOND > self.options.budget:
                self.results.notes.append(
                    f"No growth at {size:,} vouchers: there was no more time to load them."
                )
                continue
            self.say(f"Loading {size:,} vouchers")
            database = f"product_{size}"
            data = opponents.with_product_data(self.machine, database, size)
            # Codes of many uses, one after the other: the smallest size has too few of one use for all rounds.
            pool = Pool(data.many_codes * 100)
            opponent = opponents.start_product(self.machine, database, data, pool)
            field[size] = self._running(stack, opponent)
        for number in range(1, self.options.rounds + 1):
            if number > 1 and self.elapsed > self.options.budget * 0.95:
                break
            for opponent in field.values():
                opponent.sign_in()
            for size in field:
                count = partial(opponents.count_figures, self.machine, f"product_{size}")
                self._attempt("the job of figures", count)
            for scenario in sorted(scenarios, key=lambda one: not one.when_quiet):
                for size, opponent in field.items():
                    self._sample(number, scenario, opponent, MAIN, size)
            self.say(f"Growth, round {number}")

    def _attempt(self, what: str, action: Callable[[], object]) -> bool:
        """Do it; whether it worked. What failed is noted and said, and must not lose the rest."""
        try:
            action()
        except Exception as error:  # noqa: BLE001 - of whatever kind
            self.results.failures.append(f"{what}: {type(error).__name__}: {error}")
            self.say(f"FAILED: {self.results.failures[-1]}")
            return False
        return True


def for_slow_answers(load: Load, seconds: float) -> Load:
    """The load with which somebody is measured who took so many seconds for one answer."""
    if seconds < SLOW:
        return load
    longest = max(load.seconds, math.ceil(SLOW_ANSWERS * seconds))
    return Load(min(load.connections, SLOW_CONNECTIONS), longest, load.keep_alive)


def relevant(names: Sequence[str]) -> tuple[Scenario, ...]:
    """The scenarios whose names begin with one of these, and the floors; all of them if none is named."""
    if not names:
        return SCENARIOS
    return tuple(
        scenario
        for scenario in SCENARIOS
        if scenario.name.startswith(tuple(names)) or scenario.name in FLOOR_SCENARIOS
    )
