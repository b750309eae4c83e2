"""The embedded AWS: start it, deploy to it, play the job on it."""
