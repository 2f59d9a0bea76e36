# %% [markdown]
# # 04 · One model, many tasks
#
# **After this lesson you can say how large a model is, what it costs to train and to run,
# what it learns from plain text, and which of its answers to distrust.**
#
# **You will** count weights, bytes and operations, and check them against published
# numbers; train the same text in three ways; build control codes and a mixture of experts;
# run two processes as a cluster would; measure what a model makes up.\
# **You need** lesson 02 for attention, GPT and the cross-entropy, and Python.\
# **Time** 75 minutes: 38 to read and run, 37 for the exercises in between.\
# **Runs on** any laptop: CPU, one thread, no network, 1.5 GB, two minutes.

# %% [markdown]
# | letter | meaning | letter | meaning |
# |---|---|---|---|
# | B | texts in a batch | N | weights of a model |
# | T | tokens of a text | D | tokens read in training |
# | C | channels of a vector | H | attention heads |
# | V | tokens of the vocabulary | x, y | input, target |

# %%
import math
import random

import matplotlib.pyplot as plt
import torch
from torch.nn import functional as F

from labs_support import calculators, claims, figures, parameters, settings, shelf
from labs_support.claims import claim
from labs_support.exercises import foundation_models as ex
from labs_support.world import handbook, store

figures.use_style()
SEED = settings.seed_everything()

# %% [markdown]
# ## 1 · What is a foundation model?
#
# Until about 2018 every task had its own model and its own labelled data. A **foundation
# model** is trained once, on a broad mass of data that nobody labelled, and then adapted to
# many tasks: by a prompt, by examples, or by a little more training. What makes the data
# label itself is called **self-supervision**: hide a part of a text and let the model find
# it.
#
# Here are the models of the talk. Every row of the file behind the table has its source.
# Where the maker says nothing, it says unknown, and no guess of others stands in its place.

# %%
from labs_support import model_catalogue

model_catalogue.table()

# %%
rows = model_catalogue.rows()
_, ax = plt.subplots()
model_catalogue.plot(ax)
plt.show()
silent = [row["name"] for row in rows if row["weights"] is None]
print(len(silent), "of unknown size:", ", ".join(silent))

# %% [markdown]
# Look at the hollow points: from 2023 on, the models that most people use are those whose
# size nobody publishes. You miss little by it: price, speed, context and answers can be
# measured from outside. For the others, you can count.
#
# The talk adds a sentence to many of these models. Not all of them stand up to the sources.
# In each line, first the sentence, then what the sources say:

# %%
for model in model_catalogue.read():
    if "talk" in model:
        print(f"{model['name']}: {model['talk']}")

# %% [markdown]
# ## 2 · How many weights?
#
# A block of GPT holds four C x C matrices of attention (query, key, value, output) and two
# of the MLP, C x 4C and 4C x C. That is 12 C² weights. GPT-2 has 12 blocks of 768 channels,
# and a table with one row for each of 50,257 tokens and 1,024 places:

# %%
C, n_blocks = 768, 12
blocks, tables = 12 * C * C * n_blocks, (50_257 + 1_024) * C
print(f"{blocks:,} + {tables:,} = {blocks + tables:,}")

# %% [markdown]
# OpenAI published 124 million. What is missing are biases and norms, a tenth of a per cent.
# The package has the exact formula, for 23 families; it needs the configuration, not the
# weights. `built` asks `transformers` to build the same model on the **meta device**, where
# tensors have a shape and no memory, and counts; here the smallest of each family.

# %%
config = model_catalogue.model("GPT-2")["sizes"][0]["config"]
counted = parameters.count(config)
print(f"{counted.total:,} by formula, {parameters.built(config):,} built")
gaps, off = {}, []
for row in (row for row in rows if row["config"]):
    total = parameters.count(row["config"]).total
    off.append(abs(total / row["weights"] - 1))
    if row["source"] not in gaps:  # the first size of a model is its smallest
        gaps[row["source"]] = abs(total - parameters.built(row["config"]))
    print(f"{row['name']:18} {total:>15,} published: {row['weights']:>15,.0f}")
claim("04.1a", "largest gap to what transformers builds", max(gaps.values()), equals=0)
claim("04.1b", "largest gap to the published size", max(off), below=0.02)

# %% [markdown]
# The published sizes are rounded, and a name is no size: look at LLaMA 2 7B. Falcon and
# LLaMA 2 70B save weights where many query heads share few key heads (**grouped** or
# **multi-query attention**); Mixtral has eight MLPs in every block, and a token passes
# through two of them:

# %%
mixtral = parameters.count(model_catalogue.model("Mixtral 8x7B")["sizes"][0]["config"])
print(f"{mixtral.total:,} in all, not 8 x 7 = 56 billion: attention is there once")
claim("04.1c", "active weights of Mixtral", mixtral.active / 1e9, equals=12.9,
      within=0.05, unit="billion")  # fmt: skip

# %% [markdown]
# ### Exercise 04.1 · Count a block of LLaMA ★★ (8 min)
#
# Attention with `heads` query heads and `groups` key and value heads, each of `size`
# channels; an MLP of three matrices, C x F, C x F and F x C; two norms with one vector of C
# each; no biases. Return the weights of one block. LLaMA 2 7B has C = 4096, 32 heads and
# groups, size 128, F = 11008: 202,383,360.


# %%
def llama_block(C, F, heads, groups, size):
    ...  # your code here


ex.block.check(llama_block)
# ex.block.hint()
# ex.block.solution()

