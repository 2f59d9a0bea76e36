"""Decks: what they name exists, every slide has its minutes, and none overflows."""

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labs_support.settings import ROOT

SLIDES = ROOT / "slides"
sys.path.insert(0, str(SLIDES))  # slides/ is a folder of scripts, not a package
import build  # noqa: E402
import parts  # noqa: E402

DECKS = build.decks()
HEAD = "---\nmarp: true\ntheme: labs\npaginate: true\n---\n"
NOTE = re.compile(r"<!--\s*\((\d+) min\)(.*?)-->", re.S)
MEASURED = re.compile(r"≈ *\d|\d[.,]\d|\d ?%")
MINUTES_SHARE = 0.6  # a deck fills at least this share of the time its lesson states
N_SLIDES = {"00_start_here": (5, 8)}
CHROMIUM = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-sync --disable-background-networking --disable-component-update "
    "--window-size=1280,720 --virtual-time-budget=2000 --dump-dom"
).split()
LOOK = """
<style>svg.bespoke-marp-slide { content-visibility: visible !important }</style>
<script>
addEventListener('load', () => {
  const found = [];
  document.querySelectorAll('section').forEach((slide, i) => {
    const box = slide.getBoundingClientRect(), scale = box.width / 1280;
    const report = (what) => found.push(`slide ${i + 1}: ${what}`);
    if (slide.scrollHeight > slide.clientHeight + 1) report('is too high');
    if (slide.scrollWidth > slide.clientWidth + 1) report('is too wide');
    slide.querySelectorAll('*').forEach((element) => {
      if (element.closest('footer, mjx-container')) return;
      const name = `<${element.localName}> ${element.textContent.trim().slice(0, 30)}`;
      const { top, left, right, bottom } = element.getBoundingClientRect();
      const lowest = box.bottom - 48 * scale, edge = 30 * scale;
      if (bottom > lowest || top < box.top) report(`${name} leaves it at the foot`);
      if (right > box.right - edge || left < box.left + edge) report(`${name} is wide`);
      if (element.clientWidth && element.scrollWidth > element.clientWidth + 1)
        report(`${name} does not fit`);
      if (element.localName !== 'img') return;
      const { naturalWidth, naturalHeight } = element;
      const shown = Math.min(right - left, (bottom - top) * naturalWidth / naturalHeight);
      if (!(shown > 560 * scale)) report(`the figure is ${shown / scale} pixels wide`);
    });
  });
  const answer = document.createElement('pre');
  answer.id = 'found';
  answer.textContent = JSON.stringify(found);
  document.body.append(answer);
});
</script>
"""

each_deck = pytest.mark.parametrize("deck", DECKS, ids=lambda deck: deck.stem)


def slides(text: str) -> list[str]:
    """Return the slides of a filled deck, without its front matter."""
    _, _, body = text.split("---\n", 2)
    return re.split(r"^---$", body, flags=re.M)


def test_every_lesson_has_a_deck():
    lessons = [path.stem for path in sorted((ROOT / "lessons").glob("[0-9][0-9]_*.py"))]
    assert [deck.stem for deck in DECKS] == lessons


@each_deck
def test_everything_a_deck_names_exists(deck):
    filled = build.fill(deck)
    assert "{{" not in filled
    low, high = N_SLIDES.get(deck.stem, (10, 22))
    assert low <= len(slides(filled)) <= high


@each_deck
def test_every_slide_has_notes_with_minutes(deck):
    for number, slide in enumerate(slides(build.fill(deck)), 1):
        notes = NOTE.findall(slide)
        assert len(notes) == 1, f"slide {number} has {len(notes)} notes with minutes"
        assert len(notes[0][1].split()) >= 8, f"the notes of slide {number} say little"


@each_deck
def test_minutes_fit_into_the_time_of_the_lesson(deck):
    filled = build.fill(deck)
    total = sum(int(minutes) for minutes, _ in NOTE.findall(filled))
    stated = int(re.search(r"\d+", parts.lesson(deck.stem, "time"))[0])
    assert MINUTES_SHARE * stated <= total <= stated
    assert f"{total} minutes" in NOTE.search(slides(filled)[0])[2]


@each_deck
def test_no_measured_number_is_typed(deck):
    body = deck.read_text(encoding="utf-8")
    typed = re.sub(r"\{\{.*?\}\}|```.*?```|\$.*?\$", "", body, flags=re.S)
    assert not [line for line in typed.splitlines() if MEASURED.search(line)]


