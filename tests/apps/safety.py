"""What a tracer may break: stacks that switch, signals, forks and ends in the middle of steps. Prints what it did, the same each time.

    safety.py once      does everything once
    safety.py 1000      does it so often, each time in a process of its own, and counts those that did not do the same
"""

import asyncio
import contextvars
import faulthandler
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import greenlet

SIGNALS_S = 0.001
n_signals = 0
are_wanted = True


def once() -> None:
    faulthandler.dump_traceback_later(20, exit=True)
    signal.signal(signal.SIGALRM, count_signal)
    signal.setitimer(signal.ITIMER_REAL, SIGNALS_S)
    for part in (contexts_left_in_another_order, asyncio_steps, main_thread_reads_a_queue, thread_ends_in_a_step, fork_in_a_step):
        print(part.__name__, part(), flush=True)
    print("exec in a step", flush=True)
    shut_down()
    contextvars.copy_context().run(exec_in_a_child)
    stop_signals()
    print("signals", n_signals > 0, flush=True)
    # Daemon threads are still in steps while the interpreter shuts down, and a loop is never closed.
    asyncio.new_event_loop().call_soon(print)


def count_signal(_number, _frame) -> None:
    """Switches stacks, wherever the signal came. The next comes after it: on a slow machine one within the other would be too many."""
    global n_signals
    n_signals += 1
    greenlet.greenlet(lambda: contextvars.copy_context().run(int)).switch()
    if are_wanted:
        signal.setitimer(signal.ITIMER_REAL, SIGNALS_S)


def stop_signals() -> None:
    global are_wanted
    are_wanted = False
    signal.setitimer(signal.ITIMER_REAL, 0)


def contexts_left_in_another_order() -> list:
    """Greenlets that enter in one order, and leave in another."""
    order: list = []
    main = greenlet.getcurrent()

    def enter(name: int) -> None:
        def stay() -> None:
            main.switch()
            order.append(name)

        contextvars.copy_context().run(stay)

    greenlets = [greenlet.greenlet(enter) for _ in range(8)]
    for name, entered in enumerate(greenlets):
        entered.switch(name)
    for left in (3, 0, 7, 1, 6, 2, 5, 4):
        greenlets[left].switch()
    return order


def asyncio_steps() -> int:
    async def step(depth: int) -> int:
        if depth == 0:
            await asyncio.sleep(0)
            return 1
        return sum(await asyncio.gather(*(step(depth - 1) for _ in range(3))))

    async def steps() -> int:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(3) as pool:
            squares = await asyncio.gather(*(loop.run_in_executor(pool, pow, i, 2) for i in range(20)))
        task = asyncio.ensure_future(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return await step(4) + sum(squares)

    return asyncio.run(steps())


def main_thread_reads_a_queue() -> int:
    """Signals come while it waits in the queue."""
    items: queue.SimpleQueue = queue.SimpleQueue()
    timer = threading.Timer(0.02, items.put, [42])
    timer.start()
    item = items.get()
    try:
        items.get_nowait()
    except queue.Empty:
        item += 1
    timer.join()
    return item


def thread_ends_in_a_step() -> int:
    threads = [threading.Thread(target=contextvars.copy_context().run, args=(sys.exit,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(threads)


def fork_in_a_step() -> int:
    """The child goes on in the step, and runs steps of its own."""

    def fork() -> int:
        child = os.fork()
        if child == 0:
            os._exit(7 if asyncio.run(asyncio.sleep(0, True)) else 8)
        _, status = os.waitpid(child, 0)
        return os.WEXITSTATUS(status)

    return contextvars.copy_context().run(fork)


def shut_down() -> None:
    for _ in range(4):
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(threading.Event().wait,), daemon=True).start()


def exec_in_a_child() -> None:
    child = os.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-S", "-c", "import contextvars; contextvars.copy_context().run(print, 'execed')"])
    os.waitpid(child, 0)


def many(times: int) -> int:
    def run(_number: int) -> tuple:
        done = subprocess.run([sys.executable, "-W", "ignore", __file__, "once"], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    with ThreadPoolExecutor(2) as pool:
        outcomes = Counter(pool.map(run, range(times)))
    for (code, stdout, stderr), count in outcomes.most_common():
        print(f"{count} times exit code {code}\n{stdout}{stderr}")
    return 0 if len(outcomes) == 1 else 1


if __name__ == "__main__":
    if sys.argv[1] == "once":
        once()
    else:
        sys.exit(many(int(sys.argv[1])))
