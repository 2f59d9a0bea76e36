"""Trains lume-lm and lume-lm-chat: Llama architecture, from random weights.

    python -m labs_support.recipes.language base --minutes 60
    torchrun --nproc-per-node=2 -m labs_support.recipes.language chat --minutes 60

A run can be stopped at any time and goes on from its last checkpoint. Its schedule
follows the clock (`--minutes`), or the number of tokens (`--tokens`).
"""

import argparse
import json
import math
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from labs_support import settings
from labs_support.recipes import bpe
from labs_support.recipes.batches import batches, collate, samples
from labs_support.recipes.muon import Muon

SHAPE = {
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
}
LEARNING_RATE = {"base": 7e-3, "chat": 3e-3}
SEEDS = {"base": 11, "chat": 31}
VALIDATION = 5_000_011  # seed of the texts kept for measuring
TOKENS_A_STEP = 4096  # per process
KEEP = 0.35  # share of ordinary tokens whose loss is computed


def new_model(tokenizer) -> LlamaForCausalLM:
    """Return an untrained model whose word embeddings start from MiniLM's."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=bpe.CONTEXT,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **SHAPE,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(
            bpe.word_vectors(tokenizer, config.hidden_size)
        )
    return model


def weighted_loss(model, ids: torch.Tensor, weights: torch.Tensor, keep: float = KEEP):
    """Return the mean loss; of the tokens of weight 1 or less only a sample counts."""
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    targets, weights = ids[:, 1:], weights[:, 1:]
    share = torch.where(weights > 1, 1.0, keep * weights)
    chosen = torch.rand_like(weights) < share
    logits = model.lm_head(hidden[chosen])
    loss = F.cross_entropy(logits.float(), targets[chosen], reduction="none")
    weight = weights[chosen].clamp(min=1)
    return (loss * weight).sum() / weight.sum()


def optimizers(model, rate: float) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices of the layers, AdamW for the rest."""
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    known = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in known]
    muon = Muon(matrices, lr=rate)
    adamw = torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    for optimizer in (muon, adamw):
        for group in optimizer.param_groups:
            group["peak"] = rate
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
        torch.manual_seed(settings.read().seed)
        if arguments.start:
            self.model = LlamaForCausalLM.from_pretrained(
                arguments.start, dtype=torch.float32
            )
        else:
            self.model = new_model(self.tokenizer)
        self.model.to(self.device).train()
        self.optimizers = optimizers(self.model, LEARNING_RATE[arguments.stage])
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self.resume()
        torch.manual_seed(self.step * 64 + self.rank)

    def resume(self) -> None:
        """Go on from the last checkpoint, if there is one."""
        file = self.folder / "checkpoint.pt"
        if not file.exists():
            return
        state = torch.load(file, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.tokens = state["step"], state["tokens"]
        self.seconds = state["seconds"]

    def save(self) -> None:
        """Write the checkpoint, and the model as others read it."""
        if self.rank:
            return
        file = self.folder / "checkpoint.pt"
        state = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
        }
        torch.save(state, file.with_suffix(".new"))
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
        if self.world == 1:
            return
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        flat /= self.world
        place = 0
        for gradient in gradients:
            gradient.copy_(flat[place : place + gradient.numel()].view_as(gradient))
            place += gradient.numel()

    def together(self, value: float) -> float:
        """Return the value of the first process, so that all share one clock."""
        if self.world == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(shared, 0)
        return float(shared)

    def train(self) -> None:
        """Train to the end of the schedule, with a checkpoint every few minutes."""
        seed = SEEDS[self.a.stage] + 7919 * self.rank + 104_729 * self.step
        rows = samples(self.a.stage, self.tokenizer, seed, self.progress)
        saved, losses = time.perf_counter(), []
        for batch in batches(rows, seed, TOKENS_A_STEP):
            start = time.perf_counter()
            ids, weights = (
                t.to(self.device) for t in collate(batch, self.tokenizer.pad_token_id)
            )
            with torch.autocast(
                self.device, torch.bfloat16, enabled=self.device == "cuda"
            ):
                loss = weighted_loss(self.model, ids, weights)
            loss.backward()
            self.average_gradients()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = group["peak"] * scale(self.progress(), self.a.stage)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            self.step += 1
            self.tokens += ids.numel() * self.world
            self.seconds += self.together(time.perf_counter() - start)
            losses.append(loss.item())
            if self.step % 25 == 0:
                self.log(losses)
                losses = []
            if self.progress() >= 1:
                break
            if self.together(time.perf_counter() - saved) > 240:
                self.save()
                saved = time.perf_counter()
        self.save()

    def log(self, losses: list[float]) -> None:
        """Append one line to the log."""
        if self.rank:
            return
        line = {
            "step": self.step,
            "tokens": self.tokens,
            "seconds": round(self.seconds),
            "loss": round(sum(losses) / len(losses), 4),
            "progress": round(self.progress(), 4),
        }
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=["tokenizer", "base", "chat"])
    parser.add_argument("--folder", default="runs/language")
    parser.add_argument("--tokenizer", default="runs/tokenizer")
    parser.add_argument("--start", default="", help="model to start from")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--tokens", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.stage == "tokenizer":
        bpe.train().save_pretrained(arguments.tokenizer)
        return
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    Run(arguments).train()


if __name__ == "__main__":
    main()
