"""Lume, the assistant of the shop, in a browser: `labs assistant`.

Lume answers from the handbook, shows what it read, opens the pages it cites, and says
when it does not know; it also finds products by words and by a picture. The server
listens on the loopback address only, and the page asks nothing of any other.
"""

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import gradio as gr

from labs_support import pictures, rag, settings, shelf, skills
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
WISHES = (
    "something cheerful to drink my coffee from",
    "a toy for a windy day",
    "a light for the hall",
)
WELCOME = """## Ask about the shop
Hours, parcels, returns, classes, the cat: Lume reads the handbook and answers."""
READING = "Lume is reading …"
WAKING = "Lume is still waking up; this first answer takes some seconds more …"
CAUTION = (
    "Lume is a small model and makes mistakes: open the page it cites. "
    "It answers every question by itself, without those before."
)

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
awake = threading.Event()  # whether the models are loaded
awake.set()  # whoever does not `serve` loads them at the first question


class Shown(NamedTuple):
    """What changes on the page while Lume answers; by default nothing.

    Attributes:
        box: the field for the question.
        problem: what is wrong with it.
        talk: the messages so far.
        read: the list of sources.
        tabs: which panel is beside the talk.
    """

    box: object = gr.skip()
    problem: object = gr.skip()
    talk: object = gr.skip()
    read: object = gr.skip()
    tabs: object = gr.skip()


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


def ask(question: str, talk: list[dict]) -> Iterator[Shown]:
    """Yield what changes on the page while Lume answers.

    What cannot be answered stays in the box, and a sentence says why.
    """
    try:
        question = rag.checked(question)
    except ValueError as error:
        yield Shown(problem=views.problem(str(error)))
        return
    talk = [*talk, said("user", views.literal(question))]
    waiting = said("assistant", READING if awake.is_set() else WAKING)
    yield Shown("", "", [*talk, waiting], tabs=gr.Tabs(selected="read"))
    awake.wait()
    try:
        for found, is_complete in paced(rag.stream(question)):
            shown = said("assistant", views.answer(found, complete=is_complete))
            yield Shown(talk=[*talk, shown], read=views.sources(question, found))
    except Exception as error:  # whatever it was, the learner's words are not lost
        problem = said("assistant", f"⚠ {views.literal(sentence(error))}")
        yield Shown(question, talk=[*talk, problem])


def ask_example(event: gr.SelectData, talk: list[dict]) -> Iterator[Shown]:
    """Yield what `ask` yields for the example that was chosen."""
    yield from ask(event.value["text"], talk)


def forget() -> tuple:
    """Return the panels as they are before the first question."""
    return "", views.NOTHING_READ, gr.Tabs(selected="read"), views.NO_PAGE


def open_page(event: gr.EventData) -> tuple:
    """Return the panel with the page that a link names."""
    section = int(event.section) if event.section else None
    return gr.Tabs(selected="page"), views.page(event.slug, section)


def find(wish: str) -> str:
    """Return the products nearest to a wish, or a sentence that says why there are none."""
    try:
        wish = rag.checked(wish)
        awake.wait()
        return views.nearest(wish, skills.find_products(wish, N_PRODUCTS))
    except Exception as error:
        return views.problem(sentence(error))


def find_by_picture(file: str) -> str:
    """Return the products that look most like a picture, or a sentence like `find`."""
    try:
        picture = pictures.open_picture(file)
        awake.wait()
        return views.alike(picture, skills.find_by_picture(picture, N_PRODUCTS))
    except Exception as error:
        return views.problem(sentence(error))


def handbook_tab() -> None:
    """Lay out the talk with the sources and pages beside it, and connect them."""
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            talk = gr.Chatbot(
                label="Talk with Lume", show_label=False, elem_id="talk", buttons=[],
                latex_delimiters=[], placeholder=WELCOME, allow_tags=False,
                examples=[{"text": example} for example in EXAMPLES],
            )  # fmt: skip
            problem = gr.HTML(elem_id="problem", apply_default_css=False)
            box = gr.Textbox(
                label="Your question", elem_id="question", max_lines=4, autofocus=True,
                submit_btn="Ask", info=CAUTION,
            )  # fmt: skip
        with gr.Column(scale=4, min_width=320, elem_id="beside"):
            with gr.Tabs() as tabs:
                with gr.Tab("What Lume read", id="read"):
                    read = gr.HTML(
                        views.NOTHING_READ, elem_id="read", js_on_load=OPEN_PAGE,
                        apply_default_css=False,
                    )  # fmt: skip
                with gr.Tab("Handbook page", id="page"):
                    page = gr.Markdown(views.NO_PAGE, elem_id="page")
    shown = Shown(box, problem, talk, read, tabs)
    parts = {"outputs": list(shown), "concurrency_limit": AT_A_TIME}
    parts |= {"show_progress": "hidden", "concurrency_id": "answers"}
    parts |= {"trigger_mode": "always_last"}  # who asks too early is answered next
    box.submit(ask, [box, talk], **parts)
    talk.example_select(ask_example, talk, **parts)
    talk.clear(forget, outputs=[problem, read, tabs, page])
    every = {"trigger_mode": "multiple"}  # a click while a page opens is not lost
    read.click(open_page, outputs=[tabs, page], **every).then(js=SHOW_PAGE)


def products_tab() -> None:
    """Lay out the search for products, and connect it."""
    with gr.Row(equal_height=True):
        wish = gr.Textbox(
            label="What are you looking for?", elem_id="wish", max_lines=1,
            submit_btn="Find", scale=4, placeholder="in your own words",
        )  # fmt: skip
        upload = gr.UploadButton(
            "Find by a picture", elem_id="picture", file_types=["image"], size="md",
            scale=0, min_width=180,
        )  # fmt: skip
    with gr.Row(elem_id="wishes"):
        buttons = [gr.Button(text, size="sm", min_width=0) for text in WISHES]
    shown = gr.HTML(
        views.window(N_PRODUCTS), elem_id="products", apply_default_css=False
    )
    parts = {"concurrency_limit": AT_A_TIME, "concurrency_id": "products"}
    parts |= {"trigger_mode": "always_last"}
    wish.submit(find, wish, shown, **parts)
    upload.upload(find_by_picture, upload, shown, **parts)
    for button in buttons:
        button.click(lambda text: text, button, wish).then(find, button, shown, **parts)


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
        if not settings.read().chat:
            shelf.language_model("chat-model")
        skills.find_products("bell")
    except EXPECTED as error:
        return str(error)
    return ""


def wake_up() -> None:
    """Load the models while the page is already there, and say what is wrong, if any."""
    try:
        if wrong := warm():
            print(f"✗ {wrong}", flush=True)
    finally:
        awake.set()


def serve(port: int, *, browser: bool = True) -> None:
    """Serve the app on a free port of the loopback address until Ctrl+C."""
    awake.clear()
    serving.serve("Lume", blocks, CSS, port, meanwhile=wake_up, browser=browser)
