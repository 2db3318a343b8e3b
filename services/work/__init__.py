"""Workers: Ray actors that take stages from the queues and run them."""
