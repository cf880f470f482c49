"""The loop, and what it needs to be stopped, resumed and shared between processes."""
