"""The example app: a shop. A checkout fans out, a sign-up sends on, an import sends hundreds, and
a report runs each morning by itself."""
