# %% [markdown]
# # 02 · Transformers
#
# **After this lesson you can build a transformer from single numbers, train one to
# translate, and show what each of its parts is for.**
#
# **You will** train a tokenizer; compute attention by hand and as a class; build an
# encoder-decoder that equals torch's own; train a translator and a small GPT.\
# **You need** lesson 01, matrix products, and Python.\
# **Time** 90 minutes: 45 to read and run, 45 for the exercises in between.\
# **Runs on** any laptop: CPU, one thread, no network, 1.2 GB, one to two minutes.

# %% [markdown]
# The transformer came out of machine translation in 2017 and is now the engine of nearly
# every language model. It has few kinds of parts. You build each from numbers, check it
# against the library, and then take some away to see what breaks.
#
# | letter | meaning | letter | meaning |
# |---|---|---|---|
# | B | sentences in a batch | x | input ids or vectors |
# | T | tokens in a sentence | y | target ids or vectors |
# | C | channels per token | q, k, v | query, key, value |
# | H | attention heads | t | position |
# | V | size of the vocabulary | z | vectors inside a model |
#
# A comment such as `# (B, T, C)` gives the shape of the tensor on its line.

# %%
import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F

from labs_support import claims, figures, settings
from labs_support.claims import claim
from labs_support.exercises import transformers as ex
from labs_support.world import store

figures.use_style()
SEED = settings.seed_everything()

# %% [markdown]
# ## 1 · Text becomes numbers
#
# A model computes with numbers, so text is cut into **tokens** and each token gets an
# **id**. Whole words would need an endless vocabulary; single letters make long
# sequences. **Byte-pair encoding** (BPE) sits between: it starts with bytes and joins the
# most frequent neighbours, again and again. First the text is cut into pieces, a word
# with the space before it or a run of marks. No token will cross a piece.

# %%
from labs_support import tokens

tokens.cut("A small bell, a tall bell.")

# %% [markdown]
# Two small functions do the work. One counts which neighbours meet, the other joins a
# pair wherever it occurs. Here the ids are still letters, so that you can read them.


# %%
from collections import Counter


def count_pairs(pieces):
    counts = Counter()
    for ids, n_times in pieces:
        for pair in zip(ids, ids[1:], strict=False):
            counts[pair] += n_times
    return counts


def merge(ids, pair, new_id):
    merged = []
    for i in ids:
        if merged and (merged[-1], i) == pair:
            merged[-1] = new_id
        else:
            merged.append(i)
    return merged


# %% [markdown]
# Learning repeats the two: count, join the most frequent pair, count again. Three words of
# the shop are enough to see it. Which pair comes first, which second?

# %%
pieces = [(list("bell"), 3), (list("small"), 1), (list("tall"), 1)]
for _ in range(4):
    counts = count_pairs(pieces)
    pair = min(counts, key=lambda pair: (-counts[pair], pair))
    pieces = [(merge(ids, pair, "".join(pair)), n) for ids, n in pieces]
    print(counts[pair], pair, [" ".join(ids) for ids, _ in pieces])

# %% [markdown]
# `l l` occurs five times and becomes one token, a letter like any other from then on. Of
# equally frequent pairs the first in order wins.
#
# `tokens.Tokenizer` is this loop on **bytes**: 256 of them, so that no text is ever unknown.
# To encode, it replays the merges in the order in which they were learned.

# %%
import inspect

print(inspect.getsource(tokens.Tokenizer.encode_piece))

# %% [markdown]
# Train it on 2,000 reviews of the shop and look at a sentence it has not seen. Guess
# before you run: which words stay whole, and which fall apart?

# %%
reviews = {}
for split in ("train", "test"):
    reviews[split] = "\n".join(row["text"] for row in store.rows("reviews", split))
tokenizer = tokens.Tokenizer(reviews["train"], size=512)
ids = tokenizer.encode("The lantern is lovely, the zookeeper agrees.")
print([tokenizer.decode([i]) for i in ids])
print(ids)

# %% [markdown]
# Frequent words are one token, the space included. A rarer word falls into parts that occur
# in other words; with only 512 tokens that happens early. GPT-2 has 50,257.
#
# Now the proof: the `tokenizers` library, written in Rust, learns from the same text with
# the same pieces. They share no code, only the rule. The claim compares every id of the
# unseen reviews.

# %%
library = tokens.library_twin(reviews["train"], size=512)
ours, theirs = tokenizer.encode(reviews["test"]), library.encode(reviews["test"]).ids
n_equal = sum(a == b for a, b in zip(ours, theirs, strict=True))
print(f"{len(reviews['test']):,} characters, {len(ours):,} tokens")
claim("02.1", "our BPE gives the ids of the library", n_equal / len(ours), equals=1)

# %% [markdown]
# ## 2 · Ids become vectors, and vectors get a place
#
# An id is only a name. An **embedding** is a table with one row of C numbers per token;
# looking up a row turns the name into a vector that training can move. Here are 5 rows of
# 2 numbers.

# %%
embedding = nn.Embedding(5, 2)
x = torch.tensor([[1, 4, 1]])  # (B, T)
print(embedding(x).shape, (embedding(x) == embedding.weight[x]).all().item())

# %% [markdown]
# A set of vectors has no order. "The bell hits the boat" and "the boat hits the bell" hold
# the same rows, and anything that adds them up cannot tell the two apart. So each place t
# gets a vector of its own, the **positional encoding**, which is added to the token's
# vector. The paper uses sine and cosine waves, from fast to slow, like the hands of a
# clock.


# %%
def positions(T, C):
    t = torch.arange(T)[:, None]  # (T, 1)
    frequency = 10_000 ** (-torch.arange(0, C, 2) / C)  # (C / 2)
    angle = t * frequency  # (T, C / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)  # (T, C)


