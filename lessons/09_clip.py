# %% [markdown]
# # 09 · One space for words and pictures
#
# **After this lesson you can search pictures with words and with other pictures, name what
# is on them without training a classifier, and say where such a search fails.**
#
# **You will** build the contrastive loss and train an image tower with it; search the
# catalogue by text and by picture, with filters; measure what the model cannot do.\
# **You need** lesson 02 for embeddings and the softmax, and Python.\
# **Time** 60 minutes: 25 to read and run, 35 for the exercises in between.\
# **Runs on** any laptop: CPU, one thread, no network, 1.5 GB, one to two minutes.

# %% [markdown]
# A customer describes a kite, or holds up a photo of one. Both should lead to the same
# product. CLIP (2021) does it with two networks, its **towers**: one turns a picture into a
# vector, one a text, and both vectors live in one space, where near means alike.
#
# | letter | meaning | letter | meaning |
# |---|---|---|---|
# | B | pairs in a batch | x | pixels |
# | C | channels of a vector | y | place of the right answer |
# | v | vectors of pictures | t | vectors of texts |

# %%
import matplotlib.pyplot as plt
import torch
from PIL import Image
from scipy.stats import binomtest
from torch import nn
from torch.nn import functional as F

from labs_support import claims, figures, settings, shelf
from labs_support.claims import claim
from labs_support.exercises import clip as ex
from labs_support.world import captions, catalogue, queries, render, store

figures.use_style()
SEED = settings.seed_everything()

# %% [markdown]
# ## 1 · Two towers, one space
#
# The shelf has a small CLIP, `lume-clip`, in the format of the library `open_clip`. It
# comes in three parts: the model with both towers, `preprocess`, which makes a tensor of a
# picture, and a tokenizer.

# %%
from labs_support.pictures import open_picture

clip = shelf.image_text()
rows = store.rows("catalogue")
pictures = [open_picture(store.DATA / "catalogue" / row["picture"]) for row in rows]
x = clip.preprocess(pictures[0])[None]  # (B, 3, height, width)
ids = clip.tokenizer(["a striped white drum"])  # (B, T)
with torch.inference_mode():
    v = clip.model.encode_image(x, normalize=True)  # (B, C)
    t = clip.model.encode_text(ids, normalize=True)  # (B, C)
print([tuple(part.shape) for part in (x, ids, v, t)])

# %% [markdown]
# `normalize=True` brings every vector to length 1. Then the dot product of two of them is
# the **cosine** of the angle between them: 1 for the same direction, 0 for a right angle.
# Four products of the shop and their four names make 16 cosines. Which will be large?

# %%
from labs_support.contrastive import embed_pictures, embed_texts

chosen = [0, 3, 7, 8]
names = [rows[i]["name"] for i in chosen]
v, t = embed_pictures(clip, [pictures[i] for i in chosen]), embed_texts(clip, names)
cosines = v @ t.T  # (4, 4)
fig, ax = plt.subplots()
figures.heatmap(ax, cosines, names, names)
ax.set(xlabel="text", ylabel="picture of")
plt.show()
print("on the diagonal ≈", round(cosines.diagonal().mean().item(), 2))

# %% [markdown]
# Each picture is nearest to its own name, on the diagonal. Nobody told the model these
# products: it has never seen a picture or a caption with the same object, colour, pattern
# and place together. How does one train such a thing?

# %% [markdown]
# ### Exercise 09.1 · Every picture with every text ★ (4 min)
#
# Write what the line `v @ t.T` needs when the vectors still have any length. `images` is
# (N, C), `texts` is (M, C); return their cosines, (N, M). For `[3, 4]` and `[1, 0]` it
# is 0.6.


# %%
def cosine_table(images, texts):
    ...  # your code here


ex.cosines.check(cosine_table)
# ex.cosines.hint()
# ex.cosines.solution()

# %% [markdown]
# ## 2 · The loss: find your partner
#
# The training data are pairs, a picture and its caption, and nothing else: no list of
# classes. The game: given a batch of B pictures and B captions, shuffled, say which
# belongs to which. Three pairs with vectors of two numbers, and their cosines:

