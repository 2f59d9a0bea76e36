# %% [markdown]
# # 00 · Meet Lume
#
# **After this lesson you know how the course works, and you have met the assistant you
# are going to build.**
#
# **You will** ask Lume for a page, an answer, a product and a picture; read a measured
# claim; pass a first check.\
# **You need** nothing. A little Python helps.\
# **Time** 10 minutes, half of it reading.\
# **Runs on** any laptop: CPU, no network, no account.

# %% [markdown]
# Bottega Lume is a gift shop in the harbour of Porto Lume. Neither exists, and that is
# the point: no model can have memorised the shop, so whatever its assistant knows, you
# gave it. Run the cells from top to bottom with Shift+Enter.

# %%
import textwrap

import matplotlib.pyplot as plt

from labs_support import claims, doctor, figures, rag, settings, shelf, skills
from labs_support.claims import claim
from labs_support.exercises import start_here as ex
from labs_support.world import looks, questions, store

figures.use_style()
SEED = settings.seed_everything()

# %% [markdown]
# ## Is everything here?
#
# Four checks look at the installed packages and at every file the lessons read. Each
# prints what it found, or one sentence that says what to do. In a terminal the command
# `labs doctor` runs these and a few more.

# %% tags=["nbval-ignore-output"]
# not compared: the version of Python differs from machine to machine
CHECKS = (doctor.python, doctor.packages, doctor.text_encoder, doctor.data)
for check in CHECKS:
    print(doctor.fails(check) or check())

# %% [markdown]
# The next line is a **claim**: a sentence, a number measured here and now, and a bound
# that can refute it. Where a bound does not hold, the lesson stops. Every number that may
# differ on your machine stands behind the sign ≈.

# %%
problems = [check.__name__ for check in CHECKS if doctor.fails(check)]
claim("00.1", "Python, packages, model and data are sound", len(problems), equals=0)

# %% [markdown]
# ## Lume finds a page
#
# The shop's handbook has 40 pages. A customer's question and each section of the handbook
# become vectors of 384 numbers, and Lume returns the page whose vector points most nearly
# the same way. No word of the question has to occur on the page.

# %%
question = "May I come in with my terrier?"
hits = skills.find_pages(question)
for found in hits:
    print(f"{found.item.slug:32} cosine ≈ {found.score:.2f}")

# %% [markdown]
# The best page is the one about the shop's cat. Here is the beginning of the section that
# matched, with its source in brackets: an answer that you can check.

# %%
source, text = hits[0].passage.split("\n", 1)
print(textwrap.fill(text.split("\n")[0], 80), f"[{source}]", sep="\n")

# %% [markdown]
# One good answer proves little. So the lesson asks every test question that one page can
# answer, and counts how often the first page is the right one, and how often the right
# one is among the first three. What share do you expect?

# %%
asked = [row for row in questions.load("test") if row["type"] == "single"]
ranks = []
for row in asked:
    slugs = [found.item.slug for found in skills.find_pages(row["question"], n=40)]
    ranks.append(slugs.index(row["pages"][0]))
first = sum(rank == 0 for rank in ranks) / len(ranks)
among_three = sum(rank < 3 for rank in ranks) / len(ranks)
print(
    f"{len(asked)} questions: right page first ≈ {first:.2f}, in three ≈ {among_three:.2f}"
)

# %%
claim(
    "00.2a", "questions whose page is among the first three", among_three, above=0.8
)

# %% [markdown]
# ## Lume answers
#
# A page is not yet an answer. So a language model reads the passages that were found,
# answers, and Lume names the passage the answer rests on. Asked for what the handbook
# does not hold, it should say so.

# %%
for question in ("How much is the ferry?", "Who was the first man on the moon?"):
    found = rag.answer(question)
    print(question, found.text, *(found.sources[i].title for i in found.cited), sep=" | ")

# %% [markdown]
# The model that reads is tiny: four million numbers, trained by this course on shops that
# do not exist. So do not trust two answers. Ask every question of the validation split,
# with the handbook and without it.

# %%
from labs_support import chat, scores

asked = questions.load("validation")
gold = [row["answer"] for row in asked]
said = rag.answers([row["question"] for row in asked])
alone = chat.replies([[{"role": "user", "content": row["question"]}] for row in asked])
right = [scores.exact_match(a.text, g) for a, g in zip(said, gold, strict=True) if g]
guessed = [scores.exact_match(a, g) for a, g in zip(alone, gold, strict=True) if g]
invented = [not a.abstains for a, g in zip(said, gold, strict=True) if not g]
for name, hits in (("right", right), ("right without", guessed), ("invented", invented)):
    print(f"{name:14} ≈ {sum(hits) / len(hits):.2f} of {len(hits)} questions")
gained = (sum(right) - sum(guessed)) / len(right)
claim("00.2d", "answers that the handbook made right", gained, above=0.1)

# %% [markdown]
# Right means: word for word. The model misses most of the others by reading the wrong line
# of the right page; a larger one reads better. Lesson 08 builds all of this, finds out
# which part fails how often, and swaps in other models. `labs assistant` opens the same
# Lume in your browser.

# %% [markdown]
# ## Lume finds a product
#
# The same vectors search the catalogue of 240 products. Try your own words in the cell
# below; the catalogue has sixteen kinds of things, from kites to teapots, in twelve
# colours and four patterns.