p = positions(64, 64)
fig, ax = plt.subplots()
ax.plot(p @ p[10], color=figures.CONTEXT, label="place 10")
ax.plot(p @ p[32], color=figures.ACCENT, label="place 32")
ax.set(xlabel="place t", ylabel="dot product", title="how alike are two places?")
ax.legend()
plt.show()

# %% [markdown]
# The two curves have the same shape, only moved. How alike two places are depends on their
# distance alone, so one rule, such as "look one word back", works anywhere in a sentence.

# %% [markdown]
# ## 3 · Attention, by hand on six tokens
#
# Six tokens, four channels, chosen so that you can read them: is it a thing, a colour, a
# place, or a small word? The **dot product** of two vectors is large where both are large.

# %%
words = ["a", "red", "boat", "near", "the", "bell"]
rows = ["0001", "0200", "2000", "0020", "0001", "2000"]
x = torch.tensor([[float(c) for c in row] for row in rows])  # (T, C)
scores = x @ x[2]  # boat against all six, (T,)
print(dict(zip(words, scores.tolist(), strict=True)))

# %% [markdown]
# Scores can be any numbers. **Softmax** turns them into shares: raise e to each score and
# divide by the sum. Larger scores get more than their part, nothing gets less than zero,
# and the shares add up to one.

# %%
weights = scores.exp() / scores.exp().sum()  # (T,)
print([round(w, 3) for w in weights.tolist()], round(weights.sum().item(), 3))
print("boat becomes", [round(c, 2) for c in (weights @ x).tolist()])  # (C,)

# %% [markdown]
# The new boat is a mixture of all six tokens, mostly of boat and bell: similarity finds
# what is alike. But a boat learns little from a bell. What it lacks is its colour.

# %% [markdown]
# So every token makes three vectors from its own. Its **query** says what it looks for,
# its **key** says what it offers, its **value** is what it hands over. All three are
# matrix products, and training finds the matrices. Here one is set by hand: it lets every
# thing ask for a colour. The keys are the tokens themselves, and so are the values: here
# the value matrix is left out.

# %%
W_query = torch.zeros(4, 4)
W_query[0, 1] = 2.0  # a thing asks for a colour
q, k, v = x @ W_query, x, x  # each (T, C)
print("boat asks", q[2].tolist())
scores = k @ q[2]  # (T,)
print(dict(zip(words, scores.tolist(), strict=True)))

# %% [markdown]
# Now boat scores red, and only red. All six queries at once are one matrix product: row t
# of the result holds the scores of token t against every key.

# %%
weights = (q @ k.T).softmax(dim=-1)  # (T, T)
z = weights @ v  # (T, C)
fig, ax = plt.subplots()
figures.heatmap(ax, weights, words, words)
ax.set(xlabel="key", ylabel="query", title="each row shares out one token's attention")
plt.show()
print("boat becomes", [round(c, 2) for c in z[2].tolist()])

# %% [markdown]
# Boat and bell both read red, everything else asks for nothing and spreads evenly. The
# boat has its colour now. It has also stopped being a thing: the mixture replaced it.
# Section 6 repairs that by adding the result to the token.
#
# The bell took it too, wrongly: no channel says how far away red is. That is the work of
# the positions.

# %% [markdown]
# ### Exercise 02.1 · A softmax that survives large scores ★ (4 min)
#
# `scores.exp() / scores.exp().sum()` fails for a score of 1,000, because e to the 1,000
# does not fit into a float. Write a softmax over the last dimension that survives it.
# Example: `[1, 2, 4]` becomes `[0.042, 0.114, 0.844]`, and `[1000, 1001]` becomes
# `[0.269, 0.731]`.


# %%
def stable_softmax(scores):
    ...  # your code here


ex.softmax.check(stable_softmax)
# ex.softmax.hint()
# ex.softmax.solution()

# %% [markdown]
# ### Why the scores are scaled
#
# A dot product of two vectors of C independent random numbers, each of mean 0 and
# variance 1, has a standard deviation of √C. With many channels the largest score runs
# away, and softmax gives everything to one token. **Entropy** measures the spread in
# **nats**, the unit of natural logarithms: ln 64, about 4.2 nats, where 64 tokens share
# evenly, 0 where one takes all. What happens without a scale?

# %%
widths, spread = [4, 16, 64, 256, 1024], {"raw": [], "scaled": []}
for C in widths:
    scores = torch.randn(200, C) @ torch.randn(C, 64)  # 200 queries, 64 keys
    for name, scale in {"raw": 1, "scaled": C**0.5}.items():
        entropy = torch.special.entr((scores / scale).softmax(dim=-1)).sum(dim=-1)
        spread[name].append(entropy.mean().item())
fig, ax = plt.subplots()
ax.semilogx(widths, spread["raw"], "o-", color=figures.CONTEXT, label="raw", base=2)
ax.plot(widths, spread["scaled"], "o-", color=figures.ACCENT, label="divided by √C")
ax.set(xlabel="channels C", ylabel="entropy (nats)", ylim=0)
ax.set_xticks(widths, widths)
ax.legend()
plt.show()
share = spread["raw"][-1] / spread["scaled"][-1]
claim("02.2a", "share of entropy left at 1,024 channels without 1/√C", share, below=0.1)

# %% [markdown]
# Without the scale, a wide layer starts out looking at one arbitrary token, and softmax has
# almost no gradient there. Dividing by √C keeps the spread the same at every width.
#
# Here is the general function. The `mask` says who may look where: a forbidden score
# becomes minus infinity, and its share exactly zero.

# %%
import math