# %% [markdown]
# ## 3 · How many bytes?
#
# A weight is a number, and a number has a **format**. FP32 has 32 bits. FP16 and BF16 have
# 16: FP16 spends them on digits, BF16 on range. INT8 has 256 whole steps and needs a scale.
# What do the formats make of three numbers?

# %%
for name in ("float32", "float16", "bfloat16"):
    kind = getattr(torch, name)
    shown = [torch.tensor(v, dtype=kind).item() for v in (1.001, 70_000.0, 1e-10)]
    print(f"{name:9} {torch.finfo(kind).bits} bits {[f'{v:.6g}' for v in shown]}")
weights = torch.tensor([0.31, -0.02, 0.77])
step = weights.abs().max() / 127
print("int8     ", (weights / step).round().int().tolist(), "times a step")

# %% [markdown]
# FP16 overflows at 70,000 and loses the small number: a gradient that becomes 0 teaches
# nothing. BF16 keeps both and is coarse: 1.001 becomes 1. That is why training is mostly
# done in BF16, with a copy of the weights in FP32 to which small steps can be added.
#
# Training needs more than weights: a gradient for each, and for **Adam** two moving
# averages. In FP32 that makes 4 + 4 + 8 = 16 bytes a weight. Let us count them on a live
# model.

# %%
from transformers import LlamaConfig, LlamaForCausalLM

small = LlamaConfig(vocab_size=512, hidden_size=64, intermediate_size=172,
                    num_hidden_layers=2, num_attention_heads=4)  # fmt: skip
model = LlamaForCausalLM(small)
optimiser = torch.optim.AdamW(model.parameters())
ids = torch.randint(512, (2, 16))
model(ids, labels=ids).loss.backward()
optimiser.step()


def n_bytes(tensors):
    return sum(t.numel() * t.element_size() for t in tensors)


weights = list(model.parameters())
moments = [t for s in optimiser.state.values() for t in s.values() if t.dim()]
live = n_bytes(weights), n_bytes(w.grad for w in weights), n_bytes(moments)
formula = calculators.training_bytes(parameters.count(small).total)
off = max(abs(a - b) for a, b in zip(live, formula, strict=True))
print(*(f"{b:,}" for b in live))
claim("04.2a", "bytes between live model and formula", off, equals=0, unit="bytes")

# %% [markdown]
# When a model writes, it keeps the keys and values of all tokens before, the **KV cache** of
# lesson 02: 2 numbers for each block, each key head, each channel, each token.

# %%
cache = model(ids, use_cache=True).past_key_values
kept = n_bytes(t for layer in cache.layers for t in (layer.keys, layer.values))
formula = calculators.kv_cache_bytes(small, n_tokens=16, n_sequences=2,
                                     number_format="float32")  # fmt: skip
claim("04.2b", "bytes between live cache and formula", kept - formula, equals=0,
      unit="bytes")  # fmt: skip

# %% [markdown]
# Now the models that do not fit on your laptop. Blue is the model, orange the cache of one
# conversation; below, training in 16 bits: weights with their copy, gradients, moments.
# Activations come on top.

# %%
from labs_support import widgets

names = ("LLaMA 2 7B", "GPT-3 175B", "LLaMA 3 70B", "Mixtral 8x7B", "BERT large")
configs = {row["name"]: row["config"] for row in rows}
widgets.memory({name: configs[name] for name in names})

# %% [markdown]
# To use 7 billion weights takes 28 GB in FP32, and to train them more than one GPU of 80
# GB holds. The talk says that GPT-3 needs 800 GB of storage:

# %%
n_gpt3 = parameters.count(configs["GPT-3 175B"]).total
for number_format in ("bfloat16", "float32"):
    needed = calculators.inference_bytes(n_gpt3, number_format)
    print(f"{number_format:9} {needed / 1e9:,.0f} GB")

# %% [markdown]
# Its weights take less, even in FP32. Ask of every such number what it counts.

# %% [markdown]
# ### Exercise 04.2 · How many conversations fit? ★ (5 min)
#
# A GPU has `memory` bytes, the weights take `weights` of them. A token of the cache takes
# `2 * layers * groups * size` numbers of 2 bytes. Return how many conversations of `tokens`
# tokens fit beside the weights, a whole number, 0 if even the weights do not fit.


# %%
def conversations(memory, weights, layers, groups, size, tokens):
    ...  # your code here


ex.conversations.check(conversations)
# ex.conversations.hint()
# ex.conversations.solution()

# %% [markdown]
# ## 4 · How many operations, and what do they cost?
#
# To read a token, every weight is multiplied once and added once: 2 operations. Backward
# takes twice as many. So training on D tokens costs 6ND operations. The field measures it in
# **petaFLOP/s-days**: 10¹⁵ operations a second for a day. OpenAI's table gives 3,640 for
# GPT-3. Ours:

# %%
n_flops = calculators.training_flops(n_gpt3, 300e9)
days = calculators.petaflop_s_days(n_flops)
claim("04.1d", "training GPT-3", days, equals=3640, within=5, unit="petaFLOP/s-days")
bill = calculators.bill(n_flops, peak=312e12, utilisation=0.4, hourly=2, n_devices=1000)
print(f"{bill.days:.0f} days on 1,000 A100;", end=" ")
print(f"{bill.price / 1e6:.1f} million at 2 for an hour of each")
print("A100 at full speed for 1 petaFLOP/s:", round(1e15 / 312e12, 1))

