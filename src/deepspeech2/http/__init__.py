"""Download files: resume them where they broke off, and check them before use."""