# %%
v = F.normalize(torch.tensor([[3.0, 1.0], [1.0, 2.0], [-2.0, 1.0]]), dim=1)
t = F.normalize(torch.tensor([[2.0, 1.0], [-1.0, 3.0], [1.0, 3.0]]), dim=1)
cosines = v @ t.T  # (3, 3): row i is picture i, column j is text j
print([[round(c, 2) for c in row] for row in cosines.tolist()])

# %% [markdown]
# Picture 0 belongs to text 0, with the largest cosine of its row: good. Picture 1 is nearer
# to text 2 than to its own: bad. Read each row as a question with three answers, and you
# know what to do: softmax, then minus the logarithm of the share of the right answer, the
# **cross-entropy** of lesson 02. One thing is added. Cosines lie between -1 and 1, too
# close together for a softmax, so they are divided by a small **temperature** first.

# %%
for temperature in (1, 0.07):
    shares = (cosines / temperature).softmax(dim=1)
    print(temperature, [round(share, 3) for share in shares[0].tolist()])
print("surprise of picture 0:", round(-shares[0, 0].log().item(), 3), "nats")

# %% [markdown]
# At temperature 1 the softmax hardly dares to choose. CLIP starts at 0.07 and learns the
# number itself. The loss asks both ways, each picture for its text and each text for its
# picture, and takes the mean. All other captions of the batch serve as wrong answers, the
# **negatives**: nobody has to collect them.


# %%
def clip_loss(images, texts, temperature=0.07):
    logits = images @ texts.T / temperature  # (B, B)
    y = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, y) + F.cross_entropy(logits.T, y)) / 2


# %% [markdown]
# That is the whole idea of CLIP, in three lines. Is it the loss of the library? On random
# vectors, both the loss and its gradient must agree with `open_clip`.

# %%
import open_clip

v, t = F.normalize(torch.randn(2, 64, 128), dim=-1)
v.requires_grad_()
ours, theirs = clip_loss(v, t), open_clip.ClipLoss()(v, t, logit_scale=1 / 0.07)
slopes = [torch.autograd.grad(loss, v)[0] for loss in (ours, theirs)]
gap = (ours - theirs).abs().item()
claim("09.1a", "gap between our loss and open_clip's", gap, below=1e-5)
gap = (slopes[0] - slopes[1]).abs().max()
claim("09.1b", "largest gap between the gradients", gap, below=1e-6)

# %% [markdown]
# Why the temperature cannot stay at 1: give the loss 128 perfect pairs, every picture equal
# to its text and at right angles to all others. There is nothing left to learn, so the
# loss should be 0.

# %%
perfect = torch.eye(128)
for temperature in (1, 0.3, 0.07, 0.01):
    left = clip_loss(perfect, perfect, temperature).item()
    print(f"{temperature:5}: {left:.3f} nats")
stuck = clip_loss(perfect, perfect, temperature=1).item()
claim("09.1c", "loss of perfect pairs at temperature 1", stuck, above=3, unit="nats")

# %% [markdown]
# At temperature 1 the perfect solution scores hardly better than guessing, ln 128 or 4.9
# nats, and the gradient would pull it apart. The slider shows the same for one picture:
# grey is the softmax at temperature 1. Small temperatures trust the largest cosine, and
# push away mostly those negatives that come close.

# %%
from labs_support import widgets

names = [rows[i]["name"] for i in (0, 15, 3, 7, 8, 20)]
cosines = embed_pictures(clip, [pictures[0]]) @ embed_texts(clip, names).T
widgets.temperature(cosines[0], names)

# %% [markdown]
# ### Exercise 09.2 · Recall at k ★ (5 min)
#
# The usual score of a search: the share of queries whose right item is among the first k
# hits. `scores` is (N, M), queries by items; `gold` (N,) holds the place of the right
# item; return a number. If the right item has rank 1, 4 and 2, recall at 1 is 1/3 and
# recall at 2 is 2/3.


# %%
def recall_at_k(scores, gold, k):
    ...  # your code here


ex.recall.check(recall_at_k)
# ex.recall.hint()
# ex.recall.solution()

# %% [markdown]
# ## 3 · Train a tower in seconds
#
# The text tower need not be trained: lesson 08's MiniLM already knows that a vessel is a
# boat. So keep its vectors fixed and train only the pictures to meet them: **locked-text
# tuning**. The data: captions of the shop's world, each drawn three times with another
# pose, light and background.

