"""Small rules of English: plurals, a or an, numbers in words, capitals, spacing."""

import re

IRREGULAR = {
    "knife": "knives",
    "loaf": "loaves",
    "scarf": "scarves",
    "shelf": "shelves",
    "mouse": "mice",
    "goose": "geese",
    "child": "children",
    "crux": "cruxes",
    "fish": "fish",
}
ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen "
    "fourteen fifteen sixteen seventeen eighteen nineteen"
).split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
SOUNDS_LIKE_CONSONANT = r"(?:uni|use|usual|util|uk|eu|ewe|one\b|once)"
SOUNDS_LIKE_VOWEL = r"(?:hour|honest|honour|heir|8|11\b|18\b)"
NEEDS_AN = re.compile(
    rf"\b([Aa]) (?=(?!{SOUNDS_LIKE_CONSONANT})[aeiou]|{SOUNDS_LIKE_VOWEL}"
    rf"|(?!U[nks][ai]|Eu)[AEIOU][a-z])"
)
SENTENCE_START = re.compile(r"([.?!] +[\"“(]?)([a-zà-ÿ])")


def plural(noun: str) -> str:
    """Return the plural of a noun or of a phrase such as "jar of honey"."""
    head, joint, rest = re.match(r"(.*?)( of | with |$)(.*)", noun).groups()
    front, _, word = head.rpartition(" ")
    if word.endswith("man"):
        word = word[:-3] + "men"
    elif word in IRREGULAR:
        word = IRREGULAR[word]
    elif re.search(r"[^aeiou]y$", word):
        word = word[:-1] + "ies"
    elif re.search(r"(s|x|z|ch|sh)$", word):
        word += "es"
    else:
        word += "s"
    return f"{front} {word}".strip() + joint + rest


def in_words(number: int) -> str:
    """Return a number from 0 to 999 in words.

    Raises:
        ValueError: if the number is outside this range.
    """
    if not 0 <= number < 1000:
        raise ValueError(f"{number} is not between 0 and 999; write it in figures")
    if number < 20:
        return ONES[number]
    if number < 100:
        tens, ones = TENS[number // 10 - 2], number % 10
        return f"{tens}-{ONES[ones]}" if ones else tens
    rest = f" and {in_words(number % 100)}" if number % 100 else ""
    return f"{ONES[number // 100]} hundred{rest}"


def capital(text: str) -> str:
    """Return the text with its first letter as a capital."""
    for i, letter in enumerate(text):
        if letter.isalpha():
            return text[:i] + letter.upper() + text[i + 1 :]
        if letter.isdigit():
            break
    return text


def sentence_case(text: str) -> str:
    """Return the text with a capital letter at the start of every sentence."""
    return capital_after_stop(text[:1].upper() + text[1:])


def capital_after_stop(text: str) -> str:
    """Return the text with a capital letter after every full stop."""
    return SENTENCE_START.sub(lambda m: m[1] + m[2].upper(), text)


def with_articles(text: str) -> str:
    """Return the text with "an" where an "a" needs it."""
    return NEEDS_AN.sub(r"\1n ", text)


def article(noun: str) -> str:
    """Return the noun after "a" or "an"."""
    return with_articles(f"a {noun}")


def tidy(text: str) -> str:
    """Return the text with "an" where it belongs, capitals and single spaces."""
    text = re.sub(r" +([,.;:?!](?:[\s”\"’)*]|$))", r"\1", re.sub(r" {2,}", " ", text))
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    return capital_after_stop(with_articles(text)).strip()
