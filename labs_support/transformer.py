"""The transformer of 2017: an encoder that reads and a decoder that writes.

Built in lesson 02. Blocks are pre-norm (layer norm before each sub-layer), as in GPT-2
and later models: they train without a long warm-up. Equal to `torch.nn.Transformer` with
norm_first=True, gelu and the same weights.
"""

import torch
from torch import nn

from labs_support.attention import MultiHeadAttention, causal_mask

PAD, START, END = 0, 1, 2


def positions(T: int, C: int) -> torch.Tensor:
    r"""Return sinusoidal positional encodings, (T, C).

    .. math:: p_{t,2i} = \sin(t / 10000^{2i/C}), \quad p_{t,2i+1} = \cos(t / 10000^{2i/C})

    Source: Vaswani et al. (2017), section 3.5. Built in lesson 02.
    """
    t = torch.arange(T)[:, None]  # (T, 1)
    frequency = 10_000 ** (-torch.arange(0, C, 2) / C)  # (C / 2)
    angle = t * frequency  # (T, C / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)  # (T, C)


class MLP(nn.Sequential):
    """Two linear layers with a GELU between them, applied to every token alone."""

    def __init__(self, C, dropout):
        super().__init__(
            nn.Linear(C, 4 * C), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * C, C)
        )


class EncoderBlock(nn.Module):
    """Self-attention, then an MLP; each normalised before and added to its input."""

    def __init__(self, C, H, dropout):
        super().__init__()
        self.attention, self.mlp = MultiHeadAttention(C, H), MLP(C, dropout)
        self.norm1, self.norm2 = nn.LayerNorm(C), nn.LayerNorm(C)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        """Return the tokens x, (B, T, C), after one round of reading each other."""
        z = self.norm1(x)
        x = x + self.dropout(self.attention(z, z, mask))
        return x + self.dropout(self.mlp(self.norm2(x)))


class DecoderBlock(nn.Module):
    """Causal self-attention, cross-attention to the encoder's output, then an MLP."""

    def __init__(self, C, H, dropout):
        super().__init__()
        self.attention, self.cross = MultiHeadAttention(C, H), MultiHeadAttention(C, H)
        self.mlp = MLP(C, dropout)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(C) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, y, memory, memory_mask=None):
        """Return the tokens y, (B, T, C), after reading y so far and memory (B, S, C)."""
        z = self.norm1(y)
        y = y + self.dropout(self.attention(z, z, causal_mask(y.shape[1]).to(y.device)))
        y = y + self.dropout(self.cross(self.norm2(y), memory, memory_mask))
        return y + self.dropout(self.mlp(self.norm3(y)))


class Translator(nn.Module):
    """An encoder-decoder transformer from source ids to logits of the next target id.

    Source: Vaswani et al. (2017), figure 1. Built in lesson 02.
    """

    def __init__(self, n_source, n_target, C=64, H=4, dropout=0.05):
        super().__init__()
        self.source, self.target = nn.Embedding(n_source, C), nn.Embedding(n_target, C)
        self.register_buffer("positions", positions(64, C))
        self.encoder = nn.ModuleList(EncoderBlock(C, H, dropout) for _ in range(2))
        self.decoder = nn.ModuleList(DecoderBlock(C, H, dropout) for _ in range(2))
        self.norm_x, self.norm_y = nn.LayerNorm(C), nn.LayerNorm(C)
        self.head = nn.Linear(C, n_target)

    def add_positions(self, z):
        """Return the embeddings z, (B, T, C), plus the encodings of places 0 to T - 1.

        Raises:
            ValueError: if there are more tokens than places.
        """
        T, n_places = z.shape[1], len(self.positions)
        if T > n_places:
            raise ValueError(
                f"{T} tokens are more than the {n_places} places that the translator "
                "knows; give it a shorter sentence"
            )
        return z + self.positions[:T]

    def encode(self, x):
        """Return the encoder's output, (B, S, C), and where x is not padding."""
        mask = (x != PAD)[:, None, None]  # (B, 1, 1, S)
        z = self.add_positions(self.source(x))  # (B, S, C)
        for block in self.encoder:
            z = block(z, mask)
        return self.norm_x(z), mask

    def decode(self, y, memory, mask):
        """Return logits of the token after each token of y, (B, T, V)."""
        z = self.add_positions(self.target(y))  # (B, T, C)
        for block in self.decoder:
            z = block(z, memory, mask)
        return self.head(self.norm_y(z))

    def forward(self, x, y):
        """Return logits, (B, T, V), for source ids x, (B, S), and target ids y, (B, T)."""
        return self.decode(y, *self.encode(x))


def library_twin(model: Translator) -> nn.Transformer:
    """Return torch's own encoder-decoder with the weights of a translator, in eval mode.

    Embeddings, positions and head stay with the translator.
    """
    C, H = model.head.in_features, model.encoder[0].attention.H
    sizes = {"d_model": C, "nhead": H, "dim_feedforward": 4 * C}
    kind = {"activation": "gelu", "batch_first": True, "norm_first": True}
    layer = nn.TransformerEncoderLayer(**sizes, **kind)
    n_layers, norm = len(model.encoder), nn.LayerNorm(C)
    encoder = nn.TransformerEncoder(layer, n_layers, norm, enable_nested_tensor=False)
    library = nn.Transformer(
        **sizes, **kind, num_decoder_layers=n_layers, custom_encoder=encoder
    )
    blocks = [*model.encoder, *model.decoder]
    layers = [*library.encoder.layers, *library.decoder.layers]
    for ours, theirs in zip(blocks, layers, strict=True):
        _copy_block(ours, theirs)
    library.encoder.norm.load_state_dict(model.norm_x.state_dict())
    library.decoder.norm.load_state_dict(model.norm_y.state_dict())
    return library.eval()


def _copy_block(ours, theirs) -> None:
    """Copy the weights of one block into the layer of torch that does the same."""
    _copy_attention(ours.attention, theirs.self_attn)
    if isinstance(ours, DecoderBlock):
        _copy_attention(ours.cross, theirs.multihead_attn)
    for name, module in ours.named_children():
        if name.startswith("norm"):
            getattr(theirs, name).load_state_dict(module.state_dict())
    theirs.linear1.load_state_dict(ours.mlp[0].state_dict())
    theirs.linear2.load_state_dict(ours.mlp[3].state_dict())


def _copy_attention(ours, theirs) -> None:
    """Copy four linear layers into torch's one matrix for q, k, v and one for the rest."""
    parts = (ours.query, ours.key, ours.value)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    theirs.out_proj.load_state_dict(ours.output.state_dict())
