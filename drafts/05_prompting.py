# %% [markdown]
# # 05 · Ask well, decode well, score well
#
# **After this lesson you can get work out of a language model without training it, and
# say with numbers how good the work is.**
#
# **You will** write prompts with and without examples; build the settings of a decoder;
# label 500 reviews and price it; build ROUGE and BLEU and find out what they miss.\
# **You need** lesson 02 for tokens, logits and the softmax, and Python.\
# **Time** 75 minutes: 35 to read and run, 40 for the exercises in between.\
# **Runs on** any laptop: CPU, one thread, no network, 1.5 GB, two minutes.

# %% [markdown]
# Everything here happens with fixed weights. You change what goes in, the **prompt**; how
# a token is picked from what comes out, **decoding**; and how the result is judged,
# **evaluation**. The text that the model adds is the **completion**.
#
# | letter | meaning | letter | meaning |
# |---|---|---|---|
# | B | prompts in a batch | V | vocabulary |
# | T | tokens of a prompt | x, y | input, target |

# %%
import random
import re

import matplotlib.pyplot as plt
import torch

from labs_support import chat, claims, figures, settings, shelf, widgets
from labs_support.claims import claim
from labs_support.exercises import prompting as ex
from labs_support.world import store

figures.use_style()
SEED = settings.seed_everything()

# %% [markdown]
# ## 1 · A prompt and its completion
#
# `lume-lm` has read texts about shops that do not exist and does one thing: it continues.
# A loop does it, one token at a time, until `max_new_tokens` have been added or the model
# writes its mark for the end. **Greedy** means: always the likeliest token.


# %%
@torch.inference_mode()
def complete(language, prompt, max_new_tokens, choose):
    model, tokenizer = language
    ids = torch.tensor([encode(tokenizer, prompt, max_new_tokens)], device=model.device)
    start = ids.shape[1]
    for _ in range(max_new_tokens):
        new = choose(model(ids).logits[:, -1].float(), ids)
        if new.item() == tokenizer.eos_token_id:
            break
        ids = torch.cat([ids, new[None]], dim=1)
    return tokenizer.decode(ids[0, start:])


def likeliest(logits, ids):
    return logits.argmax(-1)


# %%
from labs_support.prompting import encode

lume = shelf.language_model()
for prompt in ("The shop is closed on", "Q: When is the shop closed?\nA:"):
    print(repr(prompt), "->", repr(complete(lume, prompt, 12, likeliest)))

# %% [markdown]
# It continues whatever it is given. Prompt engineering is no more than writing the
# beginning whose likeliest continuation is what you want. Three habits help with every
# model. **Precision**: name task, length and form ("in one word"). **Context**: give what
# the model cannot know, such as the page that holds the answer. **Clarity**: one reading
# only, and a large task split into small ones. Section 6 shows why splitting helps.
#
# A **chat model** has been trained further to follow instructions. Its prompt is a
# conversation, which a **template** turns into one text with marks:

# %%
review = "The kite is lovely, but it tore on the first day."
chat_model = shelf.language_model("chat-model")


def instruct(style, question):
    system = {"role": "system", "content": chat.SYSTEM_PROMPTS[style]}
    return [system, {"role": "user", "content": question}]


def as_text(talk):
    template = chat_model.tokenizer.apply_chat_template
    return template(talk, add_generation_prompt=True, tokenize=False)


print(as_text(instruct("mood", review)))

# %% [markdown]
# No example in it: this is a **zero-shot** prompt. One solved example makes it
# **one-shot**, several make it **few-shot**.


# %%
def few_shot(shots, query, layout="{} -> {}"):
    joint = "\n\n" if "\n" in layout else "\n"
    solved = [layout.format(text, label) for text, label in shots]
    return joint.join([*solved, layout.format(query, "").rstrip()])


print(few_shot([("It broke at once.", "negative"), ("A joy.", "positive")], review))

# %% [markdown]
# ## 2 · Decoding: from logits to a token
#
# The model gives a number for each of its V tokens. What comes next is your decision, not
# the model's. Here is one real distribution, its ten likeliest tokens:

# %%
prompt = "The shop is closed on"
ids = torch.tensor([encode(lume.tokenizer, prompt, 1)], device=lume.model.device)
with torch.inference_mode():
    logits = lume.model(ids).logits[:, -1].float().cpu()  # (1, V)
probs = logits.softmax(-1)
best = probs[0].topk(10)
fig, ax = plt.subplots()
ax.bar([lume.tokenizer.decode(i) for i in best.indices], best.values, color=figures.ACCENT)
ax.set(ylabel="probability", xlabel=f"what follows '{prompt}'")
plt.show()

# %% [markdown]
# Greedy would take the first bar each time. **Sampling** draws by chance, each token with
# its probability. Three filters change the distribution before the draw. Each takes
# logits and returns logits. **Temperature** divides them, `heat(logits, 2)` is
# `logits / 2`. **Top-k** counts: all but the k largest get minus infinity.

# %%
from labs_support.sampling import heat


def keep_k(logits, top_k):
    if top_k < 1:
        raise ValueError(f"top_k is {top_k}; use 1 or more")
    smallest = logits.topk(min(top_k, logits.shape[-1])).values[..., -1:]  # (..., 1)
    return logits.masked_fill(logits < smallest, -torch.inf)


