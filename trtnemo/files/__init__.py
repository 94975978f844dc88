"""Files in general: read as JSON, hashed, written beside their place and moved there in one step."""
