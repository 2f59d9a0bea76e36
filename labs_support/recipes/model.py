"""The language model before training, and the loss it is trained on."""

import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from labs_support.recipes import bpe

SHAPE = {
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
}
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