# %% [markdown]
# **Top-p** adds up: it keeps the fewest tokens that together reach the mass p. A detail on
# which texts disagree, with four words. Some notes say "words that total at most p", which
# for p = 0.75 leaves two of them here; the library keeps the word that crosses the line
# too.


# %%
def keep_p(logits, top_p):
    if not 0 <= top_p <= 1:
        raise ValueError(f"top_p is {top_p}; use a number from 0 to 1")
    ordered, ids = logits.sort()  # the unlikely first
    is_tail = ordered.softmax(-1).cumsum(-1) <= 1 - top_p  # mass up to and with it
    is_tail[..., -1] = False  # the likeliest always stays
    return logits.masked_fill(is_tail.scatter(-1, ids, is_tail), -torch.inf)


cakes = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()  # cake, donut, banana, apple
print("kept at p = 0.75:", int(keep_p(cakes, 0.75).isfinite().sum()), "of 4")

# %% [markdown]
# Does each do what its name says? Temperature changes the **entropy**, the mean surprise
# of a draw; top-k the number of tokens left; top-p their mass.


# %%
def entropy(logits):
    shares = logits.softmax(-1)
    return -(shares * shares.clamp(min=1e-30).log()).sum(-1)


cold, plain, hot = (entropy(heat(logits, t)).item() for t in (0.5, 1.0, 1.5))
rises = min(plain - cold, hot - plain)
claim("05.2a", "least rise of the entropy from 0.5 to 1 to 1.5", rises, above=0.5, unit="nats")
n_left = keep_k(logits, 10).isfinite().sum().item()
claim("05.2b", "tokens left by top-k 10", n_left, equals=10)
kept = probs[keep_p(logits, 0.9).isfinite()]
claim("05.2c", "mass left by top-p 0.9", kept.sum(), above=0.9)
claim("05.2d", "mass without its least likely token", kept.sum() - kept.min(), below=0.9)

# %% [markdown]
# The fourth setting looks back. A **repetition penalty** divides the logits of tokens that
# already occur, and multiplies negative ones, so that both become less likely.


# %%
def penalise(logits, ids, penalty):
    if penalty <= 0:
        raise ValueError(f"the repetition penalty is {penalty}; use a number above 0")
    seen = logits.gather(-1, ids)  # (B, T)
    seen = torch.where(seen < 0, seen * penalty, seen / penalty)
    return logits.scatter(-1, ids, seen)


# %% [markdown]
# Are all four those of `transformers`? On the real logits and on random ones:

# %%
from transformers.generation import logits_process as theirs

gap = 0.0
for x in (logits, torch.randn(8, 500) * 4):
    seen = torch.randint(500, (len(x), 20))
    pairs = [
        (heat(x, 0.7), theirs.TemperatureLogitsWarper(0.7)),
        (keep_k(x, 40), theirs.TopKLogitsWarper(40)),
        (keep_p(x, 0.9), theirs.TopPLogitsWarper(0.9)),
        (penalise(x, seen, 1.3), theirs.RepetitionPenaltyLogitsProcessor(1.3)),
    ]
    for ours, process in pairs:
        change = ours.softmax(-1) - process(seen, x).softmax(-1)
        gap = max(gap, change.abs().max().item())
claim("05.2e", "largest gap to the filters of transformers", gap, below=1e-6)

# %% [markdown]
# Move the sliders. Grey is the distribution before the filters.

# %%
widgets.next_token(logits[0], lume.tokenizer.decode)

# %% [markdown]
# A trap in the penalty: add 10 to every logit, and the softmax stays the same. Does the
# penalty? Take the likeliest token as one that has occurred.

# %%
top = logits.argmax(-1, keepdim=True)  # (1, 1)
after = [penalise(logits + c, top, 1.3).softmax(-1)[0, top].item() for c in (0, 10)]
claim("05.2f", "how often likelier the token is without the 10", after[0] / after[1], above=2)

# %% [markdown]
# So a penalty of 1.3 is no fixed strength: it depends on where a model happens to put its
# zero. Tune it per model. What it is good for: greedy text runs in circles.


# %%
def repeated(choose):
    starts = ("The shop", "Our oldest lamp", "Dear customer,", "On Sunday")
    texts = [complete(lume, start, 30, choose).split() for start in starts]
    return sum(1 - len(set(words)) / len(words) for words in texts) / len(texts)


less = repeated(likeliest) - repeated(lambda x, ids: penalise(x, ids, 1.3).argmax(-1))
claim("05.2g", "share of repeated words that the penalty removes", less, above=0.1)

# %% [markdown]
# Last, `max_new_tokens`. It is a cut, not a wish: the model does not know it and does not
# write shorter. In use you leave the loop to the library:

# %%
out = lume.model.generate(
    ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False
)
text = lume.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
is_same = text == complete(lume, prompt, 12, likeliest)
claim("05.2h", "our greedy text is the library's", is_same, equals=1)

# %% [markdown]
# ### Exercise 05.1 · Which settings were used? ★ (4 min)
#
# `probs` (V,) are the probabilities of a model, `allowed` (V,) says which tokens a filter
# has left. Return the smallest `top_p` that explains it: the mass of the allowed tokens
# without the least likely of them. For `[0.5, 0.3, 0.2]` and the first two it is 0.5.


