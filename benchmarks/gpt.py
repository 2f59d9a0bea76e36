"""The lesson's GPT against transformers' GPT-2: training and greedy generation.

One process, one thread, fp32, equal sizes, no dropout, the same batches, the same
fused AdamW, schedule and clipping. Repetitions alternate (A B A B ...), so that a busy
machine slows both; the tables show medians of processor time and of wall time.

    OMP_NUM_THREADS=1 python benchmarks/gpt.py [--repeats 15] [--json]

FLOPs of a training step: 6 * N * tokens for the matrix products with the N weights (the
embedding counts once, as the head), and 12 * n_layers * T * C * tokens for the two
products of attention with all T keys; half of that where the causal half is skipped.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import nn
from torch.nn import functional as F

from labs_support import gpt

CONFIG = gpt.GPTConfig(vocabulary=2048, context=256, width=256, n_layers=6, n_heads=8)
BATCH, PROMPT, NEW = 8, 32, 200
TOKENS = BATCH * CONFIG.context


class Reference(nn.Module):
    """transformers' GPT-2 with the sizes of CONFIG.

    Args:
        gelu: name of the activation; "gelu_new" is GPT-2 as it ships.
    """

    def __init__(self, gelu: str):
        super().__init__()
        from transformers import GPT2Config, GPT2LMHeadModel

        config = GPT2Config(
            vocab_size=CONFIG.vocabulary,
            n_positions=CONFIG.context,
            n_embd=CONFIG.width,
            n_layer=CONFIG.n_layers,
            n_head=CONFIG.n_heads,
            activation_function=gelu,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=None,
            pad_token_id=0,
        )
        config._attn_implementation = "sdpa"
        self.model = GPT2LMHeadModel(config)

    def loss(self, x, y):
        """Return the loss, computed like ours: the library's own adds two copies."""
        logits = self.model(input_ids=x, use_cache=False).logits
        return F.cross_entropy(logits.flatten(0, 1), y.flatten())

    def generate(self, ids):
        """Return NEW greedy tokens after ids, with the library's own cache."""
        return self.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=NEW,
            min_new_tokens=NEW,
            do_sample=False,
        )


def matrix_products() -> tuple[Callable[[], None], float]:
    """Return a function doing the products of one block, and its FLOPs."""
    C = CONFIG.width
    shapes = [(C, 3 * C), (C, C), (C, 4 * C), (4 * C, C)]
    work = [
        (torch.randn(TOKENS, m), torch.randn(m, n), torch.empty(TOKENS, n))
        for m, n in shapes
    ]

    def run() -> None:
        for a, b, out in work * 5:
            torch.mm(a, b, out=out)

    return run, 5 * sum(2 * TOKENS * m * n for m, n in shapes)


