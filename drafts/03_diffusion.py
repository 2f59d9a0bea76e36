# %% [markdown]
# # 03 · From noise to a product photo
#
# **After this lesson you can turn noise into pictures with a network that you trained, say
# what latents, text and guidance add to it, and put a product in front of another
# background.**
#
# **You will** build the noising, a denoiser and two samplers, equal to `diffusers`; measure
# what latents save and what guidance gives and takes; change a picture inside a mask.\
# **You need** lesson 02, and Python. CLIP, lesson 09, only serves as a judge here.\
# **Time** 75 minutes: 40 to read and run, 35 for the exercises in between.\
# **Runs on** any laptop: CPU, one thread, no network, 1.5 GB, about two minutes.

# %% [markdown]
# A shop wants a picture of a striped red mug on the beach, and nobody has taken one. The
# image systems of the talk draw it from the sentence, and all of them rest on one idea:
# learn to take a little noise out of a picture, start from nothing but noise, and repeat.
#
# | letter | meaning | letter | meaning |
# |---|---|---|---|
# | B | pictures in a batch | x | pixels, from -1 to 1 |
# | C | channels | z | latents |
# | t | step, 0 to 999 | v | velocity, what the network predicts |

# %%
import random

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F

from labs_support import claims, figures, settings, shelf
from labs_support.claims import claim
from labs_support.exercises import diffusion as ex
from labs_support.world import captions, render

figures.use_style()
SEED = settings.seed_everything()

# %% [markdown]
# ## 1 · Noise goes in
#
# The way into noise needs no learning. In every step, shrink the picture a little and add
# a little noise, so that the variance stays near 1. How much is fixed before, by a list
# of thousand numbers **beta**, the schedule: here the one of the paper. One pixel of
# brightness 0.8, noised 20,000 times:

# %%
betas = torch.linspace(1e-4, 0.02, 1000)
pixel, marks = torch.full((20_000,), 0.8), {}
for t, beta in enumerate(betas):
    pixel = (1 - beta).sqrt() * pixel + beta.sqrt() * torch.randn(20_000)
    if t in (0, 99, 249, 999):
        marks[t] = (pixel.mean().item(), pixel.std().item())
        mean, deviation = marks[t]
        print(f"{t + 1:4} steps: mean ≈ {mean:.3f}, deviation ≈ {deviation:.3f}")

# %% [markdown]
# The mean goes to 0 and the deviation to 1: after thousand steps nothing tells this pixel
# from any other. Training needs pictures at all levels of noise, and thousand steps for
# each would be slow. A sum of normal numbers is normal, so all steps can be taken at
# once. Find out how much of the picture is then left.

# %% [markdown]
# ### Exercise 03.1 · How much picture is left ★ (4 min)
#
# In step t, a share of 1 - beta of the picture's variance is kept. `betas` is (n,); return
# the share kept after each step, counted from the start, (n,). For `[0.5, 0.5, 0.2]` it is
# `[0.5, 0.25, 0.2]`.


# %%
def shares_left(betas):
    ...  # your code here


ex.left.check(shares_left)
# ex.left.hint()
# ex.left.solution()

# %% [markdown]
# Call that share the **signal**. Papers write it as alpha with a bar, `diffusers` as
# `alphas_cumprod`. The picture keeps its root, the noise gets the root of the rest.

# %%
signals = (1 - betas).cumprod(dim=0)  # (1000,)


def noised(x, noise, signal):
    return signal.sqrt() * x + (1 - signal).sqrt() * noise


print([f"{signals[t].item():.5f}" for t in marks])

# %% [markdown]
# Is one jump the same as many steps? Carry the weight of the picture and the variance of
# the noise through all thousand steps and compare; then compare with the pixel above.

# %%
weight, variance, gap = 1.0, 0.0, 0.0
exact = (1 - betas.double()).cumprod(dim=0)
for beta, signal in zip(betas.tolist(), exact.tolist(), strict=True):
    weight, variance = weight * (1 - beta) ** 0.5, variance * (1 - beta) + beta
    gap = max(gap, abs(weight - signal**0.5), abs(variance - (1 - signal)))
claim("03.1a", "largest gap between one jump and many steps", gap, below=1e-9)
gap = 0.0
for t, (mean, deviation) in marks.items():
    wanted = (0.8 * signals[t].sqrt().item(), (1 - signals[t]).sqrt().item())
    gap = max(gap, abs(mean - wanted[0]), abs(deviation - wanted[1]))
claim("03.1b", "largest gap to the pixel noised step by step", gap, below=0.03)

# %% [markdown]
# Now whole pictures, small ones: 16 x 16 pixels of four kinds of products, in a studio.

# %%
from labs_support.diffusion import as_images

KINDS = ("balloon", "fish", "hat", "chair")
POSE = {"scale": 0.42, "angle": 0.0, "x": 0.5, "y": 0.5, "is_mirrored": False}
rng = random.Random(f"lesson-03-{SEED}")


