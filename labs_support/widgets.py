"""Pictures with controls: attention, tokens, drawing, memory, experts, chunks, a map."""

import textwrap

from labs_support import calculators, chunks, figures, parameters, sampling


def attention_heads(translator, en: list[str], fr: list[str]) -> None:
    """Show who looks at whom in the last phrase that a translator has read.

    Args:
        translator: an encoder-decoder just called on one pair of sentences.
        en: its source words.
        fr: its target words, the start mark first.
    """
    labels = {"en": en, "fr": fr}
    views = ["decoder: fr to en", "encoder: en to en", "decoder: fr to fr"]

    def draw(ax, look, block, head):
        stack, rows, _, columns = look.replace(":", "").split()
        module = getattr(translator, stack)[block - 1]
        module = module.attention if rows == columns else module.cross
        shown = module.weights[0]  # (H, T, S)
        shown = shown.mean(dim=0) if head == "mean" else shown[head - 1]
        figures.heatmap(ax, shown.cpu(), labels[rows], labels[columns])
        ax.set(
            xlabel="key", ylabel="query", title=f"{look}, block {block}, head {head}"
        )

    heads = range(1, 1 + translator.encoder[0].attention.H)
    blocks = list(range(len(translator.decoder), 0, -1))
    figures.explore(draw, look=views, block=blocks, head=["mean", *heads])


def next_token(logits, name, seen=None) -> None:
    """Show the most probable next tokens under temperature, top-k, top-p and a penalty.

    Args:
        logits: scores of every token, (V,).
        name: called with an id, returns the label of that token.
        seen: ids of tokens that occurred before, (T,), for a repetition penalty.
    """
    best = logits.topk(12).indices
    labels = [name(i) for i in best.tolist()]

    def draw(ax, temperature, top_k, top_p, penalty=1.0):
        after = logits[None]
        if penalty != 1:
            after = sampling.penalise(after, seen[None], penalty)
        probs = sampling.probabilities(after[0], temperature, top_k, top_p)
        before = logits.softmax(-1)[best]
        figures.before_after(ax, labels, before.cpu(), probs[best].cpu())
        n_left = (probs > 0).sum()
        ax.set(ylabel="probability", title=f"{n_left} of {len(logits)} tokens left")

    penalty = {} if seen is None else {"penalty": [1.0, 1.1, 1.3, 2.0]}
    figures.explore(
        draw,
        temperature=[0.7, 0.2, 0.5, 1.0, 1.5, 2.0],
        top_k=[50, 1, 3, 10, 200, len(logits)],
        top_p=[0.9, 0.3, 0.6, 1.0],
        **penalty,
    )


def temperature(cosines, names: list[str]) -> None:
    """Show how a temperature turns the cosines of one picture into shares.

    Args:
        cosines: cosine of the picture with each text, (N,).
        names: the texts.
    """

    def draw(ax, temperature):
        shares = (cosines / temperature).softmax(-1)
        ax.barh(names, cosines.softmax(-1), color=figures.CONTEXT, alpha=0.5)
        ax.barh(names, shares, color=figures.ACCENT, height=0.4)
        ax.invert_yaxis()
        ax.set(xlim=(0, 1), xlabel="share", title=f"temperature {temperature}")

    figures.explore(draw, temperature=[0.07, 0.01, 0.03, 0.2, 0.5, 1.0])


