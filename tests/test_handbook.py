"""The handbook does not contradict itself, and its questions have the answers they say."""

import re
from collections import Counter
from datetime import date

import pytest
import yaml

from labs_support.world import handbook, questions, store

PAGES = handbook.pages()
BY_SLUG = {page.slug: page for page in PAGES}
ROWS = {split: questions.load(split) for split in store.SPLITS}
ALL_ROWS = [row for rows in ROWS.values() for row in rows]
ANSWERABLE = [row for row in ALL_ROWS if row["type"] != "unanswerable"]
STAFF = {
    "Nora Ferrante",
    "Livia Ansaldo",
    "Samir Haddad",
    "Greta Lind",
    "Teo Marchetti",
    "Bruno Salis",
    "Pia Conti",
    "Elisa Moretti",
}

# What each of these wordings names has one value in the whole handbook.
ONE_VALUE = {
    "standard delivery fee": (r"standard delivery fee (?:is|of) (€[\d.]+)", "€5.90"),
    "telephone": (r"\b(0555 \d+ \d+)", "0555 187 007"),
    "street": (r"(?<!pharmacy, )(Via delle Lanterne \d+)", "Via delle Lanterne 7"),
    "stairs to the attic": (r"up (\d+) steps", "17"),
    "depth of the flood": (r"(\d+) cm deep", "74"),
    "ferry back": (r"last ferry back [^.]*? at (\d+:\d+)", "20:45"),
    "email": (r"(ciao@[\w.]+\w)", "ciao@bottegalume.example"),
    "gift card of Livia": (r"Livia on extension (\d+)", "11"),
    "extension of Pia": (r"Pia(?: on|,) extension (\d+)", "16"),
    "extension of Nora": (r"Nora(?: on|,) extension (\d+)", "10"),
    "kiln or furnace, glass": (r"furnace at ([\d,]+ °C)", "1,120 °C"),
    "birth of the festival": (r"first \[?lantern festival\S* in (\d{4})", "2003"),
    "voucher of the club": (r"voucher of (€\d+)", "€15"),
    "cotton bag": (r"cotton bag [^.]*?costs (€[\d.]+)", "€4.00"),
}

FESTA = ("gift_wrapping", r"Festa wrapping costs €([\d.]+)")
STANDARD = ("shipping", r"standard delivery fee is €([\d.]+)")
FERRY = ("getting_here", r"single ticket costs €([\d.]+)")
BAG = ("packaging", r"cotton bag [^.]*?costs €([\d.]+)")

# Answer of a two-page question: a constant and factors of numbers read in the pages.
SUMS = [
    ("€9.40", 0, [(1, *FESTA), (1, *STANDARD)]),
    (
        "€18.90",
        0,
        [
            (1, "gift_wrapping", r"lantern box costs €([\d.]+)"),
            (1, "international_orders", r"European Union \| €([\d.]+)"),
        ],
    ),
    (
        "€23.00",
        0,
        [(1, *FESTA), (1, "international_orders", r"United Kingdom \| €([\d.]+)")],
    ),
    ("€11.50", 0, [(10, "custom_orders", r"€([\d.]+) per letter"), (1, *FESTA)]),
    ("€11.50", 0, [(1, *BAG), (1, "care_wood", r"60 g for €([\d.]+\d)")]),
    (
        "€40",
        0,
        [
            (-1, "gift_cards", r"from €10 to €(\d+)"),
            (1, "classes", r"It costs €(\d+) for two"),
        ],
    ),
    ("€40.40", 0, [(1, "classes", r"20:30, €(\d+)"), (2, *FERRY)]),
    ("€39.40", 40, [(1, *STANDARD), (-1, "returns", r"label costs €([\d.]+)")]),
    (
        "17 percentage points",
        0,
        [
            (1, "wholesale", r"pay (\d+) % less"),
            (-1, "corporate_gifts", r"100 and more \| (\d+) %"),
        ],
    ),
    (
        "7 working days",
        0,
        [
            (1, "custom_orders", r"Engraving takes (\d+) working"),
            (1, "shipping", r"3 to (\d+) working days"),
        ],
    ),
]

SHUT_IN_WINTER = ("opening_hours", r"Tuesday to Saturday \|[^|]*\| 10:00 to (\d+:\d+)")
SHUT_IN_SUMMER = ("opening_hours", r"Tuesday to Saturday \| 9:30 to (\d+:\d+)")
LAST_FERRY = ("getting_here", r"leaves at (\d+:\d+)")