def drawings(n, size=16):
    look = {"pattern": "plain", "background": "studio", **POSE}
    kinds = [rng.choice(KINDS) for _ in range(n)]
    scenes = [render.sample_scene(rng, kind=kind, **look) for kind in kinds]
    x = torch.tensor(render.render_batch(scenes, size))  # (n, size, size, 3)
    return x.permute(0, 3, 1, 2) / 127.5 - 1  # (n, 3, size, size)


# %%
x, x_new = drawings(1000), drawings(128)
levels = [0, 50, 150, 300, 500, 999]
x_t = [noised(x[:3], torch.randn(3, 3, 16, 16), signals[t]) for t in levels]
fig, ax = plt.subplots(figsize=(6, 2.6))
shown = as_images(torch.stack(x_t, dim=1).flatten(0, 1))  # the steps of each picture
figures.gallery(ax, shown, [f"t = {t}" for t in levels], columns=len(levels))
plt.show()

# %% [markdown]
# At which step can you no longer say what it is? Ask a judge as well: CLIP, the model of
# lesson 09, names the object among the sixteen kinds of the shop.

# %%
from labs_support.judging import look_at, obeyed, seen, spread


def recognised(x):
    kinds = seen(look_at(as_images(x, size=64)), "kind")
    return sum(kind in KINDS for kind in kinds) / len(kinds)


# %%
for t in levels:
    x_t = noised(x_new, torch.randn_like(x_new), signals[t])
    print(f"t = {t:3}: one of the four kinds in ≈ {recognised(x_t):.2f}")

# %% [markdown]
# Most of the thousand steps are noise to you and to the judge, and yet not quite: a
# little of the picture is left in the mean of many pixels. That is what a network can
# learn to see.

# %% [markdown]
# ## 2 · A network that sees the noise
#
# Show it a noisy picture and the step, and let it say which noise is in there: the
# **noise predictor** of the talk. There is a catch at the noisy end. At t = 999 the
# signal is 0.00004, its root 0.006. Whoever misjudges the noise by 0.1 there misjudges
# the picture by 0.1 / 0.006, or 16, on a scale from -1 to 1. So most models now predict a
# mixture, the **velocity**

# %%
def velocity(x, noise, signal):
    return signal.sqrt() * noise - (1 - signal).sqrt() * x


for t in (0, 300, 999):
    v = velocity(torch.tensor(0.8), torch.tensor(-0.5), signals[t])
    print(f"t = {t:3}: picture 0.8, noise -0.5, velocity {v.item():.3f}")

# %% [markdown]
# Where there is little noise it is the noise, where there is nearly nothing but noise it
# is minus the picture: always the part that is hard to see. Noise and picture follow from
# it. How?

# %% [markdown]
# ### Exercise 03.2 · From velocity to noise ★★ (6 min)
#
# `z` is the noisy latent or picture, `v` its velocity, `signal` the share of the variance
# that is picture. Return the noise. You have two equations, the one of `noised` and the
# one of `velocity`, and two unknowns.


# %%
def noise_from_velocity(z, v, signal):
    ...  # your code here


ex.velocity.check(noise_from_velocity)
# ex.velocity.hint()
# ex.velocity.solution()


# %% [markdown]
# The network is a **U-Net**: down to fewer, wider positions, and up again, with a direct
# way across so that no detail is lost. Its brick is two convolutions. `time` is the step
# as sines and cosines, like the positions of lesson 02.


# %%
class Block(nn.Module):
    def __init__(self, C, C_time):
        super().__init__()
        self.norm, self.time = nn.GroupNorm(8, C), nn.Linear(C_time, C)
        self.first, self.second = (nn.Conv2d(C, C, 3, padding=1) for _ in range(2))

    def forward(self, x, time):
        h = self.first(F.silu(self.norm(x))) + self.time(time)[:, :, None, None]
        return x + self.second(F.silu(h))


# %% [markdown]
# A convolution with stride 2 halves the side, a transposed one doubles it. `direct` adds a
# multiple of the input, one that depends on the step: it is a good first guess, and the
# layers need only learn what differs from it.

# %%
from labs_support.diffusion import waves


class Denoiser(nn.Module):
    def __init__(self, C=48, n_waves=32):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(n_waves, C), nn.SiLU())
        self.enter = nn.Conv2d(3, C, 4, stride=2, padding=1)
        self.down = nn.Conv2d(C, 2 * C, 2, stride=2)
        self.up = nn.ConvTranspose2d(2 * C, C, 2, stride=2)
        self.leave = nn.ConvTranspose2d(C, 3, 4, stride=2, padding=1)
        self.first, self.last = Block(C, C), Block(C, C)
        self.middle, self.direct = Block(2 * C, C), nn.Linear(C, 3)

    def forward(self, x, t):
        time = self.time(waves(t))  # (B, C)
        fine = self.first(self.enter(x), time)  # (B, C, 8, 8)
        coarse = self.middle(self.down(fine), time)  # (B, 2 C, 4, 4)
        fine = self.last(fine + self.up(coarse), time)  # (B, C, 8, 8)
        direct = self.direct(time)[:, :, None, None]  # (B, 3, 1, 1)
        return self.leave(F.silu(fine)) + direct * x


# %% [markdown]
# Training is as plain as it gets: a picture, a random step, random noise, squared error.


