"""What edarnn.py does beside training a recipe; each file is one command with a main of its own."""
