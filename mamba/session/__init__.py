"""The session host: owner of the terminal and the sockets, outside IPython. Requests, command queue, people, state."""