# %% [markdown]
# Course notes that circulate say two A100 make a petaFLOP/s; at the 312 · 10¹² of the data
# sheet it takes more than three, and no training run reaches full speed: 0.4 is a good
# **utilisation**.
#
# The talk says that the computation behind foundation models doubles every 3.4 months since
# 2012. That was measured from 2012 to 2018, a growth of 300,000 in 62 months. Did it go on?

# %%
print(f"2012 to 2018: doubled every {62 / math.log2(300_000):.1f} months")
llama3 = next(row for row in rows if row["name"] == "LLaMA 3 70B")
n_llama3 = parameters.count(llama3["config"]).total
grown = calculators.training_flops(n_llama3, llama3["training_tokens"]) / n_flops
print(f"GPT-3 (2020) to LLaMA 3 70B (2024): every {48 / math.log2(grown):.1f} months")
print(f"the old pace would have made it {2 ** (48 / 3.4):,.0f} times, not {grown:.0f}")

# %% [markdown]
# No exponential of this kind goes on for long. These are two open models, not the largest
# ones of their years, whose sizes are unknown; still, the old pace is out of reach by a
# factor of hundreds.

# %% [markdown]
# ### Chinchilla: the same money, a better model
#
# A budget can buy a large model that reads little, or a small one that reads much.
# Chinchilla (2022) trained 400 models and found: about 20 tokens for each weight. That makes
# 6N · 20N operations.

# %%
from labs_support import scaling

best = scaling.chinchilla(flops=n_flops)
print(f"for GPT-3's budget: {best.n_weights / 1e9:.0f} B weights,", end=" ")
print(f"{best.n_tokens / 1e9:,.0f} B tokens; it had 175 and 300")
largest = {row["source"]: row for row in rows}.values()
for row in largest:
    if row["training_tokens"] and row["weights"]:
        ratio = row["training_tokens"] / row["weights"]
        print(f"{row['name']:14} {ratio:7.1f} tokens per weight")

# %% [markdown]
# GPT-3 was far too large for what it read. LLaMA 3 went the other way, to 200 tokens a
# weight and far more for its small model: dearer to train than need be, and cheaper in every
# answer after that.

# %% [markdown]
# ### Exercise 04.3 · What the optimum leaves out ★★ (6 min)
#
# A model of n weights is trained on d tokens and then writes `answers` tokens in its life,
# at 2 operations per weight and token. Return the operations of its whole life. For n = 10,
# d = 200 and 50 tokens written it is 13,000.


# %%
def lifetime_flops(n, d, answers):
    ...  # your code here


ex.lifetime.check(lifetime_flops)
# ex.lifetime.hint()
# ex.lifetime.solution()

# %% [markdown]
# ## 5 · More than one machine
#
# What does not fit into a day or into a GPU is spread over many. **DDP** (distributed data
# parallel) copies the model into every process; each reads its part of the batch, and the
# gradients are averaged. **FSDP** (fully sharded) cuts the weights themselves apart: each
# process keeps a slice, and fetches a block only while it computes with it.
#
# Here is what every process does, and then two real processes do it on this laptop, started
# through the function behind `torchrun`. On a cluster the same file runs unchanged, once on
# each of, say, four machines:
#
#     torchrun --nnodes=4 --nproc-per-node=8 --rdzv-backend=c10d \
#         --rdzv-endpoint=HOST:29500 -m labs_support.distributed result.json
#
# or, with the launcher of Hugging Face,
#
#     accelerate launch --multi_gpu --num_processes 32 --num_machines 4 \
#         --main_process_ip HOST --main_process_port 29500 --machine_rank 0 \
#         -m labs_support.distributed result.json

# %%
import inspect

from labs_support import distributed

print(inspect.getsource(distributed.compare))

# %%
result = distributed.launch(n_processes=2)
print("one process alone on its half of the batch, gap ≈", f"{result['alone_gap']:.4f}")
text = "largest gap to the gradient of the joined batch,"
claim("04.8a", f"{text} DDP", result["ddp_gap"], below=1e-6)
claim("04.8b", f"{text} FSDP", result["fsdp_gap"], below=1e-6)
kept = max(result["own_bytes"]) / result["all_bytes"]
claim("04.8c", "share of the weights in one process", kept, equals=0.5, within=0.01)

# %% [markdown]
# Two processes with half a batch each take the very step that one takes with the whole.
# Without the averaging the gradient is another one. Under FSDP each keeps half the weights,
# and of gradients and Adam's averages too: that is how 16 bytes for each of 70 billion
# weights fit into GPUs of 80 GB.

# %% [markdown]
# ## 6 · A scaling law of our own
#
# Do such laws hold for models that a laptop can train? The recipe
# `labs_support/recipes/scaling_runs.py` trained GPTs of lesson 02 on texts about invented
# shops, in two ways: each with 20 tokens per weight, and many sizes with one budget. Its
# measurements are in `data/foundation/scaling.jsonl`. We train the second smallest again,
# now, and see whether it lands where the file says.

# %%
import json

from labs_support import small_runs