def attention_weights(q, k, mask=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # (..., T, S)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(dim=-1)


def attention(q, k, v, mask=None):
    return attention_weights(q, k, mask) @ v


# %% [markdown]
# torch has the same under the name `scaled_dot_product_attention`, written for speed. The
# claim compares the two on random numbers, with a mask and without.

# %%
q, k, v = torch.randn(3, 2, 4, 6, 16)  # each (B, H, T, C)
mask = (torch.rand(6, 6) < 0.5) | torch.eye(6, dtype=torch.bool)
fast = F.scaled_dot_product_attention
gaps = [(attention(q, k, v, m) - fast(q, k, v, m)).abs().max() for m in (None, mask)]
claim("02.2b", "largest gap between our attention and torch's", max(gaps), below=1e-6)

# %% [markdown]
# ### Exercise 02.2 · Attention that ignores padding ★★ (8 min)
#
# Sentences of a batch are filled up to one length, and nobody may look at the filling.
# `q`, `k`, `v` are (B, T, C), `lengths` is (B,). The slow specification: for sentence b,
# use only the first `lengths[b]` keys and values.


# %%
def padded_attention(q, k, v, lengths):
    ...  # your code here


ex.padded_attention.check(padded_attention)
# ex.padded_attention.hint()
# ex.padded_attention.solution()

# %% [markdown]
# ## 4 · No looking ahead
#
# A model that writes from left to right must not see what comes next, or it would learn to
# copy the answer. The **causal mask** lets token t look at itself and at what came before.


# %%
def causal_mask(T):
    return torch.ones(T, T, dtype=torch.bool).tril()


print(causal_mask(4).int())

# %% [markdown]
# ### Exercise 02.3 · A mask with a short memory ★ (5 min)
#
# Long texts are cheaper if a token sees only the last `width` tokens, itself included.
# For `T = 4` and `width = 2` the rows are `1000`, `1100`, `0110`, `0011`, as bools.


# %%
def window_mask(T, width):
    ...  # your code here


ex.window_mask.check(window_mask)
# ex.window_mask.hint()
# ex.window_mask.solution()

# %% [markdown]
# ## 5 · Several heads, and why not a recurrent network
#
# One softmax gives one mixture. A noun may want its colour and its verb, and in a single
# average the two cannot be told apart. So the C channels are split into H **heads** that
# attend side by side, each with queries, keys and values of C / H channels; one last
# matrix mixes what they found. Where `source` is `x` itself this is **self-attention**,
# where it is another sentence, **cross-attention**.
#
# `nn.Linear(C, C)` is a matrix and a bias, applied to every token alike; training moves
# both. `nn.Module` collects the weights of all parts put into it, and calling it runs
# `forward`.


# %%
class MultiHeadAttention(nn.Module):
    def __init__(self, C, H):
        super().__init__()
        self.H = H
        self.query, self.key, self.value = (nn.Linear(C, C) for _ in range(3))
        self.output = nn.Linear(C, C)

    def split(self, x):
        return x.unflatten(-1, (self.H, -1)).transpose(1, 2)

    def forward(self, x, source, mask=None):
        q = self.split(self.query(x))  # (B, H, T, C / H)
        k = self.split(self.key(source))  # (B, H, S, C / H)
        v = self.split(self.value(source))  # (B, H, S, C / H)
        weights = attention_weights(q, k, mask)  # (B, H, T, S)
        self.weights = weights.detach()
        z = weights @ v  # (B, H, T, C / H)
        return self.output(z.transpose(1, 2).flatten(2))  # (B, T, C)


heads = MultiHeadAttention(C=64, H=4)
x, source = torch.randn(2, 6, 64), torch.randn(2, 9, 64)
print(tuple(heads(x, source).shape), tuple(heads.weights.shape))

# %% [markdown]
# Two sentences of six tokens looked at two of nine: the vectors keep their shape, and there
# are 2 x 4 tables of 6 x 9 weights. More heads need no extra weights, because each is
# narrower.
#
# Lesson 01 showed a recurrent network that forgets: beyond a certain distance it could not
# recall the first word better than by guessing among eight. Set attention the same task,
# with the same budget of 300 steps. `Recaller` is an embedding, one attention layer of
# eight heads in which the last token asks, and a head that names the word. What do you
# expect?

# %%
from labs_support import recurrent
from labs_support.attention import Recaller

distance = recurrent.FORGETTING_DISTANCE
rnn = recurrent.learned_recall(recurrent.RNN, distance, width=64, seed=SEED)
attentive = recurrent.learned_recall(Recaller, distance, width=64, seed=SEED)

# %% [markdown]
# Both have seen 300 batches of 64 sequences, and answer 2,000 new ones.

# %%
print(f"{distance} words in between, 8 symbols to guess from")
claim("02.4a", "share recalled over 32 words, recurrent (chance 0.125)", rnn, below=0.2)
claim("02.4b", "share recalled over 32 words, attention", attentive, above=0.99)

# %% [markdown]
# To the recurrent network, every word in between is a chance to overwrite its state. To
# attention every word is one step away, however far back. The symbol is recognisable by
# what it is: `Recaller` has no positions and would fail if the fillers were symbols, too.
# And this is the Elman network; lesson 01 shows that gates reach further.
#
# That has a second effect. A recurrent network must finish word t before it can start word
# t + 1. Every tensor in torch knows what it was computed from; `longest_chain` counts how
# many of these steps have to wait for each other. Guess both rows before you look: how many
# more for each further token?

# %%
from labs_support.cost import longest_chain, seconds

one_head, table = MultiHeadAttention(C=64, H=1), nn.Embedding(9, 64)
readers = {"attention": lambda x: one_head(table(x), table(x))}
readers["recurrent"] = recurrent.RNN(9, 64).states
lengths = [32, 64, 128, 256, 512, 4096]
sentences = [torch.randint(9, (1, T)) for T in lengths]
growth = {}
for name, read in readers.items():
    chain = [longest_chain(read(x)) for x in sentences]
    growth[name] = (chain[-1] - chain[0]) / (lengths[-1] - lengths[0])
    print(name, dict(zip(lengths, chain, strict=True)))
text = "more dependent steps per further token"
claim("02.5a", f"{text}, recurrent network", growth["recurrent"], above=0.99)
claim("02.5b", f"{text}, attention", growth["attention"], equals=0)

# %% [markdown]
# The recurrent network adds three per word: a matrix product, a sum, tanh. The chain of
# attention has the same length for 32 tokens and for 4,096. Fewer waits are not less
# work: attention compares all pairs, so twice the tokens are four times the comparisons.
# Which wins on your machine is a question for a clock.

# %%
times = {name: [seconds(f, x) for x in sentences] for name, f in readers.items()}
fig, ax = plt.subplots()
for name, color in {"recurrent": figures.CONTEXT, "attention": figures.ACCENT}.items():
    ax.plot(lengths, [1000 * s for s in times[name]], "o-", color=color, label=name)
ax.set(xscale="log", yscale="log", xlabel="tokens T", ylabel="time (ms)")
ax.set_xticks(lengths, lengths)
ax.minorticks_off()
ax.legend()
plt.show()
ratios = [a / b for a, b in zip(times["recurrent"], times["attention"], strict=True)]
print("recurrent / attention:", ", ".join(f"≈ {r:.1f}" for r in ratios))
claim("02.5c", "recurrent time over attention time, 256 tokens", ratios[3], above=1.5)

# %% [markdown]
# Up to 512 tokens attention is several times faster, even on one core; the gain is
# largest on hardware that does thousands of sums at a time. It ends: at 4,096 tokens, the
# last number, the advantage is on one core gone or nearly so. The number shrinks because
# the comparisons grow with T squared.

# %% [markdown]
# ### Exercise 02.4 · Fewer keys than queries ★★ (4 min)
#
# Large models save memory by letting several query heads share one key head. `k` is (B,
# G, T, C) with G key heads; G divides `n_heads`. Return (B, n_heads, T, C). With key
# heads `[10, 20]` and `n_heads = 4`, the query heads get `[10, 10, 20, 20]`.


# %%
def share_heads(k, n_heads):
    ...  # your code here


ex.share_heads.check(share_heads)
# ex.share_heads.hint()
# ex.share_heads.solution()

# %% [markdown]
# ### Exercise 02.5 · Rotary positions ★★★ (10 min)
#
# Newer models add nothing to the vectors. They turn each pair of channels of q and k by
# an angle that grows with t, so that a score depends on the two tokens and their
# distance, not on where they stand. For `x` of (T, C) and i = 0 ... C/2 - 1, turn pair
# `(x[t, 2i], x[t, 2i + 1])` by `t / 10000 ** (2 * i / C)`: a pair (a, b) becomes (a cos -
# b sin, a sin + b cos). Example: `[[1, 0], [1, 0]]` becomes `[[1, 0], [0.540, 0.841]]`.


# %%
def rotate(x):
    ...  # your code here


ex.rotate.check(rotate)
# ex.rotate.hint()
# ex.rotate.solution()

# %% [markdown]
# ## 6 · Blocks: an encoder that reads, a decoder that writes
#
# Attention moves information between tokens. An **MLP** (multi-layer perceptron, two
# matrices with the bend GELU between them) then works on each token alone. Three things
# hold the two together. A **residual** connection adds the result to the input, so that a
# block changes vectors instead of replacing them. **Layer norm** brings each vector to
# mean 0 and variance 1. **Dropout** sets random channels to zero in training, so that
# none becomes indispensable. The last two on numbers:

# %%
z = nn.LayerNorm(4)(torch.tensor([1.0, 2.0, 3.0, 10.0]))
print("layer norm", [round(c, 2) for c in z.tolist()])
drop, ones = nn.Dropout(0.5), torch.ones(100)
print("dropout", drop(ones).unique().tolist(), drop.eval()(ones).unique().tolist())

# %% [markdown]
# In training about half of the ones became 0 and the others 2, so that the mean stays; in
# evaluation all stay 1. `model.train()` switches dropout on, `model.eval()` off. Layer
# norm also has a scale and a shift per channel that training moves.
#
# The paper put the norm after each addition (**post-norm**); here it stands before each
# part (**pre-norm**), as in nearly all later models, because then the residual path is
# never rescaled and training is less sensitive to the **warm-up**, the first steps at a
# small learning rate; ours keeps a short one.


# %%
class MLP(nn.Sequential):
    def __init__(self, C, dropout):
        super().__init__(
            nn.Linear(C, 4 * C), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * C, C)
        )


