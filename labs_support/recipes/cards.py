"""Puts trained models on the shelf: weights in bfloat16, metrics, and a card.

    python -m labs_support.recipes.cards lume-lm-chat runs/chat runs/more

`labs evaluate NAME` measures a model of the shelf again with the same functions.
"""

import json
import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch

from labs_support.recipes import clip_card, diffusion_card, language
from labs_support.settings import DATA, ROOT
from labs_support.world import store

MODELS = DATA / "models"
MEASURES = {
    "lume-lm": "evaluation:base_scores",
    "lume-lm-chat": "evaluation:chat_scores",
    "lume-clip": "clip_evaluation:evaluate",
    "lume-diffusion": "diffusion_evaluation:evaluate",
}
ABOUT = {
    "lume-lm": (
        "The base language model of the course, trained from random weights on texts "
        "about shops that do not exist. It continues a text."
    ),
    "lume-lm-chat": (
        "The chat model of the course: lume-lm, trained on to answer from sources and "
        "cite them, to say when they hold no answer, and to do the shop's small tasks."
    ),
}
STAGES = {"lume-lm": ("base",), "lume-lm-chat": ("chat", "more")}
POINTS = 12  # lines of the training curve in a card


def measure(name: str) -> Callable[[], dict[str, float]]:
    """Return the function that measures a model of the shelf.

    Raises:
        ValueError: if no model of that name is measured; the message names those.
    """
    if name not in MEASURES:
        raise ValueError(f"there is no model {name!r}; there are {', '.join(MEASURES)}")
    module, _, function = MEASURES[name].partition(":")
    return getattr(import_module(f"labs_support.recipes.{module}"), function)


def publish(name: str, *runs: Path) -> None:
    """Copy the model of the last run into data/models, measure it, write its card.

    Args:
        name: of the model on the shelf.
        *runs: folders of its training runs, one for each stage, in order.
    """
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from labs_support import shelf

    folder = MODELS / name
    run = runs[-1]
    if name == "lume-diffusion":
        diffusion_card.put(run)
        record(name, measure(name)())
        return
    model = AutoModelForCausalLM.from_pretrained(run / "model", dtype=torch.bfloat16)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(run / "model").save_pretrained(folder)
    file = str(folder / "tokenizer.json")
    Tokenizer.from_file(file).save(file, pretty=False)  # less than half the bytes
    lines = joined(STAGES[name], [run / "log.jsonl" for run in runs])
    text = json.dumps(lines, indent=0) + "\n"
    (folder / "training.json").write_text(text, encoding="utf-8")
    store.write_checksums()
    shelf.language_model.cache_clear()
    record(name, measure(name)())


def joined(stages: tuple[str, ...], logs: list[Path]) -> list[dict]:
    """Return the lines of the logs of a model's stages, each with its stage.

    Steps, tokens and seconds go on counting from one stage to the next.
    """
    lines, done = [], dict.fromkeys(language.PLACE, 0)
    for stage, log in zip(stages, logs, strict=True):
        rows = [json.loads(r) for r in log.read_text(encoding="utf-8").splitlines()]
        # a run that was stopped writes the steps after its checkpoint twice
        for row in {(row["step"], *row): row for row in rows}.values():
            place = {key: done[key] + row[key] for key in done}
            lines.append({"stage": stage, **row, **place})
        done = {key: lines[-1][key] for key in done}
    return lines


