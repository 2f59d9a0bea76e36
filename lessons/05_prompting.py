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

import matplotlib.pyplot as plt
import numpy as np
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
for x in ("The shop is closed on", "Q: When is the shop closed?\nA:"):
    print(repr(x), "->", repr(complete(lume, x, 12, likeliest)))

# %% [markdown]
# It continues whatever it is given: the first prompt looks like a story, the second like
# a list of questions. Prompt engineering is no more than writing the beginning whose
# likeliest continuation is what you want.
#
# A **chat model** has been trained further to follow instructions. Its prompt is a
# conversation, which a **template** turns into one text with marks:

# %%
review = "The kite is lovely, but it tore on the first day."
chat_model = shelf.language_model("chat-model")


def instruct(order, text):
    return [{"role": "system", "content": order}, {"role": "user", "content": text}]


def as_text(talk):
    template = chat_model.tokenizer.apply_chat_template
    return template(talk, add_generation_prompt=True, tokenize=False)


MOOD = chat.SYSTEM_PROMPTS["mood"]
print(as_text(instruct(MOOD, review)))

# %% [markdown]
# Three habits help with every model, and each can be measured. **Precision**: name the
# task, and the form of the answer. Forty reviews, with the system message above and
# without it: how many answers are one of the two words that we can use?


# %%
def read_label(text):
    return text.lower().strip(" .")


def usable(talks):
    said = map(read_label, chat.replies(talks, max_new_tokens=12))
    return torch.tensor([float(text in ("negative", "positive")) for text in said])


texts = [row["text"] for row in store.rows("reviews", "train")[:40]]
vague = usable([[{"role": "user", "content": text}] for text in texts])
precise = usable([instruct(MOOD, text) for text in texts])
print(f"usable: ≈ {vague.mean():.2f} without, ≈ {precise.mean():.2f} with the task")

# %% [markdown]
# Is that more than luck with these forty? A **bootstrap interval** tells: draw forty of
# the differences with replacement, take their mean, repeat 9,999 times; the middle 95 % of
# the means is the interval. Above 0 as a whole, it is a gain. The differences are
# **paired**: taken within each review.

# %%
from scipy.stats import bootstrap


def low_end(gains):
    x = np.asarray(gains, dtype=float)
    return bootstrap((x,), np.mean, method="percentile", batch=99, rng=SEED).confidence_interval.low


claim("05.1a", "answers won by naming the task, lower end", low_end(precise - vague), above=0)

# %% [markdown]
# **Context**: give the model what it cannot know. Sixty questions about Bottega Lume, alone
# and with the sentence of the handbook that holds the answer (`given`). **Clarity**: one
# task at a time. In `joint` two questions are asked in one prompt, with both sentences.

# %%
from labs_support.prompting import questions_with_sources
from labs_support.rag import holds

known = questions_with_sources("test")
print(*known[0], sep=" | ")
drawn = random.Random(f"asked-{SEED}").sample(known, 60)


def ask(items):
    prompt = chat.sources_prompt([x.source for x in items], " ".join(x.question for x in items))
    return instruct(chat.ANSWER_FROM_SOURCES, prompt)


def holds_answer(talks):
    said = zip(drawn, chat.replies(talks), strict=True)
    return torch.tensor([float(holds(text, item.answer)) for item, text in said])


# %%
alone = holds_answer([instruct(chat.ANSWER_FROM_SOURCES, item.question) for item in drawn])
given = holds_answer([ask([item]) for item in drawn])
joint = holds_answer([ask(drawn[i - i % 2 : i - i % 2 + 2]) for i in range(60)])
print(f"alone ≈ {alone.mean():.2f}, given ≈ {given.mean():.2f}, joint ≈ {joint.mean():.2f}")
claim("05.1b", "answers won by context, lower end", low_end(given - alone), above=0)
won = low_end((given - joint).view(30, 2).mean(1))
claim("05.1c", "answers won by one question at a time, lower end", won, above=0)

# %% [markdown]
# Without context the model knows nothing of this shop. With two questions at once it
# mixes them up, although both sentences are there. Large models bear more, and lose by
# the same causes.
#
# No prompt so far held a solved example: that is **zero-shot**. One makes it **one-shot**,
# several make it **few-shot**.


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
best = logits[0].topk(10).indices
names = [repr(name) for name in lume.tokenizer.batch_decode(best[:, None])]


