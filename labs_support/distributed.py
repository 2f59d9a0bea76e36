"""One training step in several processes: DDP copies the model, FSDP shares it out.

    torchrun --nproc-per-node=2 -m labs_support.distributed result.json
    accelerate launch --cpu --num_processes 2 -m labs_support.distributed result.json

On a cluster the same file is started on every machine, with --nnodes and an address.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from labs_support.gpt import GPT, GPTConfig

CONFIG = GPTConfig(vocabulary=256, context=32, width=64, n_layers=2, n_heads=2)


def new_model() -> GPT:
    """Return the same untrained model in every process."""
    torch.manual_seed(0)
    return GPT(CONFIG)


def joined_batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the batch of all processes together, x and y (8, T)."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(CONFIG.vocabulary, (8, CONFIG.context + 1), generator=generator)
    return ids[:, :-1], ids[:, 1:]


def gradient(model, x, y) -> torch.Tensor:
    """Return all gradients of the loss on a batch as one row, (number of weights,)."""
    F.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
    grads = [weight.grad for weight in model.parameters()]
    whole = [g.full_tensor() if hasattr(g, "full_tensor") else g for g in grads]
    return torch.cat([g.flatten() for g in whole])


def own_bytes(model) -> int:
    """Return the bytes of the weights that this process keeps."""
    weights = [
        w.to_local() if hasattr(w, "to_local") else w for w in model.parameters()
    ]
    return sum(w.numel() * w.element_size() for w in weights)


def compare() -> dict:
    """Return what the processes of this job measured together."""
    rank, world = dist.get_rank(), dist.get_world_size()
    x, y = joined_batch()
    mine = slice(rank, None, world)  # this process reads every world-th text
    alone = gradient(new_model(), x, y)
    copied = gradient(DistributedDataParallel(new_model()), x[mine], y[mine])
    shared = new_model()
    mesh = init_device_mesh("cpu", (world,))
    for block in shared.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(shared, mesh=mesh)
    n_bytes = own_bytes(shared)
    result = {
        "processes": world,
        "ddp_gap": (copied - alone).abs().max().item(),
        "fsdp_gap": (gradient(shared, x[mine], y[mine]) - alone).abs().max().item(),
        "alone_gap": (gradient(new_model(), x[mine], y[mine]) - alone)
        .abs()
        .max()
        .item(),
        "all_bytes": own_bytes(new_model()),
        "own_bytes": n_bytes,
    }
    everyone = [None] * world
    dist.all_gather_object(everyone, result)
    return everyone[0] | {"own_bytes": [one["own_bytes"] for one in everyone]}


def launch(n_processes: int = 2) -> dict:
    """Return what `compare` measures in a job of several processes on this machine.

    Raises:
        RuntimeError: if the job fails; the message holds its last line.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result.json"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += [f"--nproc-per-node={n_processes}", "-m", __name__, str(file)]
        env = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        job = subprocess.run(command, env=env, capture_output=True, text=True)
        if job.returncode or not file.exists():
            last = (job.stderr.strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"The job of {n_processes} processes failed: {last}")
        return json.loads(file.read_text(encoding="utf-8"))


def main() -> None:
    """Join the job that a launcher started, measure, and write the result once."""
    dist.init_process_group("gloo")
    torch.set_num_threads(1)
    result = compare()
    if dist.get_rank() == 0:
        Path(sys.argv[1]).write_text(json.dumps(result), encoding="utf-8")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
