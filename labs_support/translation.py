"""English and French product phrases as ids, and what a translation got right."""

import torch

from labs_support.world.looks import COLOURS, KINDS

SHORT_ADJECTIVES = ("small", "big", "old", "beautiful", "new", "pretty")
MAX_WORDS = 16
MARKS = ("<pad>", "<start>", "<end>")  # ids 0, 1, 2


def vocabulary(rows: list[dict], language: str) -> list[str]:
    """Return the three marks, then all words of one language in alphabetical order."""
    return [*MARKS, *sorted({word for row in rows for word in row[language].split()})]


def to_ids(sentences: list[str], words: list[str], *, is_target: bool = False):
    """Return the ids of sentences, (B, T), filled up at the end with 0.

    Args:
        sentences: words with single spaces between them.
        words: the vocabulary.
        is_target: whether to put start and end marks around each sentence.
    """
    number = {word: i for i, word in enumerate(words)}
    before, after = ([1], [2]) if is_target else ([], [])
    rows = [[*before, *(number[word] for word in s.split()), *after] for s in sentences]
    return torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(r) for r in rows], batch_first=True
    )


@torch.inference_mode()
def translate(model, sentences: list[str], english: list[str], french: list[str]):
    """Return a French translation of each sentence, the best word each time.

    Args:
        model: has encode(x) and decode(y, memory, mask), in eval mode.
        sentences: English phrases; their words occur in `english`.
        english: vocabulary of the source.
        french: vocabulary of the target.

    Built in lesson 02, for a single sentence.
    """
    memory, mask = model.encode(to_ids(sentences, english))
    y = torch.ones(len(sentences), 1, dtype=torch.long)
    for _ in range(MAX_WORDS):
        best = model.decode(y, memory, mask)[:, -1].argmax(dim=-1)  # (B,)
        y = torch.cat([y, best[:, None]], dim=1)
    texts = [" ".join(french[i] for i in row) for row in y[:, 1:].tolist()]
    return [text.partition(" <end>")[0] for text in texts]


def bleu(rows: list[dict], outputs: list[str]) -> float:
    """Return the corpus BLEU of French outputs, 0 to 100, on words as they stand."""
    import sacrebleu

    references = [[row["fr"] for row in rows]]
    return sacrebleu.corpus_bleu(outputs, references, tokenize="none").score


def share_after_noun(rows: list[dict], outputs: list[str], adjectives) -> float:
    """Return in what share of adjective-noun pairs the output has the noun first.

    Pairs are those where English has one of the adjectives right before a product, and
    where both French words of the gold translation occur in the output.

    Args:
        rows: phrases with "en", "fr" and "alignment".
        outputs: a French translation of each.
        adjectives: English adjectives to look at.
    """
    is_after = []
    for row, output in zip(rows, outputs, strict=True):
        source, target, written = row["en"].split(), row["fr"].split(), output.split()
        french = {i: target[j] for i, j in reversed(row["alignment"])}
        for i in range(len(source) - 1):
            if source[i] in adjectives and source[i + 1] in KINDS:
                adjective, noun = french[i], french[i + 1]
                if adjective in written and noun in written:
                    is_after.append(written.index(adjective) > written.index(noun))
    return sum(is_after) / len(is_after)


def share_on_link(rows: list[dict], looks: torch.Tensor) -> float:
    """Return how often the word looked at most is linked to the word being written.

    Args:
        rows: phrases with "alignment".
        looks: attention weights, (B, T, S): step j writes word j of the French phrase.
    """
    hits = []
    for row, look in zip(rows, looks, strict=True):
        for j in sorted({j for _, j in row["alignment"]}):
            hits.append([look[j].argmax().item(), j] in row["alignment"])
    return sum(hits) / len(hits)


def has_two_colours(sentence: str) -> bool:
    """Return whether exactly two words are colours, and different ones."""
    found = [word for word in sentence.split() if word in COLOURS]
    return len(found) == len(set(found)) == 2


def swap_colours(sentence: str) -> str:
    """Return the sentence with its two colours exchanged."""
    words = sentence.split()
    i, j = (i for i, word in enumerate(words) if word in COLOURS)
    words[i], words[j] = words[j], words[i]
    return " ".join(words)
