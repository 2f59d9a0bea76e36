"""How many weights a transformer has, from its configuration: no model is built.

parameters.count(GPT2Config()).total            # 124,439,808
parameters.count({"model_type": "mixtral"}).active
"""

from dataclasses import dataclass

from labs_support import families


@dataclass(frozen=True)
class Count:
    """Weights of a model, by part.

    Attributes:
        embeddings: of tokens, positions and segments.
        attention: queries, keys, values and outputs of all blocks.
        mlp: of all experts of all blocks.
        router: that choose the experts.
        norms: scales and shifts.
        head: output matrix, 0 where it is the token embedding.
        other: poolers, biases of the head, tables of relative positions.
        idle: weights of experts that one token does not use.
    """

    embeddings: int
    attention: int
    mlp: int
    router: int
    norms: int
    head: int
    other: int
    idle: int

    @property
    def total(self) -> int:
        """All weights."""
        parts = (self.embeddings, self.attention, self.mlp, self.router)
        return sum(parts) + self.norms + self.head + self.other

    @property
    def active(self) -> int:
        """Weights that take part in one token."""
        return self.total - self.idle


def count(model) -> Count:
    r"""Return the weights of a model, by part.

    A block has $C \cdot S (2H + 2K)$ weights of attention, with H query and K key heads
    of size S on C channels, and $m \cdot C \cdot F$ of each MLP with m matrices.

    Args:
        model: a `Shape`, a configuration of `transformers`, or a dict that makes one.

    Source: Kaplan et al. (2020), Scaling laws, table 1, with biases, norms and the
        variants of later families added. Built in lesson 04.
    """
    s = families.shape(model)
    queries, keys = s.n_heads * s.head_size, s.n_kv_heads * s.head_size
    attention = s.width * (2 * queries + 2 * keys)
    attention += s.qkv_bias * (queries + 2 * keys) + s.out_bias * s.width
    mlp = s.n_matrices * s.width * s.hidden
    mlp += s.mlp_bias * ((s.n_matrices - 1) * s.hidden + s.width)
    n_blocks = s.n_layers + s.n_decoder_layers
    n_norms = n_blocks * s.n_norms + s.n_decoder_layers + s.n_outer_norms
    return Count(
        embeddings=(s.vocabulary + s.rows) * s.width,
        attention=(n_blocks + s.n_decoder_layers) * attention,
        mlp=n_blocks * s.n_experts * mlp,
        router=n_blocks * s.n_experts * s.width if s.n_experts > 1 else 0,
        norms=n_norms * s.norm * s.width + n_blocks * s.head_norms,
        head=0 if s.is_tied else s.vocabulary * s.width,
        other=s.other,
        idle=n_blocks * (s.n_experts - s.n_active) * mlp,
    )


def built(config) -> int:
    """Return the weights of the model that `transformers` builds; takes no memory.

    Works for every architecture; weights used twice count once.

    Args:
        config: a configuration of `transformers`, or a dict that makes one.
    """
    import torch
    from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    config = families.as_config(config)
    makers = (AutoModelForSeq2SeqLM, AutoModelForCausalLM, AutoModel)
    if config.model_type in families.ENCODERS:
        makers = (AutoModel,)
    maker = next(m for m in makers if type(config) in m._model_mapping)
    with torch.device("meta"):
        model = maker.from_config(config)
    model.tie_weights()
    return sum(weight.numel() for weight in model.parameters())
