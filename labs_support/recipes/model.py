"""The language model before training, and the loss it is trained on."""

import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from labs_support.recipes import bpe
from labs_support.recipes.batches import Batch

SHAPE = {
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 6,
}
KEEP = 0.2  # share of ordinary tokens whose loss is computed
POINTING = (4, 0)  # layer and head that learn to look at the answer in the sources


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


def weighted_loss(model, batch: Batch, keep: float = KEEP, pointing: float = 1.0):
    """Return the mean loss; of the tokens of weight 1 or less only a sample counts.

    Args:
        model: a `LlamaForCausalLM`.
        batch: B rows of T tokens.
        keep: share of the ordinary tokens that counts.
        pointing: weight of `pointing_loss`.
    """
    seen = {}
    layer, head = POINTING
    attention = model.model.layers[layer].self_attn
    handle = attention.register_forward_pre_hook(
        lambda _, __, given: seen.update(given), with_kwargs=True
    )
    ids = batch.ids
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    handle.remove()
    targets, weights = ids[:, 1:], batch.weights[:, 1:]
    share = torch.where(weights > 1, 1.0, keep * weights)
    chosen = torch.rand_like(weights) < share
    logits = model.lm_head(hidden[chosen])
    loss = F.cross_entropy(logits.float(), targets[chosen], reduction="none")
    weight = weights[chosen].clamp(min=1)
    total = (loss * weight).sum() / weight.sum()
    if pointing and any(batch.pointers):
        scores = head_scores(
            attention, head, seen["hidden_states"], seen["position_embeddings"]
        )
        total = total + pointing * pointing_loss(scores, batch.pointers)
    return total


def head_scores(attention, head: int, hidden: torch.Tensor, rotary) -> torch.Tensor:
    """Return the raw attention scores of one head, (B, T, T).

    Args:
        attention: a `LlamaAttention`.
        head: number of the head.
        hidden: what the layer reads, (B, T, C).
        rotary: cosines and sines of the positions, (1 or B, T, head size) each.
    """
    size = attention.head_dim
    group = head // attention.num_key_value_groups
    q = hidden @ attention.q_proj.weight[head * size : (head + 1) * size].T
    k = hidden @ attention.k_proj.weight[group * size : (group + 1) * size].T
    q, k = apply_rotary_pos_emb(q[:, None], k[:, None], *rotary)
    return (q @ k.mT)[:, 0] * attention.scaling


def pointing_loss(
    scores: torch.Tensor, pointers: list[list[tuple[int, list[int]]]]
) -> torch.Tensor:
    """Return the mean of -log(attention that falls on the answer).

    Args:
        scores: raw attention scores, (B, T, T).
        pointers: for each row of the batch (place that looks, places of the answer).
    """
    looks = [(b, place, keys) for b, row in enumerate(pointers) for place, keys in row]
    rows = torch.tensor([b for b, _, _ in looks], device=scores.device)
    places = torch.tensor([place for _, place, _ in looks], device=scores.device)
    chosen = scores[rows, places].float()  # (N, T)
    ahead = torch.arange(scores.shape[1], device=scores.device) > places[:, None]
    is_answer = torch.zeros_like(chosen, dtype=torch.bool)
    for i, (_, _, keys) in enumerate(looks):
        is_answer[i, keys] = True
    chosen = chosen.masked_fill(ahead, -torch.inf)
    on_answer = chosen.masked_fill(~is_answer, -torch.inf)
    return (chosen.logsumexp(1) - on_answer.logsumexp(1)).mean()