class EncoderBlock(nn.Module):
    def __init__(self, C, H, dropout):
        super().__init__()
        self.attention, self.mlp = MultiHeadAttention(C, H), MLP(C, dropout)
        self.norm1, self.norm2 = nn.LayerNorm(C), nn.LayerNorm(C)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        z = self.norm1(x)
        x = x + self.dropout(self.attention(z, z, mask))
        return x + self.dropout(self.mlp(self.norm2(x)))


print(tuple(EncoderBlock(C=64, H=4, dropout=0.1)(source).shape))

# %% [markdown]
# Same shape in, same shape out: blocks can be stacked. The original model had six,
# GPT-3 has 96, Llama 3.1 405B has 126.
#
# A decoder block has one part more. Its self-attention is causal, since it writes from left
# to right. Then **cross-attention** looks at the encoder's output, called the memory:
# queries from the sentence being written, keys and values from the one being translated.


# %%
class DecoderBlock(nn.Module):
    def __init__(self, C, H, dropout):
        super().__init__()
        self.attention, self.cross = MultiHeadAttention(C, H), MultiHeadAttention(C, H)
        self.mlp = MLP(C, dropout)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(C) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, y, memory, memory_mask=None):
        z = self.norm1(y)
        y = y + self.dropout(self.attention(z, z, causal_mask(y.shape[1]).to(y.device)))
        y = y + self.dropout(self.cross(self.norm2(y), memory, memory_mask))
        return y + self.dropout(self.mlp(self.norm3(y)))