def denoising(frames: dict[int, list], first: int) -> None:
    """Show pictures on their way from noise, and what the network takes them for.

    Args:
        frames: {steps taken: pictures}, the noisy ones first, then as many guesses of
            the finished ones; `PIL.Image` of one size.
        first: the number of steps that is shown first.
    """

    def draw(ax, steps):
        shown = frames[steps]
        figures.gallery(ax, shown, columns=len(shown) // 2)
        ax.set_title(f"after {steps} steps; below, the finished pictures it expects")

    others = [steps for steps in frames if steps != first]
    figures.explore(draw, steps=[first, *others])


def guidance(frames: dict[float, list], names: list[str], n: int) -> None:
    """Show pictures of the same noise under several strengths of guidance.

    Args:
        frames: {guidance: pictures}, n of each prompt in a row; `PIL.Image` of one size.
        names: short names of the first prompts, those that are shown.
        n: pictures of each prompt.
    """

    def draw(ax, scale):
        rows = [frames[scale][row : n * len(names) : n] for row in range(n)]
        figures.gallery(ax, sum(rows, []), names, columns=len(names))
        ax.set_title(f"guidance {scale}", pad=16)

    figures.explore(draw, scale=list(frames))


def memory(models: dict) -> None:
    """Show the memory of a model: to use it, with its cache, and to train it.

    Args:
        models: {name: configuration, as `parameters.count` takes it}.
    """

    def draw(ax, model, numbers, tokens):
        n_weights = parameters.count(models[model]).total
        weights = calculators.inference_bytes(n_weights, numbers) / 1e9
        kept = calculators.kv_cache_bytes(models[model], tokens) / 1e9
        parts = [p / 1e9 for p in calculators.training_bytes(n_weights, "bfloat16")]
        for row, bars in {"use": (weights, kept), "train": parts}.items():
            left = 0.0
            for colour, width in zip(figures.COLOURS, bars, strict=False):
                ax.barh(row, width, left=left, color=colour)
                left += width
            ax.text(left, row, f" {left:,.1f} GB", va="center")
        ax.axvline(80, color=figures.CONTEXT, linestyle=":")
        ax.set(xlabel="GB; dotted: one GPU of 80", title=f"{model}, {numbers}")
        ax.margins(x=0.2)

    figures.explore(
        draw,
        model=list(models),
        numbers=list(reversed(["int4", "int8", "bfloat16", "float32"])),
        tokens=[4096, 512, 32_768, 131_072],
    )


def experts(texts: dict[str, list[str]], chosen: dict[str, list]) -> None:
    """Show which expert a router gives every token to.

    Args:
        texts: {name: tokens of a text}.
        chosen: {name: for every layer the first expert of each token, (layers, T)}.
    """

    def draw(ax, text, layer):
        x, y = 0.0, 0
        for token, expert in zip(texts[text], chosen[text][layer - 1], strict=True):
            if x > 64:
                x, y = 0.0, y + 1
            colour = figures.COLOURS[int(expert) % len(figures.COLOURS)]
            ax.text(
                x, -y, token.strip() or "·", family="monospace", fontsize=9,
                bbox={"facecolor": colour, "alpha": 0.35, "pad": 2, "linewidth": 0},
            )  # fmt: skip
            x += len(token.strip()) + 1.6
        ax.set(xlim=(0, 72), ylim=(-y - 1, 1), title=f"{text}, layer {layer}")
        ax.set_axis_off()

    n_layers = len(next(iter(chosen.values())))
    figures.explore(draw, text=list(texts), layer=list(range(n_layers, 0, -1)))


def chunk_sizes(text: str, n_lines: int = 13) -> None:
    """Show how a text falls into chunks, for several ways to cut it.

    Args:
        text: in Markdown.
        n_lines: how many lines of it are shown.
    """
    pieces = {
        "sentences": chunks.sentences(text),
        "paragraphs": chunks.paragraphs(text),
    }

    def draw(ax, size, overlap, cut):
        cuts = chunks.pack(pieces[cut], size, overlap, joint=" ")
        lines = [
            (line, figures.ACCENT if i % 2 else figures.COLOURS[0])
            for i, chunk in enumerate(cuts)
            for line in textwrap.wrap(chunk, 88)
        ]
        for i, (line, colour) in enumerate(lines[:n_lines]):
            ax.text(0, 1 - i / n_lines, line, color=colour, fontsize=7, va="top")
        longest = max(map(len, cuts))
        ax.set_axis_off()
        ax.set_title(f"{len(cuts)} chunks, the longest has {longest} characters")

    figures.explore(
        draw, size=[400, 1, 100, 800, 3000], overlap=[0, 1, 2], cut=list(pieces)
    )


def handbook_map(flat, titles: list[str], asked: dict[str, list[int]]) -> None:
    """Show passages as points on a map, and the nearest ones of a question.

    Args:
        flat: place of every passage on the map, (N, 2).
        titles: of the passages.
        asked: {question: places of the passages, the nearest first}.
    """

    def draw(ax, question, k):
        ax.scatter(*flat.T, s=10, color=figures.CONTEXT, alpha=0.6)
        for rank, place in enumerate(asked[question][:k], 1):
            x, y = flat[place]
            ax.scatter(x, y, s=36, color=figures.ACCENT)
            label = f"{rank} {titles[place].partition(':')[0]}"
            ax.annotate(label, (x, y), (4, 4), textcoords="offset points", fontsize=8)
        ax.set(xticks=[], yticks=[], title=question)

    figures.explore(draw, question=list(asked), k=[3, 1, 5, 10])
