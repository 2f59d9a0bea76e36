"""The numbers that decide how large a transformer is and what it costs."""

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What the number of weights of a transformer depends on.

    Attributes:
        n_layers: blocks of the decoder, or of the encoder where there are both.
        n_decoder_layers: blocks with cross-attention behind an encoder.
        width: channels of the residual stream.
        vocabulary: number of tokens.
        n_heads: query heads of a block.
        n_kv_heads: key and value heads; 1 is multi-query, fewer than n_heads grouped.
        head_size: channels of a head.
        hidden: channels inside the MLP.
        n_matrices: 2, or 3 for a gated MLP.
        n_experts: MLPs of a block; one token uses n_active of them.
        n_active: see n_experts.
        qkv_bias: whether queries, keys and values have a bias.
        out_bias: whether the output of attention has one.
        mlp_bias: whether the MLP has them.
        norm: vectors of one norm: 0, 1 (scale) or 2 (scale and shift).
        n_norms: norms of a block; a block with cross-attention has one more.
        n_outer_norms: norms outside the blocks.
        head_norms: weights of the norms of queries and keys, per block.
        rows: learned rows beside the tokens': positions and segments.
        is_tied: whether the output matrix is the token embedding.
        other: weights of no other part, such as a pooler or the bias of the head.
    """

    n_layers: int
    width: int
    vocabulary: int
    n_heads: int
    n_kv_heads: int
    head_size: int
    hidden: int
    n_decoder_layers: int = 0
    n_matrices: int = 2
    n_experts: int = 1
    n_active: int = 1
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    norm: int = 1
    n_norms: int = 2
    n_outer_norms: int = 1
    head_norms: int = 0
    rows: int = 0
    is_tied: bool = True
    other: int = 0

    def __post_init__(self):
        names = [f.name for f in fields(self)]
        required = names[: names.index("n_decoder_layers")] + ["n_experts", "n_active"]
        whole(**{name: getattr(self, name) for name in required})
        if self.n_heads % self.n_kv_heads:
            raise ValueError(
                f"{self.n_heads} query heads cannot share {self.n_kv_heads} key heads; "
                "the second must divide the first."
            )
        if self.n_active > self.n_experts:
            raise ValueError(
                f"{self.n_active} active experts are more than the {self.n_experts} "
                "there are."
            )


def whole(**values) -> None:
    """Raise ValueError unless every value is a positive whole number."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is {value!r}; it must be a whole number above 0.")


def positive(**values) -> None:
    """Raise ValueError unless every value is a positive finite number."""
    for name, value in values.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and 0 < value < math.inf):
            raise ValueError(f"{name} is {value!r}; it must be a number above 0.")