# %%
def smallest_p(probs, allowed):
    ...  # your code here


ex.smallest.check(smallest_p)
# ex.smallest.hint()
# ex.smallest.solution()

# %% [markdown]
# ## 3 · Learning from the prompt
#
# Show a model a few solved examples and it may go on in their way, with no weight
# changed: **in-context learning**. To be sure that it learns and does not remember, the
# labels here are invented words, new for every list. The task: prices against times.

# %%
from labs_support.prompting import invented_labels, leaked
from labs_support.world.genres import tasks

shots, queries, labels = invented_labels(random.Random("shown"), 8, 10, tasks.by_time)
print(few_shot(shots, queries[0]), " ", labels)
rng = random.Random(f"lesson-05-{SEED}")
cases = [invented_labels(rng, 8, 10, tasks.by_time) for _ in range(24)]

# %% [markdown]
# The answer is the label that the model finds likelier. `label_scores` gives the mean
# log-probability of the tokens of each label after a prompt; the mean, so that a long label
# is not punished for its length.

# %% [markdown]
# Ten texts for each of 24 lists, labelled after 0, 1, 2, 4 and 8 examples. Since the labels
# mean nothing, 0 examples cannot help. What do you expect of 8?

# %%
from labs_support.prompting import label_scores

N_SHOTS = (0, 1, 2, 4, 8)
gold = torch.arange(10) % 2  # every second text is a time


def scores_of(case, n_shots, layout="{} -> {}"):
    shots, queries, labels = case
    shown = shots[len(shots) - n_shots :]
    prompts = [few_shot(shown, query, layout) for query in queries]
    return label_scores(lume, prompts, [labels] * len(prompts))  # (10, 2)


def right(scores):
    return (scores.argmax(dim=1) == gold).float().mean().item()


# %% [markdown]
# Each row of `plain` is a number of examples, each column one of the lists.

# %%
scores = [[scores_of(case, n) for case in cases] for n in N_SHOTS]
plain = torch.tensor([[right(s) for s in row] for row in scores])  # (5, 24)
print({n: f"≈ {mean:.2f}" for n, mean in zip(N_SHOTS, plain.mean(1).tolist(), strict=True)})

# %% [markdown]
# Less than one would hope. Look at what it answers before you give up: how often does it
# choose the label that it prefers in that list anyway?

# %%
picks = torch.stack([s.argmax(dim=1) for s in scores[-1]]).float().mean(1)  # (24,)
favourite = torch.maximum(picks, 1 - picks).mean()
claim("05.1a", "share of answers that are the favourite label", favourite, above=0.65)

# %% [markdown]
# Mostly the same word, because it sounds more like a word to the model. This **label bias**
# hides what has been learned. The cure is **calibration**: subtract from
# every score the mean score of that label over the unlabelled queries. No gold label is
# used.


# %%
def calibrated(scores):
    return scores - scores.mean(dim=0)


fair = torch.tensor([[right(calibrated(s)) for s in row] for row in scores])  # (5, 24)
fig, ax = plt.subplots()
ax.plot(N_SHOTS, plain.mean(1), "o-", color=figures.CONTEXT, label="as it is")
ax.plot(N_SHOTS, fair.mean(1), "o-", color=figures.ACCENT, label="calibrated")
ax.set(xlabel="examples in the prompt", ylabel="share right", ylim=(0.3, 1))
ax.legend()
plt.show()

# %% [markdown]
# The 24 lists are the independent draws here, not the 240 texts. Their **bootstrap
# interval**: draw 24 lists with replacement, take the mean, repeat; the middle 95 % of the
# means. **Paired**: the difference is taken within each list.

# %%
from scipy.stats import bootstrap


def low_end(differences):
    draws = bootstrap((differences.numpy(),), lambda x, axis: x.mean(axis), rng=SEED)
    return draws.confidence_interval.low


zero, one, *_, few = fair
claim("05.1b", "8 examples above none, low end of the 95 % interval", low_end(few - zero), above=0)
claim("05.1c", "8 examples above one, low end of the 95 % interval", low_end(few - one), above=0)
gained = (one - zero).mean()
claim("05.1d", "gained by a single example", gained, below=0.15)

# %% [markdown]
# Few-shot wins, measured. The usual slogan, few above one above zero, holds only in its
# first half: with a single example the model has seen only one of the two labels. And this
# is the easiest of its tasks. On all eight, calibrated, with 8 examples:

# %%
kinds = list(dict.fromkeys(tasks.LABELLED))
found = []
for task in kinds:
    drawn = [invented_labels(rng, 8, 10, task) for _ in range(4)]
    found.append(sum(right(calibrated(scores_of(case, 8))) for case in drawn) / 4)
fig, ax = plt.subplots()
ax.barh([task.__name__.removeprefix("by_") for task in kinds], found, color=figures.ACCENT)
ax.axvline(0.5, color=figures.CONTEXT)
ax.set(xlabel="share right", xlim=(0, 1))
plt.show()
claim("05.1e", "share right over all eight tasks", sum(found) / 8, below=0.75)

# %% [markdown]
# Most stay near the grey line of chance. `lume-lm` has 4 million weights; this ability
# grows with size, and in GPT-3 it took billions. Measure your model on your task.