# %%
import random

from labs_support import skills


def drawn(rows, rng, size=32):
    looks = [{name: row[name] for name in captions.ATTRIBUTES} for row in rows]
    scenes = [render.sample_scene(rng, **look) for look in looks]
    x = torch.tensor(render.render_batch(scenes, size))  # (N, size, size, 3)
    return x.permute(0, 3, 1, 2) / 127.5 - 1  # (N, 3, size, size), -1..1


train = store.rows("captions", "train")[:1000]
held_out = store.rows("captions", "validation")
rng = random.Random(f"lesson-09-{SEED}")
x = drawn(train * 3, rng)
t = torch.tensor(skills.embed([row["caption"] for row in train])).repeat(3, 1)
x_new = drawn(held_out, rng)
t_new = torch.tensor(skills.embed([row["caption"] for row in held_out]))
print(tuple(x.shape), tuple(t.shape), train[0]["caption"], sep="\n")

# %% [markdown]
# The tower is three **convolutions**. Each slides small filters over the picture, here 3 x
# 3 pixels in steps of two, so that the picture shrinks to half its side while its channels
# double. `BatchNorm2d` keeps the numbers at one scale. A matrix makes the vector.


# %%
class Tower(nn.Sequential):
    def __init__(self, C, widths=(32, 64, 128)):
        layers, before = [], 3
        for width in widths:
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        super().__init__(*layers, nn.Flatten(), nn.Linear(before * 16, C))

    def forward(self, x):
        return F.normalize(super().forward(x), dim=-1)


# %% [markdown]
# The training loop is the one of lesson 02, with pairs instead of sentences.


# %%
def train_tower(tower, pictures, texts, n_steps, loss, size=128, rate=3e-3):
    optimiser = torch.optim.AdamW(tower.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=n_steps)
    tower.train()
    for _ in range(n_steps):
        rows = torch.randint(len(pictures), (size,))
        value = loss(tower(pictures[rows]), texts[rows])
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        schedule.step()
    tower.eval()


# %% [markdown]
# How important are the negatives? The next cell trains three towers. All see the same
# number of pictures in batches of 128 and take the same number of steps. Only the
# question differs: each picture is asked to find its caption among 2, among 16, or among
# all 128 of the batch. The score: 300 new captions look for their pictures among 300 new
# ones.


# %%
def grouped_loss(images, texts, size, temperature=0.07):
    pairs = zip(images.split(size), texts.split(size), strict=True)
    return torch.stack([clip_loss(v, t, temperature) for v, t in pairs]).mean()


# %%
from functools import partial

from labs_support.contrastive import recall_at

sizes, found = [2, 16, 128], []
for size in sizes:
    torch.manual_seed(SEED)
    tower = Tower(C=384)
    train_tower(tower, x, t, n_steps=120, loss=partial(grouped_loss, size=size))
    with torch.inference_mode():
        scores = t_new @ tower(x_new).T  # (300, 300)
    found.append(recall_at(scores, torch.arange(300), k=1))

# %% [markdown]
# A guess would find one in 300.

# %%
fig, ax = plt.subplots()
ax.plot(sizes, found, "o-", color=figures.ACCENT)
ax.set(xlabel="captions to choose from", ylabel="recall at 1")
ax.set(xscale="log", ylim=(0, 1))
ax.set_xticks(sizes, sizes)
ax.minorticks_off()
plt.show()
claim("09.5a", "recall at 1 of a tower trained among 128", found[2], above=0.3)
gained = found[2] - found[0]
claim("09.5b", "gained by 127 negatives instead of 1", gained, above=0.05)

# %% [markdown]
# Between two captions, the object alone nearly always decides; among 128 some others
# share the object or the colour, and the tower has to look closer. That is why CLIP
# trained with batches of 32,768. It has a price: if two pictures of a batch fit the same
# caption, the loss punishes a right answer.

# %% [markdown]
# ### Exercise 09.3 · A caption that fits two pictures ★★ (8 min)
#
# Repair that. `logits` is (B, B), pictures by texts; `matches` has a 1 wherever a text is
# true of a picture. For each picture take the mean of minus log-softmax over its true
# texts, then the mean over pictures; the same for texts; return the mean of both.


