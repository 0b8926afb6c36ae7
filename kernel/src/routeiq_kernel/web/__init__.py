"""The ASGI side: the hot path matched before Starlette, health, admin, errors."""