# %% [markdown]
# ## 4 · Order, format, and room
#
# Does it matter in which order the examples stand? They are the same, so it should not.
# Four examples, eight orders, everything else equal:

# %%
chosen = []
for shots, queries, labels in cases[:12]:
    orders = [rng.sample(shots[-4:], 4) for _ in range(8)]
    found = [calibrated(scores_of((order, queries, labels), 4)) for order in orders]
    chosen.append(torch.stack([s.argmax(dim=1) for s in found]))  # (8, 10)
chosen = torch.stack(chosen)  # (12 lists, 8 orders, 10 texts)
hits = (chosen == gold).float()
accuracy = hits.mean(dim=2)  # (12, 8)
spread = (accuracy.max(dim=1).values - accuracy.min(dim=1).values).mean()
claim("05.3a", "best minus worst of 8 orders, mean of 12 lists", spread, above=0.05)
flipped = (chosen != chosen[:, :1]).any(dim=1).float().mean()
claim("05.3b", "texts whose label depends on the order", flipped, above=0.1)

# %% [markdown]
# The best of eight orders looks good, and part of that is luck. Chosen on half of the
# texts, is it still as good on the other half?

# %%
halves, lost = (hits[..., :5], hits[..., 5:]), 0.0
for a, b in (halves, halves[::-1]):
    best = a.mean(dim=2).argmax(dim=1)  # (12,), chosen on one half
    lost += (a - b)[torch.arange(12), best].mean().item() / 2
claim("05.3c", "share right that the best order loses on other texts", lost, above=0)

# %% [markdown]
# And the layout: arrows, lines, words?

# %%
layouts = ("{} -> {}", "{} | {}", "Text: {}\nLabel: {}", "Q: {}\nA: {}", "{} means {}")
found = []
for layout in layouts:
    made = [right(calibrated(scores_of(case, 4, layout))) for case in cases[:12]]
    found.append(sum(made) / len(made))
    print(f"{layout!r:24} ≈ {found[-1]:.2f}")
claim("05.3d", "best minus worst of 5 layouts", max(found) - min(found), above=0.05)

# %% [markdown]
# Both are known of models a thousand times larger: the order alone can take GPT-3 from
# near the best known result to near guessing. So choose order and layout on validation
# texts, and report the score on others.

# %% [markdown]
# ### How much fits
#
# The **context window** holds prompt and completion together, 1,024 tokens here. More
# examples than fit: what then? Many tools cut the text without a word, and usually its
# end, where the question stands. This course refuses instead:

# %%
train = store.rows("reviews", "train")
many = [(row["text"], row["label"]) for row in train[:40]]
long_prompt = few_shot(many, review)
try:
    encode(lume.tokenizer, long_prompt, room=4)
except chat.TooLong as error:
    print(error)
cut = lume.tokenizer(long_prompt, truncation=True).input_ids
print("cut in silence, the end:", repr(lume.tokenizer.decode(cut[-8:])))

# %% [markdown]
# ### Exercise 05.2 · As many examples as fit ★★ (5 min)
#
# `costs` are the tokens of each example, the best one first; `query` the tokens of the
# text to label, `room` those kept for the answer, `window` all there are. Return how many
# of the first examples fit. If not even the query fits, raise `ValueError`.


# %%
def examples_that_fit(costs, query, room, window):
    ...  # your code here


ex.fitting.check(examples_that_fit)
# ex.fitting.hint()
# ex.fitting.solution()

# %% [markdown]
# ## 5 · Label 500 reviews
#
# The first job many teams give a language model: label a pile of texts. Here 500 reviews
# of the test split, zero-shot with the chat model; their gold labels are used only to
# judge. With `LABS_CHAT` the same call goes to a provider.

# %%
rows = random.Random(f"reviews-{SEED}").sample(store.rows("reviews", "test"), 500)
talks = [instruct("mood", row["text"]) for row in rows]
answers = chat.replies(talks, max_new_tokens=4)
y = [row["label"] for row in rows]
print(sorted(set(answers)))

# %% [markdown]
# Always look at the raw answers first: a model may say "Positive." or tell a story. Then
# count. **Precision**: of those called negative, how many are? **Recall**: of the negative
# ones, how many were found? **F1** is their harmonic mean, near the smaller of the two.


# %%
def rates(shared, found, wanted):
    precision, recall = shared / max(found, 1), shared / max(wanted, 1)
    if not shared:
        return Rates(0.0, 0.0, 0.0)
    return Rates(precision, recall, 2 * precision * recall / (precision + recall))


# %%
from sklearn.metrics import cohen_kappa_score, precision_recall_fscore_support

from labs_support.overlap import Rates, words

pairs = list(zip(answers, y, strict=True))
ours = rates(
    pairs.count(("negative", "negative")), answers.count("negative"), y.count("negative")
)
library = precision_recall_fscore_support(y, answers, labels=["negative"], zero_division=0)
gap = max(abs(a - b[0]) for a, b in zip(ours, library, strict=False))
claim("05.5a", "gap between our rates and scikit-learn's", gap, below=1e-9)
agreement = sum(a == b for a, b in pairs) / len(pairs)
claim("05.5e", "F1 of the label negative", ours.f1, above=0.5)
claim("05.5b", "labels that agree with gold", agreement, above=0.55)
kappa = cohen_kappa_score(y, answers)
claim("05.5c", "Cohen's kappa: agreement beyond chance", kappa, above=0.1)