def contrast(*views):
    _, axes = plt.subplots(1, len(views), sharey=True, squeeze=False)
    for ax, (title, after) in zip(axes[0], views, strict=True):
        figures.before_after(ax, names, logits.softmax(-1)[0, best], after.softmax(-1)[0, best])
        ax.set(title=title, ylabel="probability")
    plt.show()


contrast((prompt, logits))

# %% [markdown]
# Greedy would take the first bar each time. **Sampling** draws by chance, each token with
# its probability. Four settings change the distribution before the draw. Each takes
# logits and returns logits. **Temperature** divides them, `heat(logits, 2)` is
# `logits / 2`. **Top-k** counts: all but the k largest get minus infinity. Grey is before,
# colour after:

# %%
from labs_support.sampling import heat


def keep_k(logits, top_k):
    if top_k < 1:
        raise ValueError(f"top_k is {top_k}; use 1 or more")
    smallest = logits.topk(min(top_k, logits.shape[-1])).values[..., -1:]  # (..., 1)
    return logits.masked_fill(logits < smallest, -torch.inf)


contrast(("temperature 0.5", heat(logits, 0.5)), ("top-k 3", keep_k(logits, 3)))

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
# The fourth setting looks back. A **repetition penalty** divides the logits of tokens that
# already occur, and multiplies negative ones, so that both become less likely. Below, the
# two likeliest tokens are taken as written before.


# %%
def penalise(logits, ids, penalty):
    if penalty <= 0:
        raise ValueError(f"the repetition penalty is {penalty}; use a number above 0")
    seen = logits.gather(-1, ids)  # (B, T)
    seen = torch.where(seen < 0, seen * penalty, seen / penalty)
    return logits.scatter(-1, ids, seen)


contrast(("top-p 0.3", keep_p(logits, 0.3)), ("penalty 1.3", penalise(logits, best[None, :2], 1.3)))

# %% [markdown]
# Does each do what its name says? Temperature changes the **entropy**, the mean surprise
# of a draw; top-k the number of tokens left; top-p their mass, which falls below p if even
# the least likely of them goes.


# %%
def entropy(logits):
    shares = logits.softmax(-1)
    return -(shares * shares.clamp(min=1e-30).log()).sum(-1)


cold, plain, hot = (entropy(heat(logits, t)).item() for t in (0.5, 1.0, 1.5))
claim("05.2a", "entropy at 1 above that at 0.5", plain - cold, above=0, unit="nats")
claim("05.2b", "entropy at 1.5 above that at 1", hot - plain, above=0, unit="nats")
claim("05.2c", "tokens left by top-k 10", keep_k(logits, 10).isfinite().sum(), equals=10)
kept = logits.softmax(-1)[keep_p(logits, 0.5).isfinite()]
claim("05.2d", "mass left by top-p 0.5", kept.sum(), above=0.5)
claim("05.2e", "mass without its least likely token", kept.sum() - kept.min(), below=0.5)

# %% [markdown]
# Are all four those of `transformers`? On the real logits and on random ones:

# %%
from transformers.generation import logits_process as theirs

x = torch.cat([logits, torch.randn(7, logits.shape[1]) * 4])  # (8, V)
seen = torch.randint(logits.shape[1], (8, 20))
pairs = [
    (heat(x, 0.7), theirs.TemperatureLogitsWarper(0.7)),
    (keep_k(x, 40), theirs.TopKLogitsWarper(40)),
    (keep_p(x, 0.9), theirs.TopPLogitsWarper(0.9)),
    (penalise(x, seen, 1.3), theirs.RepetitionPenaltyLogitsProcessor(1.3)),
]
gaps = [(ours.softmax(-1) - f(seen, x).softmax(-1)).abs().max() for ours, f in pairs]
claim("05.2f", "largest gap to the filters of transformers", max(gaps), below=1e-6)

# %% [markdown]
# Move the sliders. Grey is the distribution before the filters; the penalty takes the
# three likeliest tokens as written before. Which settings make greedy of sampling?

# %%
widgets.next_token(logits[0], lambda i: repr(lume.tokenizer.decode(i)), seen=best[:3])

# %% [markdown]
# What is the penalty good for? Greedy text runs in circles. From six beginnings, the share
# of words that were there before, without and with it:


