"""From a picture to a prediction."""
