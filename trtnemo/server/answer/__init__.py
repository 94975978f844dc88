"""From events of the engine to deltas, choices, stretches and usage."""
