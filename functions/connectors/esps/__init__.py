"""Email service providers."""
