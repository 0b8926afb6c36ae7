"""The plugin's manifest: what it is, without its code."""

from routeiq_sdk import STATE_STORE, Manifest

manifest = Manifest(
    name="surfaces",
    api="1.0",
    factory="routeiq_surfaces.plugin:Surfaces",
    config="routeiq_surfaces.plugin:Config",
    summary="embeddings, images, audio, files, batches, realtime and pass-through",
    optional=(STATE_STORE,),
    default_enabled=True,
)
