"""What the native reader offers; made by schemas/native."""
