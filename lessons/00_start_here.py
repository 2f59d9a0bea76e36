# %% [markdown]
# # 00 · Meet Lume
#
# **After this lesson you know how the course works, and you have met the assistant you
# are going to build.**
#
# **You will** ask Lume for a page, a product and a picture; read a measured claim; pass
# a first check.\
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

from labs_support import claims, doctor, figures, settings, skills
from labs_support.claims import claim
from labs_support.exercises import start_here as ex
from labs_support.world import looks, questions, render, store

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
# The rest of the questions is the business of lesson 08 (in preparation): split pages
# better, combine two ways of searching, and let a language model read the page and
# answer with its source, or say that it does not know.

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
# ## Lume draws
#
# Every picture of the shop is drawn by code: a shape, a colour, a pattern, a scene, a
# light. Lesson 03 (in preparation) trains a diffusion model to draw such pictures from
# words alone; this code will be its teacher.

# %%
_, axes = plt.subplots(2, 6, figsize=(6, 2.2))
wishes = zip(looks.KINDS, looks.COLOURS, axes.flat, strict=False)
for i, (kind, colour, ax) in enumerate(wishes):
    ax.imshow(skills.draw(kind, colour, seed=100 * SEED + i))
    ax.set_title(f"{colour} {kind}", fontsize=7)
    ax.axis("off")
plt.show()

# %% [markdown]
# Are they drawn as asked? A small classifier learns twelve colours from one set of
# drawings, as the mean colour inside each product. Then it names the colours in new
# drawings: other poses, other light, other backgrounds.

# %%
import random

import numpy as np
from sklearn.neighbors import KNeighborsClassifier


def mean_colours(name, n):
    rng = random.Random(name)
    scenes = [render.sample_scene(rng, pattern="plain") for _ in range(n)]
    inside = [render.mask(scene) > 200 for scene in scenes]
    pixels = [render.render(s)[m].mean(0) for s, m in zip(scenes, inside, strict=True)]
    return np.array(pixels), [scene.colour for scene in scenes]


judge = KNeighborsClassifier(5).fit(*mean_colours(f"learn-{SEED}", 600))
as_asked = judge.score(*mean_colours(f"test-{SEED}", 300))
claim("00.2c", "drawings whose colour a classifier names as asked", as_asked, above=0.9)

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
# So far Lume returns the page and leaves the reading to you, and it returns a page even
# when the handbook holds no answer. It draws only what the renderer was programmed to
# draw.
#
# ## Where it goes from here
#
# - [01 · The landscape](01_landscape.ipynb): what there is besides language models, and
#   what made language hard before 2017.
# - [02 · Transformers](02_transformers.ipynb): the mechanism inside both searches
#   above, built from numbers up to a translator.
# - Melanie Mitchell, *Artificial Intelligence: A Guide for Thinking Humans* (2019): the
#   best company for the questions that no benchmark answers.
