"""Whether augmentation helps: pools of pairs, segmenters taught on them, held-out counts."""