file = store.DATA / "foundation" / "scaling.jsonl"
runs = [json.loads(row) for row in file.read_text().splitlines()]
sizes, seeds = ({run[key] for run in runs} for key in ("n_weights", "seed"))
print(f"{len(runs)} runs, {min(sizes):,} to {max(sizes):,} weights, {len(seeds)} seeds")
law = [run for run in runs if run["family"] == "law"]
again = [run for run in law if run["size"] == "24 x 2"]
size = small_runs.SIZES["24 x 2"]
live = small_runs.train(size, again[0]["n_tokens"], seed=SEED)
print(f"{live.n_weights:,} weights, {live.n_tokens:,} tokens: loss ≈ {live.loss:.2f}")
off = abs(live.loss - sum(run["loss"] for run in again) / len(again))
claim("04.3a", "distance of the live run from the file", off, below=0.15, unit="nats")

# %% [markdown]
# A **power law** is a straight line on two logarithmic axes: each doubling takes the same
# share off the loss. Fit one to all sizes but the largest. Will it predict the largest?

# %%
top = max(run["n_weights"] for run in law)
rest = [run for run in law if run["n_weights"] < top]
line = scaling.power_law([r["n_weights"] for r in rest], [r["loss"] for r in rest])
_, ax = plt.subplots()
small_runs.plot_law(ax, law, line)
ax.plot(live.n_weights, live.loss, "o", color=figures.ACCENT, label="now")
ax.legend()
plt.show()
claim("04.3b", "share of the variance that a power law explains", line.r2, above=0.95)

# %%
losses = [run["loss"] for run in law if run["n_weights"] == top]
found = sum(losses) / len(losses)
print(f"{top:,} weights: predicted ≈ {line(top):.2f}, found ≈ {found:.2f}")
text = "share by which the largest is below its prediction"
claim("04.3c", text, 1 - found / line(top), above=0.1)

# %% [markdown]
# It will not. Within the four smaller sizes the law describes well; the fifth is far better
# than the line says. We expected the line to hold to a tenth, and it did not: such a law is a
# description of the runs it was fitted to, and nothing in it says how far it reaches. Large
# models are planned with such lines all the same, over many more sizes, and a loss on them
# says nothing about any single skill.
#
# Now the other runs: one budget, many sizes. Where should the lowest loss be?

# %%
budgets = small_runs.by_budget(runs)  # {operations: runs, the smallest model first}
_, ax = plt.subplots()
small_runs.plot_budgets(ax, budgets)
plt.show()
bottoms, n_inside = {}, 0
for flops, some in budgets.items():
    sizes, losses = [r["n_weights"] for r in some], [r["loss"] for r in some]
    n_inside += min(sizes) < sizes[losses.index(min(losses))] < max(sizes)
    bottoms[flops] = scaling.best_size(sizes, losses)
text = "budgets whose lowest loss has a size in the middle"
claim("04.3d", text, n_inside, equals=len(budgets))

# %%
for flops, n in bottoms.items():
    print(f"{flops:.0e} operations: best size ≈ {n:,.0f},", end=" ")
    print(f"tokens per weight ≈ {flops / (6 * n * n):.0f}")
few, many = min(bottoms), max(bottoms)
exponent = math.log(bottoms[many] / bottoms[few]) / math.log(many / few)
text = "best size grows as the budget to the power of"
claim("04.3e", text, exponent, equals=0.5, within=0.15)

# %% [markdown]
# Each curve is a valley: too small to learn it, or too large to read enough. The dotted
# lines mark the bottom of a parabola. With more computation the bottom moves to the right,
# about as the root of the budget, as Chinchilla found. Its 20 tokens per weight do not carry
# over: for these texts and sizes it takes several times as many.

# %% [markdown]
# ## 7 · Three ways to learn from the same text
#
# The text labels itself, and there is more than one way to let it. Take a line of the
# shop's phrases, English and French:


# %%
from labs_support import objectives
from labs_support.objectives import END, IGNORED, MASK, batch

words = objectives.vocabulary()
train, test = objectives.rows("train"), objectives.rows("test")
print(len(train), "lines,", len(words), "words:", " ".join(words[w] for w in train[0]))

# %% [markdown]
# **Autoencoding** (BERT): hide some words, look both ways, name them. Where the target is
# `IGNORED`, no loss is counted.


# %%
def blanks(rows, rng, share=0.15):
    x, y = [], []
    for row in rows:
        hidden = rng.sample(range(len(row)), max(1, round(share * len(row))))
        x.append([MASK if i in hidden else w for i, w in enumerate(row)] + [END])
        y.append([w if i in hidden else IGNORED for i, w in enumerate(row)] + [IGNORED])
    return batch(x, y)


# %% [markdown]
# **Autoregressive** (GPT): name every next word, looking back only. **Sequence to
# sequence** (BART, T5): put one mark over a gap, let an encoder read the rest and a decoder
# write the line anew, however much is missing.


# %%
def continuations(rows, rng):
    whole = [[END, *row, END] for row in rows]
    return batch(whole, whole)


def gaps(rows, rng, longest=4):
    x, y = [], []
    for row in rows:
        size = rng.randint(1, longest)
        start = rng.randrange(len(row) - size + 1)
        x.append([*row[:start], MASK, *row[start + size :], END])
        y.append([*row, END])
    return batch(x, y)


# %%
for make in (blanks, continuations, gaps):
    made = make(train[:1], random.Random(3))
    print(make.__name__)
    for name in ("input_ids", "labels"):
        print("  ", " ".join(words[i] if i >= 0 else "·" for i in made[name][0]))

# %% [markdown]
# Three models of `transformers` with about equally many weights read the same lines for the
# same number of steps, trained by the recipe `labs_support/recipes/objectives.py`. We take
# the first 40 steps again, and compare with its log.

# %%
from itertools import islice

from labs_support.recipes import objectives as recipe

