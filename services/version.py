"""The one place that states colega's version."""

__version__ = "0.1.0"
