"""A recurrent network in its oldest form, and a task that shows what it forgets.

Built in lesson 01; lesson 02 sets attention the same task at the same distance.
"""

import torch
from torch import nn
from torch.nn import functional as F

N_SYMBOLS = 8
N_FILLERS = 8
QUERY = N_SYMBOLS + N_FILLERS
RECALL_VOCABULARY = QUERY + 1
FORGETTING_DISTANCE = 32


class RNN(nn.Module):
    r"""A recurrent language model after Elman: one state, passed on from word to word.

    .. math:: h_t = \tanh(W_x x_t + W_h h_{t-1} + b), \quad \text{logits}_t = W_o h_t + c

    Args:
        n_words: size of the vocabulary, V.
        width: size of embedding and state, C.

    Source: Elman (1990), Finding structure in time. Built in lesson 01.
    """

    def __init__(self, n_words, width):
        super().__init__()
        self.embedding = nn.Embedding(n_words, width)
        self.from_word = nn.Linear(width, width)
        self.from_state = nn.Linear(width, width, bias=False)
        self.head = nn.Linear(width, n_words)

    def states(self, x):
        """Return the state after every word, shape (B, T, C), for ids x (B, T)."""
        words = self.from_word(self.embedding(x))  # (B, T, C)
        state = torch.zeros_like(words[:, 0])  # (B, C)
        history = []
        for word in words.unbind(dim=1):
            state = torch.tanh(word + self.from_state(state))
            history.append(state)
        return torch.stack(history, dim=1)  # (B, T, C)

    def forward(self, x):
        """Return logits of the next word after every word, shape (B, T, V)."""
        return self.head(self.states(x))


class GatedRNN(nn.Module):
    """The same model with the gated cell of `torch.nn.GRU` in the place of tanh.

    Args:
        n_words: size of the vocabulary, V.
        width: size of embedding and state, C.

    Source: Cho et al. (2014), Learning phrase representations using RNN
        encoder-decoder.
    """

    def __init__(self, n_words, width):
        super().__init__()
        self.embedding = nn.Embedding(n_words, width)
        self.cell = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, n_words)

    def forward(self, x):
        """Return logits of the next word after every word, shape (B, T, V)."""
        return self.head(self.cell(self.embedding(x))[0])


def train_rnn(model: nn.Module, ids: list[int], n_steps: int = 500) -> None:
    """Train a language model in place on random windows of 32 words.

    Args:
        model: gives logits (B, T, V) for ids (B, T).
        ids: the training text as word ids.
        n_steps: number of batches of 24 windows.
    """
    text, rate = torch.tensor(ids, device=next(model.parameters()).device), 6e-3
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=n_steps)
    for _ in range(n_steps):
        starts = torch.randint(len(text) - 32, (24, 1))
        window = text[starts + torch.arange(33)]  # (24, 33)
        logits = model(window[:, :-1])  # (B, T, V)
        loss = F.cross_entropy(logits.flatten(0, 1), window[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()


def recall_batch(
    n: int, distance: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return sequences that open with a symbol to remember, and those symbols.

    A sequence is one symbol, then `distance` random fillers, then the query.

    Args:
        n: number of sequences, B.
        distance: number of fillers between the symbol and the query.
        generator: source of all randomness.

    Returns:
        x of shape (B, distance + 2) and y of shape (B,); y lies in 0..N_SYMBOLS - 1,
        so that guessing is right in 1 / N_SYMBOLS of the cases.
    """
    y = torch.randint(N_SYMBOLS, (n,), generator=generator)
    fillers = torch.randint(N_FILLERS, (n, distance), generator=generator) + N_SYMBOLS
    x = torch.cat([y[:, None], fillers, torch.full((n, 1), QUERY)], dim=1)
    return x, y


def train_recall(
    model: nn.Module, distance: int, generator: torch.Generator, steps: int = 300
) -> float:
    """Return the loss of the last step of training a model on the recall task, in nats.

    Args:
        model: gives logits (B, T, V) for ids (B, T); only the last position is scored.
        distance: number of fillers between the symbol and the query.
        generator: source of the batches, 64 sequences each.
        steps: number of batches.
    """
    device = next(model.parameters()).device
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        x, y = recall_batch(64, distance, generator)
        loss = F.cross_entropy(model(x.to(device))[:, -1], y.to(device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss.item()


@torch.no_grad()
def recall_accuracy(
    model: nn.Module, distance: int, generator: torch.Generator, n: int = 2000
) -> float:
    """Return the share of n fresh sequences whose symbol the model recalls."""
    x, y = recall_batch(n, distance, generator)
    best = model(x.to(next(model.parameters()).device))[:, -1].argmax(dim=-1)  # (B,)
    return (best.cpu() == y).float().mean().item()


def learned_recall(kind: type, distance: int, width: int, seed: int) -> float:
    """Return the recall accuracy of a fresh network trained at one distance.

    Args:
        kind: class of the network, called as kind(RECALL_VOCABULARY, width).
        distance: number of fillers in training and in the test.
        width: width of the network.
        seed: seed of weights and batches.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = kind(RECALL_VOCABULARY, width)
    train_recall(model, distance, generator)
    return recall_accuracy(model, distance, generator)


def gradient_by_distance(model: RNN, x: torch.Tensor) -> torch.Tensor:
    """Return how strongly the last state depends on each word, the last word first.

    Args:
        model: a recurrent model.
        x: ids of shape (B, T).

    Returns:
        mean norm of the gradient of the summed last state at each word, shape (T,).
    """
    inputs = []
    hook = model.embedding.register_forward_hook(
        lambda module, args, output: inputs.append(output.retain_grad() or output)
    )
    model.states(x)[:, -1].sum().backward()
    hook.remove()
    return inputs[0].grad.norm(dim=2).mean(dim=0).flip(0)
