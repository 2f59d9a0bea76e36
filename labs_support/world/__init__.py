"""The world of Bottega Lume: what generates the data, and what reads it."""
