r"""Trains lume-lm and lume-lm-chat: Llama architecture, from random weights.

    python -m labs_support.recipes.language base --minutes 60
    torchrun --nproc-per-node=2 -m labs_support.recipes.language chat \
        --start runs/base/model --minutes 60
    python -m labs_support.recipes.language more --start runs/chat/model --minutes 100

`more` goes on with the conversations of `chat` at their full length.

A run can be stopped at any time and goes on from its last checkpoint. Its schedule
follows the clock (`--minutes`), or the number of tokens (`--tokens`).
"""

import argparse
import itertools
import json
import math
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from labs_support import settings
from labs_support.recipes import bpe
from labs_support.recipes.batches import Batch, batches, collate, samples
from labs_support.recipes.model import POINTING, new_model, weighted_loss
from labs_support.recipes.muon import Muon

LEARNING_RATE = {"base": 7e-3, "chat": 5e-3, "more": 4e-3}
SEEDS = {"base": 11, "chat": 31, "more": 53}
VALIDATION = 5_000_011  # seed of the texts kept for measuring
TOKENS_A_STEP = 3072  # per process
PLACE = ("step", "tokens", "seconds")  # how far a run is
LOG_STEPS, SAVE_SECONDS = 25, 240


def optimizers(model, rate: float) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices of the layers, AdamW for the rest."""
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    known = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in known]
    muon = Muon(matrices, lr=rate)
    adamw = torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    return [muon, adamw]


def scale(progress: float, stage: str) -> float:
    """Return the share of the peak rate: warm-up, then a cosine down to the floor."""
    if progress < 0.01:
        return max(0.02, progress / 0.01)
    floor = 0.15 if stage == "base" else 0.0
    return floor + (1 - floor) * (1 + math.cos(math.pi * min(1, progress))) / 2


class Run:
    """One training run: model, optimizers, checkpoint, log."""

    def __init__(self, arguments):
        """Start or resume the run in `arguments.folder`."""
        self.a = arguments
        self.world = int(os.environ.get("WORLD_SIZE", 1))
        self.rank = int(os.environ.get("RANK", 0))
        if self.world > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        self.device = settings.device()
        self.folder = Path(arguments.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(arguments.tokenizer)
        settings.seed_everything()
        if arguments.start:
            self.model = LlamaForCausalLM.from_pretrained(
                arguments.start, dtype=torch.float32
            )
        else:
            self.model = new_model(self.tokenizer)
        self.model.to(self.device).train()
        if arguments.compile:
            for number, layer in enumerate(self.model.model.layers):
                if number != POINTING[0]:  # that one is looked into
                    layer.compile(dynamic=True)
        self.optimizers = optimizers(self.model, LEARNING_RATE[arguments.stage])
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self.resume()
        torch.manual_seed(self.step * 64 + self.rank)

    def resume(self) -> None:
        """Go on from the last checkpoint, if there is one."""
        file = self.folder / "checkpoint.safetensors"
        if not file.exists():
            return
        with safe_open(file, "pt", device=self.device) as saved:
            done = saved.metadata()
            tensors = {name: saved.get_tensor(name) for name in saved.keys()}
        self.step, self.tokens = int(done["step"]), int(done["tokens"])
        self.seconds = float(done["seconds"])
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(tensors[f"model/{name}"])
        for number, optimizer in enumerate(self.optimizers):
            state = optimizer.state_dict()
            for name, tensor in tensors.items():
                if name.startswith(f"optimizer {number}/"):
                    _, index, key = name.split("/")
                    state["state"].setdefault(int(index), {})[key] = tensor
            optimizer.load_state_dict(state)

    def save(self) -> None:
        """Write the checkpoint, and the model as others read it."""
        if self.rank:
            return
        tensors = {f"model/{n}": p.data for n, p in self.model.named_parameters()}
        for number, optimizer in enumerate(self.optimizers):
            for index, state in optimizer.state_dict()["state"].items():
                for key, tensor in state.items():
                    tensors[f"optimizer {number}/{index}/{key}"] = tensor
        done = {name: str(getattr(self, name)) for name in PLACE}
        file = self.folder / "checkpoint.safetensors"
        save_file(tensors, file.with_suffix(".new"), metadata=done)
        file.with_suffix(".new").replace(file)
        self.model.save_pretrained(self.folder / "model")
        self.tokenizer.save_pretrained(self.folder / "model")

    def progress(self) -> float:
        """Return the share of the run that is done, 0-1."""
        if self.a.tokens:
            return self.tokens / self.a.tokens
        return self.seconds / (60 * self.a.minutes)

    def average_gradients(self) -> None:
        """Average the gradients over the processes."""
        for parameter in self.model.parameters() if self.world > 1 else ():
            dist.all_reduce(parameter.grad)
            parameter.grad /= self.world

    def mean(self, value: float) -> float:
        """Return the mean over the processes, so that all take the same decisions."""
        if self.world == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.all_reduce(shared)
        return float(shared) / self.world

    def train(self) -> None:
        """Train to the end of the schedule, with a checkpoint every few minutes."""
        seed = SEEDS[self.a.stage] + 7919 * self.rank + 104_729 * self.step
        is_long = self.a.stage == "more"
        length = (lambda: 1.0) if is_long else self.progress
        rows = samples(self.a.stage, self.tokenizer, seed, length)
        before, saved, losses = time.perf_counter(), self.seconds, []
        for batch in batches(rows, seed, TOKENS_A_STEP):
            losses.append(self.update(self.tensors(batch)))
            now = time.perf_counter()
            self.seconds += self.mean(now - before)
            before = now
            is_done = self.progress() >= 1
            if self.step % LOG_STEPS == 0 or is_done:
                self.log(training_loss=sum(losses) / len(losses))
                losses = []
            if is_done or self.seconds - saved > SAVE_SECONDS:
                self.log(validation_loss=self.validation_loss())
                self.save()
                saved = self.seconds
            if is_done:
                return

    def tensors(self, rows: list) -> Batch:
        """Return rows as a batch on the device."""
        batch = collate(rows, self.tokenizer.pad_token_id)
        return batch._replace(
            ids=batch.ids.to(self.device), weights=batch.weights.to(self.device)
        )

    def loss(self, batch: Batch, **options) -> torch.Tensor:
        """Return the loss of a batch, in bfloat16 where there is a GPU."""
        is_gpu = self.device == "cuda"
        with torch.autocast(self.device, torch.bfloat16, enabled=is_gpu):
            return weighted_loss(self.model, batch, **options)

    def update(self, batch: Batch) -> float:
        """Take one step and return its loss."""
        loss = self.loss(batch)
        loss.backward()
        self.average_gradients()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        rate = LEARNING_RATE[self.a.stage] * scale(self.progress(), self.a.stage)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.tokens += round(self.mean(batch.ids.numel()) * self.world)
        return loss.item()

    @torch.no_grad()
    def validation_loss(self) -> float:
        """Return the loss on texts that no run trains on, every token counted."""
        rows = samples(self.a.stage, self.tokenizer, VALIDATION, lambda: 1.0)
        kept = [list(itertools.islice(rows, 8)) for _ in range(4)]
        losses = [
            self.loss(self.tensors(batch), keep=1.0, pointing=0.0) for batch in kept
        ]
        return float(sum(losses) / len(losses))

    def log(self, **losses: float) -> None:
        """Append one line to the log."""
        if self.rank:
            return
        place = {name: round(getattr(self, name)) for name in PLACE}
        line = place | {name: round(loss, 4) for name, loss in losses.items()}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")


def main(words: list[str] | None = None) -> None:
    """Read the command line, or the words given in its place, and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=["tokenizer", *SEEDS])
    parser.add_argument("--folder", help="runs/STAGE unless given")
    parser.add_argument("--tokenizer", default="runs/tokenizer")
    parser.add_argument("--start", default="", help="model to start from")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--tokens", type=int, default=0)
    parser.add_argument(
        "--compile", action="store_true", help="faster; needs a C++ compiler"
    )
    arguments = parser.parse_args(words)
    arguments.folder = arguments.folder or f"runs/{arguments.stage}"
    if arguments.stage == "tokenizer":
        bpe.train().save_pretrained(arguments.tokenizer)
        return
    Run(arguments).train()


if __name__ == "__main__":
    main()
