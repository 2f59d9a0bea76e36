"""The exercises of lesson 03: schedules, samplers, guidance, inpainting, two silent errors."""

import torch

from labs_support.checks import Exercise, expect, expect_number
from labs_support.tensor_checks import expect_tensor, random_tensor


def _expect_close(got, wanted, what, within=1e-4):
    error = (got.double() - wanted.double()).abs().max().item()
    expect(error < within, f"{what} you are off by {error:.2g}")


# --- 03.1 how much picture is left


def _verify_left(attempt):
    got = attempt(torch.tensor([0.5, 0.5, 0.2]))
    expect_tensor(got, (3,), "for betas [0.5, 0.5, 0.2]")
    for t, wanted in enumerate((0.5, 0.25, 0.2)):
        expect_number(got[t].item(), wanted, f"for betas [0.5, 0.5, 0.2] entry {t}")
    betas = torch.linspace(1e-4, 0.02, 1000)
    got, wanted, left = attempt(betas), [], 1.0
    for beta in betas.tolist():
        left *= 1 - beta
        wanted.append(left)
    expect_tensor(got, (1000,), "for 1,000 betas")
    _expect_close(got, torch.tensor(wanted), "for the 1,000 betas of the lesson")


def _left(betas):
    return (1 - betas).cumprod(dim=0)


def _left_as_a_sum(betas):
    return 1 - betas.cumsum(dim=0)


def _left_of_noise(betas):
    return betas.cumprod(dim=0)


def _left_of_deviation(betas):
    return (1 - betas).sqrt().cumprod(dim=0)


def _left_at_each_step(betas):
    return 1 - betas


left = Exercise(
    id="03.1",
    title="How much picture is left",
    stars=1,
    minutes=4,
    verify=_verify_left,
    answer=_left,
    hints=(
        "After one step 1 - beta of the variance is left, after two the product of both.",
        "A product of all entries so far is a cumulative product.",
        "(1 - betas).cumprod(dim=0)",
    ),
    wrong={
        "subtracts the sum of the betas": _left_as_a_sum,
        "multiplies the betas": _left_of_noise,
        "shares of the deviation, not of the variance": _left_of_deviation,
        "what one step leaves, not all so far": _left_at_each_step,
    },
)


# --- 03.2 noise from velocity


def _verify_velocity(attempt):
    z, noise = random_tensor(3, 16, 8, 8, seed=3), random_tensor(3, 16, 8, 8, seed=4)
    for share in (1.0, 0.0, 0.36, 0.75):
        signal = torch.tensor(share)
        z_t = signal.sqrt() * z + (1 - signal).sqrt() * noise
        v = signal.sqrt() * noise - (1 - signal).sqrt() * z
        got = attempt(z_t, v, signal)
        expect_tensor(got, z.shape, "3 latents of 16 x 8 x 8")
        _expect_close(got, noise, f"at a signal of {share}", 1e-4)


def _noise_of(z, v, signal):
    return signal.sqrt() * v + (1 - signal).sqrt() * z


def _noise_is_velocity(z, v, signal):
    return v


def _picture_of(z, v, signal):
    return signal.sqrt() * z - (1 - signal).sqrt() * v


def _noise_with_a_minus(z, v, signal):
    return signal.sqrt() * v - (1 - signal).sqrt() * z


def _noise_of_variances(z, v, signal):
    return signal * v + (1 - signal) * z


velocity = Exercise(
    id="03.2",
    title="From velocity to noise",
    stars=2,
    minutes=6,
    verify=_verify_velocity,
    answer=_noise_of,
    hints=(
        "Two equations, two unknowns: z_t = a z + b noise and v = a noise - b z, where "
        "a² is the signal and b² is 1 - signal.",
        "Multiply the first by b, the second by a, and add: z drops out.",
        "a² + b² is 1, so noise = a v + b z_t.",
    ),
    wrong={
        "takes the velocity for the noise": _noise_is_velocity,
        "returns the picture": _picture_of,
        "a minus where the terms add up": _noise_with_a_minus,
        "variances where deviations belong": _noise_of_variances,
    },
)


# --- 03.3 take the noise out


