"""Data: reading images and masks, records, splits, augmentation, the torch dataset, the built-in sample."""