# %%
def repeated(choose):
    starts = "The shop", "Our oldest lamp", "Dear customer,", "On Sunday", "A boat", "In May"
    texts = [complete(lume, start, 20, choose).split() for start in starts]
    return torch.tensor([1 - len(set(words)) / max(len(words), 1) for words in texts])


less = repeated(likeliest) - repeated(lambda x, ids: penalise(x, ids, 1.3).argmax(-1))
claim("05.2g", "repeated words removed by the penalty, lower end", low_end(less), above=0)

# %% [markdown]
# Last, `max_new_tokens`. It is a cut, not a wish: the model does not know it and does not
# write shorter. In use you leave the loop to the library, which has all the settings:

# %%
options = {"attention_mask": torch.ones_like(ids), "max_new_tokens": 12}
out = lume.model.generate(ids, **options, do_sample=False)
text = lume.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
claim("05.2h", "our greedy text is theirs", text == complete(lume, prompt, 12, likeliest), equals=1)
half = complete(lume, prompt, 6, likeliest)
claim("05.2i", "6 tokens are the same text, cut", text.startswith(half), equals=1)

# %%
torch.manual_seed(5)
options |= {"temperature": 0.7, "top_k": 50, "top_p": 0.9, "repetition_penalty": 1.3}
out = lume.model.generate(ids, **options, do_sample=True, num_return_sequences=3)
print(*lume.tokenizer.batch_decode(out, skip_special_tokens=True), sep="\n---\n")

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
from labs_support.prompting import invented_labels, label_scores, leaked
from labs_support.world.genres import tasks

shots, queries, labels = invented_labels(random.Random("shown"), 8, 10, tasks.by_time)
print(few_shot(shots, queries[0]), " ", labels)
rng = random.Random(f"lesson-05-{SEED}")
cases = [invented_labels(rng, 8, 10, tasks.by_time) for _ in range(40)]

# %% [markdown]
# The answer is the label that the model finds likelier. `label_scores` gives the mean
# log-probability of the tokens of each label after a prompt; the mean, so that a long label
# is not punished for its length.
#
# Ten texts for each of 40 lists, labelled after 0, 1, 2, 4 and 8 examples. Since the labels
# mean nothing, 0 examples cannot help. The usual slogan is: few-shot beats one-shot beats
# zero-shot. What do you expect of one example, and of eight?

# %%
N_SHOTS = (0, 1, 2, 4, 8)
gold = torch.arange(10) % 2  # every second text is a time


def scores_of(case, n_shots, layout="{} -> {}"):
    shots, queries, labels = case
    shown = shots[len(shots) - n_shots :]
    prompts = [few_shot(shown, query, layout) for query in queries]
    return label_scores(lume, prompts, [labels] * len(prompts))  # (10, 2)


def right(scores):
    return (scores.argmax(dim=1) == gold).float().mean().item()


# %%
scores = [[scores_of(case, n) for case in cases] for n in N_SHOTS]
plain = torch.tensor([[right(s) for s in row] for row in scores])  # (5, 40)
print({n: f"≈ {mean:.2f}" for n, mean in zip(N_SHOTS, plain.mean(1).tolist(), strict=True)})
zero, one, *_, few = plain
claim("05.1d", "gained by 8 examples over none, lower end", low_end(few - zero), above=0)
claim("05.1e", "gained by 8 examples over one, lower end", low_end(few - one), above=0)

# %% [markdown]
# Few-shot wins. The other half of the slogan fails here: one example brings nothing. See
# what the model answers after one: does it say the one label that it has been shown?

# %%
shown = [case[2].index(case[0][-1][1]) for case in cases]  # 0 or 1 for each list
same = [(s.argmax(dim=1) == i).float().mean() for s, i in zip(scores[1], shown, strict=True)]
claim("05.1f", "answers that repeat the label of a single example", sum(same) / 40, above=0.9)

# %% [markdown]
# It copies the only label it knows, which is right for half of the texts. Copying is no
# error where the example shows something else: not *which class*, but *what kind of
# answer*. After `key -> KEY`, what follows `letter ->`: letters, LETTER, letter letter or
# rettel? Four rules, and one example says which of them is meant:

# %%
from labs_support.prompting import rewriting

