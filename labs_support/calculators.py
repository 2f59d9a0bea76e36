"""What a model costs: memory to use and to train it, computation, tokens, money.

Everything follows from a few numbers of the model. Weights are counted by
`labs_support.parameters`. Bytes are plain bytes: 1 GB is 1e9 of them.
"""

from typing import NamedTuple

from labs_support import families
from labs_support.model_shape import positive, whole

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "int4": 0.5}
PETAFLOP_S_DAY = 1e15 * 24 * 3600  # floating-point operations


def bytes_of(number_format: str) -> float:
    """Return the bytes of one number.

    Raises:
        ValueError: for an unknown format; the message names the known ones.
    """
    if number_format not in BYTES:
        raise ValueError(
            f"There is no number format {number_format!r}; there are {', '.join(BYTES)}."
        )
    return BYTES[number_format]


def inference_bytes(n_weights: float, number_format: str = "bfloat16") -> float:
    """Return the bytes of the weights alone.

    Args:
        n_weights: all of them: an idle expert needs its place too.
        number_format: a key of `BYTES`.
    """
    positive(n_weights=n_weights)
    return n_weights * bytes_of(number_format)


class Training(NamedTuple):
    """Bytes that training needs beside the activations.

    Attributes:
        weights: of the model, with the copy that mixed precision keeps in float32.
        gradients: one number per weight.
        optimiser: the moments of Adam, or of another optimiser.
    """

    weights: float
    gradients: float
    optimiser: float


def training_bytes(
    n_weights: float,
    number_format: str = "float32",
    *,
    n_moments: int = 2,
    n_trained: float | None = None,
) -> Training:
    r"""Return the bytes of weights, gradients and optimiser states.

    In float32 with Adam: $4 + 4 + 8 = 16$ bytes per weight. In 16 bits there are also 16:
    $2 + 4$ for the weight and its float32 copy, 2 for the gradient, 8 for the moments.

    Args:
        n_weights: weights of the model.
        number_format: of weights and gradients; moments are float32 always.
        n_moments: 2 for Adam, 1 for SGD with momentum, 0 for plain SGD.
        n_trained: how many of the weights are trained; all unless given.

    Source: Rajbhandari et al. (2020), ZeRO, section 3.1. Built in lesson 04.
    """
    n_trained = n_weights if n_trained is None else n_trained
    positive(n_weights=n_weights, n_trained=n_trained)
    if n_trained > n_weights or n_moments not in (0, 1, 2):
        raise ValueError(
            f"{n_trained:,} trained of {n_weights:,} weights with {n_moments} moments "
            "each: no more weights can be trained than there are, and moments are 0-2."
        )
    size = bytes_of(number_format)
    copy = 4 if size < 4 else 0
    weights = n_weights * size + n_trained * copy
    return Training(weights, n_trained * size, n_trained * 4 * n_moments)


def kv_cache_bytes(
    model, n_tokens: int, n_sequences: int = 1, number_format: str = "bfloat16"
) -> float:
    """Return the bytes of the keys and values that generating keeps.

    Args:
        model: a `Shape`, or a configuration; of two stacks only the decoder's own keys
            and values are counted.
        n_tokens: length of a sequence, prompt and answer.
        n_sequences: how many are generated at the same time.
        number_format: of keys and values.

    Source: Pope et al. (2022), Efficiently scaling transformer inference, section 2.
        Built in lesson 04.
    """
    whole(n_tokens=n_tokens, n_sequences=n_sequences)
    shape = families.shape(model)
    n_layers = shape.n_decoder_layers or shape.n_layers
    numbers = 2 * n_layers * shape.n_kv_heads * shape.head_size * n_tokens
    return numbers * n_sequences * bytes_of(number_format)


def activation_bytes(model, n_tokens: int, n_sequences: int = 1) -> float:
    r"""Return the bytes of the activations that a training step keeps, in 16 bits.

    $L\,T\,B\,C\,(34 + 5\,H\,T / C)$, for blocks of GPT's kind, with dropout and without
    a fused attention; recomputing them in the backward pass brings it to $2LTBC$.

    Args:
        model: a `Shape` or a configuration, of one stack, with an MLP of 4 C channels.
        n_tokens: T, length of a sequence.
        n_sequences: B, sequences of a step.

    Source: Korthikanti et al. (2022), Reducing activation recomputation, equation 2.
    """
    whole(n_tokens=n_tokens, n_sequences=n_sequences)
    shape = families.shape(model)
    numbers = shape.n_layers * n_tokens * n_sequences * shape.width
    return numbers * (34 + 5 * shape.n_heads * n_tokens / shape.width)


def training_flops(
    n_weights: float, n_tokens: float, *, model=None, context: int = 0
) -> float:
    r"""Return the floating-point operations of a training run: $6ND$.

    A multiplication and an addition per weight and token forward, twice that backward.
    With a model and a context the products of queries and keys and of their shares with
    the values are added: $12\,L\,H\,S\,T$ per token.

    Args:
        n_weights: N; of a mixture of experts the active ones.
        n_tokens: D, all tokens read, each time they are read.
        model: a `Shape` or a configuration, to count attention as well.
        context: T, length of the sequences; needed with `model`.

    Source: Kaplan et al. (2020), section 2.1; Chowdhery et al. (2022), PaLM, appendix B.
        Built in lesson 04.
    """
    positive(n_weights=n_weights, n_tokens=n_tokens)
    per_token = 6.0 * n_weights
    if model is not None:
        whole(context=context)
        shape = families.shape(model)
        per_token += 12 * shape.n_layers * shape.n_heads * shape.head_size * context
    return per_token * n_tokens


def petaflop_s_days(flops: float) -> float:
    """Return operations in days of 1e15 operations a second: 8.64e19 each.

    Source: Brown et al. (2020), GPT-3, table D.1 and figure 2.2.
    """
    positive(flops=flops)
    return flops / PETAFLOP_S_DAY


class Bill(NamedTuple):
    """What a computation takes.

    Attributes:
        device_hours: hours of all devices together.
        days: days until it is done.
        price: in the currency of the price of an hour.
    """

    device_hours: float
    days: float
    price: float


def bill(
    flops: float,
    *,
    peak: float,
    utilisation: float,
    hourly: float,
    n_devices: int = 1,
) -> Bill:
    """Return the time and the price of a computation.

    Args:
        flops: operations to do.
        peak: operations a second that the maker of one device names: 312e12 for an
            A100 in 16 bits.
        utilisation: share of the peak that is reached, 0-1; 0.3 to 0.5 in large runs.
        hourly: price of one device for an hour.
        n_devices: devices that work at the same time.

    Source: Chowdhery et al. (2022), PaLM, section 4.1 (model FLOPs utilisation).
    """
    positive(flops=flops, peak=peak, utilisation=utilisation, hourly=hourly)
    whole(n_devices=n_devices)
    if utilisation > 1:
        raise ValueError(f"utilisation is {utilisation}; it is a share, 1 at the most.")
    hours = flops / (peak * utilisation) / 3600
    return Bill(hours, hours / n_devices / 24, hours * hourly)
