"""What the made-up examples share with remedies; tests put the real `with_remedy` beside it."""
