"""Apps in the browser, on the loopback address only: the assistant of the shop."""
