"""GPT-2 of the `transformers` library, as a GPT of lesson 02.

Both compute the same numbers. The library keeps most matrices transposed and gives the
parts other names.
"""

import torch
from torch import nn

from labs_support.gpt import GPT, GPTConfig

NAMES = {
    "ln_1": "norm_attention",
    "attn.c_attn": "qkv",
    "attn.c_proj": "out",
    "ln_2": "norm_mlp",
    "mlp.c_fc": "up",
    "mlp.c_proj": "down",
}


def random_gpt2(vocabulary: int = 50) -> nn.Module:
    """Return a tiny GPT2LMHeadModel in which every weight is random, norms included.

    Args:
        vocabulary: number of token ids, V.

    Returns:
        3 layers, 4 heads, width 32 and a context of 24 tokens, in eval mode.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"n_positions": 24, "n_embd": 32, "n_layer": 3, "n_head": 4}
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=vocabulary, bos_token_id=0, eos_token_id=0, **sizes)
    )
    with torch.no_grad():
        for weight in model.parameters():  # else all biases are 0 and all norms 1
            weight.add_(0.1 * torch.randn_like(weight))
    return model.eval()


def from_gpt2(library: nn.Module) -> GPT:
    """Return a GPT with the weights of a GPT2LMHeadModel, in eval mode.

    Args:
        library: a GPT2LMHeadModel of `transformers`.
    """
    sizes = library.config
    layers, heads = sizes.n_layer, sizes.n_head
    model = GPT(
        GPTConfig(
            sizes.vocab_size,
            sizes.n_positions,
            sizes.n_embd,
            layers,
            heads,
            gelu="tanh",
        )
    )
    theirs = library.transformer.state_dict()
    state = {
        "tokens.weight": theirs["wte.weight"],
        "positions.weight": theirs["wpe.weight"],
    }
    for kind in ("weight", "bias"):
        state[f"norm.{kind}"] = theirs[f"ln_f.{kind}"]
        for i in range(layers):
            for name, own in NAMES.items():
                weight = theirs[f"h.{i}.{name}.{kind}"]
                is_matrix = weight.dim() == 2
                state[f"blocks.{i}.{own}.{kind}"] = weight.T if is_matrix else weight
    model.load_state_dict(state)  # strict: nothing missing, nothing left over
    return model.eval()
