"""Loopback servers that speak the vendors' wire protocols, as strictly as the vendors do."""
