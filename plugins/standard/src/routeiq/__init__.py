"""The standard set: this distribution's dependencies are the plugins that may be enabled by default. There is no code here."""

__version__ = "0.1.0"