logged, drift = recipe.curve(), []
for name, make in zip(recipe.MAKERS, (blanks, continuations, gaps), strict=True):
    steps = objectives.fit(recipe.new_model(name), train, make, objectives.STEPS)
    loss = sum(list(islice(steps, 40))[20:]) / 20
    (then,) = (r["loss"] for r in logged if (r["model"], r["step"]) == (name, 40))
    drift.append(abs(loss - then))
    print(f"{name:4} loss of steps 21 to 40 ≈ {loss:.2f}")
claim("04.4e", "drift from the recipe's log after 40 steps", max(drift), below=0.05,
      unit="nats")  # fmt: skip

# %%
fig, ax = plt.subplots()
for name in recipe.MAKERS:
    some = [row for row in logged if row["model"] == name]
    ax.plot([r["step"] for r in some], [r["loss"] for r in some], label=name)
ax.set(xlabel="step", ylabel="training loss (nats per target)", ylim=0)
ax.legend()
plt.show()

# %% [markdown]
# The curves cannot be compared with each other: the three are asked different questions. BERT
# is asked at 15 % of the words, the others at all, and T5 can copy most of them. So ask all
# three the same, on lines that none has seen. **Blank**: one hidden word, all else in sight.
# **Next**: the line breaks off; which word comes? **Gap**: two to four words are missing, and
# nobody says how many. Each uses what it can: GPT sees only what stands before; BERT is asked
# with two, three and four marks, and its most probable answer counts; of the line that T5
# writes, what stands in the gap. Who wins what?

# %%
models = objectives.trained(len(words))
score = objectives.scores(models, test[:200], seed=SEED)
for name, of in score.items():
    print(f"{name:4}", {task: f"≈ {share:.2f}" for task, share in of.items()})


# %%
def lead(task, winner):
    others = [of[task] for name, of in score.items() if name != winner]
    return score[winner][task] - max(others)


claim("04.4a", "lead of BERT where both sides count", lead("blank", "BERT"), above=0)
claim("04.4b", "lead of GPT where the text goes on", lead("next", "GPT"), above=0)
claim("04.4c", "lead of T5 in a gap of unknown length", lead("gap", "T5"), above=0)

# %% [markdown]
# No objective is the best one; each wins where it is asked what it was trained on, BERT only
# just ahead of T5. Chat models are GPTs because going on is what writing is. Search and
# classification still run on encoders, since they look both ways, and fast.
#
# ### What the encoder knows: names and materials
#
# MiniLM on the shelf is a BERT of 22 million weights. Its vector of a word depends on the
# sentence, so a straight line through that space can tell a maker's name from a material:
# **named-entity recognition**. In the training texts names and materials are exchanged for
# invented ones, so that only the words around them help; the test has other makers.

# %%
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from labs_support import tagging

learn, unseen = tagging.split()
x, x_new = (tagging.word_vectors([w for w, _ in part]) for part in (learn, unseen))
y, y_new = ([label for _, ls in part for label in ls] for part in (learn, unseen))
tagger = LogisticRegression(C=0.1, class_weight="balanced", max_iter=300)
tagger.fit(x.numpy(), y)
guessed = tagger.predict(x_new.numpy())
maker, material = f1_score(y_new, guessed, average=None)[1:]
claim("04.4d", "F1 for names of makers it has never met", maker, above=0.7)
print(f"materials: F1 ≈ {material:.2f}")
example = next(words for words, labels in unseen if {1, 2} <= set(labels))
tags = tagger.predict(tagging.word_vectors([example]).numpy())
print(" ".join(example))
print([(w, tagging.LABELS[tag]) for w, tag in zip(example, tags, strict=True) if tag])

# %% [markdown]
# A list of known names would find none of them. The example shows mistakes too: that is
# what such an F1 looks like from nearby.
#
# ## 8 · Control codes
#
# CTRL (2019) put one token before every training text, a **control code** that says what it
# is: a review, its stars, a question, a legal text. After training the code steers. Our
# five: praise (reviews with five stars), complaint (one star), sum, dialogue, french. Here
# is what the model reads and what it has to find, for the shortest complaint:

# %%
from labs_support import codes

tokenizer = codes.new_tokenizer()
text = min(codes.texts("train")["complaint"], key=len)
x, y = codes.window(tokenizer, "complaint", text)
for ids in (x, y):
    print(codes.shown(tokenizer, ids[:16]))

# %% [markdown]
# The model is the GPT of lesson 02. It needs a few thousand steps before it writes clean
# sentences, so a recipe trained it; we take its first steps again.

# %%
from labs_support.gpt import generate
from labs_support.recipes import codes as codes_recipe
from labs_support.sampling import probabilities, sample

_, losses = codes_recipe.steps()
loss = sum(islice(losses, 20)) / 20
logged = recipe.curve(codes.FOLDER)
print(f"loss of steps 1 to 20: ≈ {loss:.2f}; of the last ≈ {logged[-1]['loss']:.2f}")
drift = abs(loss - logged[0]["loss"])
claim("04.6c", "drift from the recipe's log after 20 steps", drift, below=0.05, unit="nats")
gpt = codes.trained()


# %% [markdown]
# Write with each code, and let an independent judge, which counts words and has read other
# texts, say what came out. Can it be trusted? Test it first, on texts of the test split,
# which neither of the two has read.

# %%
judged = codes.judge(tokenizer)


def share(code, texts):
    cut = [tokenizer.decode(tokenizer.encode(t).ids[: codes.LENGTH]) for t in texts]
    return (judged(cut) == code).mean()


