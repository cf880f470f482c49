"""The verbs as functions: what the command line and Python call."""