# %%
def shared_loss(logits, matches):
    ...  # your code here


ex.matched.check(shared_loss)
# ex.matched.hint()
# ex.matched.solution()

# %% [markdown]
# ## 4 · The catalogue, searched
#
# `lume-clip` is the same idea with more of everything: a residual network for 64 x 64
# pixels, 40,000 pictures, many wordings, and one matrix that turns MiniLM's 384 numbers into
# the 128 of the common space. Only the picture side and that matrix were trained.

# %%
parts = {"trained": 0, "frozen": 0}
for weight in clip.model.parameters():
    parts["trained" if weight.requires_grad else "frozen"] += weight.numel()
print({name: f"{n / 1e6:.1f} million weights" for name, n in parts.items()})

# %% [markdown]
# Embed all pictures once and keep the vectors: a search is then one matrix product. The
# file format is **safetensors**, plain numbers with names. Python's own format, pickle, may
# run a program when it is opened; this one cannot.

# %%
from safetensors.torch import load_file, save_file

v = embed_pictures(clip, pictures)  # (240, C)
file = settings.home() / "catalogue.safetensors"
file.parent.mkdir(exist_ok=True)
save_file({"pictures": v}, file)
print(f"{file.stat().st_size:,} bytes,", torch.equal(load_file(file)["pictures"], v))

# %% [markdown]
# Every product is asked for once, in a caption that names object, colour, pattern and place
# in words chosen by chance. Then the other way of asking: the product is drawn afresh, in
# another pose and another light, as if a customer had photographed it.


# %%
def show(text, scores):
    fig, axes = plt.subplots(1, 4, figsize=(6, 2.1))
    for ax, i in zip(axes, scores.topk(4).indices.tolist(), strict=True):
        ax.imshow(pictures[i].resize((64, 64)), interpolation="nearest")
        ax.set_title(rows[i]["name"], fontsize=7)
        ax.axis("off")
    fig.suptitle(text, fontsize=9)
    plt.show()


asked = [captions.caption(catalogue.scene(row), rng) for row in rows]
t = embed_texts(clip, asked)  # (240, C)
show(asked[0], t[0] @ v.T)

# %%
gold = torch.arange(240)
looks = [{name: row[name] for name in captions.ATTRIBUTES} for row in rows]
again = [skills.draw(**look, seed=SEED, size=64) for look in looks]
v_again = embed_pictures(clip, [Image.fromarray(picture) for picture in again])
at_1, at_5 = (recall_at(t @ v.T, gold, k) for k in (1, 5))
claim("09.2a", "text to picture, recall at 1 of 240", at_1, above=0.9)
claim("09.2b", "text to picture, recall at 5", at_5, above=0.97)
like = recall_at(v_again @ v.T, gold)
claim("09.2c", "fresh drawing to picture, recall at 1", like, above=0.9)

# %% [markdown]
# The search has learned its captions. But does it know language? In training a boat was a
# boat, a sloop or a canoe, never a "vessel" or a "dinghy"; red was never "crimson". Such
# words were kept out on purpose. A model with a vocabulary of its own could only guess,
# one in sixteen. What do you expect?


# %%
def first_hits(attribute, text, words_of):
    hits = []
    for value in captions.ATTRIBUTES[attribute]:
        best = embed_texts(clip, [text.format(w) for w in words_of(value)]) @ v.T
        hits += [rows[i][attribute] == value for i in best.argmax(dim=1).tolist()]
    return hits


photo = "a photo of a {}"
left_out = partial(captions.synonyms, held_out=True)
old = first_hits("kind", photo, partial(left_out, "kind"))
new = first_hits("kind", photo, queries.fresh)
colour = first_hits("colour", f"{photo} object", partial(left_out, "colour"))
for name, hits in (("object", old), ("object, later words", new), ("colour", colour)):
    low, high = binomtest(sum(hits), len(hits)).proportion_ci(method="wilson")
    share = sum(hits) / len(hits)
    print(f"{name:20} {len(hits)} words: ≈ {share:.2f}, 95 % from ≈ {low:.2f} to ≈ {high:.2f}")
claim("09.3a", "later words whose first hit is right", sum(new) / len(new), above=0.5)
claim("09.3b", "unseen words whose first hit has the colour", sum(colour) / len(colour), above=0.25)

