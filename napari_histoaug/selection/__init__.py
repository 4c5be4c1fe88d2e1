"""Which generated pairs to keep: realism, agreement and copy checks."""
