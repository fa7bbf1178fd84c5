"""The worker's account: signing in, channels, uploading parts, sending."""
