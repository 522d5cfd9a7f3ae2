"""Programs: started in preloaded interpreters, watched, and ended with everything that they started."""
