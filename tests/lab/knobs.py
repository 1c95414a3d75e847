"""How the vendor shall answer a request: `name=value` pairs in the name of the model it asks for.

`ttft=200,gap=20,n=20` answers after 200 ms with 20 chunks, 20 ms apart. `100-400` is a time between 100 and 400 ms, another for each
call but the same in each run.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Knobs:
    # Request received to first byte of the answer; between chunks.
    ttft_s: float
    gap_s: float
    # Chunks of content, each one word.
    chunks: int
    # The first `failures` attempts are refused with `status` and, unless 0, `retry-after` in seconds.
    failures: int
    status: int
    retry_after: int
    # The connection is cut by RST after so many chunks; -1 never.
    cut: int
    # There is an error in the stream after so many chunks; -1 never.
    error: int
    # The stream has its last piece, with the mark of its end.
    done: bool
    # The answer is compressed by this, where the client takes it; not where it is empty.
    coding: str


def parse(model: str, call: str) -> Knobs:
    values = dict(pair.split("=", 1) for pair in model.split(",") if "=" in pair)
    chance = random.Random(call)
    return Knobs(
        ttft_s=_seconds(values.get("ttft", "50"), chance),
        gap_s=_seconds(values.get("gap", "10"), chance),
        chunks=int(values.get("n", "5")),
        failures=int(values.get("fail", "0")),
        status=int(values.get("status", "429")),
        retry_after=int(values.get("retry_after", "0")),
        cut=int(values.get("cut", "-1")),
        error=int(values.get("error", "-1")),
        done=values.get("done", "1") == "1",
        coding=values.get("coding", ""),
    )


def name(model: str) -> str:
    """The call's name, where the model has it: `id=NAME`, with `~` for a slash, which not every path can hold."""
    return next((pair[3:].replace("~", "/") for pair in model.split(",") if pair.startswith("id=")), "")


def _seconds(text: str, chance: random.Random) -> float:
    low, _, high = text.partition("-")
    return chance.uniform(float(low), float(high or low)) / 1000
