"""Pictures from words: a latent diffusion pipeline for `diffusers`, and its text reader.

`shelf.text_to_image()` gives the pipeline with its weights. Samplers are those of
`diffusers` and can be exchanged: `pipe.scheduler = DDPMScheduler.from_config(...)`.
"""

import inspect

import torch
from diffusers import AutoencoderKL, DiffusionPipeline, UNet2DConditionModel
from diffusers.pipelines.pipeline_utils import ImagePipelineOutput
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from diffusers.utils.torch_utils import randn_tensor
from torch.nn import functional as F

from labs_support import pictures
from labs_support.canvas import Canvas
from labs_support.slots import SlotReader, UnusablePrompt, read_texts


class LumePipeline(DiffusionPipeline):
    """Draws pictures of 64 x 64 pixels from a prompt, or changes a picture by a prompt.

    Parts: `vae` turns pixels into latents and back, `unet` takes the noise out of
    latents, `scheduler` decides the steps, `reader` and the frozen `text_encoder` read
    the prompt. A picture enters the VAE as blocks of pixels (`torch.pixel_unshuffle`).

    Source: Rombach et al. (2022), latent diffusion; Ho and Salimans (2022),
    classifier-free guidance; Meng et al. (2022), SDEdit, for `image` and `strength`.
    """

    _optional_components = ["text_encoder"]
    model_cpu_offload_seq = "text_encoder->reader->unet->vae"

    def __init__(
        self,
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        reader: SlotReader,
        scheduler: SchedulerMixin,
        text_encoder=None,
    ):
        super().__init__()
        self.register_modules(
            vae=vae,
            unet=unet,
            reader=reader,
            scheduler=scheduler,
            text_encoder=text_encoder,
        )

    @property
    def size(self) -> int:
        """Side of a picture in pixels."""
        return self.vae.config.sample_size * self.patch

    @property
    def patch(self) -> int:
        """Side in pixels of the blocks that enter the VAE."""
        return round((self.vae.config.in_channels / 3) ** 0.5)

    def encode(self, x):
        """Return the latents (B, 16, 8, 8) of pixels in -1..1, (B, 3, 64, 64)."""
        blocks = F.pixel_unshuffle(x, self.patch)
        mean, deviation = self._scale(x)
        return (self.vae.encode(blocks).latent_dist.mode() - mean) / deviation

    def decode(self, z):
        """Return the pixels in -1..1, (B, 3, 64, 64), of latents (B, 16, 8, 8)."""
        mean, deviation = self._scale(z)
        blocks = self.vae.decode(z * deviation + mean).sample
        return F.pixel_shuffle(blocks, self.patch).clamp(-1, 1)

    def _scale(self, like):
        """Return mean and deviation of each channel of the latents, (1, 16, 1, 1)."""
        kept = self.vae.config.latents_mean, self.vae.config.latents_std
        return (like.new_tensor(numbers)[None, :, None, None] for numbers in kept)

    def read(self, texts: list[str]):
        """Return the slot vectors of B texts, (B, S, width)."""
        tokens, is_token = read_texts(self.text_encoder, texts)
        return self.reader(tokens.to(self.device), is_token.to(self.device))

    def predict(self, z, t, slots):
        """Return what the denoiser predicts for latents at step t, shape of z.

        Args:
            z: latents, (B, 16, 8, 8).
            t: step of the scheduler, a number or (B,).
            slots: vectors of the prompts, (B, S, width).
        """
        return self.unet(z, t, slots, class_labels=slots.flatten(1)).sample

    @torch.inference_mode()
    def __call__(
        self,
        prompt: str | list[str] = "",
        negative_prompt: str | list[str] = "",
        num_inference_steps: int = 16,
        guidance_scale: float = 3.0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        image=None,
        mask_image=None,
        strength: float | None = None,
        num_images_per_prompt: int = 1,
        latents=None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end=None,
        callback_on_step_end_tensor_inputs=("latents",),
    ):
        """Draw one picture per prompt.

        Args:
            prompt: a text, or a list of B texts; "" draws anything.
            negative_prompt: what guidance leads away from; one text or B.
            num_inference_steps: steps of the scheduler, 1 or more.
            guidance_scale: how far to go past the unguided prediction; at 1 or below
                there is no guidance, and the negative prompt is not read.
            generator: source of noise, for the same picture again.
            image: a picture to start from: a path, `PIL.Image`, or uint8 array of shape
                (height, width, 3); it is brought to 64 x 64 pixels.
            mask_image: what may be repainted: white yes, black no; `PIL.Image` or array
                (height, width) of the picture's size. Black pixels come back unchanged.
            strength: share of the steps that run, 0..1; 0 gives the picture back as the
                VAE sees it. 0.8 unless given, 1 with a mask.
            num_images_per_prompt: pictures for each prompt.
            latents: noise to start from, (B, 16, 8, 8), in place of `generator`.
            output_type: "pil", "np" (0..1), "pt" (0..1) or "latent".
            return_dict: whether to return `ImagePipelineOutput`, else a tuple.
            callback_on_step_end: called as (pipeline, i, t, {"latents": latents}) after
                each step; "latents" in the dict that it returns replaces them.
            callback_on_step_end_tensor_inputs: names of what the callback gets.

        Returns:
            `ImagePipelineOutput` with `images`.

        Raises:
            UnusablePrompt: if a prompt or a setting cannot be used.
            pictures.UnusablePicture: if a picture or a mask cannot be used.
        """
        texts = list(prompt) if isinstance(prompt, (list, tuple)) else [prompt]
        texts = [text for text in texts for _ in range(num_images_per_prompt)]
        if strength is None:
            strength = 0.8 if mask_image is None else 1.0
        _check(texts, num_inference_steps, strength, output_type, image, mask_image)
        slots = self._guided_slots(texts, negative_prompt, guidance_scale)
        self.scheduler.set_timesteps(num_inference_steps, device=self.device)
        shape = (
            len(texts),
            self.unet.config.in_channels,
            *[self.unet.config.sample_size] * 2,
        )
        noise = latents
        if noise is None:
            noise = randn_tensor(shape, generator, self.device, slots.dtype)
        elif tuple(noise.shape) != shape:
            raise UnusablePrompt(
                f"latents have the shape {tuple(noise.shape)}, not {shape}."
            )
        canvas = Canvas(self, image, mask_image, noise, strength)
        z = canvas.start()
        extra = {}
        if "generator" in inspect.signature(self.scheduler.step).parameters:
            extra["generator"] = generator
        for i, t in enumerate(self.progress_bar(canvas.steps)):
            z_in = self.scheduler.scale_model_input(z, t)
            predicted = self._guided(z_in, t, slots, guidance_scale)
            z = self.scheduler.step(predicted, t, z, **extra, return_dict=False)[0]
            z = canvas.keep(z, i)
            if callback_on_step_end is not None:
                names = callback_on_step_end_tensor_inputs
                changed = callback_on_step_end(
                    self, i, t, {n: z for n in names if n == "latents"}
                )
                z = (changed or {}).pop("latents", z)
        images = z if output_type == "latent" else self._shown(canvas, z, output_type)
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(images=images) if return_dict else (images,)

    def _guided_slots(self, texts, negative_prompt, guidance_scale: float):
        """Return the slots of the prompts, with guidance after those to lead away from."""
        if guidance_scale <= 1:
            return self.read(texts)
        away = (
            [negative_prompt]
            if isinstance(negative_prompt, str)
            else list(negative_prompt)
        )
        if len(texts) % len(away):
            raise UnusablePrompt(
                f"There are {len(texts)} prompts and {len(away)} negative prompts: give one, "
                "or as many as prompts."
            )
        repeated = [text for text in away for _ in range(len(texts) // len(away))]
        return self.read(repeated + texts)

    def _guided(self, z, t, slots, guidance_scale: float):
        """Return the prediction, led away from the negative prompt by the guidance."""
        if guidance_scale <= 1:
            return self.predict(z, t, slots)
        away, towards = self.predict(torch.cat([z, z]), t, slots).chunk(2)
        return away + guidance_scale * (towards - away)

    def _shown(self, canvas, z, output_type: str):
        """Return pixels of latents in the form asked for."""
        x = canvas.finish(self.decode(z))
        if output_type == "pt":
            return x / 2 + 0.5
        shares = (x / 2 + 0.5).permute(0, 2, 3, 1).float().cpu().numpy()
        return shares if output_type == "np" else self.numpy_to_pil(shares)


class HubPipeline:
    """A pipeline of the hub that takes the arguments of `LumePipeline`.

    `diffusers` has one class for each task with the same parts; the arguments say which
    one is meant.
    """

    def __init__(self, repository: str):
        """Load the text-to-image pipeline of a repository, from safetensors only."""
        from diffusers import AutoPipelineForText2Image

        has_gpu = torch.cuda.is_available()
        self.base = AutoPipelineForText2Image.from_pretrained(
            repository,
            variant="fp16",
            dtype=torch.float16 if has_gpu else torch.float32,
            use_safetensors=True,
            safety_checker=None,
            requires_safety_checker=False,
        )

    def __getattr__(self, name: str):
        """Return a part of the pipeline, such as `scheduler` or `vae`."""
        if name == "base":
            raise AttributeError(name)
        return getattr(self.base, name)

    def to(self, device: str):
        """Move all parts to a device."""
        self.base.to(device)
        return self

    def __call__(
        self, prompt="", *, image=None, mask_image=None, strength=None, **options
    ):
        """Draw; see `LumePipeline.__call__`."""
        from diffusers import AutoPipelineForImage2Image, AutoPipelineForInpainting

        if image is None:
            return self.base(prompt, **options)
        options["image"] = pictures.as_picture(image)
        if strength is None:
            strength = 0.8 if mask_image is None else 1.0
        options["strength"] = strength
        if mask_image is None:
            return AutoPipelineForImage2Image.from_pipe(self.base)(prompt, **options)
        options["mask_image"] = mask_image
        return AutoPipelineForInpainting.from_pipe(self.base)(prompt, **options)


def _check(texts, n_steps, strength, output_type, image, mask) -> None:
    """Raise UnusablePrompt for a setting that cannot be used."""
    if not texts or not all(isinstance(text, str) for text in texts):
        raise UnusablePrompt("A prompt is a text, or a list of at least one text.")
    if n_steps < 1:
        raise UnusablePrompt(f"num_inference_steps is {n_steps}; it must be 1 or more.")
    if not 0 <= strength <= 1:
        raise UnusablePrompt(f"strength is {strength}; it must lie between 0 and 1.")
    if output_type not in ("pil", "np", "pt", "latent"):
        raise UnusablePrompt(
            f"output_type is {output_type!r}; use 'pil', 'np', 'pt' or 'latent'."
        )
    if mask is not None and image is None:
        raise UnusablePrompt("There is a mask and no picture: pass image as well.")
