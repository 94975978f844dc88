"""What `tiny` learns from: synthetic chats, a kind a file."""
