"""Results that anyone can check: what was measured, with what it was made, and what follows."""
