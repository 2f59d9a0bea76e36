"""How one talks to the chat model: its template, its prompts, its refusal.

    messages = [{"role": "user", "content": sources_prompt(sources, question)}]
    reply(messages)

With LABS_CHAT=provider:model the same calls go to a provider through LangChain, with the
key that the provider's own environment variable holds.
"""

from collections.abc import Iterator
from functools import cache
from threading import Thread

from labs_support import settings, shelf

Message = dict[str, str]  # role and content
MAX_NEW_TOKENS = 48

REFUSAL = "The text does not say."
ANSWER_FROM_SOURCES = f"Answer briefly from the sources, or say: {REFUSAL}"
SYSTEM_PROMPTS = {
    "program": "Write one line of Python that computes the answer.",
    "steps": "Work out the answer step by step.",
    "result": "Give the result only.",
    "mood": "Is the review positive or negative?",
    "clerk": "You are the clerk of a gift shop. Be helpful, honest and brief.",
}
TOOL_PROMPT = (
    'Call a tool with a line of JSON: {"tool": name, "arguments": {...}}. Then answer.'
)
TEMPLATE = """
{%- for message in messages -%}
<|{{ message['role'] }}|>
{%- if message['role'] == 'assistant' -%}
{%- generation -%}{{ ' ' + message['content'] }}<|end|>{%- endgeneration -%}
{%- else -%}
{{ message['content'] }}<|end|>
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}
"""


def sources_prompt(sources: list[tuple[str, str]], question: str) -> str:
    """Return numbered sources, (title, text) each, between the question and itself.

    A source without text is left out; the others keep their numbers. A small model reads
    better when it knows beforehand what it is looking for.
    """
    blocks = [
        f"[{number}] {title}\n{text}" if title else f"[{number}] {text}"
        for number, (title, text) in enumerate(sources, 1)
        if text
    ]
    asked = f"Question: {question}"
    return "\n\n".join([asked, *blocks, asked])


class TooLong(ValueError):
    """A conversation does not fit into the model's context."""


def prompt_ids(tokenizer, messages: list[Message], room: int):
    """Return the token ids of a conversation, ready for the answer, shape (1, T).

    Raises:
        TooLong: if fewer than `room` tokens of the context are left for the answer.
    """
    ids = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    ).input_ids
    if (used := ids.shape[1]) + room > tokenizer.model_max_length:
        raise TooLong(
            f"The conversation has {used} tokens and the answer needs {room}, but the "
            f"model reads {tokenizer.model_max_length}: shorten it, or give fewer sources."
        )
    return ids


def generate(
    language: shelf.Language,
    talks: list[list[Message]],
    *,
    max_new_tokens: int = MAX_NEW_TOKENS,
    batch: int = 16,
) -> list[str]:
    """Return a model's greedy answer to each conversation.

    Args:
        language: model and tokenizer.
        talks: conversations that end with a message of the user.
        max_new_tokens: the longest answer, in tokens.
        batch: conversations at a time; those of similar length go together.

    Raises:
        TooLong: if a conversation does not fit into the context.
    """
    import torch

    model, tokenizer = language
    rows = [prompt_ids(tokenizer, t, max_new_tokens)[0] for t in talks]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    answers = [""] * len(rows)
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        inputs = tokenizer.pad(
            {"input_ids": [rows[i] for i in chosen]},
            padding_side="left",
            return_tensors="pt",
        ).to(model.device)
        with torch.inference_mode():
            out = model.generate(
                **inputs, max_new_tokens=max_new_tokens, do_sample=False
            )
        for i, row in zip(chosen, out[:, inputs.input_ids.shape[1] :], strict=True):
            answers[i] = tokenizer.decode(row, skip_special_tokens=True).strip()
    return answers


@cache
def provider():
    """Return the LangChain chat model that LABS_CHAT names, or None without it.

    Raises:
        SettingError: if it is not written provider:model, or cannot be used.
    """
    name = settings.read().chat
    if not name:
        return None
    from langchain.chat_models import init_chat_model

    try:
        return init_chat_model(name)
    except Exception as error:  # every provider has errors of its own
        raise settings.SettingError(
            f"LABS_CHAT is {name!r} and cannot be used "
            f"({str(error).splitlines()[0]}). Write provider:model, such as "
            "openai:gpt-4o-mini, and put the key into the provider's own variable."
        ) from None


def replies(
    talks: list[list[Message]], *, max_new_tokens: int = MAX_NEW_TOKENS
) -> list[str]:
    """Return the chat model's answer to each conversation.

    Raises:
        TooLong: if a conversation does not fit into the context.
        SettingError: if LABS_CHAT cannot be used.
    """
    if service := provider():
        return [answer.text.strip() for answer in service.batch(talks)]
    language = shelf.language_model("chat-model")
    return generate(language, talks, max_new_tokens=max_new_tokens)


def reply(messages: list[Message], *, max_new_tokens: int = MAX_NEW_TOKENS) -> str:
    """Return the chat model's answer to one conversation; raises like `replies`."""
    return replies([messages], max_new_tokens=max_new_tokens)[0]


def stream(
    messages: list[Message], *, max_new_tokens: int = MAX_NEW_TOKENS
) -> Iterator[str]:
    """Yield the answer piece by piece as it is made; raises like `replies`."""
    if service := provider():
        yield from (piece.text for piece in service.stream(messages))
        return
    from transformers import TextIteratorStreamer

    model, tokenizer = shelf.language_model("chat-model")
    ids = prompt_ids(tokenizer, messages, max_new_tokens).to(model.device)
    streamer = TextIteratorStreamer(
        tokenizer, skip_prompt=True, skip_special_tokens=True
    )
    options = {
        "input_ids": ids, "attention_mask": ids.new_ones(ids.shape),
        "max_new_tokens": max_new_tokens, "do_sample": False, "streamer": streamer,
    }  # fmt: skip
    failures = []

    def work() -> None:
        try:
            model.generate(**options)
        except Exception as error:  # raised again below, where the reader waits
            failures.append(error)
            streamer.end()

    worker = Thread(target=work, daemon=True)
    worker.start()
    yield from streamer
    worker.join()
    if failures:
        raise failures[0]