hits = torch.zeros(48, 2)  # after 1 and after 8 examples
for i in range(48):
    shots, queries, made, place = rewriting(rng, 8, 2)
    prompts = [[few_shot(shots[:n], query) for query in queries] for n in (0, 1, 8)]
    before, *after = (label_scores(lume, p, made) for p in prompts)  # (2, 4) each
    hits[i] = torch.stack([((s - before).argmax(1) == place).float().mean() for s in after])
print("after 1 example ≈ {:.2f}, after 8 ≈ {:.2f}".format(*hits.mean(0)))
claim("05.1g", "one example above chance of 1 in 4, lower end", low_end(hits[:, 0] - 0.25), above=0)

# %% [markdown]
# Here a single example already moves the choice. So ask what your examples have to show:
# a form of answer needs one, a border between classes needs several, of each class.
#
# Back to the labels. In many lists the model says one of the two whatever is asked, since
# it sounds more like a word. This **label bias** hides what has been learned. The cure is
# **calibration**: subtract from every score the mean score of that label over the
# unlabelled queries. No gold label is used.


# %%
def calibrated(scores):
    return scores - scores.mean(dim=0)


fair = torch.tensor([[right(calibrated(s)) for s in row] for row in scores])  # (5, 40)
fig, ax = plt.subplots()
ax.plot(N_SHOTS, plain.mean(1), "o-", color=figures.CONTEXT, label="as it is")
ax.plot(N_SHOTS, fair.mean(1), "o-", color=figures.ACCENT, label="calibrated")
ax.set(xlabel="examples in the prompt", ylabel="share right", ylim=(0.3, 1))
ax.legend()
plt.show()
claim("05.1h", "gained by calibration, lower end", low_end((fair - plain)[2:].mean(0)), above=0)

# %% [markdown]
# Is this one task a lucky one? All eight kinds of lists that the model has met in
# training, with new labels and 8 examples, calibrated:

# %%
eight = torch.empty(8, 6)  # kinds of lists, lists
for row, kind in zip(eight, dict.fromkeys(tasks.LABELLED), strict=True):
    for j in range(6):
        row[j] = right(calibrated(scores_of(invented_labels(rng, 8, 10, kind), 8)))
    print(f"{kind.__name__:12} ≈ {row.mean():.2f}")
claim("05.1i", "share right over 8 tasks, chance is 0.5", eight.mean(), below=0.75)

# %% [markdown]
# Over all eight it stays nearer to chance than to 1. `lume-lm` has 4 million weights; this
# ability grows with size. Measure your model on your task, and show all tasks, not the
# best.

# %% [markdown]
# ## 4 · Order, format, and room
#
# Does it matter in which order the examples stand? They are the same, so it should not.
# Four examples, six orders, everything else equal:

# %%
def picks(case, order, layout="{} -> {}"):
    return calibrated(scores_of((order, *case[1:]), 4, layout)).argmax(dim=1)  # (10,)


chosen = [picks(case, rng.sample(case[0][-4:], 4)) for case in cases[:12] for _ in range(6)]
chosen = torch.stack(chosen).view(12, 6, 10)  # lists, orders, texts
share = (chosen == gold).float().mean(dim=2)  # (12, 6)
spread = share.amax(dim=1) - share.amin(dim=1)
print(f"best minus worst order: ≈ {spread.mean():.2f}")
claim("05.3a", "best minus worst of 6 orders, lower end", low_end(spread), above=0)
flipped = (chosen != chosen[:, :1]).any(dim=1).float().mean(dim=1)  # (12,)
claim("05.3b", "texts whose label hangs on the order, lower end", low_end(flipped), above=0)

# %% [markdown]
# The best of six looks good, and part of that is luck: never report the best order on
# the texts that chose it. And the layout, an arrow, a verb, or question and answer? One
# of the three is worse by far. Which, and why?

# %%
layouts = "{} -> {}", "{} means {}", "Q: {}\nA: {}"
made = torch.stack([picks(case, case[0][-4:], x) for x in layouts for case in cases])
share = (made.view(3, 40, 10) == gold).float().mean(dim=2)  # (3, 40)
print(*(f"{x!r:16} ≈ {row.mean():.2f}" for x, row in zip(layouts, share, strict=True)), sep="\n")
claim("05.3c", "won by the arrow over Q and A, lower end", low_end(share[0] - share[2]), above=0)

