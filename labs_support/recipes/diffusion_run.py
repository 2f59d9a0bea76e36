"""One training run of lume-diffusion: clock, schedule, averaged weights, checkpoint, log."""

import json
import time
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from labs_support.recipes.muon import Muon

WARM_UP, DECAY = 40, 0.6  # steps; share of the run at whose end the rate is 0
LOG_STEPS, SAVE_SECONDS = 25, 120
EMA = 0.995


def optimizers(model, rate: float) -> list[torch.optim.Optimizer]:
    """Return Muon for matrices and kernels inside, AdamW for the rest."""
    inside = [
        weight
        for name, weight in model.named_parameters()
        if weight.ndim > 1 and not name.startswith(("conv_in", "conv_out"))
    ]
    known = {id(weight) for weight in inside}
    rest = [weight for weight in model.parameters() if id(weight) not in known]
    return [
        Muon(inside, lr=rate, weight_decay=0.01),
        torch.optim.AdamW(
            [{"params": rest, "share": 0.5}], betas=(0.9, 0.98), weight_decay=0.0
        ),
    ]


class Run:
    """Trains a model for so many minutes of processor time; can be stopped and go on.

    Args:
        name: names the files of the run.
        model: what is trained, in place.
        rate: peak of the learning rate.
        minutes: processor time of the whole run.
        folder: where checkpoint and log are kept.
        own_optimizers: those of `model`; Muon and AdamW unless given.
    """

    def __init__(self, name, model, rate, minutes, folder: Path, own_optimizers=None):
        """Start, or go on from the last checkpoint."""
        self.name, self.model, self.rate, self.folder = name, model, rate, Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.limit = 60 * minutes
        self.optimizers = own_optimizers or optimizers(model, rate)
        self.average = {n: p.detach().clone() for n, p in model.named_parameters()}
        self.step, self.seconds = 0, 0.0
        self.resume()

    @property
    def file(self) -> Path:
        """Path of the checkpoint."""
        return self.folder / f"{self.name}.safetensors"

    def resume(self) -> None:
        """Go on from the last checkpoint, if there is one."""
        if not self.file.exists():
            return
        with safe_open(self.file, "pt") as saved:
            done = saved.metadata()
            tensors = {name: saved.get_tensor(name) for name in saved.keys()}
        self.step, self.seconds = int(done["step"]), float(done["seconds"])
        with torch.no_grad():
            for name, weight in self.model.named_parameters():
                weight.copy_(tensors[f"model/{name}"])
                self.average[name].copy_(tensors[f"average/{name}"])
        for number, optimizer in enumerate(self.optimizers):
            state = optimizer.state_dict()
            for name, tensor in tensors.items():
                if name.startswith(f"optimizer {number}/"):
                    _, index, key = name.split("/")
                    state["state"].setdefault(int(index), {})[key] = tensor
            optimizer.load_state_dict(state)
        self.forget_lost_steps()

    def forget_lost_steps(self) -> None:
        """Drop the lines of the log that came after the checkpoint."""
        log = self.folder / f"{self.name}.jsonl"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        kept = [f"{line}\n" for line in lines if json.loads(line)["step"] <= self.step]
        log.write_text("".join(kept), encoding="utf-8")

    def save(self) -> None:
        """Write the checkpoint."""
        tensors = {f"model/{n}": p.data for n, p in self.model.named_parameters()}
        tensors |= {f"average/{name}": weight for name, weight in self.average.items()}
        for number, optimizer in enumerate(self.optimizers):
            for index, state in optimizer.state_dict()["state"].items():
                for key, tensor in state.items():
                    tensors[f"optimizer {number}/{index}/{key}"] = tensor
        done = {"step": str(self.step), "seconds": str(self.seconds)}
        tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(tensors, self.file.with_suffix(".new"), metadata=done)
        self.file.with_suffix(".new").replace(self.file)

    def scale(self) -> float:
        """Return the share of the peak rate: warm-up, level, then down to 0."""
        left = max(0.0, 1 - self.seconds / self.limit)
        return min(1.0, (self.step + 1) / WARM_UP, left / DECAY)

    def train(self, loss_of, measure=None) -> None:
        """Train to the end of the schedule.

        Args:
            loss_of: called with the step, returns the loss of a fresh batch.
            measure: called at each checkpoint, returns what else to log by name.
        """
        before, saved, losses = time.process_time(), self.seconds, []
        while self.seconds < self.limit:
            losses.append(self.update(loss_of(self.step)))
            now = time.process_time()
            self.seconds += now - before
            before = now
            is_done = self.seconds >= self.limit
            if self.step % LOG_STEPS == 0 or is_done:
                self.log(loss=sum(losses) / len(losses))
                losses = []
            if is_done or self.seconds - saved > SAVE_SECONDS:
                self.save()
                if measure:
                    self.log(**measure())
                saved = self.seconds

    def update(self, loss) -> float:
        """Take one step and return its loss."""
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        rate = self.rate * self.scale()
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group.get("share", 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        keep = min(EMA, self.step / (self.step + 10))
        with torch.no_grad():
            for name, weight in self.model.named_parameters():
                self.average[name].lerp_(weight, 1 - keep)
        return loss.item()

    def use_average(self) -> None:
        """Put the averaged weights into the model."""
        with torch.no_grad():
            for name, weight in self.model.named_parameters():
                weight.copy_(self.average[name])

    def log(self, **values: float) -> None:
        """Append one line to the log."""
        line = {"step": self.step, "seconds": round(self.seconds)}
        line |= {name: round(value, 4) for name, value in values.items()}
        with (self.folder / f"{self.name}.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