for code, texts in codes.texts("test").items():
    print(f"{code:9} named rightly ≈ {share(code, texts[:100]):.2f}")
for stars, code in {4: "praise", 2: "complaint"}.items():
    reviews = store.rows("reviews", "test")
    texts = [row["text"] for row in reviews if row["stars"] == stars]
    print(f"{stars} stars   {code} ≈ {share(code, texts):.2f}")

# %% [markdown]
# It can, for our five codes. The last two lines show why reviews of four and two stars have
# no code of their own tone: they hold praise and complaint at once.


# %%
def write(code, n):
    ids = torch.full((n, 1), codes.SIZE + codes.CODES.index(code))
    choose = lambda logits: sample(probabilities(logits, temperature=0.5))  # noqa: E731
    new = generate(gpt, ids, codes.LENGTH - 1, choose)[:, 1:].tolist()
    ends = (t.index(codes.END) if codes.END in t else len(t) for t in new)
    return [tokenizer.decode(t[:end]) for t, end in zip(new, ends, strict=True)]


torch.manual_seed(SEED)  # the recipe has set its own
obeyed = {code: share(code, write(code, 100)) for code in codes.CODES}
print({code: f"≈ {part:.2f}" for code, part in obeyed.items()})
tone = (obeyed["praise"] + obeyed["complaint"]) / 2
everything = sum(obeyed.values()) / len(obeyed)
claim("04.6a", "samples that are what the code asks for", everything, above=0.95)
claim("04.6d", "reviews that praise or complain as asked", tone, above=0.85)

# %% tags=["nbval-ignore-output"]
# not compared: sampled words may differ between machines
for code in codes.CODES:
    print(f"{code:9}", write(code, 1)[0].replace("\n", " "))

# %% [markdown]
# The kind of text is easy: its first words give it away. The tone is harder, since it has to
# be held over sentences, and the judge is not perfect at it either. A code can steer only
# what its texts have in common.
#
# CTRL's second use needs no more training. Read the model backwards: under which code is a
# given text least surprising? That attributes a text to its source.

# %%
with torch.inference_mode():
    x_new, y_new = codes.windows(tokenizer, "test", n=60)
    surprise = []
    for code in range(len(codes.CODES)):
        x_new[:, 0] = codes.SIZE + code
        parts = zip(x_new.split(60), y_new.split(60), strict=True)
        nats = [F.cross_entropy(gpt(x).mT, y, reduction="none") for x, y in parts]
        surprise.append(torch.cat(nats).sum(dim=1))
named = torch.stack(surprise).argmin(dim=0)
truth = torch.arange(len(codes.CODES)).repeat_interleave(60)
right = (named == truth).float().mean().item()
claim("04.6b", "unseen texts attributed to their source", right, above=0.8)

# %% [markdown]
# ## 9 · A mixture of experts
#
# More weights know more, and cost more for every token. Mixtral breaks the link: a block
# has several MLPs, the **experts**, and a **router**, one small matrix, gives each token to
# two of them. Here eight experts against one MLP twice as wide: the same **active** weights.

# %%
from transformers import MixtralConfig, MixtralForCausalLM

shape = {"vocab_size": codes.END + 1, "hidden_size": 64, "num_hidden_layers": 2,
         "num_attention_heads": 2, "num_key_value_heads": 2}  # fmt: skip
dense = LlamaConfig(intermediate_size=32, **shape)
sparse = MixtralConfig(intermediate_size=16, num_local_experts=8, num_experts_per_tok=2,
                       router_aux_loss_coef=0.02, **shape)  # fmt: skip
for config in (dense, sparse):
    counted = parameters.count(config)
    print(f"{config.model_type:8} {counted.total:,} weights, {counted.active:,} active")

# %% [markdown]
# Such models have a second loss, `aux_loss`: it grows when the router sends all tokens to the
# same experts, which would leave the others untrained. `fit` adds it to the cross-entropy.

# %%
from labs_support.pretraining import fit, mean_loss

x, y = codes.windows(tokenizer, "train", n=800)
x_new, y_new = codes.windows(tokenizer, "test", n=60)
torch.manual_seed(SEED)
one, many = LlamaForCausalLM(dense), MixtralForCausalLM(sparse)
fit(one, x, y, n_steps=200)
fit(many, x, y, n_steps=200, output_router_logits=True)
losses = [mean_loss(model, x_new, y_new) for model in (one, many)]
print("held-out loss, dense and experts:", *(f"≈ {loss:.3f}" for loss in losses))
gained = losses[0] - losses[1]
claim("04.7a", "nats per token gained by experts", gained, above=0, unit="nats")

# %% [markdown]
# Which expert gets which token? Colour the first choice of the router.

# %%
with torch.inference_mode():
    parts = [many(part, output_router_logits=True).router_logits
             for part in x_new.split(30)]  # fmt: skip
layers = [torch.cat(layer).argmax(dim=-1) for layer in zip(*parts, strict=True)]
first = torch.stack(layers).view(-1, *x_new.shape)  # (layers, B, T)
pieces, chosen = {}, {}
for i, code in enumerate(codes.CODES):
    ids = [t for t in x_new[60 * i, 1:].tolist() if t < codes.SIZE]
    pieces[code] = [tokenizer.decode([t]) for t in ids]
    chosen[code] = first[:, 60 * i, 1 : 1 + len(ids)]
widgets.experts(pieces, chosen)