# %% [markdown]
# Why two lists for objects? The first was held out of training, but its score was in sight
# while the recipe was tuned, over more than a dozen variants. Whoever keeps the best of a
# dozen keeps some luck with it. So the second list, with "abode", "salmon" and "skiff", was
# written once the recipe was fixed, and no choice was made with it. Believe that line, with
# its interval: a list of this length leaves much open.

# %% [markdown]
# Most of the objects are found, because MiniLM puts the words near words that did occur, and
# the matrix is too simple to undo that. Colours fare worse, though several times better than
# chance: to a text model "jade" is a stone and "raven" a bird.

# %%
wish = "a crimson vessel"
show(wish, embed_texts(clip, [wish])[0] @ v.T)

# %% [markdown]
# Boats: "vessel" works. Look at their colours before you trust "crimson".

# %% [markdown]
# ## 5 · Zero-shot: a classifier made of words
#
# A classifier for sixteen objects usually needs sixteen piles of labelled pictures. Here it
# needs sixteen sentences. Embed "a photo of a kite", "a photo of a lantern" and so on; the
# nearest sentence is the answer: **zero-shot classification**, no example seen. `open_clip`
# has a function for it, which takes several wordings and averages them.

# %%
PLACES = ("on a table", "on the beach", "in the sky", "in a meadow", "at night")
PLACES += ("in a studio",)
scenes = [render.sample_scene(rng) for _ in range(400)]
fresh = embed_pictures(clip, [Image.fromarray(render.render(s)) for s in scenes])
right = {}
for attribute, values in captions.ATTRIBUTES.items():
    words = PLACES if attribute == "background" else values
    templates = ["a photo of something {}", "a {} thing"]
    if attribute == "kind":
        templates = ["a photo of a {}", "I need a {}."]
    classes = open_clip.build_zero_shot_classifier(
        clip.model, clip.tokenizer, words, templates, device=settings.device()
    )  # (C, number of values)
    guesses = (fresh @ classes.cpu()).argmax(dim=1).tolist()
    gold_words = [values.index(getattr(scene, attribute)) for scene in scenes]
    pairs = zip(guesses, gold_words, strict=True)
    right[attribute] = sum(a == b for a, b in pairs) / len(scenes)

# %% [markdown]
# 400 pictures drawn just now, four questions about each.

# %%
text = "share named right without an example,"
claim("09.4a", f"{text} object", right["kind"], above=0.9)
claim("09.4b", f"{text} colour", right["colour"], above=0.9)
claim("09.4c", f"{text} pattern", right["pattern"], above=0.9)
claim("09.4d", f"{text} place", right["background"], above=0.9)

# %% [markdown]
# One model, four classifiers, and a fifth costs one line. The limit: it can only name what
# its training pictures and captions had in common. `lume-clip` knows one shop; the CLIPs
# of the hub have seen hundreds of millions of pairs from the web.

# %% [markdown]
# ### Exercise 09.4 · Zero-shot with several wordings ★★ (6 min)
#
# Write what `build_zero_shot_classifier` does, and use it. `images` is (N, C), `prompts` is
# (W, K, C): W wordings of K classes, all of length 1. Return the class of each picture, (N,).


# %%
def name_pictures(images, prompts):
    ...  # your code here


ex.wordings.check(name_pictures)
# ex.wordings.hint()
# ex.wordings.solution()

# %% [markdown]
# ## 6 · A shop that can be searched
#
# A customer has a budget, and nobody wants to see what is sold out. A **vector database**
# keeps vectors together with **metadata** and applies filters while it searches. Chroma
# runs inside this process; `upsert` adds or replaces, so that running the cell twice
# changes nothing.

# %%
import chromadb

shop = chromadb.EphemeralClient().get_or_create_collection(
    "lume-pictures", embedding_function=None, metadata={"hnsw:space": "cosine"}
)
fields = ("name", "colour", "price", "stock")
shop.upsert(
    ids=[row["sku"] for row in rows],
    embeddings=v.tolist(),
    metadatas=[{name: row[name] for name in fields} for row in rows],
)

# %% [markdown]
# Words for what it should look like, conditions for what it must be:

