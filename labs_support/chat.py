"""How one talks to the chat model: its template, its prompts, its refusal.

messages = [{"role": "user", "content": sources_prompt(texts, question)}]
"""

REFUSAL = "The text does not say."
ANSWER_FROM_SOURCES = (
    "Answer the customer from the sources, in as few words as possible. "
    f"If they do not hold the answer, say: {REFUSAL}"
)
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
{%- generation -%}{{ message['content'] }}<|end|>{%- endgeneration -%}
{%- else -%}
{{ message['content'] }}<|end|>
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}
"""


def sources_prompt(sources: list[tuple[str, str]], question: str) -> str:
    """Return numbered sources, (title, text) each, followed by the question."""
    blocks = [
        f"[{number}] {title}\n{text}" if title else f"[{number}] {text}"
        for number, (title, text) in enumerate(sources, 1)
    ]
    return "\n\n".join([*blocks, f"Question: {question}"])
