"""Build the decks: Markdown in this folder -> HTML and PDF in slides/dist.

A deck holds no figure and no measured number. It names them, and they are taken from
the executed notebook of the same slug:

    {{figure: code | what it shows}}    of the one cell with this piece of code
    {{diagram: name | what it shows}}   slides/name.svg
    {{output: code}}          what the one cell with this piece of code printed
    {{code: name}}            a top-level function or class of the lesson
    {{claim: 02.4 | recalls}} the measured value as the lesson printed it; the claim
                              must hold the words, so that renumbering is noticed
    {{result: 02.4}}          the same in large, with the sentence and the bound
    {{claims: 02.1 02.2a}}    a table of these claims; of all of them without ids
    {{exercise: 02.3}}        id, title, stars and minutes; {{minutes: 02.3}} only those
    {{lesson: title}}         also promise, and time
    {{total}}                 the sum of the minutes in the speaker notes

A name that the notebook does not have stops the build with one sentence.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from parts import PARTS, DeckError

SLIDES = Path(__file__).resolve().parent
DIST = SLIDES / "dist"
MARP = SLIDES / "node_modules" / "@marp-team" / "marp-cli" / "marp-cli.js"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PLACEHOLDER = re.compile(r"\{\{ *(\w+) *(?:: *(.*?))? *\}\}", re.S)
MINUTES = re.compile(r"<!--\s*\((\d+) min\)")


def decks(wanted: tuple[str, ...] = ()) -> list[Path]:
    """Return the deck files, or those whose names start with one of `wanted`."""
    found = sorted(SLIDES.glob("[0-9][0-9]_*.md"))
    return [deck for deck in found if not wanted or deck.name.startswith(wanted)]


def fill(deck: Path) -> str:
    """Return the Markdown of a deck with every placeholder replaced.

    Raises:
        DeckError: if one names nothing; the message says where and what there is.
    """
    source = deck.read_text(encoding="utf-8")

    def replace(match: re.Match) -> str:
        before = source[: match.start()]
        try:
            found = named(deck.stem, match)
        except DeckError as problem:
            line = before.count("\n") + 1
            where = f"{deck.name}, line {line}, {match[0]}"
            raise DeckError(f"{where}: {problem}") from None
        is_item = before.endswith(("\n* ", "\n- "))
        return found.replace("\n", "\n  ") if is_item else found

    text = PLACEHOLDER.sub(replace, source)
    total = sum(int(n) for n in MINUTES.findall(text))
    return PLACEHOLDER.sub(str(total), text)


def named(slug: str, match: re.Match) -> str:
    """Return what a placeholder names; the total stays until all minutes are known."""
    if match[1] == "total":
        return match[0]
    if match[1] not in PARTS:
        raise DeckError(f"the placeholders are {', '.join(PARTS)}, total")
    return PARTS[match[1]](slug, match[2] or "")


def browser() -> str | None:
    """Return the path of a Chromium or Chrome, None where there is none."""
    found = (shutil.which(name) for name in BROWSERS)
    return os.environ.get("CHROME_PATH") or next((path for path in found if path), None)


def install() -> None:
    """Install marp-cli into slides/node_modules unless it is there.

    Raises:
        DeckError: if there is no Node.js, or the installation does not succeed.
    """
    if MARP.exists() and shutil.which("node"):
        return
    npm = shutil.which("npm")
    if not npm:
        raise DeckError(
            "the decks are built with Node.js 18 or newer; please install it"
        )
    print("installing marp-cli into slides/node_modules (once)")
    done = subprocess.run([npm, "ci"], cwd=SLIDES, capture_output=True, text=True)
    if done.returncode:
        why = [line for line in done.stderr.splitlines() if "error" in line]
        raise DeckError(f"npm ci in slides/ stopped: {(why or ['no reason given'])[0]}")


def marp(sources: Path, out: Path, *options: str) -> None:
    """Convert every Markdown file of a folder with marp-cli into another folder."""
    command = ["node", str(MARP), "-I", str(sources), "-o", str(out), *options]
    environment = {**os.environ, "CHROME_PATH": browser() or ""}
    done = subprocess.run(
        command, cwd=SLIDES, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise DeckError(f"marp-cli stopped: {done.stderr.strip().splitlines()[-1]}")


def build(chosen: list[Path], out: Path = DIST, *, has_pdf: bool = True) -> list[Path]:
    """Build decks and return the files written: HTML, and PDF where Chromium is."""
    with tempfile.TemporaryDirectory() as folder:
        for deck in chosen:
            (Path(folder) / deck.name).write_text(fill(deck), encoding="utf-8")
        marp(Path(folder), out)
        if has_pdf and browser():
            marp(Path(folder), out, "--pdf", "--pdf-notes")
    return sorted(path for deck in chosen for path in out.glob(f"{deck.stem}.*"))


def main() -> None:
    """Build the decks named on the command line, all of them without a name."""
    parser = argparse.ArgumentParser(description="Build the decks into slides/dist.")
    parser.add_argument("lesson", nargs="*", help="such as 02; all decks without one")
    parser.add_argument("--no-pdf", action="store_true", help="build only HTML")
    asked = parser.parse_args()
    chosen = decks(tuple(asked.lesson))
    try:
        if not chosen:
            raise DeckError(f"there is no deck {' '.join(asked.lesson)!r} in slides/")
        install()
        written = build(chosen, has_pdf=not asked.no_pdf)
    except DeckError as problem:
        sys.exit(str(problem))
    for path in written:
        print(path.relative_to(SLIDES.parent).as_posix())
    if not browser() and not asked.no_pdf:
        print("no PDF: it needs Chromium or Chrome (on PATH, or named by CHROME_PATH)")


if __name__ == "__main__":
    main()
