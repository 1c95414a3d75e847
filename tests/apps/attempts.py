"""A run of calls that go wrong, each in its own way, by the synchronous client and by the other."""

import asyncio
import time

import anyio
from openai import AsyncOpenAI, OpenAI

import truth

MESSAGES = [{"role": "user", "content": "?"}]
# The case is in the model's name.
CASES = {
    "limited": "ttft=30,n=4,fail=1,status=429,retry_after=1",
    "overloaded": "ttft=30,n=4,fail=2,status=529",
    "slow": "ttft=600,n=4",
    "given_up": "ttft=30,gap=40,n=20",
    "cut": "ttft=30,n=9,cut=3",
    "unended": "ttft=30,n=4,done=0",
    "failed": "ttft=30,n=9,error=2",
}
SLOW = {"timeout": 0.25, "max_retries": 1}


def main(this: truth.Request) -> None:
    client = OpenAI()
    for case in CASES:
        of = client.with_options(**SLOW) if case == "slow" else client
        try:
            with of.chat.completions.create(model=model(this, case), messages=MESSAGES, stream=True) as stream:
                for number, _ in enumerate(stream):
                    if case == "given_up" and number == 2:
                        break
        except Exception as error:
            print("sync", case, type(error).__name__)


async def main_async(this: truth.Request) -> None:
    client = AsyncOpenAI()
    for case in CASES:
        of = client.with_options(**SLOW) if case == "slow" else client
        try:
            async with await of.chat.completions.create(
                model=model(this, case), messages=MESSAGES, stream=True
            ) as stream:
                number = 0
                async for _ in stream:
                    if case == "given_up" and number == 2:
                        break
                    number += 1
        except Exception as error:
            print("async", case, type(error).__name__)


def model(this: truth.Request, case: str) -> str:
    return f"{CASES[case]},case={case},id={this.call().name.replace('/', '~')}"


def count_sleeps(this: truth.Request) -> None:
    """What the clients sleep between attempts."""
    sleep, sleep_async = time.sleep, anyio.sleep
    this.waits["llm.backoff"] = 0

    def counted(delay: float) -> None:
        start_ns = truth.now_ns()
        sleep(delay)
        this.waits["llm.backoff"] += truth.now_ns() - start_ns

    async def counted_async(delay: float) -> None:
        start_ns = truth.now_ns()
        await sleep_async(delay)
        this.waits["llm.backoff"] += truth.now_ns() - start_ns

    time.sleep, anyio.sleep = counted, counted_async


with truth.run("attempts") as this:
    count_sleeps(this)
    main(this)
    asyncio.run(main_async(this))
