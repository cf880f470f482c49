"""Randomness as a function of where we are, so that nothing random has to be saved."""

import torch

from sightline.data.dataset import mixed_seed


def seed_step(seed: int, step: int, rank: int) -> None:
    """Set torch's generators (CPU and accelerators) for one optimiser step on one process.

    Dropout after a resume then draws what it would have drawn.
    """
    torch.manual_seed(mixed_seed(seed, step, rank))
