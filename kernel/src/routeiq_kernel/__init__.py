"""The microkernel: lifecycle, configuration and the streaming pipeline. Plugins must not import it."""

__version__ = "0.1.0"