# %%
def train_denoiser(model, x, signals, n_steps, size=32, rate=4e-3):
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=n_steps)
    for _ in range(n_steps):
        rows, t = torch.randint(len(x), (size,)), torch.randint(len(signals), (size,))
        noise = torch.randn(size, *x.shape[1:])
        signal = signals[t, None, None, None]  # (B, 1, 1, 1)
        x_t = noised(x[rows], noise, signal)
        loss = F.mse_loss(model(x_t, t), velocity(x[rows], noise, signal))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


model = Denoiser()
train_denoiser(model, x, signals, n_steps=400)
print(f"{sum(weight.numel() for weight in model.parameters()):,} weights")

# %% [markdown]
# Has it learned anything? On new drawings, compare three guesses of the noise: the best
# constant, which is 0; the noisy picture itself, times the best number; the network.


# %%
def noise_in(x, v, signal):
    return signal.sqrt() * v + (1 - signal).sqrt() * x


@torch.inference_mode()
def errors_at(t):
    noise, signal = torch.randn_like(x_new), signals[t]
    x_t = noised(x_new, noise, signal)
    v = model(x_t, torch.full((len(x_t),), t))
    multiple = (noise * x_t).mean() / x_t.square().mean()
    guesses = [noise.mean(), multiple * x_t, noise_in(x_t, v, signal)]
    return [(guess - noise).square().mean().item() for guess in guesses]


levels = [10, 50, 150, 300, 500, 750, 990]
constant, multiple, network = torch.tensor([errors_at(t) for t in levels]).T

# %% [markdown]
# The error of all three, for seven levels of noise:

# %%
fig, ax = plt.subplots()
for name, error, color in (
    ("best constant", constant, figures.CONTEXT),
    ("best multiple of what it sees", multiple, figures.COLOURS[0]),
    ("network", network, figures.ACCENT),
):
    ax.plot(levels, error, "o-", color=color, label=name)
ax.set(yscale="log", xlabel="step t", ylabel="squared error of the noise")
ax.legend()
plt.show()
text = "error of the network against"
claim("03.3a", f"{text} the best constant", (network / constant).mean(), below=0.3)
claim("03.3b", f"{text} the best multiple", (network / multiple).mean(), below=0.7)

# %% [markdown]
# Beating a constant is no feat at the noisy end, where the picture is nearly all noise and
# naming what one sees is right. The fairer rival is the middle line, and the network is
# below it at every level that counts.

# %% [markdown]
# ## 3 · Noise comes out
#
# The slide of the talk says: the predicted noise is subtracted, and this is repeated. Look
# closer at "subtracted".

# %% [markdown]
# ### Exercise 03.3 · Take the noise out ★ (5 min)
#
# `x` is a noisy picture, `noise` the noise that is in it, `signal` the share of variance
# that is picture. Return the picture without noise, as bright as it was before. For 1.0,
# 0.5 and 0.64 it is 0.875.


# %%
def without_noise(x, noise, signal):
    ...  # your code here


ex.denoised.check(without_noise)
# ex.denoised.hint()
# ex.denoised.solution()


# %% [markdown]
# The guess of the finished picture is then clipped, since no pixel is brighter than 1. A
# **DDIM** step takes that guess and mixes the same noise in again, only less of it. A
# **DDPM** step, the older one, also draws fresh noise. `target` is the signal after the
# step.


# %%
def clean(x, noise, signal, limit=1.0):
    guess = (x - (1 - signal).sqrt() * noise) / signal.sqrt()
    return guess.clamp(-limit, limit)


def ddim_step(x, noise, signal, target, limit=1.0):
    return noised(clean(x, noise, signal, limit), noise, target)


def ddpm_step(x, noise, signal, target, fresh, limit=1.0):
    kept = signal / target  # of the variance, by this one step
    from_clean = target.sqrt() * (1 - kept) * clean(x, noise, signal, limit)
    from_noisy = kept.sqrt() * (1 - target) * x
    deviation = ((1 - kept) * (1 - target) / (1 - signal)).sqrt()
    return (from_clean + from_noisy) / (1 - signal) + deviation * fresh


# %% [markdown]
# Are these the steps of the library? Random pictures and random "predictions", at early,
# middle and last steps, in double precision.

# %%
from diffusers import DDIMScheduler, DDPMScheduler

ddim, ddpm = DDIMScheduler(), DDPMScheduler()
ddim.set_timesteps(50)  # every 20th step
x_t, noise = torch.randn(2, 8, 3, 16, 16, dtype=torch.float64)
gaps = {"DDIM": 0.0, "DDPM": 0.0}
for t in (980, 500, 20, 0):
    target = [signals[t - k] if t else torch.tensor(1.0) for k in (20, 1)]
    fresh = torch.randn(x_t.shape, generator=torch.manual_seed(t), dtype=x_t.dtype)
    ours = ddim_step(x_t, noise, signals[t], target[0])
    theirs = ddim.step(noise, t, x_t).prev_sample
    gaps["DDIM"] = max(gaps["DDIM"], (ours - theirs).abs().max())
    ours = ddpm_step(x_t, noise, signals[t], target[1], fresh)
    theirs = ddpm.step(noise, t, x_t, generator=torch.manual_seed(t)).prev_sample
    gaps["DDPM"] = max(gaps["DDPM"], (ours - theirs).abs().max())