# %% [markdown]
# **Kappa** takes off what two labellers would share by chance: 0 is chance, 1 is perfect.
# Is that good? A bag of words trained on 2,000 labelled reviews did better in lesson 01. A
# prompt needs no labels, only some to judge it by. And it has a price, by the token:

# %%
CENTS_PER_MILLION = {"read": 15, "written": 60}  # put in what your provider asks
count = chat_model.tokenizer
n_read = sum(len(count(as_text(talk)).input_ids) for talk in talks)
n_written = sum(len(count(answer).input_ids) for answer in answers)
cents = n_read * CENTS_PER_MILLION["read"] + n_written * CENTS_PER_MILLION["written"]
print(f"≈ {n_read:,} tokens read, ≈ {n_written:,} written: ≈ {cents / 1e6:.2f} cents")
per_review = (n_read + n_written) / len(rows)
claim("05.5d", "tokens for each review", per_review, below=150, unit="tokens")

# %% [markdown]
# Each example in the prompt is read again with every review: with 8 of them the bill is
# several times as high. And no text to be judged may stand in the prompt, whether as an
# example or hidden in the instructions, in whatever spelling. Search for it:

# %%
prompts = [chat.SYSTEM_PROMPTS["mood"], few_shot(many, "")]
prompts += [few_shot(case[0], "") for case in cases]
tested = [row["text"] for row in rows]
n_leaked = len(leaked(prompts, tested))
n_leaked += sum(len(leaked([few_shot(s, "")], q)) for s, q, _ in cases)
claim("05.9a", "test texts found in a prompt of this lesson", n_leaked, equals=0)
planted = len(leaked([few_shot([(tested[0].upper(), "positive")], "")], tested))
claim("05.9b", "found when one is planted in capitals", planted, equals=1)

# %% [markdown]
# ### Does it know when it is right?
#
# **Self-evaluation** asks the model to judge itself. The cheapest kind: the difference of
# its two label scores. If it means anything, the half with the larger difference is right
# more often.

# %%
asked = [as_text(talk) for talk in talks[:200]]
made = label_scores(chat_model, asked, [("negative", "positive")] * 200)
sure = (made[:, 0] - made[:, 1]).abs()  # (200,)
is_negative = torch.tensor([label == "negative" for label in y[:200]])
hits = ((made[:, 0] > made[:, 1]) == is_negative).float()
is_sure = sure > sure.median()
more = (hits[is_sure].mean() - hits[~is_sure].mean()).item()
claim("05.8a", "share right, surer half above the other half", more, above=0)

# %% [markdown]
# ## 6 · Chain of thought
#
# "3 + 8 + 5 + 7": you add in steps. A transformer has a fixed number of layers for each
# token, so it can think only so far before it must answer. If it writes the steps down,
# every step is read again and the next one is short. Two equal models, equal training:
# one learns to write the last digit of the sum at once, one the running sums first.


# %%
from labs_support import gpt

N_DIGITS = 5


def sums_in_digits(n, with_steps, generator):
    x = torch.randint(10, (n, N_DIGITS), generator=generator)
    running = x.cumsum(dim=1) % 10  # last digit of each running sum
    written = running[:, 1:] if with_steps else running[:, -1:]
    return torch.cat([x, torch.full((n, 1), 10), written], dim=1)  # 10 is "="


def train_adder(with_steps, n_steps):
    generator = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    config = gpt.GPTConfig(11, 2 * N_DIGITS + 1, width=64, n_layers=2, n_heads=4)
    model = gpt.GPT(config)

    def batches():
        while True:
            ids = sums_in_digits(128, with_steps, generator)
            target = ids[:, 1:].clone()
            target[:, :N_DIGITS] = -100  # no loss on the question
            yield ids[:, :-1], target

    list(gpt.train_gpt(model, batches(), n_steps, rate=3e-3))
    return model.eval()


# %%
found = {}
for with_steps in (False, True):
    model = train_adder(with_steps, n_steps=250)
    test = sums_in_digits(500, with_steps, torch.Generator().manual_seed(SEED + 1))
    question, n_new = test[:, : N_DIGITS + 1], test.shape[1] - N_DIGITS - 1
    written = gpt.generate(model, question, n_new)  # (500, ...)
    found[with_steps] = (written[:, -1] == test[:, -1]).float().mean().item()
claim("05.4a", "five digits, last digit right with written steps", found[True], above=0.9)
lifted = found[True] - found[False]
claim("05.4b", "lifted by writing the steps", lifted, above=0.4)

# %% [markdown]
# The same weights, the same number of training steps; only the room to think differs. In
# large models the words "step by step" call up steps they have read. Does it help
# `lume-lm-chat` with the shop's sums? It was taught both forms:

# %%
hard = [row for row in store.rows("sums", "test") if row["n_steps"] > 1]
drawn = random.Random(f"sums-{SEED}").sample(hard, 24)


def answered(style, max_new_tokens, rows):
    asked = [instruct(style, row["question"]) for row in rows]
    return chat.replies(asked, max_new_tokens=max_new_tokens)