def _verify_denoised(attempt):
    signal = torch.tensor(0.64)
    got = attempt(torch.tensor([1.0]), torch.tensor([0.5]), signal)
    expect_tensor(got, (1,), "one pixel")
    what = "for a pixel of 1.0, a noise of 0.5 and a signal of 0.64 it"
    expect_number(got.item(), 0.875, what)
    x, noise = random_tensor(2, 3, 4, 4, seed=1), random_tensor(2, 3, 4, 4, seed=2)
    signal = torch.tensor([0.9, 0.01])[:, None, None, None]
    x_t = signal.sqrt() * x + (1 - signal).sqrt() * noise
    got = attempt(x_t, noise, signal)
    expect_tensor(got, x.shape, "2 pictures of 3 x 4 x 4")
    _expect_close(got, x, "for the true noise you should get the picture back;", 1e-3)


def _denoised(x, noise, signal):
    return (x - (1 - signal).sqrt() * noise) / signal.sqrt()


def _denoised_by_subtraction(x, noise, signal):
    return x - noise


def _denoised_too_dark(x, noise, signal):
    return x - (1 - signal).sqrt() * noise


def _denoised_by_variance(x, noise, signal):
    return (x - (1 - signal) * noise) / signal


def _denoised_exchanged(x, noise, signal):
    return (x - signal.sqrt() * noise) / (1 - signal).sqrt()


denoised = Exercise(
    id="03.3",
    title="Take the noise out",
    stars=1,
    minutes=5,
    verify=_verify_denoised,
    answer=_denoised,
    hints=(
        "Solve x_t = sqrt(signal) picture + sqrt(1 - signal) noise for the picture.",
        "First subtract as much noise as was mixed in: sqrt(1 - signal) times it.",
        "What is left is sqrt(signal) times the picture: divide.",
    ),
    wrong={
        "the whole noise subtracted, as the slide says": _denoised_by_subtraction,
        "not divided by what is left of the picture": _denoised_too_dark,
        "variances where deviations belong": _denoised_by_variance,
        "signal and noise exchanged": _denoised_exchanged,
    },
)


# --- 03.4 leave some texts out


def _verify_dropped(attempt):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        _drops_fairly(attempt)


def _drops_fairly(attempt):
    texts, empty = random_tensor(4000, 2, 3, seed=5) + 9, random_tensor(2, 3, seed=6)
    before = texts.clone()
    for share in (0.0, 1.0, 0.25):
        got = attempt(texts, empty, share)
        expect_tensor(got, texts.shape, "4,000 texts of 2 x 3 numbers")
        expect(torch.equal(texts, before), "the texts handed in should stay unchanged")
        is_empty = (got == empty).flatten(1)
        is_text = (got == texts).flatten(1)
        whole = is_empty.all(1) | is_text.all(1)
        expect(
            bool(whole.all()),
            "every text should be kept whole or become the empty one whole; "
            f"{int((~whole).sum())} of 4,000 are neither",
        )
        left_out = is_empty.all(1).float().mean().item()
        expect(
            abs(left_out - share) < 0.03,
            f"for a share of {share} you leave {left_out:.2f} of the texts out",
        )


def _dropped(texts, empty, share):
    is_left_out = torch.rand(len(texts)) < share
    return torch.where(is_left_out[:, None, None], empty, texts)


def _dropped_by_number(texts, empty, share):
    return torch.where(torch.rand(texts.shape) < share, empty, texts)


def _dropped_to_zero(texts, empty, share):
    return texts * (torch.rand(len(texts), 1, 1) >= share)


def _dropped_all_or_none(texts, empty, share):
    return empty.expand_as(texts) if torch.rand(()) < share else texts


def _dropped_the_others(texts, empty, share):
    return torch.where(torch.rand(len(texts), 1, 1) > share, empty, texts)


def _dropped_in_place(texts, empty, share):
    texts[torch.rand(len(texts)) < share] = empty
    return texts


dropped = Exercise(
    id="03.4",
    title="Leave some texts out",
    stars=2,
    minutes=6,
    verify=_verify_dropped,
    answer=_dropped,
    hints=(
        "One random number for each text decides: torch.rand(len(texts)) < share.",
        "The decision has the shape (B,), the texts (B, S, C): add two dimensions to it.",
        "torch.where(is_left_out[:, None, None], empty, texts)",
    ),
    wrong={
        "leaves single numbers out, not texts": _dropped_by_number,
        "zeros in place of the empty text": _dropped_to_zero,
        "one decision for the whole batch": _dropped_all_or_none,
        "keeps the share that should go": _dropped_the_others,
        "overwrites the texts of the caller": _dropped_in_place,
    },
)


