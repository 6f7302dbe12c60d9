"""What the load is: knows its machine and its guards, no messages, no sockets, no pins, no clock."""