# %% [markdown]
# The whole model is two embeddings, two stacks and a **head** that scores every word of the
# target vocabulary. The scores are the **logits**. Id 0 is padding, which the mask hides.

# %%
from labs_support.transformer import END, PAD, START, Translator, library_twin

for part in (Translator.encode, Translator.decode):
    print(inspect.getsource(part))

# %% [markdown]
# Is it the transformer of the library? `library_twin` builds torch's `nn.Transformer` and
# copies the random weights of yours into it. With a batch that contains padding, the
# logits must agree.

# %%
model = Translator(n_source=20, n_target=30).eval()
x, y = torch.randint(3, 20, (8, 9)), torch.randint(3, 30, (8, 7))
x[:4, 6:] = PAD
hidden = {"src_key_padding_mask": x == PAD, "memory_key_padding_mask": x == PAD}
with torch.inference_mode():
    source = model.source(x) + model.positions[:9]
    target = model.target(y) + model.positions[:7]
    z = library_twin(model)(source, target, tgt_mask=~causal_mask(7), **hidden)
    gap = (model.head(z) - model(x, y)).abs().max().item()
text = "largest gap between our encoder-decoder and nn.Transformer"
claim("02.2c", text, gap, below=1e-5)

# %% [markdown]
# `nn.Transformer` marks what is forbidden; we, and torch's
# `scaled_dot_product_attention`, mark what is allowed: hence the `~`. Two conventions in
# one library: mixing them up is a common silent error.
#
# The same model shows what the causal mask is worth. Change token 4 of the target; no
# earlier logit may move, and the later ones should.

# %%
changed = y.clone()
changed[:, 4] = (y[:, 4] - 3 + 1) % 27 + 3  # another word
with torch.inference_mode():
    moved = (model(x, y) - model(x, changed)).abs().amax(dim=(0, 2))  # (T,)
claim("02.3a", "largest logit change before a changed token", moved[:4].max(), equals=0)
claim("02.3b", "smallest logit change from that token on", moved[4:].min(), above=0.01)

# %% [markdown]
# ## 7 · A translator
#
# The shop has thousands of product phrases in English with their French translation. Each
# test phrase names a product, a noun with its colour and another adjective, that no
# training phrase names. Here every word is a token: the vocabulary is small, and words
# are easier to look at.

# %%
from labs_support.translation import shares, to_ids, vocabulary

train, test = store.rows("phrases", "train"), store.rows("phrases", "test")
english, french = vocabulary(train, "en"), vocabulary(train, "fr")
print(f"{len(train):,} phrases to train on, {len(test):,} to test")
print(f"{len(english)} English and {len(french)} French ids, the first three are marks")
print(test[0]["en"], "->", test[0]["fr"])

# %% [markdown]
# For training, the decoder is given the right translation up to each word and must say
# the next: input `<start> le bateau`, target `le bateau <end>`. The mask makes all
# positions of a sentence independent exercises, solved in one pass. The **loss** is minus
# the natural logarithm of the probability given to the right word: 0 when certain, ln V
# when clueless.
#
# One step: draw 64 pairs and compute the loss; `backward` finds for every weight how the
# loss changes with it, the **gradient**; `step` moves every weight a little downhill;
# `zero_grad` forgets the old gradients. AdamW chooses the step size per weight, the
# schedule lets it rise, then fall.