print(answered("steps", 60, hard[:1])[0])
share = {}
for style, length in (("result", 8), ("steps", 60)):
    said = [text.rpartition("Answer:")[2] for text in answered(style, length, drawn)]
    hits = [a.strip(" .") == row["answer"] for a, row in zip(said, drawn, strict=True)]
    share[style] = sum(hits) / len(hits)
print({style: f"≈ {part:.2f}" for style, part in share.items()})
claim("05.4c", "multi-step sums right with steps, lume-lm-chat", share["steps"], below=0.6)

# %% [markdown]
# It writes steps that look like steps, with wrong numbers in them. Steps help a model that
# can take each single one, and at this size it cannot multiply. Lesson 10 lets it write a
# program and leaves the arithmetic to Python.

# %% [markdown]
# ### Exercise 05.3 · The last number counts ★ (5 min)
#
# To score such answers one must find the result in the text. Return the number after the
# last "Answer:", as a float, else the last number of the text, else `None`. "3 x 4 = 12.
# Answer: 12.50 euros" gives 12.5; "about 1,200" gives 1200.


# %%
def final_number(text):
    ...  # your code here


ex.final.check(final_number)
# ex.final.hint()
# ex.final.solution()

# %% [markdown]
# ## 7 · Scoring free text: ROUGE and BLEU
#
# A label is right or wrong. A summary or a translation can be good in many ways, so one
# counts what it shares with a **reference** that a person wrote. First the pieces: runs of
# n words, **n-grams**. The example is Polish, "The quick (brown) fox jumps over the lazy
# dog":

# %%
from collections import Counter

machine = "Szybki lis skacze nad leniwym psem".split()
golden = "Szybki brązowy lis przeskakuje nad leniwym psem".split()


def n_grams(words, n):
    return Counter(zip(*(words[i:] for i in range(n)), strict=False))


def clipped(candidate, references, n):
    found, allowed = n_grams(candidate, n), Counter()
    for reference in references:
        allowed |= n_grams(reference, n)
    return (found & allowed).total(), found.total()


for n in (1, 2, 3, 4):
    print(n, "words in a row: {} of {}".format(*clipped(machine, [golden], n)))

# %% [markdown]
# `&` of two counters takes the smaller number: "the the the" against "the cat" shares one
# "the", not three. This is **clipping**. Five of six words, two of five pairs, one of four
# triples; no run of four.
#
# **BLEU**, made for translations, is the geometric mean of these shares, of the precision
# only. Short outputs would win, so it has a **brevity penalty**: where the c words of the
# output are fewer than the r of the reference, the score is multiplied by e^(1 - r/c).


# %%
import math


def brevity_penalty(n_candidate, n_reference):
    if n_candidate >= n_reference:
        return 1.0
    return math.exp(1 - n_reference / n_candidate) if n_candidate else 0.0


mean, penalty = (5 / 6 * 2 / 5 * 1 / 4) ** (1 / 3), brevity_penalty(6, 7)
print(f"mean {mean:.4f}, penalty {penalty:.4f}, BLEU-3 {100 * mean * penalty:.2f}")

# %% [markdown]
# BLEU as published goes up to four words in a row, and none are shared: the geometric mean
# of anything and 0 is 0. So it is a score for a **corpus**: the counts of all sentences
# are added up before anything is divided.


# %%
def corpus_bleu(candidates, references, n_max=4):
    if len(candidates) != len(references) or not all(references):
        raise ValueError("give every translation a list of at least one reference")
    pairs = list(zip(candidates, references, strict=True))
    precisions = []
    for n in range(1, n_max + 1):
        right, found = zip(*(clipped(c, r, n) for c, r in pairs), strict=True)
        precisions.append(sum(right) / max(sum(found), 1))
    if not all(precisions):
        return 0.0
    mean = math.exp(sum(map(math.log, precisions)) / n_max)
    closest = [
        min(map(len, r), key=lambda n, c=c: (abs(n - len(c)), n)) for c, r in pairs
    ]
    return 100 * mean * brevity_penalty(sum(map(len, candidates)), sum(closest))


print([round(corpus_bleu([machine], [[golden]], n), 2) for n in (1, 2, 3, 4)])

# %% [markdown]
# **ROUGE**, made for summaries, keeps precision, recall and F1 apart. ROUGE-1 and ROUGE-2
# count words and pairs; ROUGE-L takes the longest sequence of words that stands in both
# texts in the same order, with gaps allowed.


# %%
def rouge_n(candidate, reference, n):
    found, wanted = n_grams(candidate, n), n_grams(reference, n)
    return rates((found & wanted).total(), found.total(), wanted.total())


def longest_common(a, b):
    best = [0] * (len(b) + 1)  # best[j]: of the words of a so far and the first j of b
    for word in a:
        above = best[:]
        for j, other in enumerate(b):
            best[j + 1] = above[j] + 1 if word == other else max(best[j], above[j + 1])
    return best[-1]


def rouge_l(candidate, reference):
    shared = longest_common(candidate, reference)
    return rates(shared, len(candidate), len(reference))


print("shared in order:", longest_common(machine, golden), "of", len(golden))

# %% [markdown]
# Against the libraries: each summary of the shop's dialogues is scored against the summary
# of another dialogue, or against a shuffled half of itself, so that all kinds of overlap
# occur.

# %%
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

