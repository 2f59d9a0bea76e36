"""Read the learner's own pictures: any common format in, an RGB picture out.

What cannot be used gives one sentence that names the file and says why.
"""

from pathlib import Path

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")
SMALLEST = 16  # pixels on a side
LARGEST = 100_000_000  # pixels; a phone takes 12 to 50 million
KEPT = 512  # pixels on the longer side; the towers look at 64 to 224


class UnusablePicture(ValueError):
    """A file is no picture, or none that can be used; the message says why."""


def open_picture(path):
    """Return the picture in a file as a `PIL.Image` in RGB, upright and not too large.

    Of an animation the first frame counts; what is transparent becomes white.

    Args:
        path: a file in a format that Pillow reads.

    Raises:
        UnusablePicture: if it is no picture, is damaged, too small or too large.
    """
    import warnings

    from PIL import Image, ImageOps

    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                _check_size(path, file.size)
                file.draft("RGB", (KEPT, KEPT))  # a JPEG can be read at a smaller size
                picture = _in_rgb(ImageOps.exif_transpose(file))
    except FileNotFoundError:
        raise UnusablePicture(f"There is no picture {path}.") from None
    except Image.DecompressionBombError:
        raise UnusablePicture(
            f"{path.name} has more than {LARGEST:,} pixels: make it smaller first."
        ) from None
    except (OSError, SyntaxError) as error:
        raise UnusablePicture(
            f"{path.name} cannot be read as a picture: it is damaged, or another kind of "
            f"file with the ending {path.suffix or 'missing'}."
        ) from error
    picture.thumbnail((KEPT, KEPT))
    return picture


def as_picture(picture):
    """Return a picture as `PIL.Image` in RGB, whatever form it comes in.

    Args:
        picture: a path, a `PIL.Image`, or pixels as uint8 of shape (height, width, 3).

    Raises:
        UnusablePicture: if it is no picture or cannot be used.
    """
    import numpy as np
    from PIL import Image

    if isinstance(picture, (str, Path)):
        return open_picture(picture)
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.shape[2:] != (3,):
            raise UnusablePicture(
                f"An array of {picture.dtype} and shape {picture.shape} is no picture: "
                "use uint8 of shape (height, width, 3)."
            )
        picture = Image.fromarray(picture)
    if not isinstance(picture, Image.Image):
        raise UnusablePicture(
            f"A {type(picture).__name__} is no picture: use a path, a PIL.Image or a uint8 "
            "array of shape (height, width, 3)."
        )
    _check_size(Path("The picture"), picture.size)
    return _in_rgb(picture)


def read_folder(folder) -> tuple[dict, list[str]]:
    """Return the pictures of a folder by file name, and a sentence for each unusable one.

    Files without the ending of a picture are passed over.

    Raises:
        UnusablePicture: if there is no such folder, or no picture in it at all.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UnusablePicture(f"There is no folder {folder}.")
    pictures, problems = {}, []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        try:
            pictures[path.name] = open_picture(path)
        except UnusablePicture as problem:
            problems.append(str(problem))
    if not pictures and not problems:
        raise UnusablePicture(
            f"The folder {folder} holds no picture: {', '.join(SUFFIXES)} are read."
        )
    return pictures, problems


def _check_size(path: Path, size: tuple[int, int]) -> None:
    width, height = size
    if min(size) < SMALLEST:
        raise UnusablePicture(
            f"{path.name} is {width} x {height} pixels: a picture needs at least "
            f"{SMALLEST} on each side."
        )
    if width * height > LARGEST:
        raise UnusablePicture(
            f"{path.name} has more than {LARGEST:,} pixels: make it smaller first."
        )


def _in_rgb(picture):
    """Return a picture of any mode in RGB; 16-bit greys scaled, transparency on white."""
    from PIL import Image

    if picture.mode.startswith("I"):
        picture = picture.convert("I").point(lambda grey: grey / 256).convert("L")
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return picture.convert("RGB")
