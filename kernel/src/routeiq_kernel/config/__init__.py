"""YAML, environment and flags → frozen settings. Nothing else in the kernel or in a plugin reads the environment."""
