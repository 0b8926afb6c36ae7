"""Which plugins there are, which are enabled and in what order. Nothing here starts anything."""
