"""What is wrong with a data set in the competition's layout, why it matters, and a repaired copy of it."""
