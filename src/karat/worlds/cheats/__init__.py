"""Programs with known intent: cheats in every family, and honest programs that look like them."""