# %%
wish = "something cheerful and yellow to drink my coffee from"
hits = skills.find_products(wish)
for found in hits:
    print(
        f"{found.item['sku']}  {found.item['name']:24} {found.item['price']:6.2f} euros"
    )

# %%
_, axes = plt.subplots(1, 3, figsize=(6, 2.2))
for ax, found in zip(axes, hits, strict=True):
    ax.imshow(plt.imread(store.DATA / "catalogue" / found.item["picture"]))
    ax.set_title(found.item["name"])
    ax.axis("off")
plt.show()

# %% [markdown]
# Measured over the whole catalogue: every product is asked for in a plain sentence, and
# the first hit counts if it is the same kind of thing in the same colour. The pattern is
# asked for, too, but not judged.


# %%
def is_hit(row):
    look = f"{row['pattern']} {row['kind']} in {row['colour']}"
    best = skills.find_products(f"I would like a {look} for a friend.", n=1)[0].item
    return (best["kind"], best["colour"]) == (row["kind"], row["colour"])


rows = store.rows("catalogue")
right = sum(is_hit(row) for row in rows) / len(rows)
claim("00.2b", "products whose kind and colour the first hit has", right, above=0.8)

# %% [markdown]
# Some customers have no words but a photo. Here the photo is a fresh drawing of a product:
# another pose, other light, another place. Lesson 09 builds this search.

# %%
hits = []
for i, row in enumerate(rows[:60]):
    photo = skills.draw(row["kind"], row["colour"], pattern=row["pattern"], seed=i)
    best = skills.find_by_picture(photo, n=1)[0].item
    hits.append((best["kind"], best["colour"]) == (row["kind"], row["colour"]))
found = sum(hits) / len(hits)
claim("00.2e", "photos whose kind and colour the first hit has", found, above=0.8)

# %% [markdown]
# ## Lume draws
#
# Every picture of the catalogue was drawn by code: a shape, a colour, a pattern, a place.
# A **diffusion model** has learned from such drawings to draw from words alone, beginning
# with noise. Change the wish and run the cell again.

# %%
import torch

pipe = shelf.text_to_image()
wish = "a plain blue teapot on the beach"
picture = pipe(wish, generator=torch.Generator().manual_seed(SEED)).images[0]
_, ax = plt.subplots(figsize=(2, 2))
ax.imshow(picture)
ax.set_title(wish)
ax.axis("off")
plt.show()

# %% [markdown]
# Is it what was asked for? The search by picture can judge: it names each of 32 pictures
# by the product that looks most like it. Lesson 03 trains such a model, and says what this
# one still gets wrong.

# %%
pairs = [(kind, looks.COLOURS[i % 12]) for i, kind in enumerate(2 * looks.KINDS)]
wishes = [f"a plain {colour} {kind} in a studio" for kind, colour in pairs]
drawn = pipe(wishes, generator=torch.Generator().manual_seed(SEED)).images
seen = [skills.find_by_picture(picture, n=1)[0].item["kind"] for picture in drawn]
as_asked = sum(s == kind for s, (kind, _) in zip(seen, pairs, strict=True)) / len(pairs)
claim("00.2c", "pictures drawn from words that show the thing asked for", as_asked, above=0.5)

# %% [markdown]
# ## How to work
#
# A lesson shows an idea on a few numbers, builds it, compares it with the library that
# everybody uses, and measures a claim. Exercises look like this one: replace the three
# dots, run the cell, and the check says ○ not attempted, ✗ what went wrong, or ● correct.
# Take the # off the last but one line for a hint, again for the next; the last line shows
# the solution.

# %% [markdown]
# ### Exercise 00.1 · The best match ★ (3 min)
#
# Lume's search ends with one step: from the names and their scores, return the name with
# the highest score. For `["fish", "bell", "hat"]` and `[0.1, 0.7, 0.3]` it is `"bell"`.
# If two scores are equal, return the name that comes first.


# %%
def best_match(names, scores):
    """Return the name that has the highest score."""
    ...  # your code here


ex.best_match.check(best_match)
# ex.best_match.hint()
# ex.best_match.solution()

# %% [markdown]
# Your progress is kept in a file of your own and shown by `labs progress`. When something
# on your machine does not work, `labs doctor` says what. Three settings change what runs,
# never what you type: `LABS_SEED=1` repeats a lesson with other random draws,
# `LABS_DEVICE=cuda` uses a graphics card, and `LABS_PROFILE=hub` takes models from the
# Hugging Face hub instead of the embedded ones. Set them before you start, for example
# `LABS_SEED=1 make lab`.

# %% [markdown]
# ## What we measured

# %%
claims.table()

# %% [markdown]
# ## What it cannot do
#
# Lume reads a line wrong more often than not, and now and then answers what the handbook
# does not say. It draws one thing in one place, small and a little rough, and often gets
# the pattern wrong.
#
# ## Where it goes from here
#
# - [01 · The landscape](01_landscape.ipynb): what there is besides language models, and
#   what made language hard before 2017.
# - [02 · Transformers](02_transformers.ipynb): the mechanism inside both searches
#   above, built from numbers up to a translator.
# - Melanie Mitchell, *Artificial Intelligence: A Guide for Thinking Humans* (2019): the
#   best company for the questions that no benchmark answers.