# %% [markdown]
# `Q:` and `A:` belong to another kind of text that the model knows. There answers are
# facts, so that the examples do not count. Both effects are known of models a thousand
# times larger: the order alone can take GPT-3 from near the best known result to near
# guessing. So choose order and layout on validation texts, and report the score on others.

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
# of the test split, zero-shot with the chat model, which has met this instruction in
# training, with other reviews; the gold labels are used only to judge. With `LABS_CHAT` the
# same call goes to a provider.

# %%
rows = random.Random(f"reviews-{SEED}").sample(store.rows("reviews", "test"), 500)
talks = [instruct(MOOD, row["text"]) for row in rows]
answers = [read_label(text) for text in chat.replies(talks, max_new_tokens=4)]
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

agrees = [a == b for a, b in zip(answers, y, strict=True)]
n_shared = sum(a == b == "negative" for a, b in zip(answers, y, strict=True))
ours = rates(n_shared, answers.count("negative"), y.count("negative"))
library = precision_recall_fscore_support(y, answers, labels=["negative"], zero_division=0)
gap = max(abs(a - b[0]) for a, b in zip(ours, library, strict=False))
claim("05.5a", "gap between our rates and scikit-learn's", gap, below=1e-9)
claim("05.5b", "F1 of the label negative, a coin has 0.5", ours.f1, above=0.5)
often = max(map(y.count, y)) / len(y)  # right by always saying the commoner label
print(f"agreement ≈ {np.mean(agrees):.2f}, the commoner label alone ≈ {often:.2f}")
claim("05.5c", "agreement above the commoner label, lower end", low_end(agrees) - often, above=0)
claim("05.5d", "Cohen's kappa, beyond chance", cohen_kappa_score(y, answers), above=0.2)

# %% [markdown]
# **Kappa** takes off what two labellers would share by chance: 0 is chance, 1 is perfect;
# Landis and Koch (1977) call up to 0.2 slight and from 0.4 on moderate. A bag of words
# trained on 2,000 labelled reviews did better in lesson 01. A prompt needs no labels, only
# some to judge it by; but this small model has seen labelled reviews in its training. And a
# prompt has a price, by the token. With eight examples in it, how many times as high?

# %%
def n_tokens(texts):
    return sum(map(len, chat_model.tokenizer(texts).input_ids))


READ, WRITTEN = 15, 60  # cents for a million tokens; put in what your provider asks
shots = [(row["text"], row["label"]) for row in train[:8]]
zero_shot = [as_text(talk) for talk in talks]
eight_shot = [as_text(instruct(MOOD, few_shot(shots, row["text"]))) for row in rows]
n_zero, n_eight, n_written = map(n_tokens, (zero_shot, eight_shot, answers))
bill, longer = ((n * READ + n_written * WRITTEN) / 1e6 for n in (n_zero, n_eight))
print(f"≈ {n_zero:,} tokens read, ≈ {n_written:,} written")
claim("05.5e", "cents for 500 reviews", bill, below=1, unit="cents")
claim("05.5f", "times the bill with 8 examples", longer / bill, above=3)

# %% [markdown]
# Each example is read again with every review. And no text to be judged may stand in the
# prompt, whether as an example or hidden in the instructions, in whatever spelling. Search
# for it:

# %%
tested = [row["text"] for row in rows]
n_leaked = len(leaked([MOOD, few_shot(many, ""), few_shot(shots, "")], tested))
n_leaked += sum(len(leaked([few_shot(case[0], "")], case[1])) for case in cases)
claim("05.9a", "test texts found in a prompt of this lesson", n_leaked, equals=0)
planted = few_shot([(tested[0].upper(), "positive")], "")
claim("05.9b", "found when one is planted in capitals", len(leaked([planted], tested)), equals=1)

# %% [markdown]
# ### Does it know when it is right?
#
# **Self-evaluation** asks the model to judge itself. The cheapest kind: the difference of
# its two label scores. If it means anything, the half with the larger difference is right
# more often.

# %%
made = label_scores(chat_model, zero_shot, [("negative", "positive")] * 500)
sure = (made[:, 0] - made[:, 1]).abs()  # (500,)
is_good = torch.tensor([label == "positive" for label in y])
hits = (made.argmax(dim=1) == is_good).float()[sure.argsort()]
gap = low_end(hits[250:] - hits[:250])  # any pairing of the halves will do
claim("05.8a", "share right, surer half above the other, lower end", gap, above=0)

