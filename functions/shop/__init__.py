"""The example app: a shop. A checkout fans out, a sign-up sends on, an import sends hundreds."""