claim("03.2a", "largest gap between our DDIM step and diffusers'", gaps["DDIM"], below=1e-6)
claim("03.2b", "largest gap between our DDPM step and diffusers'", gaps["DDPM"], below=1e-6)

# %% [markdown]
# Start from noise and repeat. First guess: what comes out if you take all the noise out in
# a single step?


# %%
@torch.inference_mode()
def sample(model, x, signals, steps):
    targets = [*signals[steps[1:]], torch.ones(())]
    for t, target in zip(steps, targets, strict=True):
        v = model(x, torch.full((len(x),), t))
        x = ddim_step(x, noise_in(x, v, signals[t]), signals[t], target)
    return x


# %%
settings.seed_everything()
start, steps = torch.randn(128, 3, 16, 16), list(range(999, -1, -20))
made = {n: sample(model, start, signals, steps[:: 50 // n]) for n in (1, 50)}
fig, ax = plt.subplots(figsize=(6, 1.7))
figures.gallery(ax, as_images(torch.cat([x[:12] for x in made.values()])), columns=12)
plt.show()

# %% [markdown]
# Above, one step; below, the same noise in 50 steps. With nearly nothing to go by, the best
# guess in squared error is the mean of all pictures it could be, and that is what one step
# gives. Each small step commits to a little, and the next ones build on it.

# %%
for n, x_made in made.items():
    print(f"{n:2} steps: one of the four kinds in ≈ {recognised(x_made):.2f}")
found = recognised(made[50])
claim("03.3c", "samples in which CLIP sees one of the four kinds", found, above=0.6)
gained = found - recognised(start)
claim("03.3d", "the same, more than in the noise they came from", gained, above=0.4)

# %% [markdown]
# Choose how many steps are taken. The upper row is what the sampler has, the lower one what
# it would get if it stopped there.

# %%
from labs_support import widgets

frames, x_t = {}, start[:6]
for i, t in enumerate(steps):
    with torch.inference_mode():
        noise = noise_in(x_t, model(x_t, torch.full((6,), t)), signals[t])
    if i % 7 == 0:
        both = torch.cat([x_t, clean(x_t, noise, signals[t])])
        frames[i] = as_images(both)
    target = signals[steps[i + 1]] if i < 49 else torch.tensor(1.0)
    x_t = ddim_step(x_t, noise, signals[t], target)
widgets.denoising(frames, first=28)

# %% [markdown]
# ### Beside its rivals
#
# Before diffusion, two other networks drew pictures, both in one step from a vector of
# random numbers. A **VAE** learns to pack a picture into a few numbers and to unpack it;
# then it unpacks random ones. A **GAN** is two networks: one draws, the other tells drawn
# from real, and each learns from the other. Same drawings, a few seconds for each.

# %%
from labs_support import generators

n_z = 16
encode, decode = generators.critic(2 * n_z), generators.painter(n_z)
generators.train_vae(encode, decode, x, n_steps=150)
paint, judge = generators.painter(n_z), generators.critic(1)
generators.train_gan(paint, judge, x, n_z, n_steps=150)

# %% [markdown]
# Three questions to each. Does the judge see one of the four kinds? Are edges as sharp as
# in real drawings? How far are two pictures apart, in CLIP's space? And what does it cost?

# %%
from labs_support.cost import seconds

z = torch.randn(128, n_z)
with torch.inference_mode():
    table = {"drawings": x_new, "VAE": decode.eval()(z), "GAN": paint.eval()(z)}
table["diffusion"] = made[50]
ways = {"VAE": lambda: decode(z[:16]), "GAN": lambda: paint(z[:16])}
ways["diffusion"] = lambda: sample(model, start[:16], signals, steps)
cost = {name: seconds(way, repeats=2) / 16 for name, way in ways.items()}
for name, each in cost.items():
    print(f"{name}: ≈ {each * 1000:.2f} ms a picture")

# %%
fig, ax = plt.subplots(figsize=(6, 3.2))
shown = torch.cat([x_made[:12] for x_made in table.values()])
figures.gallery(ax, as_images(shown), columns=12)
plt.show()
real = generators.sharpness(x_new)
for name, x_made in table.items():
    sharp = (generators.sharpness(x_made) / real).item()
    far = spread(look_at(as_images(x_made, size=64)), n=128).item()
    kinds = f"recognised ≈ {recognised(x_made):.2f}"
    print(f"{name:9} {kinds}, sharpness ≈ {sharp:.2f}, apart ≈ {far:.2f}")
gained = recognised(made[50]) - max(recognised(table[name]) for name in ("VAE", "GAN"))
claim("03.3e", "recognised more often than the better of VAE and GAN", gained, above=0.1)
claim("03.3f", "time for a picture against the GAN's", cost["diffusion"] / cost["GAN"], above=10)

# %% [markdown]
# From the top: drawings, VAE, GAN, diffusion. A sharpness above 1 here is grain, not
# detail: look at the rows. The VAE draws mixtures, for the reason of the single step above.
# The GAN's training is a contest without a loss that says how far it has come. Diffusion
# is recognised most often, and pays with 50 runs of a larger network for a picture. All
# were trained for seconds: believe the kinds of failure, not the ranking.

# %% [markdown]
# ## 4 · Why not in pixels: latents
#
# A product photo is larger than 16 x 16, and the price grows with the number of pixels. But
# neighbouring pixels are alike, so most of the numbers say little. **Latent diffusion**
# compresses first, with a VAE, and does all of the above on the compressed picture, its
# **latents**. On the shelf lies `lume-diffusion`, a pipeline of the library `diffusers`.

# %%
pipe = shelf.text_to_image()
scenes = [render.sample_scene(rng, **POSE) for _ in range(60)]
photos = torch.tensor(render.render_batch(scenes)).permute(0, 3, 1, 2) / 127.5 - 1
with torch.inference_mode():
    z = pipe.encode(photos)  # (60, 16, 8, 8)
    back = pipe.decode(z)  # (60, 3, 64, 64)
print(tuple(photos.shape), "->", tuple(z.shape))
smaller = photos[0].numel() / z[0].numel()
claim("03.5a", "numbers in a picture for one number in its latents", smaller, equals=12)

# %% [markdown]
# How much is lost? The usual measure is **PSNR**: the squared error on a scale of
# decibels; 10 more are a tenth of the error. A fair rival with as many numbers: the
# picture shrunk to 18 x 18 pixels and enlarged again. The 60 pictures were drawn just
# now.


# %%
def psnr(x, y):
    error = ((x - y) / 2).square().mean(dim=(1, 2, 3))  # (B,), of pixels in 0..1
    return (-10 * error.log10()).mean().item()


# %%
small = F.interpolate(photos, size=18, mode="area")
enlarged = F.interpolate(small, size=64, mode="bicubic").clamp(-1, 1)
kept = psnr(photos, back)
claim("03.5b", "PSNR of unseen pictures through the VAE", kept, above=24, unit="dB")
gained = kept - psnr(photos, enlarged)
claim("03.5c", "more than the same picture shrunk to 18 x 18", gained, above=1, unit="dB")
fig, ax = plt.subplots(figsize=(6, 2.2))
rows = [photos[:5], back[:5], enlarged[:5]]
figures.gallery(ax, as_images(torch.cat(rows)[[0, 5, 10, 1, 6, 11]]), columns=6)
plt.show()

# %% [markdown]
# Two pictures: as drawn, through the VAE, shrunk and enlarged. What does the compression
# buy? Take the very network of the pipeline, and build it once more for pixels: the same
# layers, run at 64 x 64 positions in place of 8 x 8. Guess the ratio before you look.

# %%
from diffusers import UNet2DConditionModel

sizes = {"sample_size": 64, "in_channels": 3, "out_channels": 3}
in_pixels = UNet2DConditionModel.from_config({**pipe.unet.config, **sizes})
slots = torch.zeros(1, 4, 64)


def step(unet, x, is_training):
    with torch.inference_mode(not is_training):
        v = unet(x, 500, slots, class_labels=slots.flatten(1)).sample
        if is_training:
            v.square().mean().backward()


ratios = []
for is_training in (False, True):
    slow = seconds(step, in_pixels, photos[:1], is_training, repeats=2)
    fast = seconds(step, pipe.unet, torch.randn(1, 16, 8, 8), is_training)
    ratios.append(slow / fast)
del in_pixels

# %% [markdown]
# Both on this machine, one picture at a time:

# %%
text = "step in pixels against a step in latents, time"
claim("03.4a", f"a sampling {text}", ratios[0], above=10)
claim("03.4b", f"a training {text}", ratios[1], above=10)

# %% [markdown]
# There are 64 times as many positions. The ratio of times is not 64, since one latent
# picture is too small to keep even one core busy; in batches it comes nearer.

# %% [markdown]
# ## 5 · Words, and how strongly to follow them
#
# So far nobody said what to draw. A text enters in two parts. MiniLM, the frozen encoder of
# lesson 08, turns words into vectors. A small **reader** asks these words four questions:
# which object, colour, pattern, place? Each question is an attention over the words.

# %%
from labs_support import slots as reading

prompt = "a striped red mug on the beach"
tokens, is_token = reading.read_texts(pipe.text_encoder, [prompt])
with torch.inference_mode():
    looks = pipe.reader.attention(tokens, is_token)[0]  # (4, T)
words = pipe.text_encoder.tokenizer.tokenize(prompt, add_special_tokens=True)
fig, ax = plt.subplots(figsize=(6, 2.4))
figures.heatmap(ax, looks, list(captions.ATTRIBUTES), words)
plt.show()

# %% [markdown]
# The four answers go into every block of the denoiser, which then predicts the velocity
# of pictures *of such a thing*. In training, the text is left out now and then, so that
# the same network also knows pictures of anything.

# %% [markdown]
# ### Exercise 03.4 · Leave some texts out ★★ (6 min)
#
# `texts` is (B, S, C), the vectors of the texts of a batch; `empty` is (S, C), those of the
# empty text. Return a batch in which each text, whole and with the probability `share`, is
# replaced by the empty one. Leave the batch you were given as it is.


# %%
def with_some_left_out(texts, empty, share):
    ...  # your code here


ex.dropped.check(with_some_left_out)
# ex.dropped.hint()
# ex.dropped.solution()

# %% [markdown]
# Two predictions, then: one for the empty text, one for the prompt. Their difference is
# what the words change. **Classifier-free guidance** goes further in that direction than
# the network says. A scale of 1 follows the prompt, 3 goes three times as far:


# %%
def guided(away, towards, scale):
    return away + scale * (towards - away)


print([guided(1.0, 1.5, scale) for scale in (0, 1, 3)])

# %% [markdown]
# That is all of it. The next cell draws with our own steps and nothing of the pipeline but
# its network, and must get the pipeline's picture. It counts in double precision: at
# t = 999 the picture has a weight of 0.00005, and dividing by it makes rounding visible.

# %%
pipe.scheduler.set_timesteps(20)
steps, signals = pipe.scheduler.timesteps.tolist(), pipe.scheduler.alphas_cumprod.double()
start = torch.randn(1, 16, 8, 8)
z, targets = start.double(), [*signals[steps[1:]], torch.ones(())]
with torch.inference_mode():
    slots = pipe.read(["", prompt])  # (2, 4, 64)
    for t, target in zip(steps, targets, strict=True):
        away, towards = pipe.predict(torch.cat([z, z]).float(), t, slots).chunk(2)
        noise = noise_in(z, guided(away, towards, 3), signals[t])
        z = ddim_step(z, noise, signals[t], target, limit=torch.inf)
    ours = pipe.decode(z.float()) / 2 + 0.5
theirs = pipe(prompt, latents=start, guidance_scale=3, output_type="pt").images
gap = (ours - theirs).abs().max() * 255
claim("03.2c", "gap to the pipeline's picture", gap, below=1, unit="grey levels of 255")

# %% [markdown]
# How strong should guidance be? 24 prompts, two pictures each, the same noise for every
# scale. **Obedience** is the share of the four properties that the judge finds as asked.
# **Diversity** is the mean distance between the two pictures of a prompt, in CLIP's space.

# %%
N = 2
scenes = [render.sample_scene(rng, **POSE) for _ in range(24)]
prompts = [captions.caption(scene, rng) for scene in scenes]
asked = [scene for scene in scenes for _ in range(N)]


def drawn(scale):
    noise = torch.Generator().manual_seed(SEED)
    options = {"generator": noise, "num_images_per_prompt": N}
    return pipe(prompts, guidance_scale=scale, num_inference_steps=16, **options).images


frames = {scale: drawn(scale) for scale in (1, 1.5, 5)}
vectors = {scale: look_at(images) for scale, images in frames.items()}
right = {scale: obeyed(v, asked) for scale, v in vectors.items()}  # (48, 4)
apart = {scale: spread(v, N) for scale, v in vectors.items()}  # (24,)

# %%
fig, (left, right_ax) = plt.subplots(1, 2, figsize=(6, 2.8))
for i, name in enumerate(captions.ATTRIBUTES):
    shares = [right[scale][:, i].mean() for scale in frames]
    left.plot(list(frames), shares, "o-", label=name)
left.set(xlabel="guidance", ylabel="share as asked", ylim=(0, 1.05))
left.legend(fontsize=8)
right_ax.plot(list(frames), [a.mean() for a in apart.values()], "o-", color=figures.ACCENT)
right_ax.set(xlabel="guidance", ylabel="distance", ylim=(0, None))
plt.show()
for scale in frames:
    found = right[scale].mean().item()
    print(f"guidance {scale}: obedience ≈ {found:.2f}", end=", ")
    print(f"distance ≈ {apart[scale].mean():.2f}")

# %% [markdown]
# Each prompt is its own control, so look at differences, prompt by prompt, with the 95 %
# interval over the prompts.

# %%
by_prompt = {scale: r.unflatten(0, (-1, N)).mean(dim=(1, 2)) for scale, r in right.items()}
differences = {
    "obedience, 1.5 against 1": by_prompt[1.5] - by_prompt[1],
    "obedience, 5 against 1.5": by_prompt[5] - by_prompt[1.5],
    "distance, 5 against 1": apart[5] - apart[1],
}
found = {name: claims.interval(d.tolist()) for name, d in differences.items()}
for name, (mean, low, high) in found.items():
    print(f"{name}: ≈ {mean:.2f}, between ≈ {low:.2f} and ≈ {high:.2f}")
first, second, third = found.values()
claim("03.6a", "obedience gained by guidance 1.5 over none", first.mean, above=0)
claim("03.6b", "obedience gained by guidance 5 over 1.5", second.mean, below=0)
claim("03.6c", "distance gained by guidance 5, upper end of interval", third.high, below=0)

# %% [markdown]
# The slogan is that more guidance means more obedience. A little does; too much leads out
# of the pictures that the network knows, they become harsh, and the judge finds less of
# what was asked. Where that begins is a property of the model: large ones are used at 5
# to 8, this small one at 1.5. Variety falls all the way. In the picture, each column is a
# prompt, and all scales start from the same noise.

# %%
names = [f"{scene.colour} {scene.kind}" for scene in scenes[:6]]
widgets.guidance(frames, names, N)

# DRAFT: claim 03.2c fails with the shipped weights (5 to 7 grey levels; 0.007 with an earlier
# state of pipeline and weights). Find the cause before this lesson moves in.

# %% [markdown]
# ## 6 · Fewer steps
#
# Every step is a run of the network, with guidance two. The paper of 2020 took a thousand
# DDPM steps. How many does it need? Twenty new prompts: 200 DDPM steps against DDIM with
# 20, and with fewer.

# %%
scenes = [render.sample_scene(rng, **POSE) for _ in range(20)]
texts = [captions.caption(scene, rng) for scene in scenes]
ddim = pipe.scheduler
ddpm = DDPMScheduler.from_config(ddim.config)
shares, images = {}, {}
for sampler, n in ((ddpm, 200), (ddim, 20), (ddim, 4), (ddim, 2), (ddim, 1)):
    pipe.scheduler, noise = sampler, torch.Generator().manual_seed(SEED)
    images[n] = pipe(texts, num_inference_steps=n, generator=noise).images
    shares[n] = obeyed(look_at(images[n]), scenes).mean(dim=1)  # (20,)
    name = type(sampler).__name__.removesuffix("Scheduler")
    print(f"{name}, {n:3} steps: obedience ≈ {shares[n].mean():.2f}")
pipe.scheduler = ddim

# %% [markdown]
# Twenty prompts leave doubt, so say how much.

# %%
difference = claims.interval((shares[20] - shares[200]).tolist())
print(f"20 against 200 steps ≈ {difference.low:.2f} to ≈ {difference.high:.2f}")
kept = (shares[20].mean() / shares[200].mean()).item()
claim("03.7a", "obedience of 20 DDIM steps over that of 200 DDPM steps", kept, above=0.85)
lost = (shares[20].mean() - shares[1].mean()).item()
claim("03.7b", "obedience lost by a single step against 20", lost, above=0.05)

# %% [markdown]
# Ten times fewer steps cost little or nothing. A single one fails, for the reason of
# section 3. It takes training to get there, and that is what one of the systems of the
# talk sells.

# %% [markdown]
# ### The image systems of the talk
#
# | system | what it adds to what you built |
# |---|---|
# | SDXL | size: 3.5 billion weights, 1024 x 1024 pixels, two text encoders, a refiner |
# | SDXL Turbo | training of the same network until 1 to 4 steps do, at 512 x 512 pixels |
# | DALL-E 3 | long, exact captions written by a model; your prompt is lengthened, too |
# | Midjourney | nothing is published; the ratings of its users shape the style |
#
# Turbo is trained to imitate the slow sampler, and to deceive a critic like the GAN's. The slide gives the size and the 1024 pixels of SDXL, 6.6 billion with the
# refiner, under the name of Turbo. DALL-E 3 and Midjourney have never said how large they
# are; what stands here about Midjourney is its makers' account, as the talk gives it.

# %% [markdown]
# ## 7 · Change a picture
#
# Nothing says that the way back must start from pure noise. **Image to image**: put some
# noise into a picture you have, and take it out with another text. `strength` is the
# share of the way into noise.

# %%
scene = render.Scene("mug", "blue", "plain", "table", **POSE)
photo = as_images(torch.tensor(render.render(scene)).permute(2, 0, 1)[None] / 127.5 - 1)[0]
strengths, pictures = (0.2, 0.4, 0.6, 0.8, 1.0), [photo]
for strength in strengths:
    options = {"strength": strength, "generator": torch.manual_seed(SEED)}
    pictures += pipe("a red mug on the table", image=photo, **options).images
fig, ax = plt.subplots(figsize=(6, 1.5))
figures.gallery(ax, pictures, ["given", *map(str, strengths)])
plt.show()
far = look_at(pictures)
cosines = ", ".join(f"≈ {c:.2f}" for c in (far[1:] @ far[0]).tolist())
print("cosine with the given picture:", cosines)

# %% [markdown]
# With little noise the picture stays, colour and all; with much, only the text counts. In
# between, form survives and detail changes.
#
# ### The same product, another background
#
# The demonstration of the talk: the shop's own photo, on a beach where it has never been.
# The product must stay as it is, to the pixel. **Inpainting** runs the sampler on the
# whole picture, and after each step puts back what must not change.

# %% [markdown]
# ### Exercise 03.5 · Repaint only what may be repainted ★★ (6 min)
#
# Write that step. `z` is what the sampler has made, `known` the latents of the given
# picture, without noise; `may_change` is 1 where z stays and 0 where the picture must
# come back; `signal` says how noisy everything is now. Mind that the sampler expects
# noise everywhere.


# %%
def put_back(z, known, noise, may_change, signal):
    ...  # your code here


ex.kept.check(put_back)
# ex.kept.hint()
# ex.kept.solution()

# %% [markdown]
# In `diffusers` that is the argument `mask_image`, white where it may paint. Six products,
# five new places for each.

# %%
import numpy as np
from PIL import Image

from labs_support.judging import PLACES

scenes = [render.sample_scene(rng, pattern="plain", **POSE) for _ in range(6)]
wanted, repainted, changed = [], [], 0
for scene in scenes:
    photo, cover = render.render(scene), render.mask(scene)  # 255 on the product
    new = [replace for replace in PLACES if replace != scene.background]
    texts = [f"a {scene.colour} {scene.kind} {PLACES[place]}" for place in new]
    images = pipe(
        texts,
        image=Image.fromarray(photo),
        mask_image=Image.fromarray(255 - cover),
        generator=torch.manual_seed(SEED),
    ).images
    for image in images:
        changed += int((np.asarray(image) != photo)[cover == 255].sum())
    wanted += [(scene.kind, place) for place in new]
    repainted += images

# %%
fig, ax = plt.subplots(figsize=(6, 1.6))
given = Image.fromarray(render.render(scenes[0]))
titles = ["given", *(place for _, place in wanted[:5])]
figures.gallery(ax, [given, *repainted[:5]], titles)
plt.show()
claim("03.8a", "values of the product's pixels that changed", changed, equals=0)

# %% [markdown]
# Untouched, exactly. Is the place the one asked for, and is the product still one? Before,
# none of the pictures showed its new place.

# %%
vectors = look_at(repainted)
kinds, places = seen(vectors, "kind"), seen(vectors, "background")
pairs = list(zip(wanted, kinds, places, strict=True))
found = {
    "places": sum(place == new for (_, new), _, place in pairs) / len(pairs),
    "products": sum(kind == old for (old, _), kind, _ in pairs) / len(pairs),
}
claim("03.8b", "pictures in which CLIP sees the new place", found["places"], above=0.5)
claim("03.8c", "pictures in which CLIP sees the product", found["products"], above=0.8)

# %% [markdown]
# Look at the edges and at the shadow. The mask decides what is kept, so the light on the
# product is still the studio's, and its shadow has gone with the old background. A customer
# sees such things; the judge does not.

# %% [markdown]
# ## 8 · Bug museum
#
# Two errors that raise nothing. The model trains, the loss falls, and the pictures are bad.

# %% [markdown]
# ### Exercise 03.6 · Bug museum: noise from the first step on ★ (5 min)
#
# A team's sampler draws nothing but fog. `signals` (n,) is the list of section 1, what
# the scheduler calls `alphas_cumprod`. Their training pictures are all but noise from
# step 100 on. Repair the function.


# %%
def noisy_batch(x, noise, t, signals):
    """Return pictures (B, C, height, width) as noisy as steps t (B,) want them."""
    left = signals.cumprod(dim=0)[t][:, None, None, None]
    return left.sqrt() * x + (1 - left).sqrt() * noise


ex.twice.check(noisy_batch)
# ex.twice.hint()
# ex.twice.solution()

# %% [markdown]
# ### Exercise 03.7 · Bug museum: a picture as bright as a lamp ★ (4 min)
#
# Image to image returns glaring nonsense, whatever the strength. `pictures` are uint8,
# (B, height, width, 3), 0 to 255. `encode` is the VAE's, made for pixels from -1 to 1.
# Repair it.


# %%
def latents_of(pictures, encode):
    """Return the latents of uint8 pictures (B, height, width, 3)."""
    x = pictures.permute(0, 3, 1, 2).float()  # (B, 3, height, width)
    return encode(x)


ex.ranges.check(latents_of)
# ex.ranges.hint()
# ex.ranges.solution()

# %% [markdown]
# ## What we measured

# %%
claims.table()

# %% [markdown]
# ## What it cannot do
#
# `lume-diffusion` has seen one shop's drawings, upright and centred, one thing in one
# place: "two mugs" or "a mug without a handle" mean nothing to it, and section 5 shows
# how often it fails even at home. And the judge shares its world. CLIP sees whether a
# picture holds what the words name; it does not see six legs on a chair or a shadow that
# falls the wrong way, and a model tuned to please it would learn that.

# %% [markdown]
# ## Read on
#
# - Ho, Jain and Abbeel (2020), *Denoising Diffusion Probabilistic Models*, arXiv
#   2006.11239. Algorithms 1 and 2 are your training loop and your DDPM step.
# - Song, Meng and Ermon (2021), *Denoising Diffusion Implicit Models*, arXiv 2010.02502.
#   Why steps can be left out.
# - Rombach and others (2022), *High-Resolution Image Synthesis with Latent Diffusion
#   Models*, arXiv 2112.10752. Stable Diffusion: our sections 4 and 5 at full size.
# - Ho and Salimans (2022), *Classifier-Free Diffusion Guidance*, arXiv 2207.12598. Where
#   the trade of section 5 was first measured.
# - Sauer and others (2023), *Adversarial Diffusion Distillation*, arXiv 2311.17042. How
#   SDXL Turbo gets by with one step.
#
# Next comes 04, foundation models: one model, many tasks.
