"""Trains what data/models ships; runs on one CPU, one GPU, or under torchrun."""
