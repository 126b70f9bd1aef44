"""What times this machine gives at best: a loop that only computes, for as much of one core as a server takes.

A virtual machine's core may stand still for tens of milliseconds once or twice a second, unseen by its own clock of
CPU time. Run as a program: a JSON order on standard input, `{cpu, rate, busy, seconds}`, latencies in seconds out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time


def machine_latencies(cpu: int, rate: float, busy: float, seconds: float) -> list[float]:
    """Of `rate` computations a second, `busy` seconds of CPU each: from when one is due to its end, in order."""
    order = json.dumps({"cpu": cpu, "rate": rate, "busy": busy, "seconds": seconds})
    result = subprocess.run([sys.executable, __file__], input=order.encode(), stdout=subprocess.PIPE, check=True)
    latencies: list[float] = json.loads(result.stdout)
    return latencies


def compute(rounds: int) -> float:
    begun = time.perf_counter()
    total = 0
    for number in range(rounds):
        total += number * number
    return time.perf_counter() - begun


def main() -> None:
    order = json.load(sys.stdin)
    os.sched_setaffinity(0, {order["cpu"]})
    rounds = int(order["busy"] * 1000 / min(compute(1000) for _ in range(2000)))
    latencies = []
    begun = time.perf_counter()
    for number in range(int(order["rate"] * order["seconds"])):
        due = begun + number / order["rate"]
        time.sleep(max(0.0, due - time.perf_counter()))
        compute(rounds)
        latencies.append(time.perf_counter() - due)
    json.dump(sorted(latencies), sys.stdout)


if __name__ == "__main__":
    main()
