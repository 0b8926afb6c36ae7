"""The plugin's manifest: what it is, without its code."""

from routeiq_sdk import Manifest
from routeiq_sdk.services import PRICE_BOOK

manifest = Manifest(
    name="prices",
    api="1.0",
    factory="routeiq_prices.plugin:Prices",
    config="routeiq_prices.plugin:Config",
    summary="the price book: what an answer cost",
    provides=(PRICE_BOOK,),
    default_enabled=True,
)
