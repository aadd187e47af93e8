"""The wire: sockets, dispatch, the control calls and the 3-D Secure page."""