# --- 03.5 repaint only what may be repainted


def _verify_kept(attempt):
    z, known = torch.full((1, 1, 1, 2), 5.0), torch.full((1, 1, 1, 2), 2.0)
    noise, may = torch.full((1, 1, 1, 2), 1.0), torch.tensor([[[[1.0, 0.0]]]])
    got = attempt(z, known, noise, may, torch.tensor(0.64))
    expect_tensor(got, (1, 1, 1, 2), "one row of two latents")
    expect_number(got.flatten()[0].item(), 5.0, "where the mask is 1 the latent")
    what = "where it is 0, with a known 2.0, a noise of 1.0 and a signal of 0.64, it"
    expect_number(got.flatten()[1].item(), 2.2, what)
    z, known, noise = (random_tensor(2, 4, 8, 8, seed=seed) for seed in (7, 8, 9))
    may = (random_tensor(1, 1, 8, 8, seed=10) > 0).float()
    for share in (1.0, 0.3):
        signal = torch.tensor(share)
        got = attempt(z, known, noise, may, signal)
        expect_tensor(got, z.shape, "2 latents of 4 x 8 x 8")
        _expect_close(
            got, _kept(z, known, noise, may, signal), f"at a signal of {share}"
        )


def _kept(z, known, noise, may_change, signal):
    as_noisy = signal.sqrt() * known + (1 - signal).sqrt() * noise
    return may_change * z + (1 - may_change) * as_noisy


def _kept_the_wrong_part(z, known, noise, may_change, signal):
    as_noisy = signal.sqrt() * known + (1 - signal).sqrt() * noise
    return may_change * as_noisy + (1 - may_change) * z


def _kept_without_noise(z, known, noise, may_change, signal):
    return may_change * z + (1 - may_change) * known


def _kept_added(z, known, noise, may_change, signal):
    return z + (1 - may_change) * (signal.sqrt() * known + (1 - signal).sqrt() * noise)


def _kept_noise_unweighted(z, known, noise, may_change, signal):
    return may_change * z + (1 - may_change) * (known + noise)


kept = Exercise(
    id="03.5",
    title="Repaint only what may be repainted",
    stars=2,
    minutes=6,
    verify=_verify_kept,
    answer=_kept,
    hints=(
        "Where the mask is 1, keep what the sampler made.",
        "Elsewhere the sampler must see the known picture, as noisy as the rest is now.",
        "may_change * z + (1 - may_change) * noised(known, noise, signal)",
    ),
    wrong={
        "the mask the wrong way round": _kept_the_wrong_part,
        "known latents put in without their noise": _kept_without_noise,
        "adds the known part to what is there": _kept_added,
        "picture and noise added without their weights": _kept_noise_unweighted,
    },
)


# --- 03.6 bug museum: the schedule applied twice


def _verify_once(attempt):
    signals = torch.tensor([0.9, 0.5, 0.1])
    x, noise = torch.tensor([[[[1.0]]]]), torch.tensor([[[[0.0]]]])
    got = attempt(x, noise, torch.tensor([1]), signals)
    expect_tensor(got, (1, 1, 1, 1), "one pixel")
    what = "a pixel of 1.0 without any noise, at step 1 of signals [0.9, 0.5, 0.1],"
    expect_number(got.item(), 0.5**0.5, what)
    signals = (1 - torch.linspace(1e-4, 0.02, 1000)).cumprod(dim=0)
    x, noise = random_tensor(4, 3, 5, 5, seed=11), random_tensor(4, 3, 5, 5, seed=12)
    t = torch.tensor([0, 50, 300, 999])
    got = attempt(x, noise, t, signals)
    expect_tensor(got, x.shape, "4 pictures of 3 x 5 x 5")
    for row, step in enumerate(t.tolist()):
        a = signals[step]
        wanted = a.sqrt() * x[row] + (1 - a).sqrt() * noise[row]
        _expect_close(got[row], wanted, f"at step {step}")


