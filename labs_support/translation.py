"""English and French product phrases as ids, and what a translation got right."""

from itertools import product, takewhile

import torch

from labs_support.transformer import END, PAD, START
from labs_support.world.grammar import words as phrase_words
from labs_support.world.looks import COLOURS

NOUNS = ("kinds", "others", "parts", "places", "people")
ADJECTIVES = ("colours", "patterns", "materials", "before", "states")
SHORT_ADJECTIVES = ("small", "big", "old", "beautiful", "new", "pretty")
MAX_WORDS = 16
MARKS = ("<pad>", "<start>", "<end>")  # ids PAD, START, END


def vocabulary(rows: list[dict], language: str) -> list[str]:
    """Return the three marks, then all words of one language in alphabetical order."""
    return [*MARKS, *sorted({word for row in rows for word in row[language].split()})]


def to_ids(
    sentences: list[str],
    words: list[str],
    *,
    is_target: bool = False,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Return the ids of sentences, filled up at the end with PAD.

    Args:
        sentences: words with single spaces between them.
        words: the vocabulary.
        is_target: whether to put start and end marks around each sentence.
        device: where the ids will be used.

    Returns:
        int64 of shape (B, T), T tokens in the longest of the B sentences.
    """
    number = {word: i for i, word in enumerate(words)}
    before, after = ([START], [END]) if is_target else ([], [])
    rows = [[*before, *(number[word] for word in s.split()), *after] for s in sentences]
    return torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(row) for row in rows], batch_first=True, padding_value=PAD
    ).to(device)


@torch.inference_mode()
def translate(
    model: torch.nn.Module, sentences: list[str], english: list[str], french: list[str]
) -> list[str]:
    """Return a French translation of each sentence, the best word each time.

    Args:
        model: has encode(x) and decode(y, memory, mask), in eval mode, on any device.
        sentences: English phrases; their words occur in `english`.
        english: vocabulary of the source.
        french: vocabulary of the target.

    Returns:
        One text per sentence, of at most MAX_WORDS words.

    Built in lesson 02, for a single sentence.
    """
    device = next(model.parameters()).device
    memory, mask = model.encode(to_ids(sentences, english, device=device))
    y = torch.full((len(sentences), 1), START, device=device)
    for _ in range(MAX_WORDS):
        best = model.decode(y, memory, mask)[:, -1].argmax(dim=-1)  # (B,)
        y = torch.cat([y, best[:, None]], dim=1)
    written = [takewhile(lambda i: i != END, row) for row in y[:, 1:].tolist()]
    return [" ".join(french[i] for i in row) for row in written]


def bleu(rows: list[dict], outputs: list[str]) -> float:
    """Return the corpus BLEU of French outputs, 0 to 100, on words as they stand."""
    import sacrebleu

    references = [[row["fr"] for row in rows]]
    return sacrebleu.corpus_bleu(outputs, references, tokenize="none").score


def _refuse_nothing(found: list[bool], what: str) -> None:
    """Raise ValueError if nothing was found to take a share of."""
    if not found:
        raise ValueError(f"no phrase has {what}; give phrases that do")


def after_noun(rows: list[dict], outputs: list[str], adjectives) -> list[bool]:
    """Return for each adjective-noun pair whether the output has the noun first.

    Pairs are those where English has one of the adjectives before a noun, other
    adjectives between them or not, and where both French words of the gold translation
    occur in the output. Of several occurrences the closest two count.

    Args:
        rows: phrases with "en", "fr" and "alignment".
        outputs: a French translation of each.
        adjectives: English adjectives to look at.

    Raises:
        ValueError: if there is no such pair.
    """
    is_after = []
    for row, output in zip(rows, outputs, strict=True):
        target, written = row["fr"].split(), output.split()
        french = {i: target[j] for i, j in reversed(row["alignment"])}
        for i, noun in _described(row["en"].split(), adjectives):
            places = _closest(written, french[i], french[noun])
            if places:
                is_after.append(places[0] > places[1])
    _refuse_nothing(is_after, "an adjective and a noun that the output holds")
    return is_after


def _described(source: list[str], adjectives) -> list[tuple[int, int]]:
    """Return the places of the adjectives in English, each with that of its noun."""
    groups = phrase_words()
    nouns = {
        word
        for name in NOUNS
        for one, (many, *_) in groups[name].items()
        for word in (one, many)
    }
    describing = {word for name in ADJECTIVES for word in groups[name]}
    pairs = []
    for i, word in enumerate(source):
        after = [j for j in range(i, len(source)) if source[j] not in describing]
        if word in adjectives and after and source[after[0]] in nouns:
            pairs.append((i, after[0]))
    return pairs


def _closest(written: list[str], *pair: str) -> tuple[int, ...] | None:
    """Return the places of two words where they stand closest, None if one is missing."""
    places = [[j for j, word in enumerate(written) if word == one] for one in pair]
    return min(product(*places), key=lambda two: abs(two[0] - two[1]), default=None)


def share_on_link(rows: list[dict], looks: torch.Tensor) -> float:
    """Return how often the word looked at most is linked to the word being written.

    Args:
        rows: phrases with "alignment".
        looks: attention weights, (B, T, S): step j writes word j of the French phrase.

    Raises:
        ValueError: if no phrase has a link.
    """
    hits = []
    for row, look in zip(rows, looks, strict=True):
        for j in sorted({j for _, j in row["alignment"]}):
            hits.append([look[j].argmax().item(), j] in row["alignment"])
    _refuse_nothing(hits, "a word with a link")
    return sum(hits) / len(hits)


def shares(sentence: str, weights: torch.Tensor) -> str:
    """Return the words of a sentence, each with its share of attention, as text."""
    pairs = zip(sentence.split(), weights.tolist(), strict=True)
    return ", ".join(f"{word} ≈ {weight:.2f}" for word, weight in pairs)


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
