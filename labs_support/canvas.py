"""What drawing starts from: noise alone, or a given picture and a mask."""

import torch
from torch.nn import functional as F

from labs_support import pictures


class Canvas:
    """The latents to start from, and what must stay of a given picture."""

    def __init__(self, pipe, image, mask, noise, strength: float):
        """Prepare a picture and a mask, if there are any."""
        self.pipe, self.noise = pipe, noise
        self.steps = pipe.scheduler.timesteps
        self.x = self.mask = None
        if image is None:
            return
        picture = pictures.as_picture(image)
        self.x = _pixels(picture, pipe.size).to(noise)
        self.z = pipe.encode(self.x)
        if mask is not None:
            self.mask = _mask(mask, picture.size, pipe.size).to(noise)
            side = pipe.unet.config.sample_size
            self.free = F.adaptive_max_pool2d(self.mask, side)  # (1, 1, 8, 8)
        per_step = pipe.scheduler.order
        left_out = len(self.steps) - round(len(self.steps) * strength)
        self.steps = self.steps[left_out * per_step :]
        if hasattr(pipe.scheduler, "set_begin_index"):
            pipe.scheduler.set_begin_index(left_out * per_step)

    def start(self):
        """Return the latents of the first step."""
        if self.x is None:
            return self.noise * self.pipe.scheduler.init_noise_sigma
        return self._noised(0)

    def _noised(self, i: int):
        """Return the latents of the picture, as noisy as step i wants them."""
        z = self.z.expand_as(self.noise)
        if i >= len(self.steps):
            return z.clone()
        t = self.steps[i : i + 1].expand(len(self.noise))
        return self.pipe.scheduler.add_noise(z, self.noise, t)

    def keep(self, z, i: int):
        """Return the latents after step i, those outside the mask from the picture."""
        if self.mask is None:
            return z
        return torch.where(self.free > 0, z, self._noised(i + 1))

    def finish(self, x):
        """Return the pixels, those outside the mask from the picture."""
        return x if self.mask is None else self.mask * x + (1 - self.mask) * self.x


def _pixels(picture, size: int):
    """Return a picture as pixels in -1..1, (1, 3, size, size)."""
    import numpy as np

    pixels = torch.tensor(np.asarray(_resized(picture, size)))
    return pixels.permute(2, 0, 1)[None].float() / 127.5 - 1


def _mask(mask, size_of_picture: tuple[int, int], size: int):
    """Return a mask as shares to repaint, 0..1, (1, 1, size, size)."""
    import numpy as np
    from PIL import Image

    if not isinstance(mask, Image.Image):
        mask = np.asarray(mask)
        mask = Image.fromarray(
            (mask * 255 if mask.dtype == bool else mask).astype(np.uint8)
        )
    if mask.size != size_of_picture:
        sizes = [" x ".join(map(str, s)) for s in (mask.size, size_of_picture)]
        raise pictures.UnusablePicture(
            f"The mask is {sizes[0]} pixels and the picture {sizes[1]}: "
            "they must be of one size."
        )
    shares = torch.tensor(np.asarray(_resized(mask.convert("L"), size)))
    return shares[None, None].float() / 255


def _resized(picture, size: int):
    """Return a picture of size x size pixels; one of that size stays as it is."""
    from PIL import Image

    if picture.size == (size, size):
        return picture
    return picture.resize((size, size), Image.Resampling.BOX)
