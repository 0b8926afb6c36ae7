"""The plugin's manifest: what it is, without its code."""

from routeiq_sdk import Manifest
from routeiq_sdk.services import MODEL_CATALOG, PRICE_BOOK, TOKEN_COUNTER

manifest = Manifest(
    name="models",
    api="1.0",
    factory="routeiq_models.plugin:Models",
    summary="what models can do, and how many tokens a text has",
    provides=(MODEL_CATALOG, TOKEN_COUNTER),
    optional=(PRICE_BOOK,),
    default_enabled=True,
)
