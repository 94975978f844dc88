"""What is written down on this machine of servers that are kept, for who asks and who comes after."""
