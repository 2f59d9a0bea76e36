"""A courier on the quays of Porto Lume: a small world to learn in by trial and error.

Built in lesson 01.
"""

import numpy as np

from labs_support.figures import ACCENT

MOVES = ((-1, 0), (1, 0), (0, 1), (0, -1))  # north, south, east, west
HARBOUR = (
    "S..#....",
    ".~...~..",
    ".~...~.#",
    "..~~~~.~",
    ".#.~~~.~",
    ".#.~...G",
)


class GridWorld:
    """A map of streets on which a courier carries a parcel from S to G.

    Letters: `.` street, `#` wall, `~` wet quay. A step costs 1, a wet quay 10 more, the
    delivery brings 30 and ends the trip. The wind turns a move into a random one with
    probability `slip`.

    Args:
        rows: the map, strings of equal length.
        slip: probability that a move is a random one, from 0 to 1.

    Source: Sutton and Barto (2018), Reinforcement learning, chapters 4 and 6. Built in
        lesson 01.
    """

    def __init__(self, rows: tuple[str, ...] = HARBOUR, slip: float = 0.1):
        self.tiles = np.array([list(row) for row in rows])
        self.slip = slip
        self.start = tuple(np.argwhere(self.tiles == "S")[0])
        self.streets = [
            p for p in np.ndindex(self.tiles.shape) if self.tiles[p] not in "#G"
        ]

    def outcome(self, place: tuple, action: int) -> tuple[tuple[int, int], int]:
        """Return the next place and the reward of an action without wind.

        Args:
            place: (row, column) of the courier.
            action: index into MOVES, 0 to 3.
        """
        row, column = place[0] + MOVES[action][0], place[1] + MOVES[action][1]
        height, width = self.tiles.shape
        is_inside = 0 <= row < height and 0 <= column < width
        if not is_inside or self.tiles[row, column] == "#":
            row, column = place
        tile = self.tiles[row, column]
        return (row, column), -1 - 10 * (tile == "~") + 30 * (tile == "G")

    def step(
        self, place: tuple, action: int, rng: np.random.Generator
    ) -> tuple[tuple[int, int], int]:
        """Return the next place and the reward of an action in the wind.

        Args:
            place: (row, column) of the courier.
            action: index into MOVES, 0 to 3.
            rng: a numpy Generator, the wind.
        """
        if rng.random() < self.slip:
            action = rng.integers(len(MOVES))
        return self.outcome(place, action)


def n_moves(world: GridWorld, closed: str = "") -> int:
    """Return the moves of the shortest way from S to G in still air.

    Args:
        world: a `GridWorld`.
        closed: letters of tiles that the way does not enter.

    Raises:
        ValueError: if there is no such way.
    """
    reached, moves = {world.start}, 0
    while reached:
        if any(world.tiles[place] == "G" for place in reached):
            return moves
        ahead = {world.outcome(p, a)[0] for p in reached for a in range(len(MOVES))}
        ahead = {place for place in ahead if world.tiles[place] not in closed}
        if ahead <= reached:
            break
        reached, moves = reached | ahead, moves + 1
    raise ValueError(f"no way leads from S to G without the tiles {closed!r}")


def route(world: GridWorld, policy: np.ndarray, limit: int = 100) -> str:
    """Return the tiles that a policy enters from S to G in still air, as letters.

    Args:
        world: a `GridWorld`.
        policy: one action per place, shape of the map.
        limit: moves after which a way that leads nowhere is cut off.
    """
    place, tiles = world.start, ""
    while not tiles.endswith("G") and len(tiles) < limit:
        place, _ = world.outcome(place, policy[place])
        tiles += world.tiles[place]
    return tiles


def place_values(
    world: GridWorld, policy: np.ndarray | None = None, n_sweeps: int = 60
) -> np.ndarray:
    r"""Return the expected return from every place, (rows, columns).

    .. math:: V(s) = \max_a \left[ (1 - p) \, q(s, a) + p \, \overline{q}(s) \right]

    with q the reward plus the value of the next place and p the probability of wind.

    Args:
        world: the map and its wind.
        policy: one action per place, (rows, columns); without it the best action is
            taken everywhere.
        n_sweeps: passes over the map; a policy that never delivers sinks with each.

    Source: Bellman (1957), Dynamic programming. Built in lesson 01.
    """
    values = np.zeros(world.tiles.shape)
    for _ in range(n_sweeps):
        old = values.copy()
        for place in world.streets:
            outcomes = [world.outcome(place, action) for action in range(len(MOVES))]
            q = np.array([reward + old[after] for after, reward in outcomes])
            q = (1 - world.slip) * q + world.slip * q.mean()
            values[place] = q.max() if policy is None else q[policy[place]]
    return values


def q_learn(
    world: GridWorld, n_trips: int, seed: int
) -> tuple[np.ndarray, list[float]]:
    r"""Return action values learned by trial and error, and the return of every trip.

    .. math:: Q(s, a) \leftarrow Q(s, a) + \alpha [r + \max_{a'} Q(s', a') - Q(s, a)]

    Args:
        world: only its `step` is used, never the map.
        n_trips: trips from the start, each of at most 200 moves.
        seed: seed of wind and exploration.

    Returns:
        Q of shape (rows, columns, 4) and a list of n_trips returns.

    Source: Watkins (1989), Learning from delayed rewards. Built in lesson 01.
    """
    rng = np.random.default_rng(seed)
    q = np.zeros((*world.tiles.shape, len(MOVES)))
    n_tries = np.zeros_like(q)
    returns = []
    for _ in range(n_trips):
        place, total = world.start, 0
        for _ in range(200):
            is_curious = rng.random() < 0.3
            action = rng.integers(len(MOVES)) if is_curious else q[place].argmax()
            after, reward = world.step(place, action, rng)
            n_tries[place][action] += 1
            error = reward + q[after].max() - q[place][action]
            q[place][action] += error / n_tries[place][action] ** 0.6
            place, total = after, total + reward
            if world.tiles[place] == "G":
                break
        returns.append(total)
    return q, returns


def draw_policy(ax, world: GridWorld, policy: np.ndarray) -> None:
    """Draw the map (wet quays grey, walls dark) with an arrow for every action.

    Args:
        ax: axes to draw on.
        world: the map.
        policy: one action per place, (rows, columns).
    """
    shade = 2 * (world.tiles == "#") + (world.tiles == "~")
    ax.imshow(shade, cmap="Greys", vmax=2.5)
    for row, column in world.streets:
        down, right = MOVES[policy[row, column]]
        ax.arrow(column, row, 0.3 * right, 0.3 * down, head_width=0.2, color=ACCENT)
    row, column = np.argwhere(world.tiles == "G")[0]
    ax.text(column, row, "G", ha="center", va="center")
    ax.axis("off")
