"""SPOT's simulator: virtual time, an in-memory link, simulated chips and the physics behind them."""
