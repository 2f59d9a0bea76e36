"""The exercises of the course, one module per lesson."""

import importlib

from labs_support.checks import Exercise

LESSONS = (
    *("start_here", "landscape", "transformers", "diffusion"),
    *("prompting", "rag", "clip"),
)


def every() -> list[Exercise]:
    """Return all exercises in the order of the lessons."""
    modules = (importlib.import_module(f"{__name__}.{name}") for name in LESSONS)
    return [exercise for module in modules for exercise in module.ALL]