@each_deck
def test_every_deck_asks_measures_and_says_its_limits(deck):
    filled = build.fill(deck)
    assert len(re.findall(r"^> .*\?$", filled, re.M)) >= 2
    assert "| measured |" in filled
    if deck.stem not in N_SLIDES:
        titles = re.findall(r"^## (.*)$", filled, re.M)
        assert {"What we measured", "What it cannot do"} <= set(titles)


@pytest.mark.parametrize(
    ("placeholder", "message"),
    [
        ("{{figure: nowhere | x}}", "0 cells with 'nowhere' show a figure, not one"),
        ("{{figure: plt | x}}", "2 cells with 'plt' show a figure, not one"),
        ("{{figure: skills.draw}}", "a figure needs a text"),
        ("{{output: skills.draw}}", "0 cells with 'skills.draw' show text, not one"),
        ("{{claim: 00.9}}", "there is no claim '00.9'; there are 00.1, 00.2a"),
        ("{{result: 00.1 | soup}}", "claim 00.1 is 'Python, packages, model and data"),
        ("{{exercise: 00.9}}", "there is no exercise '00.9'; there are 00.1"),
        ("{{code: nothing}}", "no function or class 'nothing'"),
        ("{{diagram: none | x}}", "a diagram needs slides/NAME.svg"),
        ("{{colour: red}}", "the placeholders are figure, diagram"),
    ],
)
def test_a_wrong_name_is_one_clear_sentence(tmp_path, placeholder, message):
    deck = tmp_path / "00_start_here.md"
    deck.write_text(f"{HEAD}# One\n\n{placeholder}\n", encoding="utf-8")
    with pytest.raises(parts.DeckError) as error:
        build.fill(deck)
    assert message in str(error.value)
    assert "00_start_here.md, line 8" in str(error.value)


def test_the_lock_of_the_deck_tools_names_no_registry():
    lock = json.loads((SLIDES / "package-lock.json").read_text())
    wanted = json.loads((SLIDES / "package.json").read_text())["devDependencies"]
    packages = lock["packages"]
    assert packages[""]["devDependencies"] == wanted
    assert not [name for name, package in packages.items() if "resolved" in package]
    assert all("integrity" in package for name, package in packages.items() if name)


needs_marp = pytest.mark.skipif(
    not (build.MARP.exists() and shutil.which("node")),
    reason="marp-cli is not installed; `make slides` installs it where Node.js is",
)
needs_browser = pytest.mark.skipif(
    not build.browser(), reason="there is no Chromium or Chrome to open the decks with"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Return a folder with the HTML of every deck."""
    out = tmp_path_factory.mktemp("decks")
    build.build(DECKS, out, has_pdf=False)
    return out


def overflows(page: Path, folder: Path) -> list[str]:
    """Return what leaves its slide when a browser shows the page."""
    copy = folder / f"look_{page.name}"
    source = page.read_text(encoding="utf-8")
    copy.write_text(source.replace("</body>", f"{LOOK}</body>"), encoding="utf-8")
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [build.browser(), *CHROMIUM, profile, copy.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    answer = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.S)
    assert answer, f"the browser says nothing about {page.name}: {done.stderr[-300:]}"
    return json.loads(html.unescape(answer[1]))


@needs_marp
@each_deck
def test_the_page_is_complete_without_a_network(built, deck):
    page = (built / f"{deck.stem}.html").read_text(encoding="utf-8")
    outside = r"""(?:src|href)=["']?https?:|url\(["']?https?:|@import"""
    assert not re.findall(outside, page)
    n_slides = len(slides(build.fill(deck)))
    assert len(re.findall("<section", page)) == n_slides
    notes = re.findall(r'<div class="bespoke-marp-note"[^>]*><p>\(\d+ min\)', page)
    assert len(notes) == n_slides


@needs_marp
@needs_browser
@each_deck
def test_no_slide_overflows(built, tmp_path, deck):
    assert overflows(built / f"{deck.stem}.html", tmp_path) == []


@needs_marp
@needs_browser
def test_a_slide_that_overflows_is_found(tmp_path):
    long = "\n".join("- one more line" for _ in range(20))
    wide = f"```text\n{'wide' * 60}\n```"
    text = "\n\n---\n".join(["## Fits\n\n- a line", f"## Long\n\n{long}", wide])
    (tmp_path / "deck.md").write_text(HEAD + text, encoding="utf-8")
    build.marp(tmp_path, tmp_path / "out")
    found = overflows(tmp_path / "out" / "deck.html", tmp_path)
    assert {line.split(":")[0] for line in found} == {"slide 2", "slide 3"}
