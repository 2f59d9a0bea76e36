"""The words for what a product of the shop can look like; the same everywhere."""

KINDS = (
    *("kite", "lantern", "mug", "boat", "umbrella", "balloon", "fish", "bell"),
    *("hat", "vase", "clock", "drum", "teapot", "lamp", "chair", "house"),
)
COLOURS = (
    *("red", "orange", "yellow", "green", "teal", "blue"),
    *("purple", "pink", "white", "black", "brown", "grey"),
)
PATTERNS = ("plain", "striped", "dotted", "checked")
BACKGROUNDS = ("table", "beach", "sky", "meadow", "night", "studio")
