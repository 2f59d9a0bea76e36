"""Lume, the assistant of the shop, in a browser: `labs assistant`.

Lume answers from the handbook, shows what it read, opens the pages it cites, and says
when it does not know; it also finds products by words. The server listens on the
loopback address only, and the page asks nothing of any other.
"""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import gradio as gr

from labs_support import rag, settings, shelf, skills
from labs_support.apps import serving, views

CSS = Path(__file__).with_suffix(".css")
N_PRODUCTS = 6
PACE = 0.15  # seconds between two states of a growing answer
AT_A_TIME = 4  # answers in the making; the others wait for their turn
EXPECTED = (ValueError, shelf.DamagedModel, FileNotFoundError)
EXAMPLES = (
    "How much is standard delivery?",
    "When does the cat sleep?",
    "How many dogs may be in the shop at once?",
    "Do you sell laptops?",
)
WELCOME = """## Ask about the shop
Hours, parcels, returns, classes, the cat: Lume reads the handbook and answers."""
NOTHING_READ = '<p class="hint">Ask, and here are the sections that Lume reads.</p>'
NO_PAGE = "*Open a source, and here is its page.*"
CAUTION = "Lume is a small model and makes mistakes: open the page it cites."

# A link to a page may stand in the talk, among the sources, or on another page.
OPEN_PAGE = """
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href*="#page/"]');
  if (!link) return;
  event.preventDefault();
  const [, slug, section = ""] = link.getAttribute("href").split("#")[1].split("/");
  trigger("click", { slug, section });
});
"""
SHOW_PAGE = """
() => setTimeout(() => {
  const page = document.getElementById("page");
  page.tabIndex = -1;
  page.focus({ preventScroll: true });
  (page.querySelector(".cited") || page).scrollIntoView({ block: "nearest" });
}, 50)
"""

log = logging.getLogger(__name__)


def sentence(error: Exception) -> str:
    """Return what went wrong in one sentence; of a surprise, the log holds the rest."""
    if isinstance(error, EXPECTED):
        return str(error)
    log.error("the assistant could not answer", exc_info=error)
    return (
        "Something went wrong that should not; the terminal of the assistant says what. "
        "Ask again, and if it stays, run: labs doctor"
    )


def said(role: str, text: str) -> dict:
    """Return one message of the talk."""
    return {"role": role, "content": text}


def paced(answers: Iterator[rag.Answer]) -> Iterator[tuple[rag.Answer, bool]]:
    """Yield some of the answers that come in quick succession, and True for the last.

    A browser takes longer to show a word than the model takes to find the next.
    """
    due = 0.0
    for found in answers:
        if time.monotonic() >= due:
            yield found, False
            due = time.monotonic() + PACE
    yield found, True


def ask(question: str, talk: list[dict]) -> Iterator[tuple]:
    """Yield question box, talk and list of sources while Lume answers.

    What cannot be answered stays in the box, and the talk says why.
    """
    try:
        question = rag.checked(question)
    except ValueError as error:
        problem = said("assistant", f"⚠ {views.literal(str(error))}")
        yield gr.skip(), [*talk, problem], gr.skip(), gr.skip()
        return
    talk = [*talk, said("user", views.literal(question))]
    waiting = said("assistant", "Lume is reading …")
    yield "", [*talk, waiting], gr.skip(), gr.Tabs(selected="read")
    try:
        for found, is_complete in paced(rag.stream(question)):
            shown = said("assistant", views.answer(found, complete=is_complete))
            yield gr.skip(), [*talk, shown], views.sources(question, found), gr.skip()
    except Exception as error:  # whatever it was, the learner's words are not lost
        problem = said("assistant", f"⚠ {views.literal(sentence(error))}")
        yield question, [*talk, problem], gr.skip(), gr.skip()


def ask_example(event: gr.SelectData, talk: list[dict]) -> Iterator[tuple]:
    """Yield what `ask` yields for the example that was chosen."""
    yield from ask(event.value["text"], talk)


def open_page(event: gr.EventData) -> tuple:
    """Return the panel with the page that a link names."""
    section = int(event.section) if event.section else None
    return gr.Tabs(selected="page"), views.page(event.slug, section)


def find(wish: str) -> str:
    """Return the products nearest to a wish, or a sentence that says why there are none."""
    try:
        return views.products(skills.find_products(rag.checked(wish), N_PRODUCTS))
    except Exception as error:
        return views.problem(sentence(error))


def handbook_tab() -> None:
    """Lay out the talk with the sources and pages beside it, and connect them."""
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            talk = gr.Chatbot(
                label="Talk with Lume", show_label=False, elem_id="talk", buttons=[],
                latex_delimiters=[], placeholder=WELCOME,
                examples=[{"text": example} for example in EXAMPLES],
            )  # fmt: skip
            box = gr.Textbox(
                label="Your question", elem_id="question", max_lines=4, autofocus=True,
                submit_btn="Ask", info=CAUTION,
            )  # fmt: skip
        with gr.Column(scale=4, min_width=320, elem_id="beside"):
            with gr.Tabs() as tabs:
                with gr.Tab("What Lume read", id="read"):
                    read = gr.HTML(
                        NOTHING_READ, elem_id="read", js_on_load=OPEN_PAGE,
                        apply_default_css=False,
                    )  # fmt: skip
                with gr.Tab("Handbook page", id="page"):
                    page = gr.Markdown(NO_PAGE, elem_id="page")
    parts = {"outputs": [box, talk, read, tabs], "concurrency_limit": AT_A_TIME}
    parts |= {"show_progress": "hidden", "concurrency_id": "answers"}
    box.submit(ask, [box, talk], **parts)
    talk.example_select(ask_example, talk, **parts)
    read.click(open_page, outputs=[tabs, page]).then(js=SHOW_PAGE)


def products_tab() -> None:
    """Lay out the search for products, and connect it."""
    wish = gr.Textbox(
        label="What are you looking for?", elem_id="wish", max_lines=1,
        submit_btn="Find", placeholder="something cheerful to drink my coffee from",
    )  # fmt: skip
    shown = gr.HTML(elem_id="products", apply_default_css=False)
    wish.submit(find, wish, shown, concurrency_limit=AT_A_TIME)


def blocks() -> gr.Blocks:
    """Return the app."""
    with gr.Blocks(title="Lume · Bottega Lume", analytics_enabled=False) as app:
        gr.Markdown("# Lume\nThe assistant of Bottega Lume", elem_id="head")
        with gr.Tab("Ask"):
            handbook_tab()
        with gr.Tab("Products"):
            products_tab()
    return app


def warm() -> str:
    """Load what the first question needs; return what is wrong with it, "" if nothing."""
    try:
        rag.retrieve("opening hours")
        skills.find_products("bell")
        if not settings.read().chat:
            shelf.language_model("chat-model")
    except EXPECTED as error:
        return str(error)
    return ""


def serve(port: int, *, browser: bool = True) -> None:
    """Serve the app on a free port of the loopback address until Ctrl+C."""
    print("Lume wakes up: it loads its models and reads the handbook.", flush=True)
    if wrong := warm():
        print(f"✗ {wrong}", flush=True)
    serving.serve("Lume", serving.web(blocks(), CSS), port, browser=browser)