# %%
wish = embed_texts(clip, ["a container for my tulips"]).tolist()
is_cheap, is_there = {"price": {"$lt": 40}}, {"stock": {"$gt": 0}}
affordable = {"$and": [is_cheap, is_there, {"colour": "blue"}]}
found = shop.query(query_embeddings=wish, n_results=4, where=affordable)
for row in found["metadatas"][0]:
    print(f"{row['name']:24} {row['price']:6.2f} euros, {row['stock']} in stock")

# %% [markdown]
# ### More like this, but another colour
#
# Vectors can be added. Take a product's picture, subtract the text of its colour, add the
# text of another one, and search with the sum. Every product, asked for in every other
# colour: the first hit must be the same kind of thing in the colour asked for. Is plain
# addition enough, or must the words weigh more?

# %%
from labs_support.world.looks import COLOURS

t_colour = embed_texts(clip, [f"a {colour} thing" for colour in COLOURS])  # (12, C)


def recoloured(weight):
    hits = []
    for row, vector in zip(rows, v, strict=True):
        change = t_colour - t_colour[COLOURS.index(row["colour"])]  # (12, C)
        best = ((vector + weight * change) @ v.T).argmax(dim=1).tolist()
        for colour, hit in zip(COLOURS, [rows[i] for i in best], strict=True):
            if colour != row["colour"]:
                hits.append((hit["kind"], hit["colour"]) == (row["kind"], colour))
    return sum(hits) / len(hits)


text = "found again in another colour"
claim("09.2d", f"{text}, words added once", recoloured(1), below=0.35)
claim("09.2e", f"{text}, words added three times", recoloured(3), above=0.4)

# %% [markdown]
# Added once, the words hardly count: the old product stays nearest to its own picture, at a
# cosine of 1, which no text comes near. Section 7 shows why. Three times the words do
# better, and still fail often; recommenders learn such weights from what customers buy.

# %% [markdown]
# ### Exercise 09.5 · You might also like ★★ (6 min)
#
# `vectors` is (N, C), `liked` a list of places a customer liked, `stock` the number left of
# each product. Return the places of the n products nearest to the mean of the liked ones,
# nearest first, without what is liked already or sold out.


# %%
def recommend(vectors, liked, stock, n):
    ...  # your code here


ex.recommend.check(recommend)
# ex.recommend.hint()
# ex.recommend.solution()

# %% [markdown]
# ### Your own pictures
#
# Put the path of a folder of yours into the first line. Photos, CMYK files and animations
# are read, the first frame of the latter; a file that is no picture is named and passed
# over. `lume-clip` knows only the shop's drawings; for real photos start the lesson with
# `LABS_PROFILE=hub`, which loads a ViT-B-32 into the same cells.

# %%
from labs_support.pictures import read_folder

folder = store.DATA / "catalogue" / "pictures"  # or r"C:\my\photos"
mine, problems = read_folder(folder)
v_mine = embed_pictures(clip, list(mine.values()))
scores = embed_texts(clip, ["a teapot at night"])[0] @ v_mine.T
best = [list(mine)[i] for i in scores.topk(3).indices.tolist()]
print(f"{len(mine)} pictures, {len(problems)} unusable files; best: {', '.join(best)}")

# %% [markdown]
# ## 7 · What the space looks like, and where it breaks
#
# "One space" sounds as if a picture and its caption met in one point. Here are all 240
# pictures and their captions, seen along the two directions in which they differ most.

# %%
both = torch.cat([v, t])  # (480, C)
_, _, directions = torch.pca_lowrank(both, q=2)
flat = (both - both.mean(dim=0)) @ directions  # (480, 2)
fig, ax = plt.subplots()
ax.scatter(*flat[:240].T, s=8, color=figures.ACCENT, label="pictures")
ax.scatter(*flat[240:].T, s=8, color=figures.CONTEXT, label="captions")
ax.set(xlabel="first direction", ylabel="second direction")
ax.legend()
plt.show()

# %% [markdown]
# Measure it. How far apart are the two clouds, and can a straight line tell them apart?

