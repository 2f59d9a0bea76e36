"""Vectors that are kept: computed once, and never those of other texts or another model."""

import numpy as np
import pytest

from labs_support import vectors

TEXTS = ["a kite", "a bell", "a lamp"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


class Embed:
    """A model that counts the texts it has read.

    Args:
        factor: another one is another model.
        width: numbers of a vector.
    """

    def __init__(self, factor: float = 1, width: int = 4):
        self.factor, self.width, self.n_read = factor, width, 0

    def __call__(self, texts: list[str]) -> np.ndarray:
        self.n_read += len(texts)
        rows = [[ord(text[-1]) + i for i in range(self.width)] for text in texts]
        return self.factor * np.array(rows, dtype=np.float32)


def read_by(embed: Embed, texts: list[str] = TEXTS) -> int:
    """Return how many texts a model had to read to give the right vectors."""
    before = embed.n_read
    found = vectors.kept("toys", texts, embed)
    n_read = embed.n_read - before
    np.testing.assert_array_equal(found, embed(texts))
    return n_read


def test_the_second_time_only_one_text_is_read():
    assert read_by(Embed()) == 4
    assert read_by(Embed()) == 1


@pytest.mark.parametrize(
    "texts", [["a kite", "a bell"], ["a kite", "a bell", "a lamb"], [*TEXTS, "a mug"]]
)
def test_other_texts_are_read_anew(texts):
    read_by(Embed())
    assert read_by(Embed(), texts) == len(texts) + 1
    assert read_by(Embed(), texts) == 1


@pytest.mark.parametrize("other", [{"factor": 1.01}, {"width": 5}, {"width": 1}])
def test_another_model_reads_anew(other):
    read_by(Embed())
    assert read_by(Embed(**other)) == 4


@pytest.mark.parametrize("content", [b"", b"not a file of vectors", b"\xff" * 100])
def test_a_damaged_file_is_replaced(home, content):
    read_by(Embed())
    (file,) = (home / "vectors").iterdir()
    file.write_bytes(content)
    assert read_by(Embed()) == 4
    assert read_by(Embed()) == 1


def test_half_a_file_is_replaced(home):
    read_by(Embed())
    (file,) = (home / "vectors").iterdir()
    file.write_bytes(file.read_bytes()[:-8])
    assert read_by(Embed()) == 4


def test_without_a_place_to_keep_them_they_are_computed_every_time(home):
    home.write_text("a file where the folder should be")
    assert read_by(Embed()) == 4
    assert read_by(Embed()) == 4


def test_a_disk_that_is_full_leaves_nothing_behind(home, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    assert read_by(Embed()) == 4
    assert list((home / "vectors").iterdir()) == []
