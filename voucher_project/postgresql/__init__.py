"""Django's backend for PostgreSQL, with a health check of connections that mostly needs no round trip."""