# %%
gap = (v.mean(dim=0) - t.mean(dim=0)).norm().item()
own = (v * t).sum(dim=1).mean().item()
print(f"own pairs: mean cosine ≈ {own:.2f}")
axis = v[::2].mean(dim=0) - t[::2].mean(dim=0)
middle = (v[::2].mean(dim=0) + t[::2].mean(dim=0)) / 2
is_picture = torch.cat([v[1::2], t[1::2]]) @ axis > middle @ axis
apart = (is_picture == (torch.arange(240) < 120)).float().mean().item()
claim("09.6a", "distance between the mean picture and the mean caption", gap, above=0.1)
claim("09.6b", "told apart by the middle between the means", apart, above=0.9)


# %% [markdown]
# Each cloud keeps to itself: the **modality gap**. The loss compares pictures with texts
# only, never pictures with pictures, so an offset between the two costs it nothing. Two rules
# follow. Never compare a cosine of picture and text with one of two pictures. And do not
# expect a picture to be the same thing as its caption: does the order of the hits
# at least survive if every caption is moved onto the pictures?

# %%
onto = F.normalize(t + v.mean(dim=0) - t.mean(dim=0), dim=1)
change = abs(recall_at(onto @ v.T, gold) - recall_at(t @ v.T, gold))
claim("09.6c", "recall at 1 changed by closing the gap", change, below=0.1)

# %% [markdown]
# ### Who is red?
#
# "A red boat, a blue sky" and "a blue boat, a red sky" hold the same words. Knowing which
# colour belongs to which thing is called **binding**. Every scene of the renderer has a
# colour of its own, so the test is easy to build. Each picture gets its true caption, one
# with the two colours exchanged, and one with a colour that does not occur.

# %%
from labs_support.world.english import with_articles

GROUNDS = {"sky": "blue sky", "meadow": "green meadow", "beach": "yellow sand"}
GROUNDS |= {"night": "black night", "table": "brown table", "studio": "white wall"}


def three_captions(scene, text):
    ground, place = GROUNDS[scene.background].split()
    other = next(c for c in COLOURS if c not in (scene.colour, ground))
    pairs = [(scene.colour, ground), (ground, scene.colour), (other, ground)]
    texts = [text.format(a, scene.kind, b, place) for a, b in pairs]
    return [with_articles(caption) for caption in texts]


thing_first, place_first = "a {0} {1}, a {2} {3}", "a {2} {3}, a {0} {1}"
for caption in three_captions(render.Scene("boat", "red", "plain", "sky"), thing_first):
    print(caption)

# %% [markdown]
# The third caption should be easy to reject. Is the second?


# %%
def preferred(pictures, captions):
    v_new = embed_pictures(clip, pictures)
    columns = zip(*captions, strict=True)
    true, *false = [(embed_texts(clip, c) * v_new).sum(dim=1) for c in columns]
    return [(true > wrong).float().mean().item() for wrong in false]


scenes = [render.sample_scene(rng) for _ in range(600)]
scenes = [s for s in scenes if not GROUNDS[s.background].startswith(s.colour)]
shown = [Image.fromarray(render.render(scene)) for scene in scenes]
exchanged, other = preferred(shown, [three_captions(s, thing_first) for s in scenes])
claim("09.7a", "true caption preferred to a wrong colour", other, above=0.95)
claim("09.7b", "preferred to exchanged colours, thing first", exchanged, above=0.6)

# %% [markdown]
# So it can bind? Do not stop at a result you like. Perhaps it takes the first colour it
# reads for that of the thing, and all captions began with the thing. Turn them round: "a
# blue sky, a red boat" against "a red sky, a blue boat".

# %%
turned, _ = preferred(shown, [three_captions(s, place_first) for s in scenes])
print(f"exchanged colours, place first: preferred in ≈ {turned:.2f}")
text = "lost by naming the place first"
claim("09.7c", f"preference for the true colours {text}", exchanged - turned, above=0.2)

# %% [markdown]
# Much of it was a rule about the order of words, not about boats. The hardest test leaves no
# such way out: two things of two colours in one picture, side by side.

# %%
from dataclasses import replace