def alternate(runs: dict[str, Callable], repeats: int) -> dict[str, dict]:
    """Return median seconds {name: {"cpu", "wall"}}, the runs taking turns."""
    for run in runs.values():
        run()
    spent = {name: {"cpu": [], "wall": []} for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            spent[name]["cpu"].append(time.process_time() - cpu)
            spent[name]["wall"].append(time.perf_counter() - wall)
    return {
        name: {clock: statistics.median(values) for clock, values in clocks.items()}
        for name, clocks in spent.items()
    }


def training(repeats: int) -> dict[str, dict]:
    """Return the median seconds of a training step of each, and of the products."""
    torch.manual_seed(0)
    ids = torch.randint(CONFIG.vocabulary, (50_000,))
    models = {
        "our GPT": gpt.GPT(CONFIG),
        "our GPT, tanh GELU": gpt.GPT(gpt.GPTConfig(2048, 256, 256, 6, 8, gelu="tanh")),
        "GPT-2 as it ships": Reference("gelu_new"),
        "GPT-2, exact GELU": Reference("gelu"),
        "GPT-2, tanh GELU": Reference("gelu_pytorch_tanh"),
    }

    def stepper(model: nn.Module) -> Callable[[], None]:
        batches = gpt.windows(ids, CONFIG.context, BATCH)
        steps: Iterator[float] = gpt.train_gpt(model, batches, 10_000)
        return lambda: next(steps)

    runs = {name: stepper(model) for name, model in models.items()}
    return alternate({**runs, "products": matrix_products()[0]}, repeats)


def generation(repeats: int) -> dict[str, dict]:
    """Return the median seconds of NEW greedy tokens after PROMPT of each model."""
    torch.manual_seed(0)
    ids = torch.randint(CONFIG.vocabulary, (1, PROMPT))
    model, reference = gpt.GPT(CONFIG).eval(), Reference("gelu_new").eval()
    assert reference.generate(ids).shape == (1, PROMPT + NEW)
    runs = {
        "our GPT, cache": lambda: gpt.generate(model, ids, NEW),
        "GPT-2 generate": lambda: reference.generate(ids),
        "our GPT, no cache": lambda: gpt.generate(model, ids, NEW, use_cache=False),
    }
    return alternate(runs, repeats)


def flops_per_step() -> dict[str, float]:
    """Return the FLOPs of a training step: attention over all keys, and causal only."""
    C, L, T = CONFIG.width, CONFIG.n_layers, CONFIG.context
    weights = L * 12 * C * C + CONFIG.vocabulary * C
    attention = 12 * L * T * C * TOKENS
    return {
        "all keys": 6.0 * weights * TOKENS + attention,
        "causal only": 6.0 * weights * TOKENS + attention / 2,
    }


def measure(repeats: int) -> dict:
    """Return all seconds, and the ratios of the three promises for both clocks."""
    train, write = training(repeats), generation(max(3, repeats // 3))
    products = matrix_products()[1]
    ratios = {}
    for clock in ("cpu", "wall"):
        ours = train["our GPT"][clock]
        rate = products / train["products"][clock]
        ratios[clock] = {
            "training, our GPT / GPT-2": train["GPT-2 as it ships"][clock] / ours,
            "training, both exact GELU": train["GPT-2, exact GELU"][clock] / ours,
            "training, both tanh GELU": train["GPT-2, tanh GELU"][clock]
            / train["our GPT, tanh GELU"][clock],
            "share of product rate, all keys": flops_per_step()["all keys"]
            / ours
            / rate,
            "share of product rate, causal only": flops_per_step()["causal only"]
            / ours
            / rate,
            "generation, our GPT / GPT-2": write["GPT-2 generate"][clock]
            / write["our GPT, cache"][clock],
            "generation, cache / no cache": write["our GPT, no cache"][clock]
            / write["our GPT, cache"][clock],
        }
    return {"train": train, "generate": write, "flops": products, "ratios": ratios}


def show(result: dict) -> None:
    """Print seconds as rates, and the ratios with the bound that each should reach."""
    for part, amount in (("train", TOKENS), ("generate", NEW)):
        print(f"{part:38}{'tokens/CPU s':>14}{'tokens/s':>12}")
        for name, spent in result[part].items():
            if name == "products":
                amount, name = result["flops"] / 1e9, "matrix products, GFLOP"
            print(
                f"  {name:36}{amount / spent['cpu']:14,.0f}"
                f"{amount / spent['wall']:12,.0f}"
            )
    bounds = {
        "training, our GPT / GPT-2": ">= 1.2",
        "share of product rate, all keys": ">= 0.6",
        "generation, our GPT / GPT-2": ">= 1",
    }
    print(f"{'ratios':38}{'CPU':>14}{'wall':>12}")
    for name, value in result["ratios"]["cpu"].items():
        wall = result["ratios"]["wall"][name]
        print(f"  {name:36}{value:14.2f}{wall:12.2f}  {bounds.get(name, '')}")


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15, help="steps of each model")
    parser.add_argument("--json", action="store_true", help="print JSON, not a table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = measure(options.repeats)
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        show(result)


if __name__ == "__main__":
    main()
