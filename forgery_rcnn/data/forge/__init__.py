"""Makes forged figures from pristine images, with masks, manifest and pristine twins."""