# %% [markdown]
# ## 6 · Chain of thought
#
# "3 + 8 + 5 + 7 + 2 + 9": you add in steps. A transformer has a fixed number of layers for
# each token, so it can think only so far before it must answer. If it writes the steps
# down, a **chain of thought**, every step is read again and the next one is short. Two equal
# models, equal training: one learns to write the last digit of the sum at once, one the
# running sums first. A million such sums exist; 25,600 are shown, 500 are tested.


# %%
N_DIGITS = 6


def sums_in_digits(n, with_steps, generator):
    x = torch.randint(10, (n, N_DIGITS), generator=generator)
    running = x.cumsum(dim=1) % 10  # last digit of each running sum
    written = running[:, 1:] if with_steps else running[:, -1:]
    return torch.cat([x, torch.full((n, 1), 10), written], dim=1)  # 10 is "="


print(sums_in_digits(1, True, torch.Generator().manual_seed(0)))

# %%
from labs_support.gpt import generate
from labs_support.prompting import train_writer

is_right = {}
for with_steps in (False, True):
    dice = torch.Generator().manual_seed(SEED)
    test = sums_in_digits(500, with_steps, dice)
    shown = [sums_in_digits(128, with_steps, dice) for _ in range(200)]
    model = train_writer(shown, n_read=N_DIGITS + 1, seed=SEED)
    written = generate(model, test[:, : N_DIGITS + 1], test.shape[1] - N_DIGITS - 1)
    is_right[with_steps] = (written[:, -1] == test[:, -1]).float()
print(f"at once ≈ {is_right[False].mean():.2f}, with steps ≈ {is_right[True].mean():.2f}")
gap = low_end(is_right[True] - is_right[False])
claim("05.4a", "last digits right won by writing the steps, lower end", gap, above=0)

# %% [markdown]
# The same size, the same sums to learn from; only the room to think differs (and each
# written step is one more thing to learn from). In large models the words "step by
# step" call up steps they have read. Does it help `lume-lm-chat` with the shop's sums? It
# was taught both forms.

# %%
hard = [row for row in store.rows("sums", "test") if row["n_steps"] > 1]
hard = [hard[0], *random.Random(f"sums-{SEED}").sample(hard[1:], 23)]
told = {}
for style, length in (("result", 8), ("steps", 60)):
    asked = [instruct(chat.SYSTEM_PROMPTS[style], row["question"]) for row in hard]
    told[style] = chat.replies(asked, max_new_tokens=length)
    ends = [read_label(text.rpartition("Answer:")[2]) for text in told[style]]
    share = sum(end == row["answer"] for end, row in zip(ends, hard, strict=True)) / 24
    print(f"{style}: ≈ {share:.2f} right")
print(hard[0]["question"], "\n", told["steps"][0])
claim("05.4b", "sums of the shop right, with steps", share, below=0.1)

# %% [markdown]
# Fewer than one in ten is right, with or without steps. Why? Take the first step that it
# writes, such as "3 x 6.00 = 18.00". Are its two numbers those of the question, and is it
# worked out correctly?

# %%
from labs_support.prompting import first_step

asked = [row["question"] for row in hard]
steps = np.array([first_step(*pair) for pair in zip(told["steps"], asked, strict=True)]) * 1.0
print("set up ≈ {:.2f}, worked out ≈ {:.2f}".format(*steps.mean(axis=0)))  # steps: (24, 2)
gap = low_end(steps[:, 0] - steps[:, 1])
claim("05.4c", "first steps set up rather than worked out, lower end", gap, above=0)

# %% [markdown]
# It has learned what a step looks like, and mostly which numbers go in; what it cannot do
# is the arithmetic. Steps help a model that can take each single one. Lesson 10 lets it write the
# step and leaves the arithmetic to Python.

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
# Against the libraries: a text for each summary of the shop's dialogues, the first half of
# that summary and then another one, so that all kinds of overlap occur.

# %%
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