def _noised_twice(x, noise, t, signals):
    """Return pictures (B, C, height, width) as noisy as steps t (B,) want them."""
    left = signals.cumprod(dim=0)[t][:, None, None, None]
    return left.sqrt() * x + (1 - left).sqrt() * noise


def _noised_once(x, noise, t, signals):
    left = signals[t][:, None, None, None]
    return left.sqrt() * x + (1 - left).sqrt() * noise


def _noised_without_root(x, noise, t, signals):
    left = signals[t][:, None, None, None]
    return left * x + (1 - left) * noise


def _noised_one_late(x, noise, t, signals):
    left = signals[(t - 1).clamp_min(0)][:, None, None, None]
    return left.sqrt() * x + (1 - left).sqrt() * noise


def _noised_half_repaired(x, noise, t, signals):
    left, twice = (s[t][:, None, None, None] for s in (signals, signals.cumprod(dim=0)))
    return left.sqrt() * x + (1 - twice).sqrt() * noise


twice = Exercise(
    id="03.6",
    title="Bug museum: noise from the first step on",
    stars=1,
    minutes=5,
    verify=_verify_once,
    answer=_noised_once,
    hints=(
        "What do the entries of `signals` mean: one step, or all steps so far?",
        "A cumulative product of a cumulative product falls far too fast.",
        "left = signals[t][:, None, None, None]",
    ),
    wrong={
        "shares of variance used as weights": _noised_without_root,
        "one step behind": _noised_one_late,
        "the picture repaired, the noise not": _noised_half_repaired,
    },
    starter=_noised_twice,
)


# --- 03.7 bug museum: 0..255 for a model that wants -1..1


def _verify_range(attempt):
    seen = []

    def encode(x):
        seen.append(x)
        return x.flatten(1)

    pictures = torch.tensor([0, 51, 255], dtype=torch.uint8).repeat(1, 2, 2, 1)
    got = attempt(pictures, encode)
    expect(len(seen) == 1, f"encode should be called once, not {len(seen)} times")
    expect_tensor(got, (1, 12), "what encode returns for a picture of 2 x 2")
    x = seen[0]
    expect_tensor(x, (1, 3, 2, 2), "what encode gets for a picture of 2 x 2")
    expect(x.is_floating_point(), f"encode should get floating numbers, not {x.dtype}")
    low, high = x.min().item(), x.max().item()
    expect(
        low == -1 and high == 1,
        f"black is 0 and white 255, and encode gets {low:.3g} for black and {high:.3g} "
        "for white; the model wants -1 and 1",
    )
    expect_number(x[0, 1, 0, 0].item(), -0.6, "a green of 51")


def _encoded_as_bytes(pictures, encode):
    """Return the latents of uint8 pictures (B, height, width, 3)."""
    x = pictures.permute(0, 3, 1, 2).float()  # (B, 3, height, width)
    return encode(x)


def _encoded(pictures, encode):
    x = pictures.permute(0, 3, 1, 2).float()  # (B, 3, height, width)
    return encode(x / 127.5 - 1)


def _encoded_as_shares(pictures, encode):
    return encode(pictures.permute(0, 3, 1, 2).float() / 255)


def _encoded_half(pictures, encode):
    return encode(pictures.permute(0, 3, 1, 2).float() / 255 - 0.5)


def _encoded_by_128(pictures, encode):
    return encode(pictures.permute(0, 3, 1, 2).float() / 128 - 1)


def _encoded_then_moved(pictures, encode):
    return encode(pictures.permute(0, 3, 1, 2).float()) / 127.5 - 1


ranges = Exercise(
    id="03.7",
    title="Bug museum: a picture as bright as a lamp",
    stars=1,
    minutes=4,
    verify=_verify_range,
    answer=_encoded,
    hints=(
        "Print the smallest and the largest number that enters `encode`.",
        "0 should become -1, 255 should become 1: divide by half of 255, subtract 1.",
        "encode(x / 127.5 - 1)",
    ),
    wrong={
        "0 to 1": _encoded_as_shares,
        "-0.5 to 0.5": _encoded_half,
        "divided by 128, so that white is not 1": _encoded_by_128,
        "the latents moved instead of the pixels": _encoded_then_moved,
    },
    starter=_encoded_as_bytes,
)


ALL = (left, velocity, denoised, dropped, kept, twice, ranges)