# %% [markdown]
# Are they experts for topics? Look at the colours, and guess before you run the next cell:
# what tells you more about the expert of a token, the kind of text, or the token alone? Half
# of the texts fill a table with the most frequent expert of each, the other half tests it.

# %%
is_text, half = y_new >= 0, torch.arange(len(x_new))[:, None] % 2 == 0
keys = {"kind": truth[:, None].expand_as(x_new), "token": x_new}
told = {name: codes.told(key, first[-1], half & is_text, ~half & is_text)
        for name, key in keys.items()}  # fmt: skip
print("share of each expert:", *(
    f"≈ {(first[-1][is_text] == e).float().mean():.2f}" for e in range(8)))  # fmt: skip
claim("04.7b", "experts guessed from the kind of text, one in eight if uniform",
      told["kind"], above=0.2)  # fmt: skip
text = "lead of the token over the kind of text in telling the expert"
claim("04.7c", text, told["token"] - told["kind"], above=0)

# %% [markdown]
# The token tells more, though not by much: the kind helps too, since each kind of text has
# words of its own. Mixtral's authors looked for experts for topics and saw none. Nobody told
# the router what an expert should be an expert for.

# %% [markdown]
# ### Exercise 04.4 · Route a token ★★ (7 min)
#
# `logits` is (T, experts). Return the weights of the k best experts of each token, (T, k),
# and their numbers, (T, k), best first. The weights are a softmax over the k chosen ones
# alone, so that they add up to 1. For `[1, 3, 2]` and k = 2: `[0.731, 0.269]` and `[1, 2]`.


# %%
def route_token(logits, k):
    ...  # your code here


ex.route.check(route_token)
# ex.route.hint()
# ex.route.solution()

# %% [markdown]
# ## 10 · What it reads
#
# Of a crawl of the web only a few per cent are worth reading. **Curation** throws out what
# is no prose, what is there twice, and what is there nearly twice. Here 200 good documents
# lie under 300 pieces of rubbish.

# %%
good = [row["text"] for row in store.rows("stream", "train")[:200]]
menus = [f"Home | Shop | Login | {i} items | Cookies | OK" for i in range(150)]
nearly = [f"Printed on page {i}. {text}" for i, text in enumerate(good[:90])]
crawl = [*good, *menus, *good[:60], *nearly]


def shingles(text, n=3):
    words = text.lower().split()
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


prose = [text for text in crawl if text.count("|") < 3]
once = list(dict.fromkeys(prose))
kept, seen = [], set()
for text in once:
    mine = shingles(text)
    if len(mine & seen) < 0.8 * len(mine):
        kept.append(text)
        seen |= mine
steps = {"crawled": crawl, "no menu": prose, "no copy": once, "new": kept}
print({step: len(texts) for step, texts in steps.items()})
print(len(set(kept) & set(good)), "of 200 good ones kept,", end=" ")
print(len(set(kept) - set(good)), "others kept")

# %% [markdown]
# What a model reads decides what it is good at. Bloomberg trained 50 billion weights on a
# mixture, half of it finance. The cheap version is **domain pre-training**: take a model
# that can read already and let it read on. Our `lume-lm` has read about many shops and
# never about ours. Its measure is **perplexity**, e to the mean nats per token: among how
# many equally likely tokens it still hesitates.


# %%
from copy import deepcopy

from labs_support.pretraining import choose, go_on, perplexity, read_on

lume = shelf.language_model("language-model")
pages = [text for page in handbook.pages() for _, text in handbook.sections(page)]
random.Random(SEED).shuffle(pages)
own, held_out = pages[40:], pages[:40]
others = [row["text"] for row in store.rows("stream", "validation")[:40]]

# %%
rate = 1e-3 if settings.read().profile == "tiny" else 2e-5  # hub models are larger
expert = deepcopy(lume.model)
read_on(expert, lume.tokenizer, own, n_steps=40, rate=rate)
change = []
for texts in (held_out, others):
    before, after = (perplexity(m, lume.tokenizer, texts) for m in (lume.model, expert))
    change.append(after / before)
    print(f"perplexity ≈ {before:.0f}, then ≈ {after:.0f}")
text = "perplexity after to before,"
claim("04.5a", f"{text} unread sections of the handbook", change[0], below=0.8)
claim("04.5b", f"{text} other shops", change[1], above=1)

# %% [markdown]
# The second claim is the price: what it read before fades. Lesson 06 measures this
# **forgetting**, and what helps.

# %% [markdown]
# ### Exercise 04.5 · Nearly the same ★★ (6 min)
#
# Two texts are near duplicates if their sets of shingles overlap: the size of what both
# have, divided by the size of what either has (Jaccard). Return the texts to keep, in
# order: a text is dropped if its overlap with any text kept before is at least `limit`.
# `shingles(text)` is given as an argument and returns a set.


# %%
def deduplicate(texts, shingles, limit):
    ...  # your code here


ex.deduplicate.check(deduplicate)
# ex.deduplicate.hint()
# ex.deduplicate.solution()

# %% [markdown]
# ## 11 · What it gets wrong
#
# **Hallucination.** Ask about products that nobody sells, in three forms: as an exam
# question, as the same question behind a text about a mug, and as a sentence to finish. How
# often does the model name a price?


# %%
kinds = ("telescope", "saddle", "piano", "tractor", "violin")
looks = ("glass", "paper", "golden", "folding")
things = [f"{look} {kind}" for kind in kinds for look in looks]
question = "Question: What does the {} cost?\nAnswer:"
forms = {"question": question, "behind a text": f"The mug costs 14.50 euros.\n{question}",
         "sentence": "The {} costs"}  # fmt: skip
