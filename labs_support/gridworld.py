"""A courier on the quays of Porto Lume: a small world to learn in by trial and error.

Built in lesson 01.
"""

import numpy as np

MOVES = {"north": (-1, 0), "south": (1, 0), "east": (0, 1), "west": (0, -1)}
HARBOUR = (
    "S..#....",
    ".~.#.~..",
    ".~...~.#",
    "...~....",
    ".#.~~~.~",
    ".#.....G",
)


class GridWorld:
    """A map of streets: the courier starts at S and carries a parcel to G.

    Letters: `.` street, `#` wall, `~` quay edge where the parcel gets wet. A step costs
    1, a wet parcel 10 more, the delivery brings 20 and ends the trip. With probability
    `slip` the wind turns a move into another one.

    Args:
        rows: the map, strings of equal length.
        slip: probability that the move is a random one.

    Source: Sutton and Barto (2018), Reinforcement Learning, chapter 6. Built in
        lesson 01.
    """

    def __init__(self, rows=HARBOUR, slip=0.1):
        self.tiles = np.array([list(row) for row in rows])
        self.start = tuple(np.argwhere(self.tiles == "S")[0])
        self.slip = slip

    def land(self, place, move):
        """Return the next place, the reward and whether the trip is over."""
        row, column = place[0] + move[0], place[1] + move[1]
        height, width = self.tiles.shape
        is_inside = 0 <= row < height and 0 <= column < width
        if not is_inside or self.tiles[row, column] == "#":
            row, column = place
        tile = self.tiles[row, column]
        reward = -1 - 10 * (tile == "~") + 20 * (tile == "G")
        return (row, column), reward, tile == "G"

    def step(self, place, action, rng):
        """Return next place, reward and end of the trip for one noisy action."""
        if rng.random() < self.slip:
            action = rng.integers(len(MOVES))
        return self.land(place, list(MOVES.values())[action])
