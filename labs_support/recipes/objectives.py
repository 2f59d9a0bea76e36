"""Trains one model for each of the three objectives of lesson 04, all on the same lines.

    python -m labs_support.recipes.objectives

About five minutes on one core. A model whose weights are there is not trained again:
delete its file in data/models/lume-objectives to do so.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from labs_support import objectives, settings
from labs_support.objectives import FOLDER, STEPS
from labs_support.world import store

SEED = 0
LOG_EVERY = 20
MAKERS = {
    "BERT": objectives.blanks,
    "GPT": objectives.continuations,
    "T5": objectives.gaps,
}


def new_model(name: str):
    """Return an untrained model with the recipe's seed."""
    torch.manual_seed(SEED)
    return objectives.small_models(len(objectives.vocabulary()))[name]


def curve(folder: Path = FOLDER) -> list[dict]:
    """Return the log: model, step and the mean loss of the steps since the last one."""
    file = folder / "log.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


def train(name: str, n_steps: int = STEPS, folder: Path = FOLDER) -> None:
    """Train one model and write its weights, in 16 bits, and its log."""
    model, recent, log = new_model(name), [], []
    rows = objectives.rows("train")
    for step, loss in enumerate(objectives.fit(model, rows, MAKERS[name], n_steps), 1):
        recent.append(loss)
        if step % LOG_EVERY == 0:
            mean = round(sum(recent) / len(recent), 4)
            log.append({"model": name, "step": step, "loss": mean})
            recent = []
    folder.mkdir(parents=True, exist_ok=True)
    others = [row for row in curve(folder) if row["model"] != name]
    text = "".join(json.dumps(row) + "\n" for row in others + log)
    (folder / "log.jsonl").write_text(text, encoding="utf-8")
    weights = {
        n: p.detach().bfloat16().contiguous() for n, p in model.named_parameters()
    }
    save_file(weights, folder / f"{name.lower()}.safetensors")


def card(folder: Path = FOLDER) -> str:
    """Return the card of the trained models: what they are, from what, how far they came."""
    last = {row["model"]: row for row in curve(folder)}
    lines = [
        f"| {name} | {last[name]['step']:,} | {last[name]['loss']:.3f} "
        f"| `{store.sha256(folder / f'{name.lower()}.safetensors')}` |\n"
        for name in MAKERS
    ]
    return (
        "# lume-objectives\n\n"
        "A BERT, a GPT and a T5 of under 200,000 weights each, trained on the same lines "
        "with three objectives, to compare them in lesson 04.\n\n"
        "- Recipe: `python -m labs_support.recipes.objectives`, seed "
        f"{SEED}, batches of 64 lines, one thread of a CPU\n"
        "- Texts: `data/phrases/train.jsonl`, English and French in one line; the test "
        "split was never read\n"
        "- Format: bfloat16 safetensors; licence MIT\n\n"
        "The losses are means over the last 20 steps, in nats per target. The three ask "
        "different questions, so they cannot be compared with each other; "
        "`log.jsonl` holds the curves.\n\n"
        "| | steps | training loss | SHA-256 |\n|---|---|---|---|\n" + "".join(lines)
    )


def main(words: list[str] | None = None) -> None:
    """Read the command line, or the words given in its place, and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args(words)
    settings.seed_everything()
    for name in MAKERS:
        if not (arguments.folder / f"{name.lower()}.safetensors").exists():
            train(name, arguments.steps, arguments.folder)
    text = card(arguments.folder)
    (arguments.folder / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