# Answer of a two-page question: the minutes between two times read in the pages.
SPANS = [
    ("15 minutes", 15, ("classes", r"18:30 to (\d+:\d+)"), LAST_FERRY),
    (
        "2 hours 45 minutes",
        165,
        LAST_FERRY,
        ("lantern_festival", r"crossing at (\d+:\d+)"),
    ),
    (
        "4 hours",
        240,
        SHUT_IN_SUMMER,
        ("lantern_festival", r"open until (\d+:\d+)"),
    ),
    ("5 hours", 300, SHUT_IN_WINTER, ("opening_and_closing", r"until (\d+:\d+), when")),
    ("1 hour", 60, SHUT_IN_WINTER, ("loyalty_club", r"from (\d+:\d+) to")),
    (
        "3 hours",
        180,
        SHUT_IN_WINTER,
        ("reserve_and_collect", r"used until (\d+:\d+)"),
    ),
]


def fact(slug: str, pattern: str) -> str:
    """Return what a pattern finds in a page, where it finds it once."""
    (found,) = re.findall(pattern, BY_SLUG[slug].text)
    return found.rstrip(".")


def minutes(slug: str, pattern: str) -> int:
    """Return a time of day in a page as minutes after midnight."""
    hour, minute = fact(slug, pattern).split(":")
    return 60 * int(hour) + int(minute)


def is_asked(answer: str, slugs: set[str]) -> bool:
    """Return whether a two-page question has this answer and these pages."""
    return any(r["answer"] == answer and set(r["pages"]) == slugs for r in ANSWERABLE)


def flat(text: str) -> str:
    """Return text in lower case, with each run of white space as one blank."""
    return " ".join(text.lower().split())


def says(slug: str, answer: str) -> bool:
    """Return whether a page says the answer, not as a part of a longer word or number."""
    pattern = rf"(?<![\w€])(?<!\d[.,:]){re.escape(flat(answer))}(?!\w)(?![.,:]\d)"
    return re.search(pattern, flat(BY_SLUG[slug].text)) is not None


