"""One look for every picture of the course, and controls that redraw one.

The same colour means the same thing everywhere: ACCENT is what to look at, CONTEXT is
what surrounds it, and COLOURS go to series in their order.
"""

import io
from collections.abc import Callable

ACCENT = "#D55E00"
CONTEXT = "#8C8C8C"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SIZE = (6.0, 3.5)


def use_style() -> None:
    """Give matplotlib the style of the course: 6 x 3.5 in, 100 dpi, few lines."""
    import matplotlib.pyplot as plt

    plt.rcParams.update(
        {
            "figure.figsize": SIZE,
            "figure.dpi": 100,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": plt.cycler(color=COLOURS),
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
            "image.cmap": "Blues",
            "legend.frameon": False,
            "svg.hashsalt": "labs",
        }
    )


def heatmap(ax, values, rows, columns) -> None:
    """Draw a matrix with one label per row and column, dark for large values.

    Args:
        ax: axes to draw on.
        values: array of shape (len(rows), len(columns)).
        rows: labels from top to bottom.
        columns: labels from left to right.
    """
    ax.imshow(values, aspect="auto", vmin=0)
    ax.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
    ax.set_yticks(range(len(rows)), rows)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)


def before_after(ax, names, before, after) -> None:
    """Draw values as broad grey bars, and what became of them as narrow ones in front.

    Args:
        ax: axes to draw on.
        names: a label for each value.
        before: values, (N,).
        after: values, (N,).
    """
    ax.bar(names, before, color=CONTEXT, alpha=0.5)
    ax.bar(names, after, color=ACCENT, width=0.5)
    ax.tick_params("x", rotation=90)


def gallery(ax, pictures, titles=(), columns: int | None = None) -> None:
    """Draw pictures side by side, with a title above each of the first row.

    Colours are rounded to 32 levels a channel, which halves what a notebook stores.

    Args:
        ax: axes to draw on.
        pictures: `PIL.Image` of one size.
        titles: texts for the first row; none, or one a column.
        columns: pictures in a row; all in one row unless given.
    """
    import numpy as np

    columns = columns or len(pictures)
    height, width = np.asarray(pictures[0]).shape[:2]
    gap = max(1, width // 16)
    rows = -(-len(pictures) // columns)
    size = (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    sheet = np.full(size, 255, dtype=np.uint8)
    for i, picture in enumerate(pictures):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        rounded = np.asarray(picture) // 8 * 8 + 4
        sheet[top : top + height, left : left + width] = rounded
    ax.imshow(sheet, interpolation="nearest")
    for i, title in enumerate(titles):
        middle = i * (width + gap) + width / 2
        ax.text(middle, -gap, title, ha="center", va="bottom", fontsize=8)
    ax.axis("off")


class _View:
    """A widget that shows as one line of text where no widget can be shown."""

    def __init__(self, box, names):
        self.box = box
        self.text = f"controls: {', '.join(names)} (run this cell to use them)"

    def _repr_mimebundle_(self, **kwargs):
        bundle = self.box._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        return {**(data or {}), "text/plain": self.text}


def explore(draw: Callable, **choices) -> None:
    """Show a picture, and under it controls that redraw it.

    The first picture is an ordinary one, so that it is also there on a printed page, on
    GitHub and in tests. It shows the first value of every choice.

    Args:
        draw: called as draw(ax, name=value, ...); draws on ax and returns None.
        **choices: for every name the list of values that can be chosen.
    """
    import ipywidgets as widgets
    import matplotlib.pyplot as plt
    from IPython.display import display

    _, ax = plt.subplots()
    draw(ax, **{name: values[0] for name, values in choices.items()})
    plt.show()
    controls = {
        name: widgets.SelectionSlider(
            options=list(values), description=name, continuous_update=False
        )
        for name, values in choices.items()
    }
    picture = widgets.Image(format="png", layout={"display": "none"})

    def redraw(_change):
        fig, ax = plt.subplots()
        draw(ax, **{name: control.value for name, control in controls.items()})
        buffer = io.BytesIO()
        fig.savefig(buffer, format="png")
        plt.close(fig)
        picture.value = buffer.getvalue()
        picture.layout.display = "block"

    for control in controls.values():
        control.observe(redraw, names="value")
    display(_View(widgets.VBox([*controls.values(), picture]), list(choices)))
