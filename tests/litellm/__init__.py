"""Checks of `provider_litellm` with the LiteLLM SDK, in an environment of their own: `nox -s litellm`.

LiteLLM's pinned version and this project's development environment ask for different versions of the OpenAI SDK, so these modules
are named `*_checks.py`, which the test run without the SDK does not collect.
"""
