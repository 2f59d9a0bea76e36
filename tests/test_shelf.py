"""Models come whole or with one sentence that says what to do; hub code really runs."""

import sys
from pathlib import Path

import numpy as np
import pytest

from labs_support import shelf

sys.path.insert(0, str(Path(__file__).parent))
import hub_server  # noqa: E402

ENCODE = "from labs_support import skills; print(skills.embed(['a red kite']).shape)"


def test_embedded_text_encoder_is_the_published_one():
    folder = shelf.folder(shelf.role("text-encoder"))
    assert shelf.store.sha256(folder / "model.safetensors") == shelf.MINILM_SHA256


def test_text_encoder_gives_unit_vectors_that_know_meaning():
    from labs_support import skills

    opens, hours, kite = skills.embed(
        ["the shop opens at nine", "opening hours of the store", "a kite on a string"]
    )
    assert opens.shape == (384,)
    assert np.linalg.norm(opens) == pytest.approx(1, abs=1e-5)
    assert opens @ hours > 0.5 > 0.1 > opens @ kite


@pytest.fixture
def damaged(tmp_path, monkeypatch):
    """A package like the one that carries MiniLM, with a weight file cut short."""
    folder = tmp_path / "damaged_minilm" / "model"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "model.safetensors").write_bytes(b"only the beginning")
    monkeypatch.syspath_prepend(tmp_path)
    role = shelf.role("text-encoder")
    changed = shelf.Role(**{**role.__dict__, "package": "damaged_minilm"})
    monkeypatch.setitem(shelf.ROLES, "text-encoder", changed)
    return folder


def test_truncated_weights_are_one_sentence(damaged):
    with pytest.raises(shelf.DamagedModel) as error:
        shelf.folder(shelf.role("text-encoder"))
    assert "model.safetensors is damaged" in str(error.value)
    assert "18 bytes" in str(error.value) and "-m uv pip install --reinstall" in str(
        error.value
    )
    assert "\n" not in str(error.value)


def test_missing_weights_are_one_sentence(damaged):
    (damaged / "model.safetensors").unlink()
    with pytest.raises(shelf.DamagedModel, match="is missing. To repair"):
        shelf.folder(shelf.role("text-encoder"))


def test_unknown_role_names_the_known_ones():
    with pytest.raises(ValueError, match="no 'video'; it has text-encoder"):
        shelf.role("video")


def tiny_sentence_transformer(folder: Path) -> None:
    """Save a random two-layer BERT as a sentence-transformers repository."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *"abcdefghijklmnopqrstuvwxyz",
    ]
    bert = folder.with_name("bert")
    bert.mkdir(parents=True)
    (bert / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(bert / "vocab.txt")).save_pretrained(bert)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=32,
    )  # fmt: skip
    BertModel(config).save_pretrained(bert)
    layers = [Transformer(str(bert)), Pooling(16)]
    SentenceTransformer(modules=layers, device="cpu").save(str(folder))


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """The address of a stand-in hub that has the text encoder's repository."""
    root = tmp_path_factory.mktemp("hub")
    tiny_sentence_transformer(root / shelf.role("text-encoder").hub)
    for role in shelf.ROLES.values():  # `labs fetch` asks for all of them
        if not (root / role.hub).exists():
            (root / role.hub).mkdir(parents=True)
            (root / role.hub / "config.json").write_text("{}")
    with hub_server.serving(root) as address:
        yield address


def test_hub_profile_loads_through_the_real_code(hub, tmp_path):
    run = hub_server.run(["-c", ENCODE], hub, tmp_path)
    assert run.stdout.strip() == "(1, 16)", run.stderr


def test_fetch_makes_the_hub_profile_work_without_network(hub, tmp_path):
    fetch = ["-m", "labs_support.cli", "fetch"]
    run = hub_server.run(fetch, hub, tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "text-encoder: sentence-transformers/all-MiniLM-L6-v2" in run.stdout
    offline = "import os; os.environ['HF_HUB_OFFLINE'] = '1'; " + ENCODE
    again = hub_server.run(["-c", offline], "http://127.0.0.1:9", tmp_path)
    assert again.stdout.strip() == "(1, 16)", again.stderr


def test_fetch_without_network_is_one_sentence(tmp_path):
    fetch = ["-m", "labs_support.cli", "fetch"]
    run = hub_server.run(fetch, "http://127.0.0.1:9", tmp_path)
    assert run.returncode == 1
    assert "Could not fetch sentence-transformers/all-MiniLM-L6-v2" in run.stdout
    assert "Traceback" not in run.stdout + run.stderr