summaries = [words(row["summary"]) for row in store.rows("dialogues", "test")]
others = rng.sample(summaries, len(summaries))
halved = [b[: len(b) // 2] + a for a, b in zip(others, summaries, strict=True)]
tries = halved[:75] + others[75:]
scorer, gap = RougeScorer(["rouge1", "rouge2", "rougeL"]), 0.0
for a, b in zip(tries, summaries, strict=True):
    library = scorer.score(" ".join(b), " ".join(a)).values()
    ours = rouge_n(a, b, 1), rouge_n(a, b, 2), rouge_l(a, b)
    for mine, score in zip(ours, library, strict=True):
        gap = max(gap, abs(mine.f1 - score.fmeasure), abs(mine.recall - score.recall))
claim("05.6a", "largest gap of 900 ROUGE scores to rouge_score", gap, below=1e-12)
texts = [" ".join(a) for a in tries]
library = BLEU(tokenize="none", smooth_method="none").corpus_score(
    texts, [[" ".join(b) for b in summaries]]
)
ours = corpus_bleu(tries, [[b] for b in summaries])
claim("05.6b", "gap of the corpus BLEU to sacrebleu", abs(ours - library.score), below=1e-9)

# %% [markdown]
# Agreement to the last digit needs the same **words**. `rouge_score` keeps a-z and 0-9, so
# Polish falls to pieces. And `sacrebleu` splits and smooths unless told not to: report
# the settings with the score.

# %%
print(words("Szybki brązowy lis"))

# %% [markdown]
# ### Exercise 05.4 · Clip it yourself ★★ (5 min)
#
# `candidate` and `reference` are lists of words. Return the clipped unigram precision: of
# the words of the candidate, the share that the reference allows, each at most as often as
# it stands there. "the" seven times against "the cat is on the mat" is 2/7; an empty
# candidate gets 0.


# %%
def clipped_precision(candidate, reference):
    ...  # your code here


ex.clipping.check(clipped_precision)
# ex.clipping.hint()
# ex.clipping.solution()

# %% [markdown]
# ### Where they are blind
#
# Take statements of fact, each said in two ways by the course's world, and the first
# with a "not" put in. Which of the two others is nearer to it: the one that says the same,
# or the one that says the opposite? Surely an embedding, which knows meaning, sees it?

# %%
from labs_support.world.genres.writer import Writer
from labs_support.world.shops import make_shop

VERB = re.compile(r"\b(is|are|can|will|was)\b")


def said_in_three_ways(rng):
    while True:
        writer = Writer(rng, make_shop(rng))
        fact = rng.choice(writer.facts)
        said, again = writer.sentence(fact), writer.sentence(fact)
        if said != again and len(VERB.findall(said)) == 1 and ":" not in said:
            return said, again, VERB.sub(r"\1 not", said, count=1)


print(*said_in_three_ways(random.Random("shown")), sep="\n")
triples = [said_in_three_ways(rng) for _ in range(100)]

# %%
from labs_support import skills


def rouge_1(a, b):
    return rouge_n(words(a), words(b), 1).f1


said, again, negated = zip(*triples, strict=True)
vectors = [skills.embed(list(texts)) for texts in (said, again, negated)]
cosines = [(vectors[0] * other).sum(axis=1) for other in vectors[1:]]  # 2 x (100,)
counts = [[*map(rouge_1, said, other)] for other in (again, negated)]  # 2 x 100
by_rouge = sum(a > b for a, b in zip(*counts, strict=True)) / 100
by_cosine = float((cosines[0] > cosines[1]).mean())
claim("05.7a", "ROUGE-1 of a sentence and its negation", sum(counts[1]) / 100, above=0.85)
claim("05.7b", "same meaning rated above the opposite, by ROUGE-1", by_rouge, below=0.1)
claim("05.7c", "same meaning rated above the opposite, by embedding", by_cosine, below=0.5)

# %% [markdown]
# One often reads that word overlap is blind to "not" while embeddings are not. Measured
# here, this is wrong: MiniLM does better than ROUGE and still puts the opposite first most
# of the time, worse than a coin. It was trained to find texts about the same thing, and a
# sentence and its negation are about the same thing. Neither score checks truth: use them
# to notice change, within one task, and read samples.

# %% [markdown]
# ## 8 · Benchmarks, and a model as judge
#
# To compare models one uses fixed sets of tasks:
#
# | benchmark | holds | answer |
# |---|---|---|
# | GLUE (2018) | nine tasks on English sentences: entailment, sentiment, paraphrase | a class |
# | SuperGLUE (2019) | eight harder ones, made when GLUE was nearly solved | a class or a span |
# | MMLU (2020) | school and professional exams in 57 subjects | one of four |
# | BIG-bench (2022) | 204 tasks given by many authors, odd ones among them | mixed |
# | HELM (2022) | scenarios by metrics: accuracy, calibration, bias, cost | mixed |
# | GSM8K (2021) | 8,500 school sums of 2 to 8 steps | a number |
#
# What is public ends up in training texts: the leak of section 5, on the web's scale.

# %% [markdown]
# Free answers can also be judged by a model, **LLM as a judge**. The shop has pairs of
# replies of which one is known to be better. Ask for A or B, in both orders. A judge that
# reads must change its letter when the replies change places.

# %%
replies = random.Random(f"judge-{SEED}").sample(store.rows("replies", "test"), 48)
QUESTION = "Customer: {}\n\nReply A: {}\n\nReply B: {}\n\nWhich reply is better, A or B?"


def picks_a(first, second):
    asked = [QUESTION.format(row["prompt"], row[first], row[second]) for row in replies]
    prompts = [as_text([{"role": "user", "content": text}]) for text in asked]
    made = label_scores(chat_model, prompts, [("A", "B")] * len(prompts))
    return made.argmax(dim=1) == 0  # (48,)


good_first, good_second = picks_a("chosen", "rejected"), picks_a("rejected", "chosen")
agrees = (good_first.float().mean() + (~good_second).float().mean()).item() / 2
same_place = (good_first == good_second).float().mean().item()
claim("05.8b", "agreement of the judge with gold", agrees, below=0.75)
claim("05.8c", "verdicts that stay at their place when replies change", same_place, above=0.4)

# %% [markdown]
# **Position bias**: the verdict sticks to a letter, not to a reply. Asking twice and
# keeping only what stays the same is the usual remedy; here little stays. Another judge
# reads one reply at a time, so it has no first place: which reply would the model itself
# rather write?

# %%
prompts = [as_text(instruct("clerk", row["prompt"])) for row in replies]
pairs = [(row["chosen"], row["rejected"]) for row in replies]
likes = label_scores(chat_model, prompts, pairs)  # (48, 2)
agrees = (likes.argmax(dim=1) == 0).float().mean().item()
claim("05.8d", "agreement of the likelihood with gold", agrees, above=0.65)

# %% [markdown]
# Far better, and less than it looks: this model was trained on other replies of the same
# shop's tone, so it prefers what resembles them. A judge shares the taste of its training,
# and above all its own. Measure every judge against people before you believe it.

# %% [markdown]
# ### Exercise 05.5 · Ask twice ★★ (5 min)
#
# `first` (N, 2) are a judge's scores of the letters A and B where reply 1 is A, `second`
# (N, 2) where reply 1 is B. Return a list: 0 where reply 1 wins both times, 1 where reply 2
# does, -1 where the two verdicts contradict each other.


# %%
def ask_twice(first, second):
    ...  # your code here


ex.twice.check(ask_twice)
# ex.twice.hint()
# ex.twice.solution()

# %% [markdown]
# ### Exercise 05.6 · Agreement beyond chance ★★ (6 min)
#
# Write Cohen's kappa for two lists of labels: (p - e) / (1 - e), where p is the share of
# equal labels and e the share that chance would give: for each label, its share in `a`
# times its share in `b`, summed. If both use one and the same label only, return 0.


# %%
def kappa_of(a, b):
    ...  # your code here


ex.kappa.check(kappa_of)
# ex.kappa.hint()
# ex.kappa.solution()

# %% [markdown]
# ## 9 · Bug museum
#
# Two errors that raise nothing and make a report look better or a model look worse.

# %% [markdown]
# ### Exercise 05.7 · Bug museum: examples from the test split ★★ (5 min)
#
# A team takes its examples at random from all its rows and reports the accuracy on the
# test rows. `rows` are dicts with `text`, `label` and `split`; repair the function: the
# examples must come from the training split, and no test text may be among them, not even
# one that the training split repeats.


# %%
def pick_shots(rows, n):
    """Return n examples for a prompt, (text, label) each."""
    return [(row["text"], row["label"]) for row in rows[:n]]


ex.test_shots.check(pick_shots)
# ex.test_shots.hint()
# ex.test_shots.solution()

# %% [markdown]
# ### Exercise 05.8 · Bug museum: cut in silence ★ (5 min)
#
# The longer the list of examples, the worse the labels, until all are the same. `tokens`
# are those of the instructions, the examples and the question, in this order; each is a
# list. Repair the function: drop the oldest examples until it fits into `window`, never a
# piece of the question or the instructions; if these alone are too long, raise
# `ValueError`.


# %%
def build_prompt(instructions, examples, question, window):
    """Return the tokens of a prompt."""
    tokens = list(instructions)
    for example in examples:
        tokens += example
    tokens += question
    return tokens[:window]


ex.silent_cut.check(build_prompt)
# ex.silent_cut.hint()
# ex.silent_cut.solution()

# %% [markdown]
# ## What we measured

# %%
claims.table()

# %% [markdown]
# ## What it cannot do
#
# A prompt cannot give a model an ability it lacks: `lume-lm` learns one easy task of eight
# from examples, and no prompt makes it multiply. And no score here knows whether a
# sentence is true; ROUGE, BLEU, embeddings and a judge each stand for what they were made
# to resemble.

# %% [markdown]
# ## Read on
#
# - Brown and others (2020), *Language Models are Few-Shot Learners*, arXiv 2005.14165.
#   In-context learning by size; figure 1.2 is your curve for a model 40,000 times larger.
# - Zhao and others (2021), *Calibrate Before Use*, arXiv 2102.09690. Label bias, and the
#   cure of section 3.
# - Lu and others (2022), *Fantastically Ordered Prompts*, arXiv 2104.08786. Orderings.
# - Zheng and others (2023), *Judging LLM-as-a-Judge*, arXiv 2306.05685. Position bias and
#   self-preference of large judges.
#
# Next comes 06: when a prompt is not enough, train a little.
