"""The tokenizer of the language models: byte-pair encoding, digits one by one.

The embedding of a word starts from MiniLM's vector of it, so that words of like meaning
begin near each other, also those that the training texts hold only a few times.
"""

import re
from collections.abc import Iterator

from labs_support.chat import TEMPLATE
from labs_support.recipes import readings, talks
from labs_support.recipes.pieces import ANSWER, SOURCE, Piece, Row, encode

VOCABULARY = 8192
FREQUENT = 5000  # common English words added to the texts, each a few times
PAD, BEGIN, END = "<|pad|>", "<|begin|>", "<|end|>"
SPECIAL = (PAD, BEGIN, END, "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
CONTEXT = 1024  # tokens


def texts(seed: int, number: int) -> Iterator[str]:
    """Yield documents and talks to count the pairs of."""
    plain = readings.plain(seed)
    spoken = talks.talks(seed)
    for _ in range(number):
        yield "".join(piece.text for piece in next(plain))
        yield "\n".join(message["content"] for message in next(spoken))
    for word in frequent_words():
        yield f" {word}" * 8


def frequent_words() -> list[str]:
    """Return common English words: the first whole words of MiniLM's vocabulary."""
    from labs_support import shelf

    vocabulary = shelf.text_encoder().tokenizer.get_vocab()
    ranked = sorted(vocabulary, key=vocabulary.get)
    words = [word for word in ranked if re.fullmatch(r"[a-z]{3,}", word)]
    return words[:FREQUENT]


def train(seed: int = 90_001, number: int = 8_000):
    """Return a tokenizer trained on the texts of other shops."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts(seed, number), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def word_vectors(tokenizer, width: int):
    """Return start values for the embedding, (V, width), from MiniLM's word space.

    Words get the first principal components of MiniLM's vectors; pieces of words and
    marks get random vectors of the same length.
    """
    import torch
    import torch.nn.functional as F

    from labs_support import shelf

    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    plain = [tokenizer.convert_tokens_to_string([token]) for token in tokens]
    is_word = torch.tensor(
        [bool(re.fullmatch(r" ?[A-Za-zÀ-ÿ]{3,}", text)) for text in plain]
    )
    words = [text.strip().lower() for text in plain]
    encoder = shelf.text_encoder()
    vectors = torch.tensor(encoder.encode(words, batch_size=256))
    vectors = F.normalize(vectors, dim=1)
    vectors = vectors - vectors[is_word].mean(0)
    _, _, axes = torch.linalg.svd(vectors[is_word], full_matrices=False)
    start = F.normalize(vectors @ axes[:width].T, dim=1)  # (V, width)
    generator = torch.Generator().manual_seed(0)
    noise = F.normalize(torch.randn(start.shape, generator=generator), dim=1)
    start = torch.where(is_word[:, None], start + 0.3 * noise, noise)
    start = F.normalize(start, dim=1)
    return 0.02 * width**0.5 * start


def encode_plain(tokenizer, pieces: list[Piece]) -> Row:
    """Return the tokens of a plain document between begin and end."""
    whole = [Piece(BEGIN, 0.0), *pieces, Piece(END, readings.PLAIN)]
    return encode(tokenizer, whole, CONTEXT)


def encode_talk(tokenizer, talk: talks.Talk) -> Row:
    """Return the tokens of a conversation, as its template writes it.

    The assistant's words weigh 4, others 0.3.
    """
    pieces = []
    for message in talk:
        pieces.append(Piece(f"<|{message['role']}|>", 0.3))
        text = message["content"]
        if message["role"] == "assistant":
            pieces.append(Piece(f" {text}", readings.WEIGHTY, ANSWER))
            pieces.append(Piece(END, readings.WEIGHTY))
            continue
        first, last = message.get("source", (0, 0))
        pieces += [
            Piece(text[:first], 0.3),
            Piece(text[first:last], 0.3, SOURCE),
            Piece(text[last:] + END, 0.3),
        ]
    return encode(tokenizer, [p for p in pieces if p.text], CONTEXT)