answers = {name: go_on(lume.model, lume.tokenizer, [form.format(t) for t in things])
           for name, form in forms.items()}  # fmt: skip
named = {}
for name, texts in answers.items():
    named[name] = sum(any(c.isdigit() for c in text) for text in texts) / len(texts)
    refused = sum("not say" in text for text in texts) / len(texts)
    print(f"{name}: a price in ≈ {named[name]:.2f}, not known in ≈ {refused:.2f}")
text = "a price named for what nobody sells,"
claim("04.9a", f"{text} sentence to finish", named["sentence"], above=0.5)
claim("04.9b", f"{text} question behind another text", named["behind a text"], above=0.5)

# %% tags=["nbval-ignore-output"]
# not compared: the words of the model may differ between machines
for name, texts in answers.items():
    print(f"{name}: {things[0]}: {texts[0]}", f"{things[9]}: {texts[9]}", sep="; ")

# %% [markdown]
# `lume-lm` has read thousands of exam questions, some of which end with "The text does not
# say." A bare question looks like those, and it abstains. One sentence about a mug in front,
# and it gives the mug's price for a piano. So the refusal was no knowledge of its limits: it
# was one more form of text. The loss rewards likely words, here as in the large models.
# Lesson 08 asks with sources, and measures how often that still goes wrong.
#
# **The reversal curse.** Teach the model twelve invented facts of the form "A is B", until
# it knows them. Does it know that B is A?

# %%
jobs = {"Tessel Marn": "keeper of the lighthouse", "Odo Vint": "baker of long bread",
        "Brisa Calder": "winner of the spring race", "Ned Rook": "owner of a red boat",
        "Ilse Tarn": "painter of the blue gate", "Paco Weft": "mayor of the island",
        "Uma Sill": "builder of the stone bridge", "Jory Pell": "singer at the market",
        "Dina Frost": "captain of the last ferry", "Lev Hasp": "doctor of the harbour",
        "Mira Quay": "head of the school", "Sam Brook": "writer of a song"}  # fmt: skip
facts = [f"{person} is the {job}." for person, job in jobs.items()]
model = deepcopy(lume.model)
read_on(model, lume.tokenizer, facts, n_steps=60, rate=2 * rate)

# %%
people, things = [f"{p}." for p in jobs], [f"{job}." for job in jobs.values()]
forward = choose(model, lume.tokenizer, [f"{p} is the" for p in jobs], things)
backward = choose(model, lume.tokenizer, [f"The {j} is" for j in jobs.values()], people)
hits = [sum(a == b for a, b in enumerate(found)) / 12 for found in (forward, backward)]
claim("04.10a", "A is B: the right B among twelve", hits[0], above=0.9)
claim("04.10b", "B is A: the right A among twelve", hits[1], below=0.4)

# %% [markdown]
# A guess finds one in twelve. The model stores the way from A to B, not a fact that could
# be read both ways. In large models it is the same, unless both directions stand in the
# text.
#
# **Leaderboards** hide how a score was made. Two models, one benchmark, two protocols:

# %%
from labs_support import timeline

mmlu = next(b for b in timeline.read("benchmarks") if b["name"] == "MMLU")
for system in mmlu["machines"][-2:]:
    one = system.get("five_shot", system["score"])
    print(f"{system['system']:12} {system['score']} as published,", end=" ")
    print(f"{one} for one answer after five examples")

# %% [markdown]
# The order turns round. A leaderboard also hides whether the test stood in the training
# data, what the answers cost, and whether your task is among the questions. Treat it as a
# list of candidates, and measure on your own.

# %% [markdown]
# ## 12 · Bug museum
#
# An error that raises nothing, and stands in published tables.

# %% [markdown]
# ### Exercise 04.6 · Bug museum: the batches of unlike length ★ (5 min)
#
# An evaluation reports a perplexity that changes with the size of the batches.
# `losses` holds the mean nats per token of each batch, `counts` its number of tokens.
# Repair the function.


# %%
def corpus_perplexity(losses, counts):
    """Return the perplexity of all tokens of all batches."""
    return math.exp(sum(losses) / len(losses))


ex.per_token.check(corpus_perplexity)
# ex.per_token.hint()
# ex.per_token.solution()

# %% [markdown]
# ## What we measured

# %%
claims.table()

# %% [markdown]
# ## What it cannot do
#
# Our laws were fitted on models of under a million weights and one kind of text; the
# exponents do not carry over to yours, only the method does. And a calculator counts what a
# maker publishes: where size, data or computation are unknown, no formula helps.

# %% [markdown]
# ## Read on
#
# - Bommasani and others (2021), *On the Opportunities and Risks of Foundation Models*,
#   arXiv 2108.07258. Where the name comes from.
# - Kaplan and others (2020), *Scaling Laws for Neural Language Models*, arXiv 2001.08361, and
#   Hoffmann and others (2022), *Training Compute-Optimal Large Language Models*, arXiv
#   2203.15556. Your section 6 at full size, and why the two disagree.
# - Jiang and others (2024), *Mixtral of Experts*, arXiv 2401.04088. Section 5 shows its
#   router, token by token.
# - Berglund and others (2023), *The Reversal Curse*, arXiv 2309.12288.
#
# Next comes 05, prompting: ask well, decode well, score well.
