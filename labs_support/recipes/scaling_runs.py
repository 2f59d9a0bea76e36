r"""Trains the small models whose losses make the scaling law and the IsoFLOP curves.

    python -m labs_support.recipes.scaling_runs --seeds 2

Two families of runs: "law" reads 20 tokens per weight; "isoflop" spends a given number
of operations on models of several sizes. Every finished run is one line of
data/foundation/scaling.jsonl, so a run that was stopped goes on with the next one.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from labs_support import parameters, scaling, settings, small_runs
from labs_support.settings import DATA

FILE = DATA / "foundation" / "scaling.jsonl"
LAW = ("16 x 1", "24 x 2", "32 x 2", "48 x 2", "64 x 3")
ISOFLOP = {
    3e11: ("16 x 1", "24 x 2", "32 x 2", "48 x 2", "64 x 3"),
    1e12: ("24 x 2", "32 x 2", "48 x 2", "64 x 3", "96 x 3"),
    3e12: ("32 x 2", "48 x 2", "64 x 3", "96 x 3", "128 x 4"),
}


def plan(seed: int) -> Iterator[dict]:
    """Yield the runs of one seed, the cheapest family first."""
    for name in LAW:
        size = small_runs.description(small_runs.SIZES[name])
        n_tokens = scaling.TOKENS_PER_WEIGHT * parameters.count(size).total
        yield {"family": "law", "size": name, "n_tokens": n_tokens, "seed": seed}
    for flops, names in ISOFLOP.items():
        for name in names:
            n_tokens = int(flops / small_runs.flops_per_token(small_runs.SIZES[name]))
            family = f"isoflop {flops:.0e}"
            yield {"family": family, "size": name, "n_tokens": n_tokens, "seed": seed}


def rows(file: Path = FILE) -> list[dict]:
    """Return the finished runs; a last line that was cut off does not count."""
    lines = file.read_text(encoding="utf-8").splitlines(True) if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def train(seeds: int, file: Path = FILE) -> None:
    """Train what the plan holds and the file does not."""
    settings.seed_everything()
    finished = rows(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in finished)
    file.write_text(lines, encoding="utf-8")
    done = {(row["family"], row["size"], row["seed"]) for row in finished}
    for seed in range(seeds):
        for job in plan(seed):
            if (job["family"], job["size"], seed) in done:
                continue
            size = small_runs.SIZES[job["size"]]
            run = small_runs.train(size, job["n_tokens"], seed)._asdict()
            run |= {"loss": round(run["loss"], 5), "seconds": round(run["seconds"])}
            with file.open("a", encoding="utf-8") as log:
                log.write(json.dumps(job | run) + "\n")


def main(words: list[str] | None = None) -> None:
    """Read the command line, or the words given in its place, and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--file", type=Path, default=FILE)
    arguments = parser.parse_args(words)
    train(arguments.seeds, arguments.file)


if __name__ == "__main__":
    main()