summaries = [words(row["summary"]) for row in store.rows("dialogues", "test")]
tries = [b[: len(b) // 2] + a for a, b in zip(summaries[::-1], summaries, strict=True)]
scorer, gap = RougeScorer(["rouge1", "rouge2", "rougeL"]), 0.0
for a, b in zip(tries, summaries, strict=True):
    library = scorer.score(" ".join(b), " ".join(a)).values()
    ours = rouge_n(a, b, 1), rouge_n(a, b, 2), rouge_l(a, b)
    gap = max(gap, np.abs(np.subtract(ours, list(library))).max())
claim("05.6a", "largest gap of 1,350 ROUGE rates to rouge_score", gap, below=1e-12)
texts = [[" ".join(text) for text in side] for side in (tries, summaries)]
library = BLEU(tokenize="none", smooth_method="none").corpus_score(texts[0], texts[1:])
gap = abs(corpus_bleu(tries, [[b] for b in summaries]) - library.score)
claim("05.6b", "gap of the corpus BLEU to sacrebleu", gap, below=1e-9)

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
# Take statements of fact. Put a "not" in, and in another copy a word that changes nothing,
# such as "also". The harmless one should be rated nearer to the statement.

# %%
from labs_support.prompting import variants

print(*variants(random.Random("shown")), sep="\n")
said, again, negated, harmless = zip(*[variants(rng) for _ in range(100)], strict=True)

# %%
from labs_support.reading import embed


def by_rouge(texts):
    return np.array([rouge_n(words(a), words(b), 1).f1 for a, b in zip(texts, said, strict=True)])


def by_embedding(texts):
    return (embed(list(texts)) * embed(list(said))).sum(axis=1)  # cosines


gap = abs(by_rouge(negated) - by_rouge(harmless)).max()
claim("05.7a", "ROUGE-1 with a not against ROUGE-1 with a harmless word", gap, equals=0)
sees = low_end(by_embedding(harmless) > by_embedding(negated))
claim("05.7b", "harmless word nearer than the not, by embedding, lower end", sees, above=0.5)

# %% [markdown]
# Word overlap is blind to "not": one word more, whatever it says. The embedding is not. Do
# not stop here: is it enough to tell truth from falsehood? The second line above says the
# same as the first in other words. Is it nearer than the opposite in the same words?

# %%
prefers = low_end(by_rouge(negated) > by_rouge(again))
claim("05.7c", "opposite rated higher by_rouge, lower end", prefers, above=0.5)
prefers = low_end(by_embedding(negated) > by_embedding(again))
claim("05.7d", "opposite rated higher by_embedding, lower end", prefers, above=0.5)

# %% [markdown]
# Both put the opposite first, most of the time. MiniLM was trained to find texts about the
# same thing, and a sentence and its negation are about the same thing. Neither score checks
# truth: use them to notice change, within one task, and read samples.

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
# reads must change its letter when the replies change places. We call it useful from an
# agreement of 0.75 on, half of the way from a coin to gold.

# %%
replies = random.Random(f"judge-{SEED}").sample(store.rows("replies", "test"), 48)
QUESTION = "Customer: {}\n\nReply A: {}\n\nReply B: {}\n\nWhich reply is better, A or B?"


def picks_a(first, second):
    asked = [QUESTION.format(row["prompt"], row[first], row[second]) for row in replies]
    prompts = [as_text([{"role": "user", "content": text}]) for text in asked]
    return label_scores(chat_model, prompts, [("A", "B")] * 48).argmax(dim=1) == 0  # (48,)


good_first, good_second = picks_a("chosen", "rejected"), picks_a("rejected", "chosen")
by_letter = (good_first.float() + (~good_second).float()) / 2
claim("05.8b", "agreement of the judge with gold", by_letter.mean(), below=0.75)
stays = low_end(good_first == good_second)
claim("05.8c", "verdicts that keep their letter, lower end", stays, above=0.5)

# %% [markdown]
# **Position bias**: the verdict sticks to a letter, not to a reply. Asking twice and
# keeping only what stays the same is the usual remedy; here little stays. Another judge
# reads one reply at a time, so it has no first place: which reply would the model itself
# rather write?

# %%
prompts = [as_text(instruct(chat.SYSTEM_PROMPTS["clerk"], row["prompt"])) for row in replies]
made = label_scores(chat_model, prompts, [(x["chosen"], x["rejected"]) for x in replies], batch=4)
likes = (made.argmax(dim=1) == 0).float()  # (48,)
print(f"agreement of the likelihood with gold: ≈ {likes.mean():.2f}")
claim("05.8d", "likelihood above the letters, lower end", low_end(likes - by_letter), above=0)

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
# A prompt cannot give a model an ability it lacks: `lume-lm` learns few of eight tasks well
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
