"""What times this machine gives at best: a loop that only computes, for as much of a core as a server takes.

The cores of a virtual machine may be slowed for a tenth of a second, all at once and while several are busy. Its own
clock of CPU time does not show that. Run as a program: a JSON order on standard input, `{cpu, rate, busy, seconds}`,
latencies in seconds out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence


def machine_latencies(cpus: Sequence[int], rate: float, busy: float, seconds: float) -> list[float]:
    """Of `rate` computations a second, `busy` seconds of CPU each: from when one is due to its end, in order.

    On the first of `cpus`, while the others are as busy.
    """
    order = {"rate": rate, "busy": busy, "seconds": seconds}
    loops = []
    for cpu in cpus:
        loop = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert loop.stdin is not None
        loop.stdin.write(json.dumps({"cpu": cpu, **order}) + "\n")
        loop.stdin.flush()
        loops.append(loop)
    results = [loop.communicate()[0] for loop in loops]
    latencies: list[float] = json.loads(results[0])
    return latencies


def compute(rounds: int) -> float:
    begun = time.perf_counter()
    total = 0
    for number in range(rounds):
        total += number * number
    return time.perf_counter() - begun


def main() -> None:
    order = json.loads(sys.stdin.readline())
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
