"""Sandboxes of real ESPs, each written from what the vendor documents."""
