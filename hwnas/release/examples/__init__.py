"""Programs that are copied into every shipping folder; hwnas itself runs none of them."""
