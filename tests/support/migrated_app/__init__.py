"""An app for tests of `manage.py migrate`; nothing else installs it."""