def two_things(rng):
    pose = {"pattern": "plain", "scale": 0.23, "y": 0.55}
    left = render.sample_scene(rng, x=0.27, **pose)
    kind = rng.choice([k for k in captions.ATTRIBUTES["kind"] if k != left.kind])
    colour, other = rng.sample([c for c in COLOURS if c != left.colour], 2)
    right = replace(left, kind=kind, colour=colour, x=0.74)
    cover = render.mask(right)[..., None] / 255
    pixels = render.render(left) * (1 - cover) + render.render(right) * cover
    pairs = [(left.colour, colour), (colour, left.colour), (other, colour)]
    texts = [with_articles(f"a {a} {left.kind} and a {b} {kind}") for a, b in pairs]
    return Image.fromarray(pixels.astype("uint8")), texts


shown, texts = zip(*(two_things(rng) for _ in range(400)), strict=True)
fig, ax = plt.subplots(figsize=(6, 2.6))
ax.imshow(shown[0], interpolation="nearest")
ax.set_title("\n".join(texts[0]), fontsize=8)
ax.axis("off")
plt.show()

# %%
exchanged, other = preferred(list(shown), texts)
claim("09.7d", "two things, preferred to a wrong colour", other, above=0.8)
claim("09.7e", "two things, preferred to exchanged colours", exchanged, below=0.65)

# %% [markdown]
# It sees which colours are there, and cannot say whose they are: a coin would do nearly as
# well. Its training pictures held one thing each, so nothing ever asked it to. The large models
# have seen many things in a picture and fail the same way, since telling partners from strangers
# rarely needs more than the words. And the text tower hides the difference:

# %%
boat = render.Scene("boat", "red", "plain", "sky")
vectors = skills.embed(three_captions(boat, thing_first))
print("exchanged: cosine ≈", round(float(vectors[0] @ vectors[1]), 3))
print("wrong colour: cosine ≈", round(float(vectors[0] @ vectors[2]), 3))

# %% [markdown]
# ## 8 · Bug museum
#
# Two errors that raise nothing and are found in real repositories to this day.

# %% [markdown]
# ### Exercise 09.6 · Bug museum: always the same three pictures ★ (4 min)
#
# A search returns the same three pictures, whatever is asked. The pictures were embedded
# without `normalize=True`, so `features` (N, C) have any length; `query` (C,) has length 1.
# Repair the function: the nearest is the one with the largest cosine.


# %%
def search_pictures(query, features, n):
    """Return the places of the n pictures nearest to a text, nearest first."""
    scores = features @ query
    return scores.topk(n).indices.tolist()


ex.unnormalised.check(search_pictures)
# ex.unnormalised.hint()
# ex.unnormalised.solution()

# %% [markdown]
# ### Exercise 09.7 · Bug museum: half the captions lie ★★ (5 min)
#
# For variety a team mirrors every second picture of a batch. The loss falls more slowly
# than before, and the search is worse. `pictures` is (B, 3, height, width), and the
# captions of the batch stay where they are. Repair the function.


# %%
def mirror_half(pictures):
    """Return a batch in which every second picture is mirrored, left to right."""
    mixed = pictures.clone()  # (B, 3, height, width)
    mixed[::2] = mixed[::2].flip(0)
    return mixed


ex.shuffled.check(mirror_half)
# ex.shuffled.hint()
# ex.shuffled.solution()

# %% [markdown]
# ## What we measured

# %%
claims.table()

# %% [markdown]
# ## What it cannot do
#
# `lume-clip` knows the drawings of one shop: one thing in one place, sixteen kinds, twelve
# colours. A photo of your desk is outside its world, and it still returns a nearest
# product, with a cosine that looks like any other. A caption is to it nearly a bag of
# words, so who has which property is easily lost; counting and "without" fare no better in
# the large models.

# %% [markdown]
# ## Read on
#
# - Radford and others (2021), *Learning Transferable Visual Models From Natural Language
#   Supervision*, arXiv 2103.00020. The CLIP paper; figure 3 is your loss.
# - Zhai and others (2022), *LiT: Zero-Shot Transfer with Locked-image text Tuning*, arXiv
#   2111.07991. One tower locked, the other trained, the other way round from here.
# - Liang and others (2022), *Mind the Gap*, arXiv 2203.02053. Where the two clouds come
#   from, and what happens if one moves them.
# - Yuksekgonul and others (2023), *When and Why Vision-Language Models Behave like
#   Bags-of-Words*, arXiv 2210.01936. Section 7 at full size.
#
# Next comes 10, agents: models that act.
