"""Talking to the chat model: batches, streaming, the context, providers, the shelf."""

import json
import sys
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from labs_support import chat, settings, shelf
from labs_support.recipes import bpe, cards
from labs_support.world import store

sys.path.insert(0, str(Path(__file__).parent))
import hub_server  # noqa: E402

HI = [{"role": "user", "content": "How much is the red kite?"}]
LONG = [{"role": "user", "content": "And what do the other kites cost? " * 3}]


@pytest.fixture(scope="module")
def language():
    """A random model that talks nonsense, but always the same."""
    tokenizer = bpe.train(number=40)
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        max_position_embeddings=1024,
    )  # fmt: skip
    return shelf.Language(LlamaForCausalLM(config).eval(), tokenizer)


@pytest.fixture
def shelved(language, monkeypatch):
    monkeypatch.setattr(shelf, "language_model", lambda name: language)


def test_a_batch_gives_the_answers_of_each_alone(language):
    alone = [chat.generate(language, [t], max_new_tokens=6)[0] for t in (HI, LONG)]
    assert chat.generate(language, [HI, LONG], max_new_tokens=6) == alone
    assert chat.generate(language, [LONG, HI], max_new_tokens=6) == alone[::-1]


def test_streaming_gives_the_same_words(shelved):
    pieces = list(chat.stream(HI, max_new_tokens=8))
    assert len(pieces) > 1
    assert "".join(pieces).strip() == chat.reply(HI, max_new_tokens=8)


def test_a_model_that_fails_while_streaming_does_not_hang(shelved, monkeypatch):
    def fail(**options):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(shelf.language_model("chat-model").model, "generate", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(chat.stream(HI))


def test_a_conversation_too_long_is_one_sentence(shelved):
    talk = [{"role": "user", "content": "word " * 3000}]
    for call in (chat.reply, lambda t: list(chat.stream(t))):
        with pytest.raises(chat.TooLong, match="shorten it") as error:
            call(talk)
        assert "1024" in str(error.value) and "\n" not in str(error.value)


def test_the_answer_has_room_in_the_context(language):
    tokenizer = language.tokenizer
    free = tokenizer.model_max_length - len(chat.prompt_ids(tokenizer, HI, 0)[0])
    chat.prompt_ids(tokenizer, HI, free)
    with pytest.raises(chat.TooLong):
        chat.prompt_ids(tokenizer, HI, free + 1)


def test_a_source_without_text_keeps_its_number():
    prompt = chat.sources_prompt([("A", "one"), ("B", ""), ("C", "three")], "Which?")
    assert (
        prompt == "Question: Which?\n\n[1] A\none\n\n[3] C\nthree\n\nQuestion: Which?"
    )


class Service:
    """Stands for the client of a provider."""

    def batch(self, talks):
        from langchain.messages import AIMessage

        return [AIMessage(f" {len(talk)} messages ") for talk in talks]

    def stream(self, talk):
        from langchain.messages import AIMessageChunk

        yield from (AIMessageChunk(piece) for piece in ("one", " two"))


def test_labs_chat_sends_calls_to_the_provider(monkeypatch):
    monkeypatch.setattr(chat, "provider", Service)
    assert chat.replies([HI, HI + HI]) == ["1 messages", "2 messages"]
    assert list(chat.stream(HI)) == ["one", " two"]


@pytest.mark.parametrize("name", ["nobody:small", "openai:gpt-4o-mini"])
def test_a_provider_that_cannot_be_used_is_one_sentence(name, monkeypatch):
    monkeypatch.setenv("LABS_CHAT", name)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    chat.provider.cache_clear()
    with pytest.raises(settings.SettingError, match="cannot be used") as error:
        chat.provider()
    assert name in str(error.value) and "\n" not in str(error.value)
    chat.provider.cache_clear()


# --- the shelf


@pytest.mark.parametrize("name", ["language-model", "chat-model"])
def test_models_of_the_shelf_load_and_are_small(name):
    model, tokenizer = shelf.language_model(name)
    assert sum(p.numel() for p in model.parameters()) < 12e6
    assert model.config.model_type == "llama"
    assert tokenizer.model_max_length >= 512
    weights = shelf.folder(shelf.role(name)) / "model.safetensors"
    assert weights.stat().st_size < 2.1 * 12e6


def test_a_damaged_model_is_one_sentence(tmp_path, monkeypatch):
    copy = tmp_path / "models" / "lume-lm"
    copy.mkdir(parents=True)
    for file in (store.DATA / "models" / "lume-lm").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(store, "DATA", tmp_path)
    wanted = shelf.role("language-model")
    assert shelf.folder(wanted) == copy
    (copy / "model.safetensors").write_bytes(b"half of it")
    with pytest.raises(shelf.DamagedModel, match="model.safetensors is damaged"):
        shelf.folder(wanted)
    (copy / "tokenizer.json").unlink()
    (copy / "model.safetensors").unlink()
    with pytest.raises(shelf.DamagedModel, match="is missing. To repair: git checkout"):
        shelf.folder(wanted)


def test_the_hub_profile_chats_through_the_real_code(language, tmp_path):
    folder = tmp_path / "hub" / shelf.role("chat-model").hub
    language.model.save_pretrained(folder)
    language.tokenizer.save_pretrained(folder)
    code = f"from labs_support import chat; print(repr(chat.reply({HI}, max_new_tokens=6)))"
    run = hub_server.run_code(code, tmp_path)
    expected = chat.generate(language, [HI], max_new_tokens=6)[0]
    assert run.stdout.strip() == repr(expected), run.stderr


# --- cards


@pytest.mark.parametrize("name", list(cards.ABOUT))
def test_a_card_says_what_was_measured(name):
    folder = cards.MODELS / name
    assert (folder / "README.md").read_text(encoding="utf-8") == cards.card(name)
    scores = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert all(0 <= value for value in scores.values())


def test_unknown_model_names_the_known_ones():
    with pytest.raises(ValueError, match="no model 'gpt'; there are lume-lm"):
        cards.measure("gpt")