# %%
def train_translator(model, x, y, n_steps=400, rate=6e-3):
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=n_steps)
    model.train()
    for _ in range(n_steps):
        rows = torch.randint(len(x), (64,))
        logits = model(x[rows], y[rows, :-1])  # (B, T, V)
        loss = F.cross_entropy(
            logits.flatten(0, 1), y[rows, 1:].flatten(), ignore_index=PAD
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    model.eval()


# %% [markdown]
# Four hundred steps of 64 sentences are the longest wait of this lesson.

# %%
train_x = to_ids([row["en"] for row in train], english)
train_y = to_ids([row["fr"] for row in train], french, is_target=True)
torch.manual_seed(SEED)
translator = Translator(len(english), len(french))
train_translator(translator, train_x, train_y)

# %% [markdown]
# ### One translation in sixteen steps
#
# Now follow a single phrase through the trained model. Steps 1 to 3 turn the sentence into
# vectors: cut it into tokens and look up their ids, fetch the embeddings, add the places.

# %%
sentence = "our small red boat"
x = to_ids([sentence], english)  # (B, T)
print("seen in training:", sentence in {row["en"] for row in train})
print(" 1 tokens, ids", sentence.split(), x.tolist())
z = translator.source(x) + translator.positions[: x.shape[1]]
print(" 2 embeddings, 3 plus positions", tuple(z.shape))

# %% [markdown]
# Steps 4 to 6 are the encoder. Heads exchange information between the four words, the MLP
# works on each; two blocks do this one after the other. Under step 4 stands one row of
# weights, the mean of the heads. The result is computed once and kept: the memory.

# %%
block = translator.encoder[0]
block(z)
print(" 4 self-attention", tuple(block.attention.weights.shape), "(B, H, T, T)")
print("   boat reads", shares(sentence, block.attention.weights[0, :, 3].mean(dim=0)))
print(" 5 feed-forward  ", block.mlp[0].in_features, "->", block.mlp[0].out_features)
memory, mask = translator.encode(x)
print(" 6 memory        ", tuple(memory.shape))

# %% [markdown]
# Steps 7 to 12 are the decoder. It is set going by a single token, `<start>`. It reads
# what is written so far, then asks the memory. Under step 11 stand its four weights, the
# mean of the heads of the second block.

# %%
y = torch.tensor([[START]])
z = translator.target(y) + translator.positions[:1]
logits = translator.decode(y, memory, mask)
block = translator.decoder[1]
print(" 7 start token, 8 as a vector", y.tolist(), tuple(z.shape))
print(" 9 self-attention", tuple(block.attention.weights.shape))
print("10 queries to the memory,", block.cross.query.out_features, "channels each")
print("11 cross-attention", tuple(block.cross.weights.shape))
print("   start reads", shares(sentence, block.cross.weights[0, :, 0].mean(dim=0)))
print("12 feed-forward, head: logits", tuple(logits.shape), "(B, T, V)")

# %% [markdown]
# Steps 13 and 14: softmax makes probabilities of the logits, and the most probable word is
# the first output. The figure shows the five best.

# %%
best = logits[0, -1].softmax(dim=-1).topk(5)
fig, ax = plt.subplots()
ax.barh([french[i] for i in best.indices.tolist()], best.values.detach())
ax.invert_yaxis()
ax.set(xlabel="probability", title=f"13, 14  first word for: {sentence}")
plt.show()

# %% [markdown]
# Step 15 closes the loop: the word is appended to the decoder's input, and steps 8 to 14 run
# again. Step 16: when the most probable word is `<end>`, the ids become text. Taking the
# best word each time is called **greedy** decoding.


# %% tags=["nbval-ignore-output"]
# not compared: the words depend on the weights learned in this run
while y[0, -1] != END and y.shape[1] < 16:
    probs = translator.decode(y, memory, mask)[0, -1].softmax(dim=-1)  # (V,)
    y = torch.cat([y, probs.argmax()[None, None]], dim=1)
    print("15", " ".join(french[i] for i in y[0]), f"≈ {probs.max():.3f}")
print("16", " ".join(french[i] for i in y[0, 1:-1]))

# %% [markdown]
# ### How good is it?
#
# The same loop for a whole batch, always 16 steps; what follows `<end>` is cut off.
# **BLEU** compares the runs of one to four words with those of the reference, 100 is
# perfect. Lesson 05 builds it; here the `sacrebleu` library counts.

# %%
from functools import partial

from labs_support import translation

translate = partial(translation.translate, english=english, french=french)
outputs = translate(translator, [row["en"] for row in test])
print(sum(row in train for row in test), "of", len(test), "phrases were trained on")
bleu = translation.bleu(test, outputs)
claim("02.6a", "BLEU on unseen product names", bleu, above=90)

# %% [markdown]
# English puts colours before the noun, French after it: "red boat", "bateau rouge". But
# "petit bateau": a few short adjectives stay in front. Nobody stated the rule. The
# alignment of each test phrase says which French word belongs to which English one.

# %%
from statistics import mean

from labs_support.world.looks import COLOURS

after_noun = partial(translation.after_noun, test, outputs)
colours, short = after_noun(COLOURS), after_noun(translation.SHORT_ADJECTIVES)
print(f"≈ {len(colours)} colours and ≈ {len(short)} short adjectives before a noun")
claim("02.6b", "share of colours written after the noun", mean(colours), above=0.95)
claim("02.6c", "share of short adjectives after the noun", mean(short), below=0.05)

# %% [markdown]
# Where does the decoder look when it writes a word? The cross-attention of the last block,
# averaged over its heads, should point at the English word that is being translated. The
# gold alignment knows that word, the model never saw it.

# %%
x = to_ids([row["en"] for row in test], english)
y = to_ids([row["fr"] for row in test], french, is_target=True)
with torch.inference_mode():
    translator(x, y[:, :-1])
looks = translator.decoder[1].cross.weights.mean(dim=1)  # (B, T, S)
straight = torch.eye(*looks.shape[1:]).expand_as(looks)  # word 1 at 1, word 2 at 2
print(f"looking straight ahead: {translation.share_on_link(test, straight):.2f}")
met = translation.share_on_link(test, looks)
text = "share of French words whose most-attended English word is the gold one"
claim("02.6d", text, met, above=0.85)

# %% [markdown]
# Attention found the alignment as a by-product of translating. Choose a block and a head:
# in the cross-attention look for the place where the diagonal is crossed, at "small red
# boat".

# %%
from labs_support import widgets

en = "our small red boat is near the door"
fr = "notre petit bateau rouge est près de la porte"
with torch.inference_mode():
    translator(to_ids([en], english), to_ids([fr], french, is_target=True)[:, :-1])
widgets.attention_heads(translator, en.split(), ["<start>", *fr.split()])

# %% [markdown]
# Read a row as "having written this, where do I look for the next word?" After "petit" the
# model looks at "boat", and after "bateau" back at "red".
#
# ### Without positions
#
# Now take a part away. The same model, the same training, but no positions. The
# encoder now sees a set of words; the decoder can still tell how many words it has
# written. What will be lost? "A red drum and a pink bell" and "a pink
# drum and a red bell" are now the same set.

# %%
torch.manual_seed(SEED)
without = Translator(len(english), len(french))
without.positions.zero_()
train_translator(without, train_x, train_y)
blind = translate(without, [row["en"] for row in test])

# %% [markdown]
# The usual word for this is collapse. Where? The next cell swaps the two colours of every
# phrase that has two different ones, and counts how often the translation stays the same.


# %%
two = [i for i, row in enumerate(test) if translation.has_two_colours(row["en"])]
plain = [test[i]["en"] for i in two]
swapped = [translation.swap_colours(text) for text in plain]
same = []
for model in (translator, without):
    pairs = zip(translate(model, plain), translate(model, swapped), strict=True)
    same.append(sum(a == b for a, b in pairs) / len(two))
print(f"{len(two)} phrases, such as {plain[0]!r} and {swapped[0]!r}")
text = "translations left unchanged by swapping two colours"
claim("02.7a", f"{text}, with positions", same[0], below=0.1)
claim("02.7b", f"{text}, without positions", same[1], above=0.95)

# %% [markdown]
# Without positions the two phrases cannot be told apart, so at best one of each pair is
# right. How many are right in full?

# %%
right = []
for texts in (outputs, blind):
    right.append(sum(texts[i] == test[i]["fr"] for i in two) / len(two))
text = "two-colour phrases translated without an error"
claim("02.7c", f"{text}, with positions", right[0], above=0.7)
claim("02.7d", f"{text}, without positions", right[1], below=0.6)
lost = bleu - translation.bleu(test, blind)
claim("02.7e", "BLEU points lost over all phrases without positions", lost, above=3)

# %% [markdown]
# So the word needs care. Where order carries the meaning, the model does collapse. Over all
# phrases BLEU falls by far less, for two reasons: the order of French words is nearly fixed, and
# the causal mask tells the decoder how many words stand before each.

# %% [markdown]
# ## 8 · Only the decoder: a language model
#
# Take the source sentence away, and what is left of the decoder continues any text. That is
# a GPT: blocks of causal self-attention and an MLP, trained on **next-token prediction**.
# The text is its own answer sheet: after "the kite" comes "arrived", after "the kite
# arrived" comes "with". The mask lets one pass learn at every position.
#
# The block is the encoder block with a causal mask, written for speed: one matrix makes q,
# k and v together, and torch's own attention, which equals yours, does the mixing. The
# cache is explained below.

# %%
from labs_support import gpt

print(inspect.getsource(gpt.Block.attend))
print(inspect.getsource(gpt.Block.forward))

# %% [markdown]
# Besides the missing source, three things differ from the translator: there is no
# dropout; positions are learned, one row for each place; and one table serves twice: a
# token's row is its embedding when it is read, and what the last vector is compared with
# when it is predicted. Is that GPT-2? Copy the weights of a tiny random one of the
# `transformers` library and compare every logit.

# %%
from labs_support.gpt2 import from_gpt2, random_gpt2

library = random_gpt2(vocabulary=50)
ids = torch.randint(50, (3, 20))
with torch.inference_mode():
    gap = (from_gpt2(library)(ids) - library(ids).logits).abs().max().item()
claim("02.2d", "largest gap between our GPT and transformers' GPT-2", gap, below=1e-5)

# %% [markdown]
# ### Train one
#
# The text is the reviews of section 1, cut by the tokenizer you trained there. What must the
# GPT beat? The bigram counts of lesson 01, which see one token back. Guess: are
# 500 steps of 8 windows of 64 tokens enough?

# %%
V, T = 512, 64
ids = {split: torch.tensor(tokenizer.encode(text)) for split, text in reviews.items()}
torch.manual_seed(SEED)
model = gpt.GPT(gpt.GPTConfig(V, context=T, width=128, n_layers=2, n_heads=4))
batches = gpt.windows(ids["train"], length=T, size=8, seed=SEED)
losses = list(gpt.train_gpt(model, batches, n_steps=500, rate=5e-3))

# %% [markdown]
# Both are scored on the same tokens of the unseen reviews.

# %%
from labs_support.ngrams import NGram

held_out = ids["test"][: 100 * T].view(100, T)
x, y = held_out[:, :-1], held_out[:, 1:]
with torch.inference_mode():
    gpt_loss = model.eval().loss(x, y).item()
counts = NGram(ids["train"].tolist(), order=2, n_words=V)
pairs = zip(x.flatten().tolist(), y.flatten().tolist(), strict=True)
guesses = [counts.distribution([a])[b] for a, b in pairs]
bigram_loss = -torch.tensor(guesses).log().mean().item()

# %% [markdown]
# The grey line is the bigram on unseen text, the curve the GPT in training. Below the line
# it must be using more than one token.

# %%
fig, ax = plt.subplots()
ax.plot(losses, color=figures.ACCENT)
ax.axhline(bigram_loss, color=figures.CONTEXT)
ax.set(xlabel="step", ylabel="loss (nats per token)")
plt.show()
gain = bigram_loss - gpt_loss
claim("02.8a", "the GPT beats bigrams on unseen text by", gain, above=0.3, unit="nats")

# %% [markdown]
# A language model does one thing: it scores every token as the next. Here are the five best
# after half a sentence, as **log-probabilities**: those of a whole sentence add up. They are
# pieces, not always words: `' m'` may open `mother`, and the model writes the rest token
# by token.

# %%
prefix = "I bought a lantern for my"
with torch.inference_mode():
    logits = model(torch.tensor([tokenizer.encode(prefix)]))[0, -1]  # (V,)
top = logits.log_softmax(dim=-1).topk(5)
fig, ax = plt.subplots()
ax.barh([repr(tokenizer.decode([i])) for i in top.indices.tolist()], top.values)
ax.invert_yaxis()
ax.set(xlabel="log-probability (nats)", title=f"{prefix} ...")
plt.show()

# %% [markdown]
# Writing means choosing one, adding it, and asking again. Greedy decoding takes the best.
# **Sampling** draws by chance, and three settings say how daring it is: **temperature**
# divides the logits, **top-k** keeps the k best tokens, **top-p** the fewest that together
# have probability p. Grey is what the model says, colour what you would draw from. Watch
# the long tail: one unlikely token is enough to derail a text.

# %%
widgets.next_token(logits, lambda i: repr(tokenizer.decode([i])))

# %% [markdown]
# Here is what a few seconds of training have learned. At a low temperature most words are
# right, at a high one they fall apart; whether the text is true is not a question the model
# was asked.

# %% tags=["nbval-ignore-output"]
# not compared: the samples depend on the weights learned in this run
from labs_support.sampling import probabilities, sample

prompt = torch.tensor([tokenizer.encode(prefix)])
for heat in (0.3, 0.8, 1.5):
    cooled = partial(probabilities, temperature=heat)
    written = gpt.generate(model, prompt, 40, lambda logits, p=cooled: sample(p(logits)))
    print(f"temperature {heat}: {tokenizer.decode(written[0].tolist())!r}")

# %% [markdown]
# ### Reading every token once
#
# To write the next token, the model would read the whole text again, although nothing in it
# has changed: the causal mask keeps old tokens from seeing new ones. A **KV cache** keeps
# their keys and values. Then a step reads one token and looks up the rest.

# %%
print(inspect.getsource(gpt.KVCache.extend))
print("tokens read for 200:", sum(range(1, 201)), "without a cache,", 200, "with")

# %% [markdown]
# The cache is no approximation, so the tokens must be the same. The saving in time is
# smaller than the count: one token still needs every weight fetched from memory. It is
# timed on a larger, untrained GPT, because the arithmetic is the same.

# %%
start = held_out[:8, :16]
written = [gpt.generate(model, start, 48, use_cache=use) for use in (True, False)]
same = (written[0] == written[1]).float().mean().item()
claim("02.8b", "tokens that are the same with the KV cache", same, above=0.999)
large = gpt.GPT(gpt.GPTConfig(V, context=320, width=256, n_layers=4, n_heads=8))
write = partial(gpt.generate, large, start[:1, :1], 319)
slow = seconds(partial(write, use_cache=False), repeats=2)
ratio = slow / seconds(partial(write, use_cache=True), repeats=3)
claim("02.8c", "time without KV cache over time with it, 319 tokens", ratio, above=3)

# %% [markdown]
# On a GPU the same code trains a larger model. Width 768, 12 layers and 12 heads are
# those of GPT-2 small, which with a context of 1,024 and a vocabulary of 50,257 has 124
# million weights. On a CPU the cell keeps to the small size and takes five steps.

# %%
device = settings.device()
sizes, n_steps = ((128, 2, 4), 5) if device == "cpu" else ((768, 12, 12), 500)
bigger = gpt.GPT(gpt.GPTConfig(V, T, *sizes)).to(device)
batches = gpt.windows(ids["train"].to(device), length=T, size=8, seed=SEED)
losses = list(gpt.train_gpt(bigger, batches, n_steps))
n = sum(weight.numel() for weight in bigger.parameters())
print(f"{n:,} weights, last loss ≈ {losses[-1]:.2f}")

# %% [markdown]
# ### Exercise 02.6 · Attention with a memory ★★ (6 min)
#
# Write one step of attention with a cache. `q`, `k`, `v` are (1, C), the new token's;
# `cache` holds the earlier rows as `cache["k"]` and `cache["v"]`, each (t, C). It starts
# with empty (0, C) rows. Change it in place: add the new rows, and return (1, C). Token
# by token, the result must equal causal attention over the whole sentence.


# %%
def cached_attention(q, k, v, cache):
    ...  # your code here


ex.cached_attention.check(cached_attention)
# ex.cached_attention.hint()
# ex.cached_attention.solution()

# %% [markdown]
# ## 9 · Bug museum
#
# Two errors that raise nothing. Both were made many times, by people who knew better.

# %% [markdown]
# ### Exercise 02.7 · Bug museum: the score that changes ★ (3 min)
#
# A team scores its model after every pass over the data and finds it worse than the
# training loss promises. Asked twice, the score differs. The model has dropout, and it
# was just being trained; training goes on afterwards. Repair the function.


# %%
def score(model, x, y):
    """Return the share of next tokens that the model gets right."""
    with torch.no_grad():
        guesses = model(x, y[:, :-1]).argmax(-1)  # (B, T - 1)
    return (guesses == y[:, 1:]).float().mean().item()


ex.dropout_at_evaluation.check(score)
# ex.dropout_at_evaluation.hint()
# ex.dropout_at_evaluation.solution()

# %% [markdown]
# ### Exercise 02.8 · Bug museum: too good to be true ★★ (5 min)
#
# A new model reaches a loss near zero within minutes, then writes nonsense. Its mask allows
# for a cache: T new tokens follow `past` earlier ones, and row t says which of the
# past + T places the new token t may see. Print it for a small case, then repair it.


# %%
def new_tokens_mask(T, past):
    """Return who may see whom: T new tokens after `past` earlier ones."""
    everyone = torch.ones(T, past + T, dtype=torch.bool)
    return everyone.tril(diagonal=past + 1)


ex.mask_one_off.check(new_tokens_mask)
# ex.mask_one_off.hint()
# ex.mask_one_off.solution()

# %% [markdown]
# ## What we measured

# %%
claims.table()

# %% [markdown]
# ## What it cannot do
#
# The translator knows only the words and the sentence patterns of its training phrases; a
# word outside its vocabulary stops it, and a new pattern makes it guess. The GPT writes
# text that looks like its training text and has no notion of whether it is true; larger
# ones, in the next lessons, differ in how much they have read, not in that.

# %% [markdown]
# ## Read on
#
# - Vaswani and others (2017), *Attention Is All You Need*, arXiv 1706.03762. The source of
#   sections 2 to 7; figure 1 now holds no box you have not built.
# - Rush and others, *The Annotated Transformer* (2018, revised 2022). The same paper, line by
#   line, at full size.
# - Xiong and others (2020), *On Layer Normalization in the Transformer Architecture*, arXiv
#   2002.04745. Why the norm moved to the front.
# - Haviv and others (2022), *Transformer Language Models without Positional Encodings Still
#   Learn Positional Information*, arXiv 2203.16634. Why our collapse was only half a one.
#
# Next comes 03, diffusion: another way to generate, by removing noise.
