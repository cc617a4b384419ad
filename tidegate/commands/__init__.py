"""The commands that ask and tell a server: a deployment, or the dev server; docs/command-line.md.

Each module has the commands of one resource. What they share is in `connection` (where the server
is), `output` (what is printed), `exits` (how the process ends) and `moment` (times).
"""
