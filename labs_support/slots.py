"""Reading prompts: token vectors of a text, and four properties read out of them."""

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn
from torch.nn import functional as F

MAX_TOKENS = 64  # longer prompts are refused, not cut


class UnusablePrompt(ValueError):
    """A prompt or a setting cannot be used; the message says why."""


def read_texts(encoder, texts: list[str], size: int = 64):
    """Return the token vectors of texts, and which of them stand for a token.

    Args:
        encoder: a `SentenceTransformer`, such as `shelf.text_encoder()`.
        texts: B strings; the empty one is allowed.
        size: how many at a time.

    Returns:
        float32 (B, T, 384) and bool (B, T), T the tokens of the longest text.

    Raises:
        UnusablePrompt: if a text has more than `MAX_TOKENS` tokens.
    """
    counts = [len(ids) for ids in encoder.tokenizer(list(texts)).input_ids]
    if max(counts) > MAX_TOKENS:
        raise UnusablePrompt(
            f"The prompt has {max(counts):,} tokens and the model reads {MAX_TOKENS}: "
            "describe the picture in one or two sentences."
        )
    tokens = torch.zeros(len(texts), max(counts), 384)
    is_token = torch.arange(max(counts)) < torch.tensor(counts)[:, None]  # (B, T)
    for start in range(0, len(texts), size):
        part = texts[start : start + size]
        found = encoder.encode(part, output_value="token_embeddings")
        for row, vectors in enumerate(found, start):
            tokens[row, : counts[row]] = vectors[: counts[row]].cpu()
    return tokens, is_token


class SlotReader(ModelMixin, ConfigMixin):
    """Reads S properties out of a text: one vector for each, from the token vectors.

    Each property has a query that attends to the tokens. During training a linear head
    names the value of the property, or that the text leaves it open; the denoiser sees
    the vectors before that head.
    """

    @register_to_config
    def __init__(
        self, n_values=(16, 12, 4, 6), width: int = 64, token_width: int = 384
    ):
        super().__init__()
        self.queries = nn.Parameter(torch.randn(len(n_values), 2 * width) * 0.1)
        self.key = nn.Linear(token_width, 2 * width)
        self.value = nn.Linear(token_width, 4 * width)
        self.out = nn.ModuleList(nn.Linear(4 * width, width) for _ in n_values)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.heads = nn.ModuleList(nn.Linear(width, n + 1) for n in n_values)

    def attention(self, tokens, is_token):
        """Return how much each property looks at each token, (B, S, T)."""
        scores = self.queries @ self.key(tokens).mT / self.queries.shape[1] ** 0.5
        return scores.masked_fill(~is_token[:, None], -torch.inf).softmax(dim=-1)

    def forward(self, tokens, is_token):
        """Return one vector per property, (B, S, width).

        Args:
            tokens: vectors of MiniLM, (B, T, 384).
            is_token: False where a row is only filling, (B, T).
        """
        mixed = self.attention(tokens, is_token) @ self.value(tokens)  # (B, S, 4 width)
        mixed = F.silu(mixed).unbind(dim=1)
        slots = [out(x) for out, x in zip(self.out, mixed, strict=True)]
        return self.norm(torch.stack(slots, dim=1))

    def named(self, slots):
        """Return the logits of each property's values, the last one for "left open"."""
        return [head(slots[:, i]) for i, head in enumerate(self.heads)]
