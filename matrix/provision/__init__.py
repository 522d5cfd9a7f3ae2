"""What a run needs and the machine lacks: distribution packages, wheels, drivers built here, and their cache."""
