"""The assistant without a model: `python fake_lume.py PORT`.

Its answer depends on a word of the question: a damaged model, a surprise, a laptop that
nobody sells, a slow answer that ends when somebody asks a quick question.
"""

import sys
import threading

from labs_support import chat, rag, shelf, skills
from labs_support.world import handbook, store

GO_ON = threading.Event()


def sources(page: handbook.Page) -> tuple[rag.Source, ...]:
    """Return every section of a page as `rag` gives it."""
    return tuple(
        rag.Source(
            page.slug,
            h if h == page.title else f"{page.title}: {h}",
            text,
            0.7 - i / 10,
        )
        for i, (h, text) in enumerate(handbook.sections(page))
    )


SOURCES = sources(handbook.page("shipping"))[:3]
ANSWER = rag.Answer("It costs €5.90.", (1,), SOURCES, False)
REFUSAL = rag.Answer(chat.REFUSAL, (), SOURCES, True)


def stream(question: str, n: int = 3):
    """Yield an answer as `rag.stream` does, or raise what it may raise."""
    if "damaged" in question:
        raise shelf.DamagedModel("The weight file is damaged. To repair: do this")
    if "surprise" in question:
        raise KeyError("logits")
    if "laptop" in question:
        yield REFUSAL
        return
    if "slow" in question:
        GO_ON.clear()
    yield ANSWER._replace(text="It costs", cited=())
    if "quick" in question:
        GO_ON.set()
    if "slow" in question:
        assert GO_ON.wait(30)
    yield ANSWER


def sentences_near(question: str, found) -> list[rag.Source]:
    """Return what is read as `rag` does: a sentence of each source, none of the last."""
    *read, last = found
    near = [one._replace(text=one.text.split(". ")[0] + ".") for one in read]
    return [*near, last._replace(text="")]


def products(wish, n: int) -> list[skills.Found]:
    """Return the first products of the catalogue, whatever is looked for."""
    return [skills.Found(row, "", 0.5) for row in store.rows("catalogue")[:n]]


def replace(patch) -> None:
    """Put these in the place of the real ones, by calls patch(module, name, value)."""
    patch(rag, "stream", stream)
    patch(rag, "sentences_near", sentences_near)
    patch(skills, "find_products", products)
    patch(skills, "find_by_picture", products)


if __name__ == "__main__":
    from labs_support.apps import assistant

    replace(setattr)
    assistant.warm = lambda: ""
    assistant.serve(int(sys.argv[1]), browser=False)
