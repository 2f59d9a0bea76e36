"""The models of the talk in data/foundation: sizes, contexts, licences, how to reach them.

What a maker has not published is "unknown" there, and None in the table.
"""

import yaml

from labs_support.settings import DATA

UNKNOWN = "unknown"


def read() -> list[dict]:
    """Return the models of data/foundation/models.yaml, each with its source."""
    path = DATA / "foundation" / "models.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def model(name: str) -> dict:
    """Return one model by its name.

    Raises:
        ValueError: if there is none; the message names those there are.
    """
    models = {entry["name"]: entry for entry in read()}
    if name not in models:
        raise ValueError(
            f"the catalogue has no {name!r}; it has {', '.join(sorted(models))}"
        )
    return models[name]


def rows() -> list[dict]:
    """Return one row per size of every model, None where a number is unknown.

    Each has name, maker, year, reads, writes, weights, active, context,
    training_tokens, licence, reach, source and config; `active` is the weights that one
    token uses.
    """
    found = []
    for entry in read():
        shared = {k: v for k, v in entry.items() if k not in ("sizes", "talk")}
        for size in entry["sizes"]:
            own = {"active": size["weights"], "config": None} | size
            own["name"] = " ".join(filter(None, (entry["name"], size["name"])))
            found.append(shared | own)
    return [{k: None if v == UNKNOWN else v for k, v in r.items()} for r in found]
