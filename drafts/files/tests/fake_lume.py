"""The assistant with a model that is not one: `python fake_lume.py PORT`.

Its answer depends on a word of the question: a damaged model, a surprise, a laptop that
nobody sells, a slow answer that ends when somebody asks a quick question.
"""

import sys
import threading

from labs_support import chat, rag, shelf
from labs_support.world import handbook

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
    yield ANSWER._replace(text="It costs", cited=())
    if "quick" in question:
        GO_ON.set()
    if "slow" in question:
        assert GO_ON.wait(30)
    yield ANSWER


if __name__ == "__main__":
    from labs_support.apps import assistant

    rag.stream, assistant.warm = stream, lambda: ""
    assistant.serve(int(sys.argv[1]), browser=False)