def rebuild(name: str) -> None:
    """Train a model again and put it on the shelf.

    Language models are trained on as many tokens as before. Runs are kept in runs/; that
    of a language model goes on from its last checkpoint if it was stopped.
    """
    from labs_support import shelf
    from labs_support.recipes import clip

    if name == "lume-clip":
        run = ROOT / "runs" / "clip"
        clip.main(["--out", str(run)])
        shutil.copytree(run / name, MODELS / name, dirs_exist_ok=True)
        store.write_checksums()
        shelf.image_text.cache_clear()
        record(name, measure(name)())
        return
    if name == "lume-diffusion":
        publish(name, diffusion_card.retrain())
        return
    log = json.loads((MODELS / name / "training.json").read_text(encoding="utf-8"))
    tokenizer = ["--tokenizer", str(ROOT / "runs" / "tokenizer")]
    if not (ROOT / "runs" / "tokenizer").exists():
        language.main(["tokenizer", *tokenizer])
    start, done, runs = MODELS / "lume-lm" if name != "lume-lm" else None, 0, []
    for stage in STAGES[name]:
        total = max(line["tokens"] for line in log if line["stage"] == stage)
        runs.append(ROOT / "runs" / stage)
        words = [stage, "--tokens", str(total - done), "--folder", str(runs[-1])]
        language.main([*words, *tokenizer, *(["--start", str(start)] if start else [])])
        start, done = runs[-1] / "model", total
    publish(name, *runs)


def record(name: str, scores: dict[str, float]) -> None:
    """Write the measured scores of a model, and its card made from them."""
    folder = MODELS / name
    rounded = {key: round(value, 4) for key, value in scores.items()}
    text = json.dumps(rounded, indent=1) + "\n"
    (folder / "metrics.json").write_text(text, encoding="utf-8")
    page = folder / "README.md"
    if name in ABOUT:
        page.write_text(card(name), encoding="utf-8")
    else:
        text = page.read_text(encoding="utf-8")
        module = diffusion_card if name == "lume-diffusion" else clip_card
        page.write_text(module.with_scores(text, rounded), encoding="utf-8")
    store.write_checksums()


def card(name: str) -> str:
    """Return the card of a language model, from the files beside it."""
    folder = MODELS / name
    scores = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    log = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    shape = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    weights = folder / "model.safetensors"
    last = log[-1]
    learned = [line for line in log if "training_loss" in line]
    checked = [line for line in log if "validation_loss" in line]
    curve = [
        f"| {line['tokens']:,} | {line['training_loss']:.2f} |"
        for line in learned[:: max(1, len(learned) // POINTS)]
    ]
    return "\n".join(
        [
            f"# {name}", "", ABOUT[name], "",
            f"- Architecture: Llama ({shape['num_hidden_layers']} layers, width "
            f"{shape['hidden_size']}, {shape['num_attention_heads']} heads, vocabulary "
            f"{shape['vocab_size']:,}, context {shape['max_position_embeddings']:,} "
            "tokens), bfloat16 safetensors",
            f"- Size: {weights.stat().st_size:,} bytes, SHA-256 "
            f"`{store.sha256(weights)}`",
            f"- Recipe: `labs rebuild {name}`, or `labs_support/recipes/language.py` with "
            "`torchrun` for several processes; the seeds stand there",
            f"- Trained on {last['tokens']:,} tokens in {last['step']:,} steps, "
            f"{last['seconds'] / 60:.0f} minutes on one core of a CPU",
            "- Texts: `labs_support/recipes/readings.py` and `talks.py`, all invented; "
            "nothing of Bottega Lume's handbook or questions",
            "- Licence: MIT; texts CC BY 4.0", "",
            "## Measured", "",
            f"By `labs evaluate {name}`; shares from 0 to 1, losses in nats per token.",
            "", "| | |", "|---|---|",
            *(f"| {key.replace('_', ' ')} | {value:.3f} |" for key, value in scores.items()),
            "", "## Training", "",
            "| tokens | training loss |", "|---|---|", *curve, "",
            "The training loss weighs answers more and holds the loss of the pointing head, "
            "so it cannot be compared with the validation loss, which counts every token.",
            "", "| tokens | validation loss |", "|---|---|",
            *(f"| {x['tokens']:,} | {x['validation_loss']:.3f} |" for x in checked), "",
        ]
    )  # fmt: skip


if __name__ == "__main__":
    publish(sys.argv[1], *map(Path, sys.argv[2:]))
