"""Results that anyone can check: what was measured, how it was made, and what follows."""
