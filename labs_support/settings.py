"""Where things are and how the lessons run: paths, profile, device, seed.

Everything here is read from the environment, so that the same cells run as they are
with embedded models on a laptop and, with one setting, with hub models on a GPU:
LABS_PROFILE (tiny, hub), LABS_DEVICE (auto, cpu, cuda, mps), LABS_SEED, LABS_CHAT,
LABS_HOME.
"""

import os
import random
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data"
PROFILES = ("tiny", "hub")
DEVICES = ("auto", "cpu", "cuda", "mps")


class SettingError(ValueError):
    """A LABS_ variable holds something that cannot be used."""


@dataclass(frozen=True)
class Settings:
    """What the environment asks for.

    Attributes:
        profile: "tiny" uses the embedded models, "hub" loads real ones.
        device: "auto", "cpu", "cuda" or "mps", as asked for.
        seed: seed of everything random in the lessons.
        chat: "provider:model" of a chat service, or "" for the local model.
        home: folder for what belongs to the learner (progress, caches).
    """

    profile: str
    device: str
    seed: int
    chat: str
    home: Path


def _choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = os.environ.get(name, default)
    if value not in allowed:
        raise SettingError(f"{name} is {value!r}; it can be {', '.join(allowed)}.")
    return value


def home() -> Path:
    """Return the folder for what belongs to the learner; no other setting is read."""
    return Path(os.environ.get("LABS_HOME", ROOT / ".labs"))


def read() -> Settings:
    """Return the settings of this process.

    Raises:
        SettingError: if a LABS_ variable cannot be used; the message says what can.
    """
    seed = os.environ.get("LABS_SEED", "0")
    if not seed.isdecimal() or int(seed) >= 2**32:
        raise SettingError(
            f"LABS_SEED is {seed!r}; it must be a whole number below 2**32."
        )
    return Settings(
        profile=_choice("LABS_PROFILE", "tiny", PROFILES),
        device=_choice("LABS_DEVICE", "auto", DEVICES),
        seed=int(seed),
        chat=os.environ.get("LABS_CHAT", ""),
        home=home(),
    )


def device() -> str:
    """Return the torch device to compute on: "cuda", "mps" or "cpu".

    Raises:
        SettingError: if LABS_DEVICE names a device that this machine does not have.
    """
    import torch

    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    asked = read().device
    if asked == "auto":
        return next(name for name, is_there in available.items() if is_there)
    if not available[asked]:
        raise SettingError(
            f"LABS_DEVICE is {asked!r}, but torch finds no such device here. "
            "Unset LABS_DEVICE to use what there is."
        )
    return asked


def seed_everything(offset: int = 0) -> int:
    """Return the lesson's seed, after seeding random, numpy and torch with it.

    Also holds torch to OMP_NUM_THREADS threads (one unless set): two busy processes
    with two threads each on two cores are many times slower than with one each.

    Args:
        offset: added to LABS_SEED, for runs that repeat something over several seeds.
    """
    import numpy as np
    import torch

    seed = read().seed + offset
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries still draw from the global state
    torch.manual_seed(seed)
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    if not threads.isdecimal() or int(threads) < 1:
        raise SettingError(f"OMP_NUM_THREADS is {threads!r}; it must be 1 or more.")
    torch.set_num_threads(int(threads))
    return seed