def test_there_are_forty_pages_numbered_in_order():
    numbers = [page.path.name[:2] for page in PAGES]
    assert numbers == [f"{n:02d}" for n in range(1, 41)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
class TestPage:
    def test_has_complete_front_matter(self, page):
        assert page.path.stem[3:] == page.slug
        assert page.title and page.owner in STAFF
        assert date(2025, 1, 1) <= page.updated <= date(2026, 12, 31)
        assert 2 <= len(page.tags) == len(set(page.tags))
        assert all(isinstance(tag, str) and tag == tag.lower() for tag in page.tags)

    def test_has_between_250_and_700_words(self, page):
        assert 250 <= len(page.text.split()) <= 700

    def test_has_sections_that_cover_its_text(self, page):
        sections = handbook.sections(page)
        assert 2 <= len(sections) <= 9
        assert sections[0][0] == page.title
        kept = "\n".join(f"## {heading}\n{text}" for heading, text in sections[1:])
        assert flat(page.text) == flat(sections[0][1] + "\n" + kept)

    def test_links_to_pages_that_exist(self, page):
        for target in re.findall(r"\]\(([^)]+)\)", page.text):
            assert (page.path.parent / target).is_file(), target

    def test_is_plain_in_tone(self, page):
        assert "!" not in page.text
        assert not re.search(r"[“”‘’\t]| $", page.text, re.MULTILINE)

    def test_is_asked_about_at_least_three_times(self, page):
        assert sum(page.slug in row["pages"] for row in ANSWERABLE) >= 3


@pytest.mark.parametrize("name", ONE_VALUE)
def test_a_fact_has_one_value_in_the_whole_handbook(name):
    pattern, value = ONE_VALUE[name]
    found = [hit for page in PAGES for hit in re.findall(pattern, page.text)]
    assert found and set(found) == {value}


def test_shipping_lists_three_ways_with_their_fees():
    fees = re.findall(
        r"\*\*(\w[\w ]*)\.\*\* [^€]*(€\d+\.\d\d)", BY_SLUG["shipping"].text
    )
    assert fees == [
        ("Standard", "€5.90"),
        ("Express", "€11.50"),
        ("Cargo bike", "€2.00"),
    ]


def test_opening_hours_cover_the_week_and_other_pages_agree():
    hours = BY_SLUG["opening_hours"].text
    table = [line for line in hours.splitlines() if line.startswith("| ")]
    days = [line.split("|")[1].strip() for line in table[1:]]
    assert days == ["Monday", "Tuesday to Saturday", "Sunday"]
    ranges = r"open until (\d+:\d\d)"
    late = {page.slug: re.findall(ranges, page.text) for page in PAGES}
    assert {slug: hit for slug, hit in late.items() if hit} == {
        "opening_hours": ["22:00"],  # Thursdays in July and August
        "lantern_festival": ["23:00"],
    }


def test_extensions_on_other_pages_are_those_of_the_staff_page():
    row = r"^\| (\w+) \w+ \|.*\| (\d+) \|$"
    extensions = dict(re.findall(row, BY_SLUG["staff"].text, re.MULTILINE))
    assert len(extensions) == len(STAFF)
    for page in PAGES:
        assert set(re.findall(r"extension (\d+)", page.text)) <= set(
            extensions.values()
        )
        if page.slug in ("custom_orders", "corporate_gifts"):
            assert f"extension {extensions['Elisa']}" in page.text


def test_years_of_the_workshops_are_after_the_opening():
    for slug in ("suppliers_metal_glass_ceramic", "suppliers_wood_textile_paper"):
        years = re.findall(r"(?:since|in) ((?:19|20)\d\d)", BY_SLUG[slug].text)
        assert {int(year) for year in years} & set(range(1987, 2004))


@pytest.mark.parametrize(
    "split, sizes",
    [("train", (24, 8, 8)), ("validation", (24, 8, 8)), ("test", (96, 32, 32))],
)
def test_questions_have_the_promised_mix(split, sizes):
    counts = Counter(row["type"] for row in ROWS[split])
    assert tuple(counts[kind] for kind in questions.TYPES) == sizes
    assert len(questions.answerable(split)) == sizes[0] + sizes[1]


def test_no_two_questions_or_ids_are_the_same():
    assert len({row["id"] for row in ALL_ROWS}) == 240
    texts = {re.sub(r"\W+", " ", row["question"].lower()).strip() for row in ALL_ROWS}
    assert len(texts) == 240


def test_files_hold_what_the_store_would_write():
    for split, rows in ROWS.items():
        assert store.path("questions", split).read_bytes() == store.encode(rows)
        keys = ["id", "question", "answer", "pages", "type"]
        assert all(list(row) == keys for row in rows)


@pytest.mark.parametrize("row", ALL_ROWS, ids=lambda row: row["id"])
def test_answer_fits_its_type_and_pages(row):
    wanted = {"single": 1, "two": 2, "unanswerable": 0}[row["type"]]
    assert len(set(row["pages"])) == len(row["pages"]) == wanted
    assert set(row["pages"]) <= set(BY_SLUG)
    assert bool(row["answer"]) == (row["type"] != "unanswerable")
    assert len(row["answer"].split()) <= 5
    if row["type"] == "single":
        assert says(row["pages"][0], row["answer"])


def test_two_page_answers_are_in_a_page_or_computed():
    two = [row for row in ALL_ROWS if row["type"] == "two"]
    looked_up = [r for r in two if any(says(slug, r["answer"]) for slug in r["pages"])]
    computed = [row for row in two if row not in looked_up]
    assert len(looked_up) >= 20 and len(computed) >= 15
    assert all(re.search(r"\d", row["answer"]) for row in computed)


@pytest.mark.parametrize("answer, constant, terms", SUMS)
def test_sums_over_two_pages_are_right(answer, constant, terms):
    total = constant + sum(k * float(fact(slug, what)) for k, slug, what in terms)
    assert total == pytest.approx(float(re.search(r"[\d.]+", answer)[0]))
    assert is_asked(answer, {slug for _, slug, _ in terms})


@pytest.mark.parametrize("answer, span, earlier, later", SPANS)
def test_spans_over_two_pages_are_right(answer, span, earlier, later):
    assert minutes(*later) - minutes(*earlier) == span
    assert is_asked(answer, {earlier[0], later[0]})


def test_questions_do_not_give_their_answer_away():
    for row in ANSWERABLE:
        given = re.search(
            rf"(?<!\w){re.escape(row['answer'])}(?!\w)", row["question"], re.I
        )
        assert given is None, row


def test_an_unknown_page_is_answered_with_close_names():
    with pytest.raises(ValueError, match="did you mean returns"):
        handbook.page("retruns")
    assert handbook.page("returns") == BY_SLUG["returns"]


def test_a_page_without_front_matter_says_what_is_missing(tmp_path):
    bare = tmp_path / "01_bare.md"
    bare.write_text("No block at the top.", encoding="utf-8")
    with pytest.raises(ValueError, match="has no front matter"):
        handbook.read(bare)
    bare.write_text(
        "---\n" + yaml.safe_dump({"slug": "bare"}) + "---\nText.\n", "utf-8"
    )
    with pytest.raises(ValueError, match="lacks owner, tags, title, updated"):
        handbook.read(bare)


def test_an_unknown_split_is_named():
    with pytest.raises(ValueError, match="there is no split 'dev'"):
        questions.load("dev")
