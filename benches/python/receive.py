"""AnyIO as its documentation shows it: a process sends itself a signal and receives it.

The benchmarks of the crate start it: --child python/anyio-trio self 10000
"""

import os
import signal
import statistics
import sys
import time

import anyio

_, _, name, work, total = sys.argv
assert work == "self", work
backend = name.removeprefix("python/anyio-")
count = int(total) // 5 + 1


async def main():
    times = []
    with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
        for _ in range(6):
            begin = time.monotonic_ns()
            for _ in range(count):
                os.kill(os.getpid(), signal.SIGUSR1)
                assert await anext(signals) == signal.SIGUSR1
            times.append((time.monotonic_ns() - begin) / count)
    # The first round warms it up.
    print(f"ns={statistics.median(times[1:])}")


anyio.run(main, backend=backend)
