"""From a document to a running graph of plugins, and the guarded chains that call them."""
